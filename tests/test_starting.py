"""What a command loads before it answers: a run that changes nothing, and a first query."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from retriever import assembly
from retriever.collection import client, marks, segments
from retriever.collection.glancing import Glance, glance
from retriever.collection.locking import writer_lock
from retriever.collection.state import Run
from retriever.errors import CollectionLocked
from retriever.ingestion import IngestOptions, ingest
from retriever.settings import Settings

HEAVY = ("torch", "sentence_transformers", "transformers", "scipy", "sklearn")
_COMMAND = """
import json, sys
from retriever.cli import main
try:
    main(sys.argv[1:])
finally:
    print("loaded " + json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def run(folder: Path, *words: str, **variables: str) -> tuple[str, set[str]]:
    """A command in a process of its own: what it prints, and the modules that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, *words],
        cwd=folder,
        env=os.environ | {"RETRIEVER_STORAGE__PATH": "state"} | variables,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    line = next(one for one in done.stderr.splitlines() if one.startswith("loaded "))
    return done.stdout, set(json.loads(line.removeprefix("loaded ")))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not loaded Chroma: here, no client is open while one looks."""
    monkeypatch.setattr(client, "unloaded", lambda: contextlib.nullcontext(True))


@pytest.fixture
def look(settings: Settings, corpus: Path, alone: None) -> Callable[[], Glance | None]:
    """Looks at a collection of three documents."""
    ingest(corpus, settings)

    def now() -> Glance | None:
        with glance(assembly.storage_options(settings), settings.collection) as seen:
            return seen

    return now


@contextlib.contextmanager
def tables(settings: Settings) -> Iterator[sqlite3.Connection]:
    """Chroma's tables, to change them behind its back."""
    with contextlib.closing(sqlite3.connect(segments.database(settings.storage.path))) as held:
        yield held
        held.commit()


def test_a_glance_sees_what_chroma_says(
    look: Callable[[], Glance | None], settings: Settings
) -> None:
    """State, fingerprint and manifest are those that are read through Chroma."""
    seen = look()
    assert seen is not None
    with assembly.open_store(settings) as store:
        state = store.state(settings.collection)
        data = store.physical(state.live)
        assert seen.state == state
        assert seen.fingerprint == data.fingerprint
        assert seen.manifest == {record.source: record for record in data.manifest()}


def test_a_glance_leaves_an_interrupted_run_to_chroma(
    look: Callable[[], Glance | None], settings: Settings
) -> None:
    with assembly.open_store(settings) as store:
        store.save(store.state(settings.collection).next(run=Run.now()))
    assert look() is None


def test_a_glance_leaves_a_killed_writers_mark_to_chroma(
    look: Callable[[], Glance | None], settings: Settings
) -> None:
    with marks.mark(settings.storage.path, "docs.1"):
        assert look() is None
    assert look() is not None


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE max_seq_id",
        "ALTER TABLE embedding_metadata RENAME COLUMN string_value TO text_value",
        "DELETE FROM collections WHERE name = 'docs.1'",
        "DELETE FROM collection_metadata WHERE key = 'fingerprint_embedding'",
        "UPDATE collection_metadata SET int_value = 99 WHERE key = 'retriever_layout'",
        "UPDATE max_seq_id SET seq_id = 0",
        "INSERT INTO collections SELECT 'x', 'docs.2', dimension, database_id, '{}', '{}' "
        "FROM collections WHERE name = 'docs.1'",
    ],
    ids=["table", "column", "generation", "fingerprint", "layout", "pending", "leftover"],
)
def test_a_glance_leaves_what_it_does_not_know_to_chroma(
    look: Callable[[], Glance | None], settings: Settings, damage: str
) -> None:
    """Other tables, lost parts, another layout, writes on their way, a generation too many."""
    assert look() is not None
    with tables(settings) as held:
        held.execute(damage)
    assert look() is None


def test_a_glance_leaves_a_file_that_is_no_database_to_chroma(
    look: Callable[[], Glance | None], settings: Settings
) -> None:
    segments.database(settings.storage.path).write_bytes(b"no database" * 1_000)
    assert look() is None


def test_a_glance_never_reads_beside_a_chroma_in_its_process(
    settings: Settings, corpus: Path
) -> None:
    """An SQLite library that closes a file drops the locks of another in the process."""
    ingest(corpus, settings)
    with glance(assembly.storage_options(settings), settings.collection) as seen:
        assert seen is None


