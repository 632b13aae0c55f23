"""Rankings without repetition: equal texts collapse, documents are capped, MMR spreads.

Pure functions on passages, best first; none changes a score or invents a passage.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from retriever.protocols import Vectors
from retriever.records import Passage

Sameness = Literal["near", "equal", "none"]
"""Which texts count as one: nearly equal ones, equal ones, or none."""

SHINGLE_WORDS = 3
NEAR_OVERLAP = 0.9
"""Part of the shingles of two texts that both must have to be nearly the same: in a passage of
100 words, two or three may differ."""
MMR_BALANCE = 0.7
"""Carbonell and Goldstein found 0.7 to serve a searcher who has settled on a topic."""

_WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class _Looks:
    """What a text is compared by."""

    folded: str
    numbers: tuple[str, ...]
    shingles: frozenset[tuple[str, ...]]


def collapse_duplicates(
    ranking: Iterable[Passage], *, sameness: Sameness, most: int | None = None
) -> list[Passage]:
    """Keep the best of each group of passages that say the same; the others become its places.

    Equal are texts that differ in whitespace and case alone. Nearly equal are texts that share
    nine tenths of their runs of three words (Broder 1997, resemblance of shingles) and hold the
    same numbers in the same order: a report of another year is another text. The first
    passage of a group stands for it, so that the order in which passages come decides alone.

    Args:
        ranking: passages, best first; read only as far as needed.
        sameness: which texts count as one.
        most: passages to keep, all where None; reading ends when a further one would be kept.

    Returns:
        The kept passages in their order, the others in their `duplicates`.
    """
    kept: list[Passage] = []
    looks: list[_Looks] = []
    others: dict[int, list[Passage]] = {}
    for passage in ranking:
        seen = _looks(passage.text, sameness)
        group = _group(seen, looks, sameness)
        if group is not None:
            found = [replace(passage, duplicates=()), *passage.duplicates]
            others.setdefault(group, []).extend(found)
            continue
        if len(kept) == most:
            break
        kept.append(passage)
        looks.append(seen)
    return [
        replace(one, duplicates=(*one.duplicates, *others[place])) if place in others else one
        for place, one in enumerate(kept)
    ]


def cap_per_document(ranking: Iterable[Passage], most: int) -> Iterator[Passage]:
    """The passages in their order, at most `most` of each source.

    Raises:
        ValueError: `most` is below 1.
    """
    if most < 1:
        raise ValueError(f"A cap of {most} passages per document leaves nothing.")
    counts: Counter[str] = Counter()
    for passage in ranking:
        counts[passage.source] += 1
        if counts[passage.source] <= most:
            yield passage


def spread(
    ranking: Sequence[Passage],
    vectors: Mapping[str, Vectors],
    *,
    balance: float = MMR_BALANCE,
    most: int | None = None,
) -> list[Passage]:
    """Order by maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

    Each next passage has the highest balance x relevance - (1 - balance) x nearness, where
    relevance is the score, scaled to [0, 1] between the ranking's last and first, and nearness
    the highest cosine to a passage taken before. With a balance of 1 the order stays as it is.

    Args:
        ranking: passages, best first.
        vectors: unit vectors by passage id; a passage without one is near to nothing.
        balance: lambda, from 0 (spread alone) to 1 (relevance alone).
        most: passages to take, all where None.

    Returns:
        The passages taken, in the order in which they were: the first stays first.

    Raises:
        ValueError: the balance is not from 0 to 1.
    """
    if not 0.0 <= balance <= 1.0:
        raise ValueError(f"The balance of MMR is {balance}; it must be from 0 to 1.")
    wanted = len(ranking) if most is None else min(most, len(ranking))
    if balance == 1.0 or wanted < 2:
        return list(ranking[:wanted])
    width = next((len(vectors[one.id]) for one in ranking if one.id in vectors), 1)
    matrix = np.stack([vectors.get(one.id, np.zeros(width, np.float32)) for one in ranking])
    relevance = balance * _scaled([one.score for one in ranking])
    nearest = np.full(len(ranking), -np.inf)
    left = np.ones(len(ranking), dtype=bool)
    order = [0]
    while True:
        left[order[-1]] = False
        if len(order) == wanted:
            return [ranking[place] for place in order]
        nearest = np.maximum(nearest, matrix @ matrix[order[-1]])
        gain = np.where(left, relevance - (1.0 - balance) * nearest, -np.inf)
        order.append(int(np.argmax(gain)))


def _scaled(scores: Sequence[float]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    array = np.asarray(scores, dtype=np.float64)
    span = float(array.max() - array.min())
    return (array - array.min()) / span if span > 0 else np.ones(len(array))


def _looks(text: str, sameness: Sameness) -> _Looks:
    folded = " ".join(text.split()).casefold() if sameness != "none" else ""
    if sameness != "near":
        return _Looks(folded, (), frozenset())
    words = _WORD_OR_MARK.findall(folded)
    shingles = frozenset(zip(*(words[n:] for n in range(SHINGLE_WORDS)), strict=False))
    return _Looks(folded, tuple(_NUMBERS.findall(folded)), shingles)


def _group(seen: _Looks, looks: Sequence[_Looks], sameness: Sameness) -> int | None:
    """The first text that says the same as the one seen."""
    if sameness == "none":
        return None
    for place, one in enumerate(looks):
        if one.folded == seen.folded or (sameness == "near" and _is_near(one, seen)):
            return place
    return None


def _is_near(one: _Looks, other: _Looks) -> bool:
    few, many = sorted((len(one.shingles), len(other.shingles)))
    if few < NEAR_OVERLAP * many or not few or one.numbers != other.numbers:
        return False
    shared = len(one.shingles & other.shingles)
    return shared >= NEAR_OVERLAP * (few + many - shared)
