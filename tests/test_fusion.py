"""Fusion: laws that hold for every ranking, and the formulas by hand."""

import math
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.fusion import Fused, balance, fuse, fuse_convex, fuse_reciprocal
from retriever.records import Candidate

Ranking = list[Candidate]


def ranking(ranker: str, scores: dict[str, float]) -> Ranking:
    ordered = sorted(scores.items(), key=lambda one: (-one[1], one[0]))
    return [
        Candidate(chunk_id=chunk_id, ranker=ranker, score=score, rank=rank)
        for rank, (chunk_id, score) in enumerate(ordered, start=1)
    ]


def rankings(ranker: str, least: float, most: float) -> st.SearchStrategy[Ranking]:
    scores = st.dictionaries(
        st.sampled_from("abcdefghij"), st.floats(least, most, allow_subnormal=False), max_size=8
    )
    return scores.map(lambda given: ranking(ranker, given))


semantic = rankings("semantic", -1.0, 1.0)
lexical = rankings("lexical", 0.01, 60.0)
third = rankings("third", 0.0, 1.0)
METHODS = [fuse_reciprocal, fuse_convex]
word_counts = st.integers(0, 12)


def places(fused: list[Fused]) -> list[str]:
    return [one.chunk_id for one in fused]


@pytest.mark.parametrize("fuse", METHODS)
@given(st.tuples(semantic, lexical, third))
def test_the_order_of_the_rankings_does_not_matter(fuse, given_rankings) -> None:
    assert fuse(given_rankings) == fuse(given_rankings[::-1])


@pytest.mark.parametrize("fuse", METHODS)
@given(st.tuples(semantic, lexical, third))
def test_every_candidate_is_there_once_with_its_parts(fuse, given_rankings) -> None:
    """Scores lie in [0, 1], fall, and are the sum of parts; ranks count from 1."""
    fused = fuse(given_rankings)
    assert sorted(places(fused)) == sorted(
        {one.chunk_id for each in given_rankings for one in each}
    )
    assert [one.rank for one in fused] == list(range(1, len(fused) + 1))
    assert [one.score for one in fused] == sorted((one.score for one in fused), reverse=True)
    for one in fused:
        assert 0.0 <= one.score <= 1.0
        assert sum(one.parts.values()) == pytest.approx(one.score)
        assert set(one.parts) == {candidate.ranker for candidate in one.candidates}


@pytest.mark.parametrize("fuse", METHODS)
@given(st.tuples(semantic, lexical, third))
def test_a_candidate_that_is_first_everywhere_is_first(fuse, given_rankings) -> None:
    raised = [
        ranking(
            each[0].ranker, {"best": each[0].score + 0.5, **{o.chunk_id: o.score for o in each}}
        )
        for each in given_rankings
        if each
    ]
    fused = fuse(raised)
    assert not fused or (fused[0].chunk_id, fused[0].score) == ("best", pytest.approx(1.0))


@pytest.mark.parametrize("fuse", METHODS)
@given(semantic, lexical)
def test_a_ranker_without_weight_changes_no_order(fuse, one, other) -> None:
    """Of the candidates that the weighted ranker named, the order is its own."""
    fused = fuse([one, other], weights={"lexical": 0.0, "semantic": 2.0})
    scores = {each.chunk_id: each.score for each in one}
    kept = [scores[chunk_id] for chunk_id in places(fused) if chunk_id in scores]
    assert kept == pytest.approx(sorted(kept, reverse=True))


@pytest.mark.parametrize("fuse", METHODS)
def test_no_ranking_fuses_to_nothing_and_one_to_itself(fuse) -> None:
    only = ranking("lexical", {"a": 3.0, "b": 1.0})
    assert fuse([]) == fuse([[], []]) == []
    assert places(fuse([only, []])) == ["a", "b"]


def test_reciprocal_ranks_by_hand() -> None:
    one = ranking("semantic", {"a": 0.9, "b": 0.8})
    other = ranking("lexical", {"b": 7.0, "c": 2.0})
    fused = {each.chunk_id: each.score for each in fuse_reciprocal([one, other])}
    assert fused == {
        "a": pytest.approx(0.5),
        "b": pytest.approx(0.5 * 61 / 62 + 0.5),
        "c": pytest.approx(0.5 * 61 / 62),
    }
    weighted = fuse_reciprocal([one, other], weights={"semantic": 3.0})
    assert {each.chunk_id: each.score for each in weighted}["a"] == pytest.approx(0.75)


def test_convex_combination_by_hand() -> None:
    one = ranking("semantic", {"a": 0.9, "b": 0.6, "d": 0.3})
    other = ranking("lexical", {"b": 8.0, "c": 2.0})
    fused = fuse_convex([one, other], weights={"semantic": 3.0}, least={"lexical": 0.0})
    assert [(each.chunk_id, each.score) for each in fused] == [
        ("a", pytest.approx(0.75)),
        ("b", pytest.approx(0.75 * 0.5 + 0.25)),
        ("c", pytest.approx(0.25 * 0.25)),
        ("d", 0.0),
    ]


@pytest.mark.parametrize(
    "weights", [{"lexical": -1.0}, {"lexical": math.inf}, {"lexical": math.nan}]
)
def test_weights_that_mean_nothing_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        fuse_reciprocal([ranking("lexical", {"a": 1.0})], weights=weights)


