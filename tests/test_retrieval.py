"""class Retriever on real Chroma: passages, scores, filters, freshness, threads."""

import asyncio
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from retriever import assembly
from retriever.collection.state import Canary
from retriever.errors import (
    CollectionError,
    CollectionNotFound,
    FingerprintMismatch,
    QueryError,
    SettingsError,
)
from retriever.ingestion import IngestOptions, ingest
from retriever.retrieval import Retriever, build_context
from retriever.settings import Settings

MakeSettings = Callable[..., Settings]


@pytest.fixture
def ready(settings: Settings, corpus: Path) -> Settings:
    ingest(corpus, settings)
    return settings


def test_the_nearest_passage_comes_first_with_its_place(ready: Settings) -> None:
    with Retriever.open(ready) as retriever:
        best = retriever.retrieve("Hold the red button for five seconds.")[0]
    assert (best.rank, best.source) == (1, "corpus/pump.md")
    assert best.heading_path[0] == "Pump"
    assert best.text.endswith("Hold the red button of the pump for five seconds.")
    assert best.line_end == 5
    assert str(best).startswith(f"[1] {best.score:.3f} corpus/pump.md:{best.line_start}-5")


def test_semantic_scores_are_cosines_and_fall_with_rank(ready: Settings) -> None:
    embedder = assembly.open_configured_embedder(ready)
    query = "cold water"
    with Retriever.open(ready) as retriever:
        passages = retriever.retrieve(query, top_k=20, mode="semantic")
    scores = [one.score for one in passages]
    assert scores == sorted(scores, reverse=True)
    assert [one.rank for one in passages] == list(range(1, len(passages) + 1))
    with assembly.open_store(ready) as store:
        vectors = store.physical("docs.1").vectors([one.id for one in passages])
    exact = [float(embedder.embed_query(query) @ vectors[one.id]) for one in passages]
    np.testing.assert_allclose(scores, exact, atol=1e-5)


def test_a_chunk_is_its_own_nearest_neighbour_with_score_one(ready: Settings, corpus: Path) -> None:
    text = (corpus / "notes.txt").read_text(encoding="utf-8").strip()
    with Retriever.open(ready) as retriever:
        best = retriever.retrieve(text, top_k=1)[0]
    assert best.text == text
    assert best.score == pytest.approx(1.0, abs=1e-5)


def test_top_k_bounds_the_answer_and_more_than_there_is_gives_all(ready: Settings) -> None:
    with Retriever.open(ready) as retriever:
        assert len(retriever.retrieve("water", top_k=1)) == 1
        everything = retriever.retrieve("water", top_k=1000)
        with assembly.open_store(ready) as store:
            assert len(everything) == store.physical("docs.1").chunk_count()


def test_min_score_leaves_out_what_scores_lower_and_may_leave_nothing(ready: Settings) -> None:
    with Retriever.open(ready) as retriever:
        some = retriever.retrieve("hold the red button", min_score=0.3)
        assert some
        assert all(one.score >= 0.3 for one in some)
        assert retriever.retrieve("hold the red button", min_score=1.1) == []


def test_filters_select_on_metadata(ready: Settings) -> None:
    with Retriever.open(ready) as retriever:
        found = retriever.retrieve("water", where={"author": "Ada", "year": {"$gte": 2020}})
        assert {one.source for one in found} == {"corpus/guides/boiler.md"}
        assert found[0].metadata == {"author": "Ada", "year": 2021}
        assert retriever.retrieve("water", where={"author": "Bob"}) == []
        found = retriever.retrieve("water", where={"source": ["corpus/pump.md", "nope"]})
        assert {one.source for one in found} == {"corpus/pump.md"}


def test_many_queries_are_answered_as_each_alone(ready: Settings) -> None:
    queries = ["red button", "cold water", "annual meeting"]
    with Retriever.open(ready) as retriever:
        together = retriever.retrieve_many(queries)
        assert together == [retriever.retrieve(query) for query in queries]
        assert retriever.retrieve_many([]) == []


def test_an_event_loop_can_await_an_answer(ready: Settings) -> None:
    with Retriever.open(ready) as retriever:
        answer = asyncio.run(retriever.aretrieve("red button", top_k=2))
        assert answer == retriever.retrieve("red button", top_k=2)


