"""From a ranking to passages: reranked, without repetition, spread, joined, on real Chroma."""

import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from retriever.errors import RerankingError, RerankingUnavailable, SettingsError
from retriever.ingestion import ingest
from retriever.protocols import Vectors
from retriever.records import Passage
from retriever.retrieval import Retriever, answering
from retriever.retrieval.ranking import rank
from retriever.retrieval.reordering import MOST_UNDER_WAY, Reordering, RerankingSkipped
from retriever.retrieval.requests import Request
from retriever.settings import Settings
from retriever.testing import HashingEmbedder, OverlapReranker

MakeSettings = Callable[..., Settings]
OVERLAP = {"reranking.backend": "retriever.testing:OverlapReranker"}
LESSONS = " ".join(f"Lesson {number} tells of valve {number} and its seal." for number in range(40))
NOTICE = "In case of fire leave the hall by the nearest door and wait at the gate. " * 2


class SlowReranker(OverlapReranker):
    def rerank(self, query: str, texts: Sequence[str]) -> Vectors:
        time.sleep(0.5)
        return super().rerank(query, texts)


class FailingReranker(OverlapReranker):
    def rerank(self, query: str, texts: Sequence[str]) -> Vectors:
        raise RerankingError("The key is wrong.")


class BusyReranker(OverlapReranker):
    def rerank(self, query: str, texts: Sequence[str]) -> Vectors:
        raise RerankingUnavailable("It is busy.")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A corpus with one long document and the same notice in three, and its state folder."""
    folder = tmp_path_factory.mktemp("library")
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "lessons.txt").write_text(LESSONS, encoding="utf-8")
    for name in ("a", "b", "c"):
        notice = NOTICE.upper() if name == "c" else NOTICE
        text = f"The book of {name * 5}.\n\n# Notice\n\n{notice}\n"
        (corpus / f"{name}.md").write_text(text, encoding="utf-8")
    ingest(corpus, library_settings(folder / "state"))
    return corpus, folder / "state"


def library_settings(state: Path, **overrides: object) -> Settings:
    defaults: dict[str, object] = {
        "storage.path": state,
        "embedding.backend": "retriever.testing:HashingEmbedder",
        "embedding.model": "hashing",
        "chunking.tokens": 48,
    }
    return Settings.load(**(defaults | overrides))


@pytest.fixture
def ask(library: tuple[Path, Path]) -> Callable[..., list[Passage]]:
    """Ask the library under settings of one's own."""

    def answer(query: str, top_k: int = 4, **overrides: object) -> list[Passage]:
        with Retriever.open(library_settings(library[1], **overrides)) as retriever:
            return retriever.retrieve(query, top_k=top_k)

    return answer


Ask = Callable[..., list[Passage]]


def is_slice(passage: Passage, corpus: Path) -> bool:
    text = (corpus / passage.source.partition("/")[2]).read_text(encoding="utf-8")
    return text[passage.start : passage.end] == passage.text


def test_the_same_text_in_several_files_is_one_passage_with_several_sources(ask: Ask) -> None:
    query = "leave the hall in case of fire by the nearest door"
    best, *others = ask(query)
    assert sorted([best.source, *(one.source for one in best.duplicates)]) == [
        "corpus/a.md",
        "corpus/b.md",
        "corpus/c.md",
    ]
    assert all("fire" not in one.text.lower() for one in others)
    kept = ask(query, **{"retrieval.duplicates": "none"})
    assert sum("fire" in one.text.lower() for one in kept) == 3
    assert all(one.duplicates == () for one in kept)


def test_neighbours_in_an_answer_are_one_passage_that_is_a_slice_of_its_document(
    ask: Ask, library: tuple[Path, Path]
) -> None:
    single = ask("lesson valve seal", top_k=6, **{"retrieval.merge_neighbours": False})
    merged = ask("lesson valve seal", top_k=6)
    assert any(one.parts for one in merged)
    assert all(is_slice(one, library[0]) for one in merged)
    covered = {position for one in merged for position in range(one.start, one.end)}
    assert all(covered >= set(range(one.start, one.end)) for one in single)
    assert merged[0].id == single[0].id
    assert merged[0].score == single[0].score
    assert [one.rank for one in merged] == list(range(1, len(merged) + 1))