@given(semantic, lexical, word_counts)
def test_the_default_obeys_the_same_laws(one, other, word_count) -> None:
    """Everything is there once, scores lie in [0, 1] and fall, and parts sum to them."""
    fused = fuse(one, other, word_count=word_count)
    assert sorted(places(fused)) == sorted({each.chunk_id for each in (*one, *other)})
    assert [each.rank for each in fused] == list(range(1, len(fused) + 1))
    assert [each.score for each in fused] == sorted((each.score for each in fused), reverse=True)
    for each in fused:
        assert 0.0 <= each.score <= 1.0
        assert sum(each.parts.values()) == pytest.approx(each.score)
    balanced = balance(one, other, word_count)
    shares = (balanced.semantic_weight, balanced.support, balanced.peak, balanced.brevity)
    assert all(0.0 <= value <= 1.0 for value in shares)


@given(semantic, lexical, word_counts)
def test_first_in_both_is_first_by_default(one, other, word_count) -> None:
    raised = [
        ranking(
            name,
            {"best": 0.5 + max([0.5, *(o.score for o in each)])}
            | {o.chunk_id: o.score for o in each},
        )
        for name, each in (("semantic", one), ("lexical", other))
    ]
    assert fuse(*raised, word_count=word_count)[0].chunk_id == "best"


@given(semantic, lexical, word_counts)
def test_factors_take_a_ranker_out_of_the_default(one, other, word_count) -> None:
    fused = fuse(one, other, word_count=word_count, weights={"lexical": 0.0})
    assert all(each.parts.get("lexical", 0.0) == 0.0 for each in fused)
    if one:
        best = {each.chunk_id for each in one if each.score == pytest.approx(one[0].score)}
        assert fused[0].chunk_id in best


def test_the_semantic_ranking_leads_where_words_are_common() -> None:
    """Its first say the words, and the lexical ranking hardly tells its own apart."""
    one = ranking("semantic", {"a": 0.8, "b": 0.5, "c": 0.2})
    other = ranking("lexical", {"c": 5.0, "a": 4.9, "b": 4.8})
    assert balance(one, other, 5).semantic_weight == 1.0
    assert places(fuse(one, other, word_count=5)) == ["a", "b", "c"]


def test_the_lexical_ranking_leads_where_vectors_know_nothing_of_the_words() -> None:
    """Its first stands out, and the chunks that the model finds near say none of them."""
    one = ranking(
        "semantic", {letter: 0.7 - place / 1000 for place, letter in enumerate("qrstuvw")}
    )
    other = ranking("lexical", {"x": 20.0} | {f"y{place}": 2.0 for place in range(10)})
    assert balance(one, other, 5).semantic_weight == 0.0
    assert fuse(one, other, word_count=5)[0].chunk_id == "x"


def test_a_short_query_leans_on_meaning() -> None:
    one = ranking("semantic", {"a": 0.9, "b": 0.7, "c": 0.5})
    other = ranking("lexical", {"b": 8.0, "d": 4.0})
    weights = [balance(one, other, count).semantic_weight for count in range(12)]
    assert weights == sorted(weights, reverse=True)
    assert weights[4] > weights[6] > weights[8] == weights[11]


def test_the_balance_by_hand() -> None:
    one = ranking("semantic", {"a": 0.9, "b": 0.7, "c": 0.5})
    other = ranking("lexical", {"b": 8.0, "d": 4.0})
    balanced = balance(one, other, 6)
    assert balanced.brevity == pytest.approx(0.5)
    assert balanced.support == pytest.approx(0.25 / 1.25)
    assert balanced.peak == pytest.approx(0.5)
    assert balanced.semantic_weight == pytest.approx(
        1.2 + 0.38 * math.log(0.25) - 0.43 * 0.5 + 0.24 * 0.5
    )


def test_a_short_query_that_is_not_understood_leans_on_words() -> None:
    """As of a model that does not know its language: brevity counts as far as it is supported."""
    one = ranking("semantic", {"a": 0.9, "b": 0.7, "c": 0.5})
    unknown = ranking("lexical", {"d": 8.0, "e": 4.0})
    little = ranking("lexical", {"d": 8.0, "e": 7.0, "b": 4.0})
    assert balance(one, unknown, 3).semantic_weight == balance(one, unknown, 9).semantic_weight
    balanced = balance(one, little, 3)
    assert balanced.support == pytest.approx(0.1)
    added = balanced.semantic_weight - balance(one, little, 9).semantic_weight
    assert added == pytest.approx(0.24 * 0.1 / 0.15)


def test_scores_tell_a_strong_answer_from_a_weak_one() -> None:
    """The best score of a query falls with the cosine and the words of its best candidates."""
    answer = partial(fuse, word_count=5)
    strong = answer(ranking("semantic", {"a": 0.9, "b": 0.1}), ranking("lexical", {"a": 30.0}))
    weak = answer(ranking("semantic", {"a": 0.2, "b": 0.1}), ranking("lexical", {"a": 2.0}))
    assert strong[0].score > 0.7 > 0.3 > weak[0].score
    assert answer([], []) == []
    assert answer([], ranking("lexical", {"a": 10.0}))[0].score == pytest.approx(0.5)
    assert answer(ranking("semantic", {"a": 0.8}), [])[0].score == pytest.approx(0.8)
