"""The lexical index beside a collection: kept in step by writers, caught up by readers."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retriever import assembly, indexing
from retriever.checking.checks import check
from retriever.collection import derived
from retriever.collection.locking import try_hold
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState
from retriever.collection.store import Store
from retriever.compacting import compact
from retriever.errors import SettingsError
from retriever.indexing.catching_up import catch_up, compare
from retriever.ingestion import IngestOptions, ingest
from retriever.lexical import LexicalEntry, LexicalIndex
from retriever.moving.moves import export, import_
from retriever.records import Passage
from retriever.repairing.repairs import repair
from retriever.retrieval import Retriever
from retriever.settings import Settings
from retriever.swapping.returning import prune, rollback
from retriever.swapping.swaps import swap

Make = Callable[..., Settings]


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Store, CollectionState, PhysicalCollection]]:
    with assembly.open_store(settings) as store:
        state = store.state(settings.collection)
        yield store, state, store.physical(state.live)


def folder_of(settings: Settings) -> Path:
    with opened(settings) as (store, _, data):
        root = derived.lexical_root(store.options)
        return derived.generation_folder(root, data.name, data.id)


def found(settings: Settings, query: str) -> list[str]:
    """The texts of the chunks that hold a word of the query, by an index that caught up."""
    with (
        opened(settings) as (store, state, data),
        indexing.open_current(settings, store, state, data) as lexical,
    ):
        ranked = {one.chunk_id: one.score for one in lexical.rank(query, count=100)}
        passages = data.passages(ranked)
        return sorted(passages[one].text for one in ranked)


def assert_in_step(settings: Settings) -> None:
    """The index is of the last commit and holds each chunk: nobody has caught up for it."""
    with opened(settings) as (store, state, data):
        assert indexing.find_lag(settings, store, state, data) == ""
        assert indexing.find_fault(settings, store, data, contents=True) == ""
        told = indexing.summarise(settings, store, data)
        assert (told.revision, told.chunks) == (state.revision, data.chunk_count())
        assert told.size_bytes > 0
        kept = {path.name for path in folder_of(settings).parent.iterdir()}
        generations = store.generations(state)
        assert {name.split("-")[0] for name in kept} <= set(generations)


def edit(corpus: Path) -> None:
    """A text changed, a heading changed, a file added and one removed."""
    (corpus / "pump.md").write_text(
        "# Pump\n\n## Restart\n\nHold the red button of the pump for five seconds.\n\n"
        "## Cleaning\n\nRinse the sieve with cold water every Friday.\n",
        encoding="utf-8",
    )
    (corpus / "notes.txt").unlink()
    (corpus / "fuse.md").write_text("# Fuse\n\nThe fuse blows at ten amperes.\n", encoding="utf-8")


@pytest.fixture
def ingested(settings: Settings, corpus: Path) -> Settings:
    ingest(corpus, settings)
    return settings


def test_ingest_keeps_it_in_step(ingested: Settings, corpus: Path) -> None:
    assert_in_step(ingested)
    assert len(found(ingested, "filter")) == 1
    edit(corpus)
    report = ingest(corpus, ingested, options=IngestOptions(allow_delete=True))
    assert report.warnings == ()
    assert_in_step(ingested)
    assert found(ingested, "filter") == found(ingested, "meeting") == found(ingested, "reset") == []
    assert len(found(ingested, "restart")) == len(found(ingested, "sieve")) == 1
    assert len(found(ingested, "amperes")) == 1


def test_what_changes_leave_equals_what_is_made_anew(ingested: Settings, corpus: Path) -> None:
    """Ids, titles, headings and what every word finds are the same."""
    edit(corpus)
    ingest(corpus, ingested, options=IngestOptions(allow_delete=True))
    words = "red button pump water sieve fuse boiler restart cleaning friday"
    before = [found(ingested, word) for word in words.split()]
    shutil.rmtree(ingested.storage.path / "lexical")
    assert [found(ingested, word) for word in words.split()] == before
    assert_in_step(ingested)


def test_an_index_in_step_is_opened_and_nothing_is_read(
    ingested: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the collection was read")

    with opened(ingested) as (store, state, data):
        for method in ("chunk_pages", "stored_chunks", "passages"):
            monkeypatch.setattr(PhysicalCollection, method, refuse)
        with indexing.open_current(ingested, store, state, data) as lexical:
            assert lexical.revision == state.revision
            assert lexical.rank("pump", count=1)


def test_a_run_that_changes_nothing_does_not_load_the_engine(
    ingested: Settings, corpus: Path
) -> None:
    code = (
        "import sys, json; from retriever.settings import Settings; "
        "from retriever.ingestion import ingest; "
        f"settings = Settings.load(**json.loads({json.dumps(json.dumps(plain(ingested)))})); "
        f"print(ingest({str(corpus)!r}, settings).unchanged, 'tantivy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "False"]


def plain(settings: Settings) -> dict[str, Any]:
    return {
        "storage.path": str(settings.storage.path),
        "embedding.backend": settings.embedding.backend,
        "embedding.model": settings.embedding.model,
        "chunking.tokens": settings.chunking.tokens,
    }


@pytest.mark.parametrize("damage", ["lost", "emptied", "scribbled", "pointer", "language", "file"])
def test_a_reader_makes_anew_what_is_lost_or_damaged(
    ingested: Settings, damage: str, make_settings: Make
) -> None:
    folder = folder_of(ingested)
    settings = ingested
    match damage:
        case "lost":
            shutil.rmtree(folder.parent)
        case "emptied":
            for path in folder.iterdir():
                path.unlink()
        case "scribbled":
            for path in folder.glob("*.*"):
                path.write_bytes(b"\x00" * 50)
        case "pointer":
            (folder / "meta.json").write_text("[]", encoding="utf-8")
        case "language":
            settings = make_settings(**{"retrieval.language": "de"})
        case "file":
            shutil.rmtree(folder)
            folder.write_text("in its place", encoding="utf-8")
    assert len(found(settings, "button")) == 1
    if damage != "file":
        assert_in_step(settings)


def test_a_reader_that_lags_reads_again_only_what_changed(
    ingested: Settings, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine whose server was written to by another one."""
    folder = folder_of(ingested)
    shutil.copytree(folder, tmp_path / "before")
    edit(corpus)
    ingest(corpus, ingested, options=IngestOptions(allow_delete=True))
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "before", folder)
    put: list[str] = []
    original = LexicalIndex.put

    def recording(self: LexicalIndex, entries: list[LexicalEntry]) -> None:
        put.extend(entry.source for entry in entries)
        original(self, entries)

    monkeypatch.setattr(LexicalIndex, "put", recording)
    assert len(found(ingested, "sieve")) == 1
    assert set(put) == {"corpus/pump.md", "corpus/fuse.md"}
    assert_in_step(ingested)
    assert found(ingested, "meeting") == []