def test_where_chunks_join_further_ones_take_their_place_up_to_twice_as_many(ask: Ask) -> None:
    for top_k in range(1, 6):
        merged = ask("lesson valve seal", top_k=top_k)
        chunks = sum(max(1, len(one.parts)) for one in merged)
        assert len(merged) == top_k or chunks == 2 * top_k
        assert chunks <= 2 * top_k


def test_all_of_a_document_comes_back_as_one_passage(ask: Ask) -> None:
    passages = ask("lesson valve seal", top_k=40)
    assert LESSONS in [one.text for one in passages]


@pytest.mark.parametrize("expand", [1, 2, 100])
def test_expanding_adds_what_stands_before_and_after_from_the_same_document(
    ask: Ask, library: tuple[Path, Path], expand: int
) -> None:
    (alone,) = ask("lesson 20 valve 20", top_k=1)
    (wide,) = ask("lesson 20 valve 20", top_k=1, **{"retrieval.expand": expand})
    assert is_slice(wide, library[0])
    assert (wide.id, wide.score) == (alone.id, alone.score)
    assert wide.start < alone.start
    assert wide.end > alone.end
    if expand == 100:
        assert wide.text == LESSONS


def test_a_cap_bounds_the_chunks_of_one_document(ask: Ask) -> None:
    capped = ask(
        "lesson valve seal",
        top_k=9,
        **{"retrieval.max_per_document": 1, "retrieval.merge_neighbours": False},
    )
    sources = [one.source for one in capped]
    assert sources.count("corpus/lessons.txt") == 1
    assert len(sources) > 1


def test_mmr_keeps_the_best_first_and_changes_what_follows(ask: Ask) -> None:
    plain = ask("lesson valve seal", **{"retrieval.merge_neighbours": False})
    off = {"retrieval.merge_neighbours": False, "retrieval.mmr_balance": 1.0}
    assert [one.id for one in ask("lesson valve seal", **off)] == [one.id for one in plain]
    spread = ask(
        "lesson valve seal",
        **{"retrieval.merge_neighbours": False, "retrieval.mmr_balance": 0.1},
    )
    assert spread[0].id == plain[0].id
    assert [one.id for one in spread] != [one.id for one in plain]


def test_a_reranker_orders_and_scores_and_says_so(ask: Ask) -> None:
    passages = ask("hall gate door", **OVERLAP, **{"retrieval.duplicates": "none"})
    assert passages[0].score == 1.0
    told = {one.ranker: one for one in passages[0].candidates}
    assert (told["reranker"].score, told["reranker"].rank) == (1.0, 1)
    assert {"semantic", "lexical"} & told.keys()
    scores = [one.score for one in passages]
    assert scores == sorted(scores, reverse=True)


def test_min_score_is_compared_with_the_rerankers_score(library: tuple[Path, Path]) -> None:
    settings = library_settings(library[1], **OVERLAP)
    with Retriever.open(settings) as retriever:
        assert retriever.retrieve("hall gate door", min_score=0.99)[0].score == 1.0
        assert retriever.retrieve("hall gate zebra", min_score=0.99) == []


@pytest.mark.parametrize(
    ("name", "told"), [("SlowReranker", "longer than"), ("BusyReranker", "busy")]
)
def test_a_reranker_that_does_not_answer_in_time_leaves_the_order_and_a_warning(
    ask: Ask, name: str, told: str
) -> None:
    before = ask("hall gate door")
    with pytest.warns(RerankingSkipped, match=told):
        after = ask(
            "hall gate door",
            **{"reranking.backend": f"test_refining:{name}", "reranking.timeout_s": 0.1},
        )
    assert after == before


def test_a_reranker_that_fails_for_good_is_an_error(ask: Ask) -> None:
    with pytest.raises(RerankingError, match="key is wrong"):
        ask("hall", **{"reranking.backend": "test_refining:FailingReranker"})
    with pytest.raises(SettingsError, match=r"reranking\.backend"):
        ask("hall", **{"reranking.backend": "none-such"})


