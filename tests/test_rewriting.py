"""Queries in other words: what a language model answers is read with care."""

import warnings
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.fusion import fuse, fuse_rewritings
from retriever.records import Candidate
from retriever.rewriting import RewritingFailed, hypothetical_passage, multi_query


def test_rewritings_are_the_lines_of_the_answer_without_marks_quotes_or_repetition() -> None:
    prompts: list[str] = []

    def complete(prompt: str) -> str:
        prompts.append(prompt)
        return (
            '1. How is it reset?\n- "Restart the pump"\n\n* how is IT reset?\n2) Reset   pump\nMore'
        )

    assert multi_query(complete, count=3)("reset pump") == [
        "How is it reset?",
        "Restart the pump",
        "More",
    ]
    assert len(prompts) == 1
    assert "Question: reset pump" in prompts[0]
    assert "3 other ways" in prompts[0]


def test_a_hypothetical_passage_is_the_whole_answer() -> None:
    assert hypothetical_passage(lambda _: " Hold the\nred button. ")("reset") == [
        "Hold the\nred button."
    ]


def failing(_: str) -> str:
    raise OSError("no route to host")


@pytest.mark.parametrize("make", [multi_query, hypothetical_passage])
@pytest.mark.parametrize(
    ("complete", "told"),
    [
        (failing, "OSError: no route to host"),
        (lambda _: None, "NoneType, not text"),
        (lambda _: b"bytes", "bytes, not text"),
        (lambda _: " \n ", "answered with nothing"),
    ],
    ids=["raises", "None", "bytes", "blank"],
)
def test_a_model_that_fails_gives_no_rewriting_and_a_warning(
    make: Callable[..., Callable[[str], list[str]]], complete: Callable[[str], str], told: str
) -> None:
    with pytest.warns(RewritingFailed, match=told):
        assert make(complete)("reset") == []


@given(answer=st.text(), count=st.integers(1, 10))
def test_any_answer_is_bounded(answer: str, count: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RewritingFailed)
        found = multi_query(lambda _: answer * 50, count=count)("query")
        passages = hypothetical_passage(lambda _: answer * 5_000)("query")
    assert len(found) <= count
    assert all(text.strip() and len(text) <= 500 and "\x00" not in text for text in found)
    assert all(text.strip() and len(text) <= 2_000 for text in passages)
    assert "query" not in found


@pytest.mark.parametrize("count", [0, 11])
def test_a_count_out_of_range_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 10"):
        multi_query(lambda _: "", count=count)


IDS = st.lists(st.sampled_from("abcdef"), unique=True, min_size=1, max_size=6)


def ranking(ids: list[str], ranker: str) -> list[Candidate]:
    return [
        Candidate(chunk_id, ranker, score=1.0 / rank, rank=rank)
        for rank, chunk_id in enumerate(ids, start=1)
    ]


@given(lists=st.lists(st.tuples(IDS, IDS), min_size=1, max_size=4))
def test_the_score_over_wordings_is_the_mean_of_their_scores(
    lists: list[tuple[list[str], list[str]]],
) -> None:
    rankings = [
        fuse(ranking(one, "semantic"), ranking(other, "lexical"), word_count=4)
        for one, other in lists
    ]
    fused = fuse_rewritings(rankings)
    for one in fused:
        scores = [
            next((each.score for each in found if each.chunk_id == one.chunk_id), 0.0)
            for found in rankings
        ]
        assert one.score == pytest.approx(sum(scores) / len(scores), abs=1e-9)
        assert sum(one.parts.values()) == pytest.approx(one.score, abs=1e-9)
        assert 0.0 <= one.score <= 1.0
    assert [one.score for one in fused] == sorted((one.score for one in fused), reverse=True)
    assert fuse_rewritings(rankings[:1]) == rankings[0]