def test_an_index_of_another_commit_of_the_same_number_is_not_believed(
    ingested: Settings,
) -> None:
    """A run that died between both commits here, and one that went on elsewhere."""
    with opened(ingested) as (store, state, data):
        folder = folder_of(ingested)
        with LexicalIndex(folder) as lexical:
            lexical.clear()
            lexical.commit(state.revision, token="of a run that died")
        with indexing.open_current(ingested, store, state, data) as lexical:
            assert lexical.chunk_count == data.chunk_count()
    assert_in_step(ingested)


def test_a_reader_takes_the_index_of_the_commit_that_is_on_its_way(ingested: Settings) -> None:
    """The writer commits words first: who still sees the collection before that is not held up."""
    with opened(ingested) as (store, state, data):
        folder = folder_of(ingested)
        before = replace(state, revision=state.revision - 1, commit="before")
        with (
            try_hold(derived.lock_file(folder)) as held,
            indexing.open_current(ingested, store, before, data) as lexical,
        ):
            assert held
            assert lexical.revision == state.revision


def test_readers_catch_up_one_at_a_time(
    ingested: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(ingested.storage.path / "lexical")
    calls: list[int] = []
    original = LexicalIndex.commit

    def counting(self: LexicalIndex, revision: int, *, token: str = "") -> None:
        calls.append(revision)
        original(self, revision, token=token)

    monkeypatch.setattr(LexicalIndex, "commit", counting)
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(len(found(ingested, "button"))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1, 1, 1, 1]
    assert len(calls) == 1


def test_a_reader_waits_for_a_writer_that_makes_the_index(ingested: Settings) -> None:
    folder = folder_of(ingested)
    shutil.rmtree(folder)
    answers: list[list[str]] = []
    with opened(ingested) as (store, state, data), try_hold(derived.lock_file(folder)) as held:
        assert held
        reader = threading.Thread(target=lambda: answers.append(found(ingested, "button")))
        reader.start()
        reader.join(timeout=0.3)
        assert reader.is_alive()
        with LexicalIndex(folder) as lexical:
            catch_up(lexical, data, state)
        reader.join(timeout=20)
        assert store.options.mode == "embedded"
    assert len(answers[0]) == 1


def test_an_index_that_cannot_be_written_does_not_stop_the_run(
    settings: Settings, corpus: Path
) -> None:
    """The run says so; a reader makes do with an index of its own until it can be kept again."""
    settings.storage.path.mkdir()
    (settings.storage.path / "lexical").write_text("no folder", encoding="utf-8")
    report = ingest(corpus, settings)
    assert report.added == 3
    assert [one for one in report.warnings if "lexical index was not kept in step" in one]
    assert len(found(settings, "button")) == 1
    (settings.storage.path / "lexical").unlink()
    assert len(found(settings, "button")) == 1
    assert_in_step(settings)


def test_an_engine_that_fails_in_the_middle_does_not_stop_the_run(
    make_settings: Make, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(**{"ingestion.commit_chunks": 1})
    original = LexicalIndex.commit

    def failing(self: LexicalIndex, revision: int, *, token: str = "") -> None:
        if revision == 2:
            raise OSError(28, "No space left on device")
        original(self, revision, token=token)

    with monkeypatch.context() as patch:
        patch.setattr(LexicalIndex, "commit", failing)
        report = ingest(corpus, settings)
    assert report.added == 3
    assert [one for one in report.warnings if "No space left" in one]
    assert len(found(settings, "button")) == len(found(settings, "budget")) == 1
    assert_in_step(settings)


def test_an_unknown_language_is_refused_before_anything_is_written(
    make_settings: Make, corpus: Path
) -> None:
    settings = make_settings(**{"retrieval.language": "klingon"})
    with pytest.raises(SettingsError, match="klingon"):
        ingest(corpus, settings)
    with opened(make_settings()) as (_, __, data):
        assert data.chunk_count() == 0


def test_a_collection_made_anew_under_its_old_name_has_an_index_of_its_own(
    ingested: Settings, corpus: Path
) -> None:
    before = folder_of(ingested)
    with assembly.open_writing_store(ingested) as store:
        store.drop(store.state("docs"))
    assert not before.exists()
    (corpus / "pump.md").unlink()
    ingest(corpus, ingested)
    assert folder_of(ingested) != before
    assert found(ingested, "button") == []
    assert_in_step(ingested)


def test_an_index_whose_collection_was_dropped_elsewhere_is_swept(
    ingested: Settings, corpus: Path
) -> None:
    left = folder_of(ingested).with_name("docs.7-00000000-0000-0000-0000-000000000000")
    other = left.with_name("docs-two.1-00000000-0000-0000-0000-000000000000")
    shutil.copytree(folder_of(ingested), left)
    other.mkdir()
    edit(corpus)
    ingest(corpus, ingested, options=IngestOptions(allow_delete=True))
    assert not left.exists()
    assert other.exists()


def test_a_swap_a_rollback_and_a_prune_leave_it_ready(
    ingested: Settings, corpus: Path, make_settings: Make
) -> None:
    other = make_settings(**{"embedding.model": "other", "embedding.dimension": 64})
    swap(other)
    assert_in_step(other)
    edit(corpus)
    ingest(corpus, other, options=IngestOptions(allow_delete=True))
    assert_in_step(other)
    rollback(ingested)
    assert_in_step(ingested)
    assert len(found(ingested, "filter")) == 1
    rollback(ingested)
    assert_in_step(other)
    assert found(other, "filter") == []
    prune(other)
    assert_in_step(other)


@pytest.mark.slow
def test_compact_and_import_leave_it_ready(
    ingested: Settings, tmp_path: Path, make_settings: Make
) -> None:
    compact(ingested)
    assert_in_step(ingested)
    export(ingested, tmp_path / "docs.jsonl")
    elsewhere = make_settings(**{"storage.path": tmp_path / "elsewhere"})
    import_(elsewhere, tmp_path / "docs.jsonl")
    assert_in_step(elsewhere)
    assert found(elsewhere, "button") == found(ingested, "button")


@pytest.mark.parametrize("damage", ["deleted", "scribbled", "stale", "lacking", "excess"])
def test_check_finds_and_repair_mends_an_index_that_is_not_in_step(
    whole: Settings, damage: str
) -> None:
    folder = folder_of(whole)
    assert check(whole).findings == ()
    with opened(whole) as (_, state, data), LexicalIndex(folder) as lexical:
        match damage:
            case "deleted":
                shutil.rmtree(folder)
            case "scribbled":
                segment = max(folder.glob("*.term"))
                content = segment.read_bytes()
                segment.write_bytes(content[:10] + bytes(255 - b for b in content[10:40]))
            case "stale":
                lexical.commit(state.revision - 1)
            case "lacking":
                lexical.delete([next(iter(data.chunk_pages(with_vectors=False))).ids[0]])
                lexical.commit(state.revision, token=state.commit)
            case "excess":
                lexical.put([LexicalEntry("x", "corpus/x", "", (), "Nowhere else.")])
                lexical.commit(state.revision, token=state.commit)
    assert [one.kind for one in check(whole).findings] == ["lexical"]
    report = repair(whole)
    assert ([one.kind for one in report.found], report.left) == (["lexical"], ())
    assert_in_step(whole)


def test_an_index_that_is_mostly_of_deleted_rows_is_made_anew(
    ingested: Settings, corpus: Path
) -> None:
    """BM25 counts deleted rows until they are merged away: there are never many of them."""
    for turn in range(8):
        for name in ("pump.md", "fuse.md"):
            text = f"# Turn {turn}\n\nThe part was turned {turn} times, said {name}.\n"
            (corpus / name).write_text(text, encoding="utf-8")
        ingest(corpus, ingested)
        with LexicalIndex(folder_of(ingested)) as lexical:
            assert lexical.stale_share() <= 0.1
    assert_in_step(ingested)


def test_scores_by_words_do_not_remember_what_was_deleted(
    corpus: Path, make_settings: Make, tmp_path: Path
) -> None:
    """An import elsewhere, which never held the deleted rows, scores the same."""
    for number in range(12):
        (corpus / f"old-{number}.md").write_text(
            f"# Old pump {number}\n\nGone.\n", encoding="utf-8"
        )
    settings = make_settings()
    ingest(corpus, settings)
    for path in corpus.glob("old-*.md"):
        path.unlink()
    ingest(corpus, settings, options=IngestOptions(allow_delete=True))
    export(settings, tmp_path / "docs.jsonl")
    elsewhere = make_settings(**{"storage.path": tmp_path / "elsewhere"})
    import_(elsewhere, tmp_path / "docs.jsonl")
    here, there = (
        [(one.id, one.score) for one in answers]
        for answers in (answered(settings, "pump"), answered(elsewhere, "pump"))
    )
    assert here == there
    assert here


def answered(settings: Settings, query: str) -> list[Passage]:
    with Retriever.open(settings) as retriever:
        return retriever.retrieve(query, mode="lexical")


def test_memory_has_an_index_that_ends_with_the_process(corpus: Path, make_settings: Make) -> None:
    settings = make_settings(**{"storage.mode": "memory"})
    code = (
        "import json; from retriever.settings import Settings; "
        "from retriever.ingestion import ingest; from retriever import assembly, indexing; "
        "from retriever.collection import derived; "
        f"values = json.loads({json.dumps(json.dumps(plain(settings)))}); "
        "settings = Settings.load(**values, **{'storage.mode': 'memory'}); "
        f"ingest({str(corpus)!r}, settings); store = assembly.open_store(settings); "
        "state = store.state('docs'); data = store.physical(state.live); "
        "index = indexing.open_current(settings, store, state, data); "
        "print(len(index.rank('button', count=9)), derived.lexical_root(store.options))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, place = done.stdout.split()
    assert count == "1"
    assert not Path(place).exists()
    assert not settings.storage.path.exists()


def test_a_comparison_counts_what_is_lacking_and_in_excess(ingested: Settings) -> None:
    with opened(ingested) as (_, __, data), LexicalIndex(folder_of(ingested)) as lexical:
        gone = [one for ids in lexical.id_pages() for one in ids][:2]
        lexical.delete(gone)
        lexical.put([LexicalEntry("x", "corpus/x", "", (), "Nowhere else.")])
        lexical.commit(99)
        difference = compare(lexical, data)
        assert (difference.lacking, difference.surplus) == (2, 1)
