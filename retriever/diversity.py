"""Rankings without repetition: equal texts collapse, documents are capped, MMR spreads.

Pure functions on passages, best first; none changes a score or invents a passage.
"""

import heapq
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from retriever.protocols import Vectors
from retriever.records import Passage

Sameness = Literal["near", "equal", "none"]
"""Which texts count as one: nearly equal ones, equal ones, or none."""

NEAR_OVERLAP = 0.9
"""Part of the shingles of two texts that both must have to be nearly the same: in a passage of
100 words, two or three may differ."""
MMR_BALANCE = 0.7
"""Carbonell and Goldstein found 0.7 to serve a searcher who has settled on a topic."""

_WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")
_NUMBERS = re.compile(r"\d+")

_Shingle = tuple[int, str, str, str]
"""Three words that follow one another, behind the sum of their lengths, negative: the longest come
first in order. Long words are rare, and rare shingles are shared by few texts."""


def without_repetition(
    ranking: Iterable[Passage],
    *,
    sameness: Sameness,
    max_per_document: int | None = None,
    most: int | None = None,
) -> list[Passage]:
    """Keep the best of each group of passages that say the same; the others become its places.

    Equal are texts that differ in whitespace and case alone. Nearly equal are texts that share
    nine tenths of their runs of three words (Broder 1997, resemblance of shingles) and hold the
    same numbers in the same order: a report of another year is another text. The first
    passage of a group stands for it, so that the order in which passages come decides alone.

    Args:
        ranking: passages, best first; read only as far as needed.
        sameness: which texts count as one.
        max_per_document: passages to keep of each source, all where None; the first ones.
        most: passages to keep, all where None; reading ends when a further one would be kept.

    Returns:
        The kept passages in their order, the others in their `duplicates`.

    Raises:
        ValueError: the cap is below 1.
    """
    if max_per_document is not None and max_per_document < 1:
        raise ValueError(f"A cap of {max_per_document} passages per document leaves nothing.")
    kept: list[Passage] = []
    groups = _Groups(sameness)
    others: dict[int, list[Passage]] = {}
    of_source: Counter[tuple[str, str]] = Counter()
    for passage in ranking:
        text = groups.read(passage.text)
        group = groups.find(text)
        if group is not None:
            found = [replace(passage, duplicates=()), *passage.duplicates]
            others.setdefault(group, []).extend(found)
            continue
        if of_source[passage.collection, passage.source] == max_per_document:
            continue
        if len(kept) == most:
            break
        of_source[passage.collection, passage.source] += 1
        kept.append(passage)
        groups.add(text)
    return [
        replace(one, duplicates=(*one.duplicates, *others[place])) if place in others else one
        for place, one in enumerate(kept)
    ]


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


@dataclass(frozen=True, slots=True)
class _Read:
    """What a text is compared by."""

    folded: str
    numbers: tuple[str, ...] = ()
    shingles: frozenset[_Shingle] = frozenset()
    telling: tuple[_Shingle, ...] = ()
    """Some of its shingles: a text that is nearly the same has one of them among its own."""


class _Groups:
    """Texts that say different things, each to be found by one that says the same.

    Only texts that share a telling shingle are compared, so that many texts cost little more
    than each alone. Of a text's shingles in one order for all, the first tenth and one more are
    telling: whoever shares none of them lacks too many (prefix filtering, Chaudhuri, Ganti and
    Kaushik 2006).
    """

    def __init__(self, sameness: Sameness) -> None:
        self._sameness = sameness
        self._texts: list[_Read] = []
        self._by_folded: dict[str, int] = {}
        self._by_shingle: dict[_Shingle, list[int]] = {}

    def read(self, text: str) -> _Read:
        """The text as it is compared."""
        folded = " ".join(text.split()).casefold() if self._sameness != "none" else ""
        if self._sameness != "near":
            return _Read(folded)
        words = _WORD_OR_MARK.findall(folded)
        lengths = [*map(len, words)]
        sizes = [-a - b - c for a, b, c in zip(lengths, lengths[1:], lengths[2:], strict=False)]
        shingles = frozenset(zip(sizes, words, words[1:], words[2:], strict=False))
        few = len(shingles) - math.ceil(NEAR_OVERLAP * len(shingles)) + 1
        return _Read(
            folded=folded,
            numbers=tuple(_NUMBERS.findall(folded)),
            shingles=shingles,
            telling=tuple(heapq.nsmallest(few, shingles)),
        )

    def find(self, text: _Read) -> int | None:
        """The place of the first text that says the same, or None."""
        if self._sameness == "none":
            return None
        equal = self._by_folded.get(text.folded)
        likely = {place for one in text.telling for place in self._by_shingle.get(one, ())}
        near = [place for place in likely if _is_near(self._texts[place], text)]
        return min([*near, *([equal] if equal is not None else [])], default=None)

    def add(self, text: _Read) -> None:
        """Take a text in, at the next place."""
        place = len(self._texts)
        self._texts.append(text)
        self._by_folded.setdefault(text.folded, place)
        for one in text.telling:
            self._by_shingle.setdefault(one, []).append(place)


def _is_near(one: _Read, other: _Read) -> bool:
    if one.numbers != other.numbers:
        return False
    shared = len(one.shingles & other.shingles)
    return shared >= NEAR_OVERLAP * (len(one.shingles) + len(other.shingles) - shared)