def test_a_glance_is_refused_while_another_writes(
    look: Callable[[], Glance | None], settings: Settings
) -> None:
    with writer_lock(settings.storage.path), pytest.raises(CollectionLocked):
        look()


def test_a_run_that_finds_nothing_to_do_reports_what_chroma_would(
    settings: Settings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report of the short way is that of the long one, whatever there is to count."""
    (corpus / "empty.pdf").write_bytes(b"%PDF-1.4 nothing")
    _age(corpus)
    ingest(corpus, settings)
    long = ingest(corpus, settings)
    monkeypatch.setattr(client, "unloaded", lambda: contextlib.nullcontext(True))
    with monkeypatch.context() as barred:
        barred.setattr(client, "connect", _refuse)
        short = ingest(corpus, settings)
        assert ingest(corpus / "guides", settings).unchanged == 1
    assert (short.unchanged, len(short.skipped), short.chunks.total) == (3, 1, long.chunks.total)
    assert _counts(short) == _counts(long)


def _refuse(_: object) -> None:
    raise AssertionError("Chroma was asked")


def _counts(report: object) -> list[object]:
    names = ("added", "updated", "unchanged", "deleted", "skipped", "chunks", "warnings")
    return [getattr(report, name) for name in names]


def _age(folder: Path) -> None:
    """Make the files older than the time for which a time stamp proves nothing."""
    for path in folder.rglob("*.*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))


@pytest.mark.parametrize(
    "change",
    [
        lambda corpus: (corpus / "new.md").write_text("New.\n", encoding="utf-8"),
        lambda corpus: (corpus / "notes.txt").unlink(),
        lambda corpus: (corpus / "notes.txt").write_text("Other words.\n", encoding="utf-8"),
        lambda corpus: (corpus / "notes.txt").rename(corpus / "minutes.txt"),
    ],
    ids=["added", "deleted", "edited", "renamed"],
)
def test_the_short_way_misses_no_change(
    settings: Settings, corpus: Path, alone: None, change: Callable[[Path], object]
) -> None:
    _age(corpus)
    ingest(corpus, settings)
    assert ingest(corpus, settings).unchanged == 3
    change(corpus)
    report = ingest(corpus, settings, options=IngestOptions(allow_delete=True))
    assert report.added + report.updated + report.deleted > 0
    assert ingest(corpus, settings).chunks.embedded == 0


def test_an_ingest_that_changes_nothing_loads_neither_chroma_nor_a_model(
    tmp_path: Path, corpus: Path
) -> None:
    """Not one of the packages that take long to load, and no engine of an index."""
    _age(corpus)
    hashing = {"RETRIEVER_EMBEDDING__BACKEND": "retriever.testing:HashingEmbedder"}
    run(tmp_path, "ingest", str(corpus), **hashing)
    printed, loaded = run(tmp_path, "ingest", str(corpus), "--json", **hashing)
    assert json.loads(printed)["unchanged"] == 3
    assert loaded.isdisjoint({*HEAVY, "chromadb", "openvino", "onnxruntime", "tantivy", "rich"})


def test_importing_the_package_loads_next_to_nothing() -> None:
    """What an application pays at its start: names alone, and what they need comes with them."""
    code = "import sys, retriever; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, encoding="utf-8"
    )
    loaded = set(done.stdout.split())
    assert loaded.isdisjoint({*HEAVY, "numpy", "chromadb", "openvino", "pydantic", "typer", "rich"})


@pytest.mark.slow
@pytest.mark.model
def test_cold_commands_load_no_torch(tmp_path: Path, corpus: Path) -> None:
    """With the default model: once it is converted, a search and a run load neither torch,
    sentence-transformers, scipy nor scikit-learn."""
    pytest.importorskip("openvino")
    _age(corpus)
    run(tmp_path, "ingest", str(corpus))
    found, loaded = run(tmp_path, "search", "What heats the water?", "--json")
    assert json.loads(found)[0]["source"] == "corpus/guides/boiler.md"
    assert "openvino" in loaded
    assert loaded.isdisjoint(HEAVY)
    printed, loaded = run(tmp_path, "ingest", str(corpus), "--json")
    assert json.loads(printed)["unchanged"] == 3
    assert loaded.isdisjoint({*HEAVY, "chromadb", "openvino"})