@pytest.mark.parametrize(
    "answer",
    [
        np.ones(1, np.float32),
        np.full(2, np.nan, np.float32),
        np.array([-3.0, 7.5], np.float32),
        np.ones((2, 1), np.float32),
        None,
        ["good", "bad"],
        OSError("the disk is full"),
    ],
    ids=repr,
)
def test_an_answer_of_a_reranker_that_is_no_score_for_each_text_is_refused_in_words(
    answer: Any,
) -> None:
    class Odd:
        def rerank(self, query: str, texts: Sequence[str]) -> Vectors:
            if isinstance(answer, Exception):
                raise answer
            return cast(Vectors, answer)

    reordering = Reordering(lambda _: Odd(), timeout_s=5.0)
    with pytest.raises(RerankingError, match="The reranker Odd "):
        reordering.scores("hall", ["a hall", "a gate"], HashingEmbedder)


def test_a_reranker_is_closed_once_the_query_at_work_has_its_scores() -> None:
    begun, goes_on, closed = threading.Event(), threading.Event(), threading.Event()

    class Connected(OverlapReranker):
        def rerank(self, query: str, texts: Sequence[str]) -> Vectors:
            begun.set()
            goes_on.wait(30)
            assert not closed.is_set()
            return super().rerank(query, texts)

        def close(self) -> None:
            closed.set()

    reordering = Reordering(lambda _: Connected(), timeout_s=60.0)
    with ThreadPoolExecutor(1) as pool:
        scores = pool.submit(reordering.scores, "hall", ["a hall"], HashingEmbedder)
        assert begun.wait(30)
        reordering.close()
        goes_on.set()
        assert scores.result().tolist() == [1.0]
    assert closed.is_set()


def test_calls_that_were_given_up_are_bounded() -> None:
    reordering = Reordering(lambda _: SlowReranker(), timeout_s=0.001)
    for number in range(MOST_UNDER_WAY + 1):
        told = "longer" if number < MOST_UNDER_WAY else "have not ended"
        with pytest.raises(RerankingUnavailable, match=told):
            reordering.scores("a", ["b"], HashingEmbedder)
    time.sleep(0.6)
    with pytest.raises(RerankingUnavailable, match="longer"):
        reordering.scores("a", ["b"], HashingEmbedder)


