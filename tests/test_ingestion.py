"""Folders into a collection, with real Chroma in a folder."""

import itertools
import os
import shutil
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pytest

from retriever import assembly
from retriever.errors import (
    CollectionLocked,
    DeletionRefused,
    EmbeddingRejected,
    FingerprintMismatch,
    LoadingError,
    SettingsError,
)
from retriever.ingestion import IngestOptions, estimate, ingest
from retriever.ingestion.applying import PlanApplication
from retriever.ingestion.batching import Batch
from retriever.protocols import Embedder, Keep, Vectors
from retriever.records import DocumentRecord, IngestProgress, Passage
from retriever.retrieval import Retriever
from retriever.settings import Settings
from retriever.testing import HashingEmbedder

MakeSettings = Callable[..., Settings]


def manifest(settings: Settings) -> dict[str, DocumentRecord]:
    with assembly.open_store(settings) as store:
        data = store.physical(store.state(settings.collection).live)
        return {record.source: record for record in data.manifest()}


def chunks(settings: Settings) -> dict[str, Passage]:
    with assembly.open_store(settings) as store:
        data = store.physical(store.state(settings.collection).live)
        stored = data.stored_chunks(list(manifest(settings)))
        ids = {one: 0.0 for group in stored.values() for one in group}
        return data.passages(ids)


def search(settings: Settings, query: str) -> list[str]:
    with Retriever.open(settings) as retriever:
        passages = retriever.retrieve(query)
        return [place.source for one in passages for place in (one, *one.duplicates)]


def test_every_file_is_added_once_and_found(settings: Settings, corpus: Path) -> None:
    report = ingest(corpus, settings)
    assert (report.added, report.updated, report.unchanged, report.deleted) == (3, 0, 0, 0)
    assert report.skipped == ()
    assert report.chunks.embedded == report.chunks.total > 3
    assert report.tokens > 0
    assert report.tokens_cut == 0
    assert search(settings, "reset the pump")[0] == "corpus/pump.md"


