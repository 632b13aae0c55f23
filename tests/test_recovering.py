"""A writer killed while Chroma rewrote its index files: nobody trusts them, the next run mends."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damaged_collections import examine_in_process

from retriever import assembly
from retriever.checking.checks import check
from retriever.checking.diagnosis import Diagnosis
from retriever.cli.status import read_status
from retriever.collection import durable, marks, segments
from retriever.collection import store as store_room
from retriever.collection.state import Run
from retriever.embedding.vectors import normalise
from retriever.errors import CollectionDamaged, EmbeddingUnavailable
from retriever.ingestion import ingest
from retriever.protocols import Vectors
from retriever.repairing import mending
from retriever.repairing.repairs import repair
from retriever.repairing.restoring import VectorRestorer
from retriever.retrieval import Retriever
from retriever.settings import Settings
from retriever.swapping.returning import Difference, rollback
from retriever.swapping.swaps import swap
from retriever.testing import HashingEmbedder

MakeSettings = Callable[..., Settings]
ROWS_PER_REWRITE = 2
INDEX_ROOM = 100
"""Rows that a new index of Chroma's has room for."""


@pytest.fixture
def built(settings: Settings, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A collection whose index is in files: Chroma writes none before a thousand rows."""
    often = {"sync_threshold": ROWS_PER_REWRITE, "batch_size": ROWS_PER_REWRITE}
    index = {"hnsw": {**store_room.INDEX["hnsw"], **often}}
    monkeypatch.setattr(store_room, "INDEX", index)
    ingest(corpus, settings)
    return settings


def die_in_a_write(settings: Settings, *, generation: str = "docs.1") -> None:
    (settings.storage.path / f"{generation}.writing").touch()


def tear(settings: Settings) -> None:
    """Half of each header: to be read it seems whole, a write to it ends the process."""
    for header in (settings.storage.path / "chroma").glob("*/header.bin"):
        os.truncate(header, header.stat().st_size // 2)


def is_marked(settings: Settings) -> bool:
    return any(settings.storage.path.glob("*.writing"))


def search(settings: Settings, query: str) -> str:
    with Retriever.open(settings) as retriever:
        return retriever.retrieve(query)[0].source


def test_a_write_leaves_no_mark(built: Settings) -> None:
    assert not is_marked(built)


def test_a_reader_is_refused_an_index_that_may_be_torn(built: Settings) -> None:
    die_in_a_write(built)
    tear(built)
    with pytest.raises(CollectionDamaged, match="run the same command again"):
        Retriever.open(built)


def test_a_status_of_a_torn_index_tells_which_run_was_interrupted(built: Settings) -> None:
    """It does not read the index to say so: that could end the process."""
    die_in_a_write(built)
    tear(built)
    with pytest.raises(CollectionDamaged, match="retriever repair mends it") as caught:
        read_status(built)
    assert "interrupted" not in str(caught.value)
    with assembly.open_store(built) as store:
        state = store.state("docs")
        run = replace(Run.now("swap"), pid=2**31 - 1)
        store.save(replace(state, run=run))
    with pytest.raises(CollectionDamaged, match="run: swap interrupted, began") as caught:
        read_status(built)
    assert run.completion in str(caught.value)


def test_an_end_before_the_index_was_touched_is_forgotten(built: Settings, corpus: Path) -> None:
    die_in_a_write(built)
    os.utime(built.storage.path / "docs.1.writing", ns=(2**62, 2**62))
    assert search(built, "reset the pump") == "corpus/pump.md"
    ingest(corpus, built)
    assert not is_marked(built)
    with assembly.open_store(built) as store:
        assert store.state("docs").live == "docs.1"


def test_a_mark_that_cannot_be_read_is_one_of_a_torn_index(built: Settings, corpus: Path) -> None:
    """A power failure may leave anything in it."""
    (built.storage.path / "docs.1.writing").write_bytes(b"\xff\xfe no mark")
    with pytest.raises(CollectionDamaged, match="run the same command again"):
        Retriever.open(built)
    ingest(corpus, built)
    assert search(built, "reset the pump") == "corpus/pump.md"
    assert not is_marked(built)


def rewrite_with_the_clock_set_back(settings: Settings) -> list[Path]:
    """Write each index file as it is: of its size, with a time from before the last write."""
    files = sorted((settings.storage.path / "chroma").glob("*/*.bin"))
    for path in files:
        path.write_bytes(path.read_bytes())
        os.utime(path, ns=(1, 1))
    return files


def test_an_index_that_was_rewritten_after_the_clock_was_set_back_is_not_trusted(
    built: Settings, tmp_path: Path
) -> None:
    folder = built.storage.path
    with marks.mark(folder, "docs.1"):
        shutil.copy2(folder / "docs.1.writing", tmp_path)
    shutil.copy2(tmp_path / "docs.1.writing", folder)  # of a process that died within the write
    with assembly.open_store(built) as store:
        assert store.torn() == []
        assert rewrite_with_the_clock_set_back(built)
        assert store.torn() == ["docs.1"]
    with pytest.raises(CollectionDamaged, match="run the same command again"):
        Retriever.open(built)


def test_what_was_written_after_the_clock_was_set_back_is_forced_to_the_disk(
    built: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[Path] = []
    with marks.mark(built.storage.path, "docs.1"):
        monkeypatch.setattr(durable, "sync", forced.append)
        written = rewrite_with_the_clock_set_back(built)
    assert {*written} <= {*forced}


def test_the_mark_of_a_generation_that_is_gone_is_forgotten(built: Settings, corpus: Path) -> None:
    die_in_a_write(built, generation="gone.7")
    tear(built)
    ingest(corpus, built)
    assert not is_marked(built)


@pytest.mark.slow
def test_the_next_run_mends_a_torn_index_and_embeds_nothing(built: Settings, corpus: Path) -> None:
    die_in_a_write(built)
    tear(built)
    (corpus / "extra.md").write_text("# Extra\n\nA xylophone.\n", encoding="utf-8")
    report = ingest(corpus, built)
    assert (report.added, report.unchanged, report.chunks.embedded) == (1, 3, 1)
    assert search(built, "reset the pump") == "corpus/pump.md"
    assert search(built, "xylophone") == "corpus/extra.md"
    assert check(built).findings == ()
    assert not is_marked(built)


@pytest.mark.slow
def test_what_is_written_after_a_torn_index_was_set_aside_is_in_the_new_one(
    settings: Settings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that looked at the old index before it set it aside has let go of its files."""
    rewrite = {"sync_threshold": 24, "batch_size": 12}
    monkeypatch.setattr(store_room, "INDEX", {"hnsw": {**store_room.INDEX["hnsw"], **rewrite}})
    ingest(corpus, settings)  # a few rows, which are in Chroma's tables and in no index file yet
    die_in_a_write(settings)
    os.utime(settings.storage.path / "docs.1.writing", ns=(0, 0))
    for number in range(40):
        (corpus / f"{number}.md").write_text(f"Valve {number} is shut.\n", encoding="utf-8")
    ingest(corpus, settings)
    assert search(settings, "valve 7 is shut") == "corpus/7.md"
    assert check(settings).findings == ()


@pytest.mark.slow
def test_a_check_tells_of_a_torn_index_and_a_repair_mends_it(built: Settings) -> None:
    die_in_a_write(built)
    tear(built)
    assert "was killed" in str(check(built).findings[0])
    report = repair(built)
    assert report.left == ()
    assert (report.vectors_from_cache > 0, report.vectors_embedded) == (True, 0)
    assert search(built, "reset the pump") == "corpus/pump.md"


@pytest.mark.slow
def test_a_torn_index_in_a_run_without_a_cache_is_made_again_from_the_stored_text(
    make_settings: MakeSettings, built: Settings, corpus: Path
) -> None:
    die_in_a_write(built)
    tear(built)
    ingest(corpus, make_settings(**{"embedding.cache": False}))
    assert search(built, "reset the pump") == "corpus/pump.md"


def test_what_an_interrupted_deletion_left_does_not_come_back(
    settings: Settings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    ingest(corpus, settings)
    with assembly.open_writing_store(settings) as store, monkeypatch.context() as patch:
        patch.setattr(store_room.Store, "drop_generation", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.drop(store.state("docs"))
    (corpus / "pump.md").unlink()
    assert ingest(corpus, settings).added == 2
    assert search(settings, "reset the pump") != "corpus/pump.md"


def test_the_copy_that_a_killed_compaction_left_is_deleted_by_the_next_run(
    settings: Settings, corpus: Path
) -> None:
    ingest(corpus, settings)
    with assembly.open_writing_store(settings) as store:
        state = store.state("docs")
        store.add_generation(state, store.physical(state.live).fingerprint)
    ingest(corpus, settings)
    with assembly.open_store(settings) as store:
        assert store.generations(store.state("docs")) == ["docs.1"]


def cut(settings: Settings, name: str) -> None:
    """Take the last bytes of what a file of the index of the chunks holds of rows."""
    folder = segments.index_folder(settings.storage.path, "docs.1")
    assert folder is not None
    path = folder / name
    with assembly.open_store(settings) as store:
        rows = store.physical("docs.1").chunk_count()
    kept_bytes = {
        "data_level0.bin": rows * path.stat().st_size // INDEX_ROOM - 1,
        "length.bin": rows * path.stat().st_size // INDEX_ROOM - 1,
    }
    os.truncate(path, kept_bytes.get(name, path.stat().st_size - 1))


@pytest.mark.parametrize("name", ["header.bin", "data_level0.bin", "length.bin", "link_lists.bin"])
def test_an_index_file_that_was_cut_short_is_refused_and_mended_by_the_next_run(
    built: Settings, corpus: Path, name: str
) -> None:
    """Chroma would answer with what it finds in memory for the bytes that are not there."""
    cut(built, name)
    with pytest.raises(CollectionDamaged, match="cut short"):
        Retriever.open(built)
    assert "cut short" in str(check(built).findings[0])
    report = ingest(corpus, built)
    assert (report.unchanged, report.chunks.embedded) == (3, 0)
    assert search(built, "reset the pump") == "corpus/pump.md"
    assert check(built).findings == ()


class UnreachableEmbedder(HashingEmbedder):
    """A provider that does not answer."""

    def embed_chunks(self, texts: Any) -> Vectors:
        raise EmbeddingUnavailable("no answer")


def unreachable(make_settings: MakeSettings) -> Settings:
    """Settings by which no lost vector can be had."""
    name = f"{__name__}:{UnreachableEmbedder.__name__}"
    return make_settings(**{"embedding.cache": False, "embedding.backend": name})


def test_a_torn_index_that_could_not_be_mended_is_refused_until_it_is(
    built: Settings, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are out of the way by then, and nothing that is left looks torn."""
    examine_in_process(monkeypatch)
    cut(built, "data_level0.bin")
    with pytest.raises(EmbeddingUnavailable):
        repair(unreachable(make_settings))
    with pytest.raises(CollectionDamaged, match="retriever repair mends it"):
        Retriever.open(built)
    assert repair(built).left == ()
    assert search(built, "reset the pump") == "corpus/pump.md"
    assert not is_marked(built)


@pytest.fixture
def swapped(
    built: Settings, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Those of `docs.2`, which answers now; the index of what was before it is cut short."""
    examine_in_process(monkeypatch)
    settings = make_settings(**{"embedding.model": "other", "embedding.dimension": 128})
    assert swap(settings).live == "docs.2"
    cut(built, "data_level0.bin")
    return settings


def live_of(settings: Settings) -> tuple[str, str | None]:
    with assembly.open_store(settings) as store:
        state = store.state("docs")
        return state.live, state.previous


def test_a_check_notes_a_torn_earlier_generation_and_the_live_one_is_sound(
    swapped: Settings,
) -> None:
    report = check(swapped)
    assert report.findings == ()
    (note,) = report.notes
    assert "docs.1" in note
    assert "retriever rollback mends" in note


def test_a_rollback_to_a_torn_generation_mends_it_before_readers_are_sent_there(
    built: Settings, swapped: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = VectorRestorer.restore
    answers: list[tuple[str, str]] = []

    def meanwhile(*given: Any) -> Any:
        answers.append((live_of(built)[0], search(swapped, "reset the pump")))
        return restore(*given)

    monkeypatch.setattr(VectorRestorer, "restore", meanwhile)
    with Retriever.open(swapped) as retriever:
        report = rollback(built)
        assert retriever.retrieve("reset the pump")[0].source == "corpus/pump.md"
    assert answers == [("docs.2", "corpus/pump.md")]
    assert (report.live, report.previous) == live_of(built) == ("docs.3", "docs.2")
    assert report.difference == Difference(missed=(), returned=())
    assert search(built, "reset the pump") == "corpus/pump.md"
    assert check(built).findings == ()


def test_a_rollback_to_a_torn_generation_whose_rows_are_in_the_tables_is_one_switch(
    settings: Settings, make_settings: MakeSettings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it forget a run that has to be completed."""
    examine_in_process(monkeypatch)
    ingest(corpus, settings)
    swap(make_settings(**{"embedding.model": "other"}))
    with assembly.open_writing_store(settings) as store:
        run = Run.now()
        store.save(replace(store.state("docs"), run=run))
    marks.distrust(settings.storage.path, "docs.1")
    assert rollback(settings).live == "docs.1"
    assert not is_marked(settings)
    assert [one.kind for one in check(settings).findings] == ["run"]
    assert search(settings, "reset the pump") == "corpus/pump.md"


def test_a_rollback_that_cannot_mend_changes_nothing_and_the_next_one_has_to_mend_again(
    built: Settings, swapped: Settings, make_settings: MakeSettings
) -> None:
    """The broken files are out of the way by then: nothing is left that looks torn."""
    for _ in range(2):
        with pytest.raises(EmbeddingUnavailable):
            rollback(unreachable(make_settings))
        assert live_of(built) == ("docs.2", "docs.1")
        assert search(swapped, "reset the pump") == "corpus/pump.md"
    assert rollback(built).live == "docs.3"
    assert check(built).findings == ()


def test_a_rollback_to_what_cannot_be_read_is_refused_with_the_way_out(
    built: Settings, swapped: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Diagnosis(fault="beyond reading")
    monkeypatch.setattr(mending, "examine_generation", lambda *_: broken)
    with pytest.raises(CollectionDamaged, match=r"docs\.2 answers as before"):
        rollback(built)
    assert live_of(built) == ("docs.2", "docs.1")


def test_an_index_is_whole_whatever_was_written_and_deleted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = {"sync_threshold": 40, "batch_size": 20}
    monkeypatch.setattr(store_room, "INDEX", {"hnsw": {**store_room.INDEX["hnsw"], **often}})
    vectors = normalise(np.random.default_rng(1).standard_normal((400, 8)))
    with assembly.open_writing_store(settings) as store:
        store._make("rows", store_room.INDEX, metadata={"of": "nobody"})
        rows = store._client.get_collection("rows", embedding_function=None)
        for start in range(0, 400, 50):
            ids = [str(number) for number in range(start, start + 50)]
            rows.upsert(ids=ids, embeddings=vectors[start : start + 50])
            assert segments.find_cut_short(settings.storage.path) == []
            rows.delete(ids=ids[::3])
            assert segments.find_cut_short(settings.storage.path) == []
    folder = segments.index_folder(settings.storage.path, "rows")
    assert folder is not None
    os.truncate(folder / "data_level0.bin", 4096)
    assert segments.find_cut_short(settings.storage.path) == ["rows"]