@pytest.mark.parametrize("query", ["", "  \n", "\x00"])
def test_a_blank_query_is_refused(ready: Settings, query: str) -> None:
    with Retriever.open(ready) as retriever, pytest.raises(QueryError, match="empty"):
        retriever.retrieve(query)


@pytest.mark.parametrize("top_k", [0, -1, 10**9])
def test_a_top_k_out_of_range_is_refused(ready: Settings, top_k: int) -> None:
    with Retriever.open(ready) as retriever, pytest.raises(QueryError, match="top_k"):
        retriever.retrieve("x", top_k=top_k)


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(query=st.text(min_size=1))
def test_any_text_is_a_safe_query(ready: Settings, query: str) -> None:
    with Retriever.open(ready) as retriever:
        try:
            assert len(retriever.retrieve(query, top_k=3)) == 3
        except QueryError:
            assert not query.replace("\x00", "").strip()


def test_a_query_of_ten_thousand_words_is_answered(ready: Settings) -> None:
    with Retriever.open(ready) as retriever:
        assert retriever.retrieve("red button " * 5_000)[0].source == "corpus/pump.md"


def test_a_collection_that_is_not_there_says_which_are(
    ready: Settings, make_settings: MakeSettings
) -> None:
    with pytest.raises(CollectionNotFound, match=r"It holds: docs\.") as caught:
        Retriever.open(make_settings(collection="nope"))
    assert caught.value.existing == ("docs",)


def test_a_collection_decides_its_embedder_where_the_settings_leave_it_open(
    make_settings: MakeSettings, corpus: Path
) -> None:
    built = make_settings(**{"embedding.query_prefix": "query: ", "embedding.dimension": 64})
    ingest(corpus, built)
    with Retriever.open(built) as one, Retriever.open(make_settings()) as other:
        assert one.retrieve("red button") == other.retrieve("red button")


def test_an_app_without_settings_is_told_that_it_lacks_the_class_of_the_embedder(
    ready: Settings,
) -> None:
    """A collection says which class's work it holds; only settings may have one run."""
    bare = Settings.load(**{"storage.path": ready.storage.path})
    with pytest.raises(SettingsError, match=r"'hashing'.*embedding\.backend = 'package\.module"):
        Retriever.open(bare)


def test_settings_that_name_another_model_are_refused_field_by_field(
    ready: Settings, make_settings: MakeSettings
) -> None:
    with pytest.raises(FingerprintMismatch) as caught:
        Retriever.open(make_settings(**{"embedding.model": "other"}))
    assert caught.value.differences == {"model": ("hashing", "other")}


def test_a_model_that_changed_under_its_name_is_refused_with_the_cosine(ready: Settings) -> None:
    with assembly.open_writing_store(ready) as store:
        data = store.physical("docs.1")
        canary = data.canary
        assert canary is not None
        data.set_canary(Canary(text=canary.text, vector=np.roll(canary.vector, 1)))
    with Retriever.open(ready) as retriever, pytest.raises(FingerprintMismatch, match="canary"):
        retriever.retrieve("x")


def test_a_reader_sees_each_commit_by_its_next_query(ready: Settings, corpus: Path) -> None:
    with Retriever.open(ready) as retriever:
        retriever.retrieve("zeppelin")
        (corpus / "new.md").write_text("# Zeppelin\n\nThe zeppelin lands at noon.\n", "utf-8")
        ingest(corpus, ready)
        assert retriever.retrieve("zeppelin")[0].source == "corpus/new.md"
        (corpus / "new.md").unlink()
        ingest(corpus, ready)
        assert all(one.source != "corpus/new.md" for one in retriever.retrieve("zeppelin"))


