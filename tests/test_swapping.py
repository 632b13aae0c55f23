"""Another model for a live collection: built beside it, switched at once, taken back at once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from retriever import assembly
from retriever.checking.checks import check
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import Run
from retriever.collection.store import Store
from retriever.errors import CollectionError, FingerprintMismatch, QueryError, SettingsError
from retriever.evaluation.questions import Answer, Question, read_questions
from retriever.evaluation.runs import evaluate
from retriever.ingestion import ingest
from retriever.ingestion.batching import Batch
from retriever.records import IngestProgress
from retriever.retrieval import Retriever
from retriever.settings import Settings
from retriever.swapping.returning import Difference, prune, rollback
from retriever.swapping.swaps import plan_swap, swap
from retriever.testing import HashingEmbedder

MakeSettings = Callable[..., Settings]
OTHER = {"embedding.model": "other", "embedding.dimension": 128}


@pytest.fixture
def built(settings: Settings, corpus: Path) -> Settings:
    ingest(corpus, settings)
    return settings


def contents(settings: Settings) -> tuple[object, ...]:
    """Texts, metadata and vectors of the live generation, by id."""
    with assembly.open_store(settings) as store:
        data = store.physical(store.state(settings.collection).live)
        rows = {
            chunk_id: (text, row, vector.tolist())
            for page in data.chunk_pages(with_vectors=True)
            for chunk_id, text, row, vector in zip(
                page.ids, page.texts, page.rows, page.vectors, strict=True
            )
        }
        records = {one.source: (one.content_hash, one.chunk_count) for one in data.manifest()}
        return rows, records, data.fingerprint


def test_a_swapped_collection_equals_one_that_was_built_with_the_new_model(
    built: Settings, make_settings: MakeSettings, corpus: Path
) -> None:
    report = swap(make_settings(**OTHER))
    ingest(corpus, make_settings(collection="clean", **OTHER))
    swapped, clean = contents(built), contents(make_settings(collection="clean"))
    assert swapped == clean
    assert (report.live, report.previous) == ("docs.2", "docs.1")
    assert report.documents == 3
    assert report.comparison is not None
    assert 0.5 < report.comparison.overlap_at_10 <= 1.0


def test_another_chunk_size_is_cut_from_the_files(
    built: Settings, make_settings: MakeSettings, corpus: Path
) -> None:
    smaller = make_settings(**{"chunking.tokens": 30})
    assert plan_swap(smaller).from_files
    swap(smaller)
    ingest(corpus, make_settings(collection="clean", **{"chunking.tokens": 30}))
    assert contents(built) == contents(make_settings(collection="clean"))


def test_a_file_that_changed_since_cannot_be_cut_anew(
    built: Settings, make_settings: MakeSettings, corpus: Path
) -> None:
    before = contents(built)
    (corpus / "pump.md").write_text("Something else.", encoding="utf-8")
    with pytest.raises(CollectionError, match=r"pump\.md cannot be cut anew"):
        swap(make_settings(**{"chunking.tokens": 30}))
    assert contents(built) == before


def test_the_plan_counts_what_the_swap_will_embed(
    built: Settings, make_settings: MakeSettings
) -> None:
    settings = make_settings(**OTHER)
    plan = plan_swap(settings)
    assert (plan.model_before, plan.model_after, plan.documents) == ("hashing", "other", 3)
    assert not plan.from_files
    report = swap(settings)
    assert (report.chunks, report.embedded, report.tokens) == (
        plan.chunks,
        plan.chunks,
        plan.tokens,
    )


@pytest.mark.parametrize("cache", [True, False])
def test_the_plan_of_a_swap_counts_a_text_as_often_as_it_is_embedded(
    make_settings: MakeSettings, tmp_path: Path, cache: bool
) -> None:
    """Equal texts of one batch once, and of all batches once where there is a cache."""
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text("the very same text", encoding="utf-8")
    small = {"ingestion.commit_chunks": 2, "embedding.cache": cache}
    ingest(tmp_path, make_settings(**small))
    plan = plan_swap(make_settings(**small, **OTHER))
    report = swap(make_settings(**small, **OTHER))
    assert (plan.chunks, plan.chunks - plan.cached) == (6, report.embedded)
    assert plan.tokens == report.tokens
    assert report.embedded == (1 if cache else 3)


def test_the_plan_of_a_stopped_swap_counts_what_the_same_swap_will_still_embed(
    make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text(f"This is text {number}.", encoding="utf-8")
    small = {"ingestion.commit_chunks": 2, "embedding.cache": False}
    ingest(tmp_path, make_settings(**small))
    settings = make_settings(**small, **OTHER)

    def stop(progress: IngestProgress) -> None:
        if progress.files_done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swap(settings, progress=stop)
    plan = plan_swap(settings)
    assert (plan.documents, plan.chunks, plan.cached) == (6, 6, 4)
    report = swap(settings)
    assert (report.embedded, report.tokens) == (2, plan.tokens)


def test_a_reader_follows_a_swap_and_a_rollback_with_the_right_model(
    built: Settings, make_settings: MakeSettings
) -> None:
    with Retriever.open(built) as retriever:
        before = retriever.retrieve("hold the red button")
        swap(make_settings(**OTHER))
        after = retriever.retrieve("hold the red button")
        assert [one.source for one in after][:1] == [one.source for one in before][:1]
        assert [one.score for one in after] != [one.score for one in before]
        rollback(built)
        assert retriever.retrieve("hold the red button") == before


def test_after_a_swap_the_old_settings_cannot_ingest(
    built: Settings, make_settings: MakeSettings, corpus: Path
) -> None:
    swap(make_settings(**OTHER))
    with pytest.raises(FingerprintMismatch):
        ingest(corpus, built)
    assert ingest(corpus, make_settings(**OTHER)).unchanged == 3


def test_a_rollback_names_what_was_ingested_since_and_the_next_run_brings_it_back(
    built: Settings, make_settings: MakeSettings, corpus: Path
) -> None:
    """Documents added or changed since the swap are missed, and those deleted since return."""
    swap(make_settings(**OTHER))
    assert rollback(built).difference == Difference(missed=(), returned=())
    rollback(built)
    (corpus / "new.md").write_text("A new valve.\n", encoding="utf-8")
    (corpus / "pump.md").write_text("# Pump\n\nThe button is green now.\n", encoding="utf-8")
    (corpus / "notes.txt").unlink()
    ingest(corpus, make_settings(**OTHER))
    report = rollback(built)
    assert (report.live, report.previous) == ("docs.1", "docs.2")
    assert report.difference == Difference(
        missed=("corpus/new.md", "corpus/pump.md"), returned=("corpus/notes.txt",)
    )
    again = ingest(corpus, built)
    assert (again.added, again.updated, again.deleted) == (1, 1, 1)


def test_a_rollback_from_a_generation_that_cannot_tell_what_it_holds_is_done_all_the_same(
    built: Settings, make_settings: MakeSettings
) -> None:
    swap(make_settings(**OTHER))
    with assembly.open_writing_store(built) as store:
        store.drop_generation("docs.2")
    report = rollback(built)
    assert (report.live, report.difference) == ("docs.1", None)


@pytest.mark.slow
def test_after_two_swaps_there_is_one_way_back_and_nothing_else_is_left(
    built: Settings, make_settings: MakeSettings
) -> None:
    swap(make_settings(**OTHER))
    third = make_settings(**{"embedding.model": "third", "embedding.dimension": 96})
    report = swap(third)
    assert (report.live, report.previous) == ("docs.3", "docs.2")
    with assembly.open_store(built) as store:
        assert store.generations(store.state(built.collection)) == ["docs.2", "docs.3"]
    assert check(third).findings == ()
    assert rollback(third).live == "docs.2"


def test_pruning_leaves_the_live_generation_and_no_way_back(
    built: Settings, make_settings: MakeSettings
) -> None:
    swap(make_settings(**OTHER))
    live = contents(built)
    assert prune(built) == ["docs.1"]
    assert contents(built) == live
    with pytest.raises(CollectionError, match="no earlier generation"):
        rollback(built)


def test_pruning_gives_an_interrupted_swap_up_and_leaves_nothing_to_complete(
    built: Settings, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(PhysicalCollection, "put_chunks", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            swap(make_settings(**OTHER))
    assert {one.kind for one in check(built).findings} == {"run", "leftover"}
    assert prune(built) == ["docs.2"]
    assert check(built).findings == ()
    assert swap(make_settings(**OTHER)).documents == 3


@pytest.mark.parametrize(
    ("step", "text"),
    [("_write_records", "Friday"), ("_delete_stale", "Monday")],
    ids=["new chunks, file changed back", "stale chunks left"],
)
def test_an_interrupted_ingest_is_completed_whichever_generation_answered_meanwhile(
    built: Settings,
    make_settings: MakeSettings,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    text: str,
) -> None:
    """An ingest into the other one ends, and the way back leads to what is half written still."""
    other = make_settings(**OTHER)
    swap(other)
    pump = corpus / "pump.md"
    before = pump.read_text("utf-8")
    pump.write_text(before.replace("Friday", "Monday"), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(Batch, step, _interrupt)
        with pytest.raises(KeyboardInterrupt):
            ingest(corpus, other)
    rollback(built)
    ingest(corpus, built)
    assert check(built).findings == ()
    rollback(other)
    assert "run" in [one.kind for one in check(other).findings]
    pump.write_text(before.replace("Friday", text), encoding="utf-8")
    ingest(corpus, other)
    assert check(other).findings == ()
    ingest(corpus, make_settings(collection="clean", **OTHER))
    assert contents(other) == contents(make_settings(collection="clean"))


def test_pruning_leaves_an_interrupted_ingest_to_be_completed(built: Settings) -> None:
    with assembly.open_writing_store(built) as store:
        run = Run.now("ingest")
        store.save(replace(store.state("docs"), run=run))
    assert prune(built) == []
    with assembly.open_store(built) as store:
        assert store.state("docs").run == run


def test_a_swap_to_the_same_settings_is_refused(built: Settings) -> None:
    with pytest.raises(CollectionError, match="nothing to swap"):
        swap(built)


@pytest.mark.parametrize("step", ["put_chunks", "put_documents", "set_canary"])
def test_a_swap_that_dies_leaves_the_live_collection_and_is_taken_up_by_the_next(
    built: Settings, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    before = contents(built)
    settings = make_settings(**OTHER)
    monkeypatch.setattr(PhysicalCollection, step, die)
    with pytest.raises(Killed):
        swap(settings)
    monkeypatch.undo()
    assert contents(built) == before
    calls: list[int] = []
    original = HashingEmbedder.embed_chunks

    def counting(self: HashingEmbedder, texts: list[str]) -> object:
        calls.append(len(texts))
        return original(self, texts)

    monkeypatch.setattr(HashingEmbedder, "embed_chunks", counting)
    report = swap(settings)
    assert report.live == "docs.2"
    if step != "set_canary":
        assert report.embedded == 0
    assert ingest_is_clean(settings)


def ingest_is_clean(settings: Settings) -> bool:
    with assembly.open_store(settings) as store:
        state = store.state(settings.collection)
        return state.run is None and store.generations(state) == ["docs.1", "docs.2"]


def test_documents_that_changed_between_a_dead_swap_and_the_next_are_in_step(
    built: Settings, make_settings: MakeSettings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(**OTHER)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("retriever.swapping.swaps.overlap", die)
    with pytest.raises(KeyboardInterrupt):
        swap(settings)
    monkeypatch.undo()
    (corpus / "notes.txt").unlink()
    (corpus / "pump.md").write_text("# Pump\n\nIt is gone.\n", encoding="utf-8")
    ingest(corpus, built)
    swap(settings)
    ingest(corpus, make_settings(collection="clean", **OTHER))
    assert contents(built) == contents(make_settings(collection="clean"))


@pytest.mark.parametrize("configured", [False, True], ids=["named", "configured"])
def test_both_generations_are_compared_on_judged_questions(
    built: Settings, make_settings: MakeSettings, tmp_path: Path, configured: bool
) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(
        '{"question": "red button", "answers": [{"source": "corpus/pump.md"}]}\n'
        '{"question": "red button", "answers": [{"source": "corpus/nope.md"}]}\n'
        '{"question": "nothing answers this", "answers": []}\n',
        encoding="utf-8",
    )
    wanted = make_settings(**OTHER, **({"evaluation.questions": file} if configured else {}))
    named = None if configured else read_questions(file)
    compared = swap(wanted, questions=named).comparison
    assert compared is not None
    assert (compared.questions, compared.success_before, compared.success_after) == (2, 0.5, 0.5)


def test_questions_are_compared_with_their_filters(
    built: Settings, make_settings: MakeSettings, tmp_path: Path
) -> None:
    """A question whose filter leaves its answer out is a miss, as an evaluation counts it."""
    file = tmp_path / "questions.jsonl"
    row = '{"question": "red button", "answers": [{"source": "corpus/pump.md"}], "where": %s}\n'
    file.write_text(row % '{"author": "Ada"}' + row % '{"format": "markdown"}', encoding="utf-8")
    evaluated = evaluate(file, make_settings(**{"retrieval.mode": "semantic"}))
    compared = swap(make_settings(**OTHER), questions=read_questions(file)).comparison
    assert compared is not None
    assert evaluated.estimates["Success@10"].value == 0.5
    assert (compared.success_before, compared.success_after) == (0.5, 0.5)


def test_a_filter_that_cannot_be_asked_ends_a_swap_before_it_begins(
    built: Settings, make_settings: MakeSettings
) -> None:
    question = Question("x", (Answer("corpus/pump.md"),), where={"$near": 1})
    with pytest.raises(QueryError, match=r"\$near"):
        swap(make_settings(**OTHER), questions=[question])
    with assembly.open_store(built) as store:
        assert store.generations(store.state(built.collection)) == ["docs.1"]


def test_questions_that_cannot_be_read_end_a_swap_before_it_begins(
    built: Settings, make_settings: MakeSettings, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.jsonl"):
        swap(make_settings(**OTHER, **{"evaluation.questions": tmp_path / "nowhere.jsonl"}))
    with assembly.open_store(built) as store:
        assert store.generations(store.state(built.collection)) == ["docs.1"]


@pytest.mark.parametrize("line", ["{}", "no JSON", '{"question": "x", "answers": [1]}', "[]"])
def test_a_line_that_is_no_question_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="line 2"):
        read_questions(file)


def test_a_swap_refuses_a_collection_whose_documents_are_half_written(
    built: Settings, make_settings: MakeSettings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of two versions of a file would be copied as one; the next ingest completes it."""
    pump = corpus / "pump.md"
    pump.write_text(pump.read_text("utf-8").replace("Friday", "Monday"), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(PhysicalCollection, "put_documents", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            ingest(corpus, built)
    with pytest.raises(CollectionError, match="1 documents of 'docs' are half written"):
        swap(make_settings(**OTHER))
    ingest(corpus, built)
    assert swap(make_settings(**OTHER)).documents == 3


def test_a_swap_taken_up_again_forgets_what_became_unreadable_meanwhile(
    built: Settings, make_settings: MakeSettings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("retriever.swapping.swaps.check_copy", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            swap(make_settings(**OTHER))
    (corpus / "pump.md").unlink()
    ingest(corpus, built)
    (corpus / "pump.md").write_bytes(b"%PDF-1.7 this is no PDF")
    ingest(corpus, built)
    assert swap(make_settings(**OTHER)).documents == 3
    ingest(corpus, make_settings(collection="clean", **OTHER))
    assert contents(built) == contents(make_settings(collection="clean"))


def test_a_swap_that_died_while_it_made_its_generation_is_taken_up(
    built: Settings, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Store._make

    def interrupted(store: Store, name: str, *given: object, **named: object) -> None:
        if name.endswith(".documents"):
            raise KeyboardInterrupt
        make(store, name, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_make", interrupted)
        with pytest.raises(KeyboardInterrupt):
            swap(make_settings(**OTHER))
    assert swap(make_settings(**OTHER)).documents == 3


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
