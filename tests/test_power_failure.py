"""Power failures, as far as a test can make one: what was not forced to the disk is lost.

A writer runs, and at many moments a picture is taken of what the disk could hold if the power
failed just then. SQLite forces each commit, so its files are as they are. Of an index file any
mixture of what was last forced and of what was written since may be there, or nothing; a mark
is there if it was forced, and may be there again after it was removed. Then the machine has
been started again, and the next run has to complete the work.
"""

import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from damaged_collections import (
    contents,
    same,
    write_corpus,
    write_small_indexes,
)

from retriever.canary import TEXT as CANARY_TEXT
from retriever.checking.checks import check
from retriever.collection import durable, marks
from retriever.embedding.cache import VectorCache
from retriever.ingestion import IngestOptions, ingest
from retriever.settings import Settings
from retriever.testing import HashingEmbedder

INDEX_FILES = "chroma/*/*.*"
MARKS = "*.writing"
PICTURES = int(os.environ.get("POWER_PICTURES", "4"))
"""How many of the pictures a run is begun on; by hand, all of them. POWER_SEED repeats a draw."""


@dataclass
class Disk:
    """What is on the disk for certain, and pictures of what could be there after a failure."""

    folder: Path
    pictures: Path
    draw: random.Random
    forced: dict[Path, bytes] = field(default_factory=dict)
    taken: list[Path] = field(default_factory=list)

    def force(self, path: Path) -> None:
        """Stands for a forced write of a file; the real one is done, too."""
        _really_sync(path)
        if path.is_file():
            self.forced[path.relative_to(self.folder)] = path.read_bytes()
        self.take()

    def take(self) -> None:
        """Take a picture of what could be on the disk now."""
        picture = self.pictures / f"{len(self.taken)}"
        shutil.copytree(self.folder, picture, ignore=shutil.ignore_patterns("*.lock"))
        for path in [*picture.glob(INDEX_FILES), *picture.glob(MARKS)]:
            self._lose(path, path.relative_to(picture))
        for name, held in self.forced.items():
            if name.match(MARKS) and self.draw.random() < 0.5:  # its removal was not forced
                (picture / name).write_bytes(held)
        self.taken.append(picture)

    def _lose(self, path: Path, name: Path) -> None:
        """Of a file that was written to since it was forced, lose what the draw says."""
        held, written = self.forced.get(name), path.read_bytes()
        if held == written:
            return
        fates = [held, written, _mixed(held or b"", written, self.draw)]
        fate = self.draw.choice(fates)
        path.unlink() if fate is None else path.write_bytes(fate)


def _mixed(old: bytes, new: bytes, draw: random.Random) -> bytes:
    """Pages of one and pages of the other, and a length of either."""
    page = 512
    length = len(draw.choice([old, new]))
    pages = [draw.choice([old, new])[at : at + page] for at in range(0, length, page)]
    return b"".join(part.ljust(page, b"\0") for part in pages)[:length]


_really_sync = durable.sync
_embedded: list[str] = []


class CountingEmbedder(HashingEmbedder):
    """Remembers every text that it embeds."""

    def embed_chunks(self, texts):  # type: ignore[no-untyped-def]
        _embedded.extend(texts)
        return super().embed_chunks(texts)


@pytest.fixture
def chosen(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Settings:
    write_small_indexes(monkeypatch)
    _embedded.clear()
    return make_settings(
        **{
            "embedding.backend": "test_power_failure:CountingEmbedder",
            "ingestion.commit_chunks": 6,
        }
    )


def elsewhere(settings: Settings, state: Path) -> Settings:
    storage = settings.storage.model_copy(update={"path": state})
    return settings.model_copy(update={"storage": storage})


def write_history(corpus: Path, settings: Settings) -> None:
    """Adding, changing and deleting, in many small commits."""
    ingest(corpus, settings)
    for name in ("pump", "fuse"):
        path = corpus / f"{name}.md"
        path.write_text(path.read_text("utf-8") + f"\n## Spare {name}\n\nNone.\n", "utf-8")
    (corpus / "valve.md").unlink()
    ingest(corpus, settings, options=IngestOptions(allow_delete=True))


@pytest.mark.slow
def test_after_a_power_failure_the_next_run_completes_the_work(
    chosen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check is clean, the collection is that of one clean run, and what was embedded and
    written to the cache before the failure is not embedded again."""
    corpus = write_corpus(tmp_path / "corpus")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    seed = int(os.environ.get("POWER_SEED", random.SystemRandom().randrange(10**6)))
    disk = Disk(chosen.storage.path, pictures, random.Random(seed))
    with monkeypatch.context() as recorded:
        recorded.setattr(durable, "sync", disk.force)
        write_history(corpus, chosen)
    paid = list(dict.fromkeys(_embedded))
    clean = elsewhere(chosen, tmp_path / "clean")
    ingest(corpus, clean)
    expected = contents(clean)
    monkeypatch.setattr(marks, "boot", lambda: "after the power failure")
    for picture in disk.draw.sample(disk.taken, min(PICTURES, len(disk.taken))):
        recovered = elsewhere(chosen, picture)
        kept = _cached(picture, paid)
        _embedded.clear()
        ingest(corpus, recovered, options=IngestOptions(allow_delete=True))
        again = {text for text in _embedded if text in kept} - {CANARY_TEXT}
        where = f"seed {seed}, picture {picture.name} of {len(disk.taken)}"
        assert [str(one) for one in check(recovered).findings] == [], where
        assert same(contents(recovered), expected), where
        assert again == set(), where


def _cached(state: Path, texts: Sequence[str]) -> set[str]:
    """Those of the texts whose vectors the cache holds."""
    cache = VectorCache(state)
    try:
        return set(cache.get_many(CountingEmbedder().fingerprint, texts))
    finally:
        cache.close()