def test_threads_share_a_retriever_while_commits_come_in(ready: Settings, corpus: Path) -> None:
    errors: list[BaseException] = []
    stop = threading.Event()

    def ask(retriever: Retriever) -> None:
        while not stop.is_set():
            try:
                assert retriever.retrieve("red button")[0].source == "corpus/pump.md"
            except BaseException as error:  # noqa: BLE001
                errors.append(error)
                return

    with Retriever.open(ready) as retriever:
        threads = [threading.Thread(target=ask, args=(retriever,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(4):
            (corpus / f"{number}.md").write_text(f"# Text {number}\n\nNothing new.\n", "utf-8")
            ingest(corpus, ready)
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []


def test_a_reader_writes_nothing(ready: Settings) -> None:
    def contents() -> tuple[object, ...]:
        with assembly.open_store(ready) as store:
            state = store.state("docs")
            page = next(store.physical(state.live).chunk_pages(with_vectors=True))
            return state, page.ids, page.texts, page.rows, page.vectors.tolist()

    before = contents()
    with Retriever.open(ready) as retriever:
        retriever.retrieve("red button")
    assert contents() == before


def test_a_retriever_that_was_closed_says_so(ready: Settings) -> None:
    retriever = Retriever.open(ready)
    retriever.close()
    with pytest.raises(CollectionError, match="closed"):
        retriever.retrieve("pump")


def test_a_collection_that_is_made_anew_beside_a_reader_is_seen_by_its_next_query(
    ready: Settings, corpus: Path
) -> None:
    with Retriever.open(ready) as retriever:
        for _ in range(3):
            retriever.retrieve("pump")
            retriever._snapshots._filling.wait()
        assert retriever._snapshots._current.rows  # answers come from memory
        seen = retriever._snapshots._current.state
        shutil.rmtree(corpus)
        corpus.mkdir()
        ingest(corpus, ready, options=IngestOptions(allow_delete=True))
        (corpus / "new.md").write_text("# New\n\nThe pump was replaced.\n", "utf-8")
        other = ready.model_copy(
            update={"chunking": ready.chunking.model_copy(update={"tokens": 80})}
        )
        ingest(corpus, other)
        with assembly.open_store(ready) as store:
            now = store.state(ready.collection)
        assert (now.live, now.revision) == (seen.live, seen.revision)  # its counting began anew
        assert [one.source for one in retriever.retrieve("pump")] == ["corpus/new.md"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"top_k": 2.5},
        {"top_k": "5"},
        {"min_score": "0.1"},
        {"min_score": float("nan")},
        {"rewrite": lambda query: query},
        {"rewrite": lambda _: None},
        {"rewrite": lambda _: ["pump", None]},
    ],
)
def test_an_argument_of_another_kind_is_refused(ready: Settings, wrong: dict[str, Any]) -> None:
    with Retriever.open(ready) as retriever, pytest.raises(QueryError):
        retriever.retrieve("pump", **wrong)


def test_one_text_is_no_list_of_queries(ready: Settings) -> None:
    with Retriever.open(ready) as retriever, pytest.raises(QueryError, match="list"):
        retriever.retrieve_many("pump")
    with Retriever.open(ready) as retriever, pytest.raises(QueryError, match="list"):
        retriever.retrieve_many(None)  # type: ignore[arg-type]


def test_a_blank_rewriting_is_left_out(ready: Settings) -> None:
    with Retriever.open(ready) as retriever:
        plain = retriever.retrieve("pump")
        assert retriever.retrieve("pump", rewrite=lambda _: ["", " "]) == plain


def test_closing_twice_is_harmless(ready: Settings) -> None:
    retriever = Retriever.open(ready)
    retriever.close()
    retriever.close()


def test_a_context_numbers_passages_and_maps_numbers_to_spans(ready: Settings) -> None:
    with Retriever.open(ready) as retriever:
        passages = retriever.retrieve("red button", top_k=3)
    context = build_context(
        passages, budget_tokens=9000, count_tokens=lambda text: len(text.split())
    )
    assert list(context.citations) == [1, 2, 3]
    assert context.citations[1].source == passages[0].source
    assert (context.citations[1].start, context.citations[1].end) == (
        passages[0].start,
        passages[0].end,
    )
    assert context.left_out == ()


def test_an_emptied_collection_answers_with_nothing(ready: Settings, corpus: Path) -> None:
    for file in corpus.rglob("*.*"):
        file.unlink()
    ingest(corpus, ready, options=IngestOptions(allow_delete=True))
    with Retriever.open(ready) as retriever:
        assert retriever.retrieve("red button") == []