def test_python_ends_after_a_call_that_was_given_up() -> None:
    program = (
        "import sys; sys.path[:0] = ['tests']; from test_refining import *\n"
        "class Last(SlowReranker):\n"
        "    def rerank(self, query, texts):\n"
        "        super().rerank(query, texts); print('ended')\n"
        "try: Reordering(lambda _: Last(), timeout_s=0.001).scores('a', ['b'], HashingEmbedder)\n"
        "except RerankingUnavailable: print('given up')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split("\n") == ["given up", "ended", ""]


def test_late_interaction_reads_the_collections_own_embedder(ask: Ask) -> None:
    best = ask("hall gate door", **{"reranking.backend": "late-interaction"})[0]
    assert "hall" in best.text.lower()
    assert any(one.ranker == "reranker" for one in best.candidates)


def test_rewritings_find_what_the_query_alone_does_not(library: tuple[Path, Path]) -> None:
    with Retriever.open(library_settings(library[1])) as retriever:
        query = "zebra crossing"
        alone = retriever.retrieve(query, top_k=1)
        found = retriever.retrieve(query, top_k=1, rewrite=lambda _: ["fire hall nearest door"])
        assert "fire" in found[0].text.lower()
        assert "fire" not in alone[0].text.lower() or alone[0].score < found[0].score
        assert {one.ranker for one in found[0].candidates} >= {"lexical:2"}
        assert 0.0 <= found[0].score <= 1.0
        assert retriever.retrieve(query, rewrite=lambda _: []) == retriever.retrieve(query)
        same = retriever.retrieve("hall gate", rewrite=lambda query: [query])
        assert [one.score for one in same] == pytest.approx(
            [one.score for one in retriever.retrieve("hall gate")]
        )


def test_many_queries_are_refined_as_each_alone(library: tuple[Path, Path]) -> None:
    queries = ["hall gate", "lesson 3 valve", "book of aaaaa"]
    settings = library_settings(library[1], **OVERLAP, **{"retrieval.expand": 1})
    with Retriever.open(settings) as retriever, warnings.catch_warnings():
        warnings.simplefilter("error")
        together = retriever.retrieve_many(queries)
        assert together == [retriever.retrieve(query) for query in queries]


def test_vectors_of_the_embedder_are_told_apart_after_a_swap() -> None:
    opened: list[HashingEmbedder] = []

    def embedder() -> HashingEmbedder:
        return opened[-1]

    made: list[object] = []

    def make(ask_embedder: Callable[[], object]) -> OverlapReranker:
        made.append(ask_embedder())
        return OverlapReranker()

    reordering = Reordering(make, timeout_s=5.0)
    for _ in range(2):
        opened.append(HashingEmbedder())
        for _ in range(2):
            assert np.isfinite(reordering.scores("a", ["a"], embedder)).all()
    assert made == opened


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "lexical"])
def test_copies_of_one_text_do_not_take_the_place_of_what_else_answers(
    make_settings: MakeSettings, tmp_path: Path, mode: Any
) -> None:
    corpus = tmp_path / "notices"
    corpus.mkdir()
    for number in range(60):
        (corpus / f"copy-{number}.md").write_text(NOTICE, encoding="utf-8")
    others = ["gate", "door", "hall", "fire"]
    for other in others:
        text = f"Behind the {other} there is a list of whoever was there, by day and by hour."
        (corpus / f"{other}.md").write_text(text, encoding="utf-8")
    settings = make_settings(**{"retrieval.candidate_count": 20, "retrieval.mode": mode})
    ingest(corpus, settings)
    asked = "fire hall door gate"
    with Retriever.open(settings) as retriever:
        alone = retriever.retrieve(asked, top_k=5)
        assert {f"notices/{other}.md" for other in others} < {one.source for one in alone}
        assert alone == retriever.retrieve_many([asked, "list"], top_k=5)[0]
        assert [one.source for one in retriever.explain(asked, top_k=5)] == [
            one.source for one in alone
        ]


def test_one_long_document_does_not_take_the_room_that_is_left_to_others(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    corpus = tmp_path / "books"
    corpus.mkdir()
    lines = "\n\n".join(f"# Valve {number}\n\nThe valve {number} leaks." for number in range(60))
    (corpus / "valves.md").write_text(lines, encoding="utf-8")
    (corpus / "other.md").write_text("A pump has a valve, and it hums.", encoding="utf-8")
    settings = make_settings(
        **{"retrieval.candidate_count": 10, "retrieval.max_per_document": 1, "chunking.tokens": 32}
    )
    ingest(corpus, settings)
    with Retriever.open(settings) as retriever:
        found = retriever.retrieve("the valve leaks", top_k=2)
    assert [one.source for one in found] == ["books/valves.md", "books/other.md"]


def test_an_answer_is_not_widened_where_scores_are_too_low_or_all_was_asked(
    make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = tmp_path / "notices"
    corpus.mkdir()
    for number in range(30):
        (corpus / f"{number}.md").write_text(f"Pump {number} has seal {number}.", encoding="utf-8")
    settings = make_settings(**{"retrieval.candidate_count": 20})
    ingest(corpus, settings)
    asked: list[Request] = []

    def counted(snapshot: Any, request: Request) -> Any:
        asked.append(request)
        return rank(snapshot, request)

    monkeypatch.setattr(answering, "rank", counted)
    with Retriever.open(settings) as retriever:
        for top_k, min_score, most in ((5, None, 5), (40, None, 30), (20, 0.99, 1)):
            found = retriever.retrieve("pump 7 seal", top_k=top_k, min_score=min_score)
            assert len(found) <= most
    assert len(asked) == 3
