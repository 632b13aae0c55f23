"""Rankings without repetition: what collapses, what is capped, what is spread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.diversity import Sameness, spread, without_repetition
from retriever.protocols import Vectors
from retriever.records import Passage

WORDS = ("the", "pump", "is", "reset", "by", "holding", "red", "button", "for", "five", "lamp")
TEXTS = st.lists(st.sampled_from([*WORDS, "7", "9"]), min_size=1, max_size=30).map(" ".join)
SAMENESS: st.SearchStrategy[Sameness] = st.sampled_from(["near", "equal", "none"])


def passage(number: int, text: str = "", source: str = "", score: float | None = None) -> Passage:
    worth = 1.0 - number / 100 if score is None else score
    place = source or f"{number}.md"
    return Passage(str(number), number, worth, text or f"t {number}", place, 0, 1)


def ranking(texts: list[str]) -> list[Passage]:
    return [passage(number, text) for number, text in enumerate(texts)]


@given(texts=st.lists(TEXTS, max_size=12), sameness=SAMENESS)
def test_collapsing_keeps_the_first_of_each_group_loses_nobody_and_is_idempotent(
    texts: list[str], sameness: Sameness
) -> None:
    passages = ranking(texts)
    kept = without_repetition(passages, sameness=sameness)
    assert [one.id for one in kept] == sorted((one.id for one in kept), key=int)
    assert kept[:1] == [] or kept[0].id == "0"
    everyone = [one.id for each in kept for one in (each, *each.duplicates)]
    assert sorted(everyone) == sorted(one.id for one in passages)
    assert all(not other.duplicates for one in kept for other in one.duplicates)
    assert without_repetition(kept, sameness=sameness) == kept


@given(texts=st.lists(TEXTS, max_size=12), most=st.integers(1, 5), sameness=SAMENESS)
def test_a_bounded_collapse_is_the_beginning_of_the_whole(
    texts: list[str], most: int, sameness: Sameness
) -> None:
    whole = without_repetition(ranking(texts), sameness=sameness)
    part = without_repetition(ranking(texts), sameness=sameness, most=most)
    assert [one.id for one in part] == [one.id for one in whole[:most]]


def test_the_same_text_in_two_files_is_one_passage_with_two_sources() -> None:
    first, second = without_repetition(
        [passage(1, "Hold the  button."), passage(2, "hold the\nbutton."), passage(3, "Rinse.")],
        sameness="equal",
    )
    assert (first.source, [one.source for one in first.duplicates]) == ("1.md", ["2.md"])
    assert second.duplicates == ()


LONG = " ".join(f"{word}{letter}" for letter in "abcdef" for word in WORDS)
OTHERS = {
    "one word differs": (LONG.replace("pumpc", "valve"), True),
    "a few words more": (LONG + " and no more", True),
    "three words differ": (
        LONG.replace("pumpc", "valve").replace("lampe", "light").replace("redb", "blue"),
        False,
    ),
    "two thirds": (" ".join(LONG.split()[:44]), False),
    "reversed": (" ".join(reversed(LONG.split())), False),
}


@pytest.mark.parametrize(("other", "is_same"), OTHERS.values(), ids=OTHERS.keys())
def test_nearly_equal_means_nine_tenths_of_the_runs_of_three_words(
    other: str, is_same: bool
) -> None:
    kept = without_repetition(ranking([LONG, other]), sameness="near")
    assert len(kept) == (1 if is_same else 2)
    assert len(without_repetition(ranking([LONG, other]), sameness="equal")) == 2


def test_texts_that_differ_in_a_number_are_never_the_same() -> None:
    texts = [f"{LONG} in the year {year}" for year in (2022, 2023)]
    assert len(without_repetition(ranking(texts), sameness="near")) == 2


@given(sources=st.lists(st.sampled_from("abc"), max_size=20), most=st.integers(1, 4))
def test_a_cap_is_honoured_by_leaving_out_the_last_of_each_document(
    sources: list[str], most: int
) -> None:
    passages = [passage(number, source=source) for number, source in enumerate(sources)]
    kept = without_repetition(passages, sameness="none", max_per_document=most)
    for source in set(sources):
        of_source = [one for one in passages if one.source == source]
        assert [one for one in kept if one.source == source] == of_source[:most]
    assert without_repetition(kept, sameness="none", max_per_document=most) == kept


def test_a_cap_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="cap of 0"):
        without_repetition([], sameness="none", max_per_document=0)


def unit_vectors(count: int, seed: int) -> dict[str, Vectors]:
    rows = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return {str(number): row for number, row in enumerate(rows)}


@given(count=st.integers(0, 12), seed=st.integers(0, 99), balance=st.floats(0, 1))
def test_mmr_loses_nobody_keeps_the_first_and_is_the_ranking_at_a_balance_of_one(
    count: int, seed: int, balance: float
) -> None:
    passages, vectors = [passage(n) for n in range(count)], unit_vectors(count, seed)
    order = spread(passages, vectors, balance=balance)
    assert sorted(one.id for one in order) == sorted(one.id for one in passages)
    assert order[:1] == passages[:1]
    assert spread(passages, vectors, balance=balance, most=3) == order[:3]
    assert spread(passages, vectors, balance=1.0) == passages


@given(count=st.integers(2, 9), seed=st.integers(0, 99), balance=st.floats(0.1, 0.9))
def test_mmr_agrees_with_its_formula_worked_out_one_by_one(
    count: int, seed: int, balance: float
) -> None:
    passages, vectors = [passage(n) for n in range(count)], unit_vectors(count, seed)
    relevance = {one.id: (count - 1 - n) / (count - 1) for n, one in enumerate(passages)}
    taken, left = [passages[0]], passages[1:]
    while left:
        gains = [
            balance * relevance[one.id]
            - (1 - balance) * max(float(vectors[one.id] @ vectors[other.id]) for other in taken)
            for one in left
        ]
        taken.append(left.pop(gains.index(max(gains))))
    found = spread(passages, vectors, balance=balance)
    assert [one.id for one in found] == [one.id for one in taken]


def test_mmr_puts_a_copy_behind_what_is_new() -> None:
    vectors = {
        "1": np.array([1, 0], np.float32),
        "2": np.array([1, 0], np.float32),
        "3": np.array([0, 1], np.float32),
    }
    passages = [passage(1, score=0.9), passage(2, score=0.89), passage(3, score=0.6)]
    assert [one.id for one in spread(passages, vectors, balance=0.5)] == ["1", "3", "2"]


@pytest.mark.parametrize("balance", [-0.1, 1.1, float("nan")])
def test_a_balance_out_of_range_is_refused(balance: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        spread([], {}, balance=balance)


@given(texts=st.lists(TEXTS, max_size=12))
def test_texts_are_found_nearly_the_same_as_comparing_each_with_each_finds_them(
    texts: list[str],
) -> None:
    def shingles(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return set(zip(words, words[1:], words[2:], strict=False))

    def is_same(one: str, other: str) -> bool:
        first, second = shingles(one), shingles(other)
        numbers = [[word for word in text.split() if word.isdigit()] for text in (one, other)]
        near = first and len(first & second) >= 0.9 * len(first | second)
        return one == other or bool(near and numbers[0] == numbers[1])

    kept: list[str] = []
    for text in texts:
        if not any(is_same(one, text) for one in kept):
            kept.append(text)
    found = without_repetition(ranking(texts), sameness="near")
    assert [one.text for one in found] == kept