def test_ingesting_twice_changes_nothing_and_does_not_embed(
    settings: Settings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(corpus, settings)
    before = (manifest(settings), chunks(settings))

    def refuse(*_: object) -> None:
        raise AssertionError("the second run embedded something")

    monkeypatch.setattr(HashingEmbedder, "embed_chunks", refuse)
    report = ingest(corpus, settings)
    assert (report.added, report.updated, report.unchanged, report.deleted) == (0, 0, 3, 0)
    assert (report.chunks.embedded, report.chunks.reused, report.tokens) == (0, 0, 0)
    after = manifest(settings)
    assert after.keys() == before[0].keys()
    assert chunks(settings) == before[1]


def test_a_second_run_does_not_move_the_revision(settings: Settings, corpus: Path) -> None:
    ingest(corpus, settings)
    with assembly.open_store(settings) as store:
        before = store.state("docs")
    ingest(corpus, settings)
    with assembly.open_store(settings) as store:
        assert store.state("docs") == before


def test_every_stored_chunk_is_a_slice_of_its_file(settings: Settings, corpus: Path) -> None:
    ingest(corpus, settings)
    for chunk in chunks(settings).values():
        text = (corpus.parent / chunk.source).read_text(encoding="utf-8")
        assert text[chunk.start : chunk.end] == chunk.text


def test_a_changed_file_embeds_only_the_chunks_whose_text_changed(
    settings: Settings, corpus: Path
) -> None:
    ingest(corpus, settings)
    before = {one.text for one in chunks(settings).values()}
    pump = corpus / "pump.md"
    text = pump.read_text(encoding="utf-8")
    pump.write_text(text.replace("every Friday", "every Monday"), encoding="utf-8")
    report = ingest(corpus, settings)
    assert (report.added, report.updated, report.unchanged) == (0, 1, 2)
    assert (report.chunks.embedded, report.chunks.deleted) == (1, 1)
    assert report.chunks.reused >= 1
    after = {one.text for one in chunks(settings).values()}
    assert len(after - before) == len(before - after) == 1
    assert any("every Monday" in one for one in after)


def test_spans_of_unchanged_chunks_follow_an_insertion_above_them(
    settings: Settings, corpus: Path
) -> None:
    ingest(corpus, settings)
    pump = corpus / "pump.md"
    pump.write_text("# Preface\n\nRead this.\n\n" + pump.read_text(encoding="utf-8"), "utf-8")
    report = ingest(corpus, settings)
    assert report.chunks.deleted == 0
    for chunk in chunks(settings).values():
        text = (corpus.parent / chunk.source).read_text(encoding="utf-8")
        assert text[chunk.start : chunk.end] == chunk.text


def test_metadata_that_a_file_lost_is_lost_in_its_chunks(settings: Settings, corpus: Path) -> None:
    ingest(corpus, settings)
    boiler = corpus / "guides" / "boiler.md"
    boiler.write_text(boiler.read_text("utf-8").replace("author: Ada\n", ""), "utf-8")
    ingest(corpus, settings)
    found = [one for one in chunks(settings).values() if one.source.endswith("boiler.md")]
    assert [dict(one.metadata) for one in found] == [{"year": 2021}] * len(found)


def test_a_removed_file_takes_its_chunks_with_it(settings: Settings, corpus: Path) -> None:
    ingest(corpus, settings)
    (corpus / "notes.txt").unlink()
    report = ingest(corpus, settings)
    assert (report.deleted, report.unchanged) == (1, 2)
    assert "corpus/notes.txt" not in manifest(settings)
    assert all(one.source != "corpus/notes.txt" for one in chunks(settings).values())


def test_two_files_with_the_same_text_are_both_found_and_removed_alone(
    settings: Settings, corpus: Path
) -> None:
    shutil.copy(corpus / "pump.md", corpus / "pump copy.md")
    ingest(corpus, settings)
    assert {"corpus/pump.md", "corpus/pump copy.md"} <= set(search(settings, "reset the pump"))
    (corpus / "pump.md").unlink()
    ingest(corpus, settings)
    found = search(settings, "reset the pump")
    assert "corpus/pump copy.md" in found
    assert "corpus/pump.md" not in found


def test_a_run_on_a_subfolder_touches_nothing_else(settings: Settings, corpus: Path) -> None:
    ingest(corpus, settings)
    (corpus / "notes.txt").unlink()
    (corpus / "guides" / "new.md").write_text("# New\n\nA new guide.\n", "utf-8")
    report = ingest(corpus / "guides", settings)
    assert (report.added, report.unchanged, report.deleted) == (1, 1, 0)
    assert {"corpus/notes.txt", "corpus/guides/new.md"} <= manifest(settings).keys()


def test_a_touched_file_is_unchanged_and_its_new_time_is_remembered(
    settings: Settings, corpus: Path
) -> None:
    ingest(corpus, settings)
    os.utime(corpus / "pump.md", ns=(10**18, 10**18))
    assert ingest(corpus, settings).unchanged == 3
    assert manifest(settings)["corpus/pump.md"].mtime_ns == 10**18


def test_an_edit_that_keeps_size_and_comes_within_the_same_tick_is_seen(
    settings: Settings, corpus: Path
) -> None:
    notes = corpus / "notes.txt"
    ingest(corpus, settings)
    stat = notes.stat()
    notes.write_text(notes.read_text("utf-8").replace("March", "April"), "utf-8")
    os.utime(notes, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert ingest(corpus, settings).updated == 1


def test_a_file_that_cannot_be_read_is_skipped_and_the_rest_is_ingested(
    settings: Settings, corpus: Path
) -> None:
    (corpus / "broken.pdf").write_bytes(b"%PDF-1.7 this is no PDF")
    report = ingest(corpus, settings)
    assert report.added == 3
    assert [one.source for one in report.skipped] == ["corpus/broken.pdf"]
    again = ingest(corpus, settings)
    assert again.skipped == report.skipped
    assert again.unchanged == 3


def test_strict_makes_an_unreadable_file_an_error_in_every_run(
    settings: Settings, corpus: Path
) -> None:
    (corpus / "broken.pdf").write_bytes(b"%PDF-1.7 this is no PDF")
    for _ in range(2):
        with pytest.raises(LoadingError, match=r"broken\.pdf"):
            ingest(corpus, settings, options=IngestOptions(strict=True))
        ingest(corpus, settings)


def test_a_file_that_becomes_unreadable_keeps_its_earlier_version(
    settings: Settings, corpus: Path
) -> None:
    ingest(corpus, settings)
    (corpus / "pump.md").write_bytes(b"%PDF-1.7 this is no PDF")
    report = ingest(corpus, settings)
    assert "is kept" in report.skipped[0].reason
    assert search(settings, "reset the pump")[0] == "corpus/pump.md"


def test_an_empty_or_missing_root_deletes_nothing_unless_asked(
    settings: Settings, corpus: Path, tmp_path: Path
) -> None:
    ingest(corpus, settings)
    corpus.rename(tmp_path / "elsewhere")
    with pytest.raises(DeletionRefused, match="not there"):
        ingest(corpus, settings)
    corpus.mkdir()
    with pytest.raises(DeletionRefused, match="is empty"):
        ingest(corpus, settings)
    assert len(manifest(settings)) == 3
    report = ingest(corpus, settings, options=IngestOptions(allow_delete=True))
    assert (report.deleted, report.chunks.total) == (3, 0)


def test_deleting_many_documents_has_to_be_asked_for(settings: Settings, corpus: Path) -> None:
    for number in range(7):
        (corpus / f"{number}.txt").write_text(f"Text number {number}.", "utf-8")
    ingest(corpus, settings)
    for number in range(4):
        (corpus / f"{number}.txt").unlink()
    with pytest.raises(DeletionRefused) as caught:
        ingest(corpus, settings)
    assert (caught.value.deleted, caught.value.existing) == (4, 10)
    assert ingest(corpus, settings, options=IngestOptions(allow_delete=True)).deleted == 4


def test_another_model_or_another_chunk_size_is_refused(
    make_settings: MakeSettings, corpus: Path
) -> None:
    ingest(corpus, make_settings())
    with pytest.raises(FingerprintMismatch) as caught:
        ingest(corpus, make_settings(**{"embedding.model": "other", "chunking.tokens": 50}))
    assert caught.value.differences == {"model": ("hashing", "other"), "tokens": (64, 50)}


def test_an_empty_collection_takes_another_model(
    make_settings: MakeSettings, tmp_path: Path, corpus: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.warns(UserWarning, match="No file was found"):
        ingest(empty, make_settings())
    report = ingest(corpus, make_settings(**{"embedding.dimension": 64}))
    assert report.added == 3


def test_a_second_writer_is_refused_with_the_pid_of_the_first(
    settings: Settings, corpus: Path
) -> None:
    with assembly.open_writing_store(settings), pytest.raises(CollectionLocked) as caught:
        ingest(corpus, settings)
    assert caught.value.pid == os.getpid()


def test_a_renamed_collection_of_equal_texts_is_answered_by_the_cache(
    make_settings: MakeSettings, corpus: Path
) -> None:
    first = ingest(corpus, make_settings())
    second = ingest(corpus, make_settings(collection="again"))
    assert second.chunks.embedded == second.tokens == 0
    assert second.chunks.total == first.chunks.total


class Killed(BaseException):
    """Stands for the end of the process at a point of the order of writes."""


STEPS = (
    "put_chunks",
    "update_rows",
    "put_documents",
    "delete_chunks",
    "delete_documents",
    "save",
)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_run_that_ends_at_any_step_is_completed_by_the_next(
    make_settings: MakeSettings, corpus: Path, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    """The next run ends in the state of a run that was never interrupted."""
    settings = make_settings(**{"ingestion.commit_chunks": 1})
    ingest(corpus, settings)
    pump = corpus / "pump.md"
    pump.write_text(pump.read_text("utf-8").replace("Friday", "Monday"), "utf-8")
    (corpus / "notes.txt").unlink()
    (corpus / "extra.md").write_text("# Extra\n\nSomething extra.\n", "utf-8")
    _fail_at(monkeypatch, step, when)
    with pytest.raises(Killed):
        ingest(corpus, settings)
    monkeypatch.undo()
    ingest(corpus, settings)
    clean = make_settings(collection="clean")
    ingest(corpus, clean)
    assert chunks(settings) == chunks(clean)
    assert manifest(settings).keys() == manifest(clean).keys()
    with assembly.open_store(settings) as store:
        assert store.state("docs").run is None


def _fail_at(monkeypatch: pytest.MonkeyPatch, step: str, when: str) -> None:
    from retriever.collection.physical import PhysicalCollection
    from retriever.collection.store import Store

    owner: type = Store if step == "save" else PhysicalCollection
    original = getattr(owner, step)
    calls = itertools.count()

    def failing(*arguments: object, **named: object) -> object:
        if step == "save" and next(calls) == 0:
            return original(*arguments, **named)
        if when == "after":
            original(*arguments, **named)
        raise Killed

    monkeypatch.setattr(owner, step, failing)


def test_a_file_that_vanishes_after_an_interruption_leaves_nothing_behind(
    settings: Settings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(corpus, settings)
    extra = corpus / "extra.md"
    extra.write_text("# Extra\n\nSomething extra.\n", "utf-8")
    _fail_at(monkeypatch, "put_documents", "before")
    with pytest.raises(Killed):
        ingest(corpus, settings)
    monkeypatch.undo()
    extra.unlink()
    ingest(corpus, settings)
    with assembly.open_store(settings) as store:
        data = store.physical(store.state("docs").live)
        assert data.stored_chunks(["corpus/extra.md"]) == {"corpus/extra.md": {}}


def test_an_interrupted_run_embeds_nothing_twice(
    settings: Settings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_at(monkeypatch, "put_chunks", "before")
    with pytest.raises(Killed):
        ingest(corpus, settings)
    monkeypatch.undo()
    assert ingest(corpus, settings).chunks.embedded == 0


def test_a_folder_that_moved_is_refused_under_its_name_until_the_move_is_told(
    settings: Settings, corpus: Path, tmp_path: Path
) -> None:
    ingest(corpus, settings)
    moved = tmp_path / "new place" / "corpus"
    moved.parent.mkdir()
    corpus.rename(moved)
    with pytest.raises(SettingsError, match="--move-root corpus="):
        ingest(moved, settings)
    report = ingest(moved, settings, options=IngestOptions(moved_roots=(f"corpus={moved}",)))
    assert (report.unchanged, report.added, report.deleted) == (3, 0, 0)


def test_memory_keeps_a_collection_as_long_as_the_process(
    make_settings: MakeSettings, corpus: Path, tmp_path: Path
) -> None:
    settings = make_settings(**{"storage.mode": "memory"})
    assert ingest(corpus, settings).added == 3
    assert ingest(corpus, settings).unchanged == 3
    assert search(settings, "reset the pump")[0] == "corpus/pump.md"
    assert not (tmp_path / "state").exists()


def test_a_folder_that_is_not_there_leaves_nothing_behind(
    settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="There is no folder"):
        ingest(tmp_path / "nowhere", settings)
    assert not settings.storage.path.exists()


def test_a_folder_in_which_no_file_is_found_is_warned_of_by_ingest_and_by_its_estimate(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for run in (estimate, ingest, ingest):  # the last sees that nothing changed
        with pytest.warns(UserWarning, match=r"No file was found: .*empty is empty, or all of it"):
            run(tmp_path / "empty", settings)


def test_a_known_root_of_which_all_is_left_out_is_not_said_to_be_empty_alone(
    make_settings: MakeSettings, settings: Settings, corpus: Path
) -> None:
    ingest(corpus, settings)
    with pytest.raises(DeletionRefused, match=r"all of it is left out \(.*--include"):
        ingest(corpus, make_settings(**{"loading.include": ["nothing*"]}))


def test_a_misspelt_folder_inside_a_known_root_is_warned_of_by_ingest_and_by_its_estimate(
    settings: Settings, corpus: Path
) -> None:
    ingest(corpus, settings)
    for run in (ingest, estimate):
        with pytest.warns(UserWarning, match="There is no folder .*guids"):
            run(corpus / "guids", settings)


def test_no_thread_is_left_when_a_run_fails(
    settings: Settings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(PlanApplication, "_commit", fail)
    with pytest.raises(Killed):
        ingest(corpus, settings)
    assert not [one for one in threading.enumerate() if one.name.startswith("retriever")]


class Log:
    """An embedder that goes on by itself, and what was asked of it: first words of texts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, fails_at: str = "none") -> None:
        self.begun: list[str] = []
        self.events: list[tuple[str, str]] = []
        log = self

        class Pending:
            def __init__(self, embedder: HashingEmbedder, texts: Sequence[str], keep: Keep) -> None:
                self._made = lambda: embedder.embed_chunks(texts)
                self._name = texts[0].split()[-1]
                self._texts, self._keep = texts, keep

            def result(self) -> Vectors:
                log.events.append(("ended", self._name))
                if self._name == fails_at:
                    raise KeyboardInterrupt
                made = self._made()
                self._keep(dict(zip(self._texts, made, strict=True)))
                return made

            def cancel(self) -> None:
                log.events.append(("cancelled", self._name))

        def begin(embedder: HashingEmbedder, texts: Sequence[str], keep: Keep) -> Pending:
            log.begun += [text.split()[-1] for text in texts]
            log.events.append(("begun", texts[0].split()[-1]))
            return Pending(embedder, texts, keep)

        monkeypatch.setattr(HashingEmbedder, "begin_chunks", begin, raising=False)


@pytest.fixture
def one_by_one(make_settings: MakeSettings, tmp_path: Path) -> Settings:
    """Settings by which each of three small documents is a batch of its own."""
    folder = tmp_path / "numbers"
    folder.mkdir()
    for word in ("one", "three", "two"):
        (folder / f"{word}.txt").write_text(f"The number is {word}", encoding="utf-8")
    return make_settings(**{"ingestion.commit_chunks": 1})


def test_a_batch_is_begun_before_the_one_in_front_of_it_is_waited_for(
    one_by_one: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(monkeypatch)
    assert ingest(tmp_path / "numbers", one_by_one).chunks.embedded == 3
    ours = [event for event in log.events if event[1] in ("one", "two", "three")]
    assert ours == [
        ("begun", "one"),
        ("begun", "three"),
        ("ended", "one"),
        ("begun", "two"),
        ("ended", "three"),
        ("ended", "two"),
    ]
    assert search(one_by_one, "number two")[0] == "numbers/two.txt"


def test_a_text_that_is_on_its_way_is_not_embedded_again(
    one_by_one: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word in ("three", "two"):
        (tmp_path / "numbers" / f"{word}.txt").write_text("The number is one", encoding="utf-8")
    log = Log(monkeypatch)
    report = ingest(tmp_path / "numbers", one_by_one)
    assert log.begun.count("one") == 1
    assert (report.chunks.embedded, report.chunks.reused, report.chunks.total) == (1, 2, 3)


def test_an_interrupted_run_stops_what_it_began_and_the_next_one_goes_on(
    one_by_one: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        log = Log(patched, fails_at="three")
        with pytest.raises(KeyboardInterrupt):
            ingest(tmp_path / "numbers", one_by_one)
    assert [event for event in log.events if event[0] == "cancelled"] == [
        ("cancelled", "three"),
        ("cancelled", "two"),
    ]
    report = ingest(tmp_path / "numbers", one_by_one)
    assert (report.chunks.embedded, report.chunks.total, report.unchanged) == (2, 3, 1)


def test_a_batch_that_cannot_be_begun_does_not_undo_the_one_in_front_of_it(
    one_by_one: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Batch.begin_embedding

    def refuse(batch: Batch, embedder: Embedder, cached: Collection[str]) -> None:
        if batch.prepared[0].file.source.endswith("three.txt"):
            raise EmbeddingRejected("too long")
        begin(batch, embedder, cached)

    monkeypatch.setattr(Batch, "begin_embedding", refuse)
    with pytest.raises(EmbeddingRejected, match="too long"):
        ingest(tmp_path / "numbers", one_by_one)
    assert manifest(one_by_one).keys() == {"numbers/one.txt"}


def test_the_estimate_is_what_the_run_does(settings: Settings, corpus: Path) -> None:
    (corpus / "broken.pdf").write_bytes(b"%PDF-1.7 this is no PDF")
    shutil.copy(corpus / "notes.txt", corpus / "notes-again.txt")
    planned = estimate(corpus, settings)
    assert planned.cached > 0
    assert planned.seconds is None
    report = ingest(corpus, settings)
    assert (len(planned.added), planned.skipped) == (report.added, report.skipped)
    embedded = planned.chunks - planned.cached
    assert (embedded, planned.tokens) == (report.chunks.embedded, report.tokens)
    (corpus / "notes.txt").unlink()
    (corpus / "pump.md").write_text("# Pump\n\nIt is gone.\n", encoding="utf-8")
    planned = estimate(corpus, settings)
    assert planned.updated == ("corpus/pump.md",)
    assert planned.deleted == ("corpus/notes.txt",)
    report = ingest(corpus, settings)
    assert (planned.chunks, planned.tokens) == (report.chunks.embedded, report.tokens)


@pytest.mark.parametrize("cache", [True, False])
def test_equal_texts_are_counted_once_by_the_estimate_and_by_the_run_as_they_are_embedded(
    make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: bool
) -> None:
    given: list[str] = []
    embed = HashingEmbedder.embed_chunks

    def note(self: HashingEmbedder, texts: Sequence[str]) -> Vectors:
        given.extend(texts)
        return embed(self, texts)

    folder = tmp_path / "equal"
    folder.mkdir()
    for number in range(300):  # more than one batch
        text = f"The pump number {number % 3} is red."
        (folder / f"{number:03}.txt").write_text(text, encoding="utf-8")
    settings = make_settings(**{"embedding.cache": cache})
    planned = estimate(folder, settings)
    monkeypatch.setattr(HashingEmbedder, "embed_chunks", note)
    report = ingest(folder, settings)
    pumps = [text for text in given if "The pump number" in text]
    assert len(pumps) == report.chunks.embedded == planned.chunks - planned.cached
    assert set(pumps) == {f"The pump number {number} is red." for number in range(3)}
    assert len(pumps) == 3 or not cache
    assert report.chunks.embedded + report.chunks.reused == planned.chunks == 300
    counted = sum(assembly.open_configured_embedder(settings).count_tokens(pumps))
    assert counted == report.tokens == planned.tokens


def test_an_estimate_changes_nothing_and_asks_for_no_lock(settings: Settings, corpus: Path) -> None:
    ingest(corpus, settings)
    (corpus / "pump.md").write_text("# Pump\n\nIt is gone.\n", encoding="utf-8")
    before = (manifest(settings), chunks(settings))
    with assembly.open_writing_store(settings):
        estimate(corpus, settings)
    assert (manifest(settings), chunks(settings)) == before


def test_an_estimate_before_the_first_run_leaves_nothing_behind(
    settings: Settings, corpus: Path
) -> None:
    estimate(corpus, settings)
    assert not settings.storage.path.exists()


def test_an_estimate_counts_what_the_cache_spares(
    make_settings: MakeSettings, corpus: Path
) -> None:
    report = ingest(corpus, make_settings())
    planned = estimate(corpus, make_settings(collection="again"))
    assert planned.cached == planned.chunks == report.chunks.total
    assert planned.tokens == 0


def test_an_estimate_of_a_collection_in_memory_counts_a_text_again_as_the_run_does(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    """It has no cache in which a later batch would find what an earlier one made."""
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text("the very same text", encoding="utf-8")
    settings = make_settings(**{"storage.mode": "memory", "ingestion.commit_chunks": 2})
    planned = estimate(tmp_path, settings)
    report = ingest(tmp_path, settings)
    assert planned.chunks - planned.cached == report.chunks.embedded == 3
    assert planned.tokens == report.tokens


@pytest.mark.parametrize("inside", ["", "cache"])
def test_a_vector_cache_inside_the_corpus_is_no_part_of_it_and_documents_beside_it_are(
    make_settings: MakeSettings, corpus: Path, inside: str
) -> None:
    (corpus / inside).mkdir(exist_ok=True)
    (corpus / inside / "beside.txt").write_text("Beside the cache.", encoding="utf-8")
    settings = make_settings(**{"embedding.cache_path": corpus / inside})
    for _ in range(2):
        report = ingest(corpus, settings)
        assert report.skipped == ()
        assert report.added + report.unchanged == 4


def test_a_corpus_that_is_the_state_folder_is_ingested_without_what_the_package_keeps_there(
    make_settings: MakeSettings, corpus: Path
) -> None:
    """Nothing of it becomes a document, and so ingesting twice changes nothing."""
    settings = make_settings(**{"storage.path": corpus})
    (corpus / "set-aside-docs-1.jsonl").write_text("{}", encoding="utf-8")
    (corpus / "vectors.sqlite3.damaged-1").write_bytes(b"no cache")
    assert (ingest(corpus, settings).added, estimate(corpus, settings).skipped) == (3, ())
    report = ingest(corpus, settings)
    assert (report.added, report.unchanged, report.skipped) == (0, 3, ())


def test_an_estimate_says_that_a_deletion_has_to_be_allowed(
    settings: Settings, corpus: Path
) -> None:
    ingest(corpus, settings)
    shutil.rmtree(corpus)
    planned = estimate(corpus, settings)
    assert planned.needs_allow_delete
    assert len(planned.deleted) == 3


def test_a_state_folder_inside_the_corpus_is_no_part_of_it(
    make_settings: MakeSettings, corpus: Path
) -> None:
    settings = make_settings(**{"storage.path": corpus / "state"})
    for _ in range(2):
        report = ingest(corpus, settings)
        assert report.skipped == ()
        assert report.added + report.unchanged == 3


def test_the_last_report_of_progress_counts_every_file_and_chunk(
    settings: Settings, corpus: Path
) -> None:
    told: list[IngestProgress] = []
    report = ingest(corpus, settings, progress=told.append)
    assert told[-1].files_done == told[-1].files_total
    assert told[-1].chunks_done == report.chunks.embedded + report.chunks.reused
    assert told[-1].tokens_done == report.tokens
