"""`king - man + woman`: the words nearest to a sum of words.

3CosAdd (Mikolov, Yih and Zweig 2013) ranks by the cosine with the sum of the directions.
3CosMul (Levy and Goldberg 2014) multiplies the cosines instead, moved to 0 to 1, so that no
single one outweighs the others: prod(wanted) / (prod(unwanted) + 0.001).
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from retriever.analysis.cosines import scores_with
from retriever.embedding.vectors import normalise
from retriever.errors import QueryError
from retriever.protocols import Vectors

Method = Literal["3cosadd", "3cosmul"]

EPSILON = 0.001
"""Keeps the division finite; the value of Levy and Goldberg."""
MOST_COMPARED_NAMES = 50_000
"""Known words that an unknown one is compared with, for the message."""


@dataclass(frozen=True, slots=True)
class Sum:
    """Words added and words subtracted."""

    wanted: tuple[str, ...]
    unwanted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoredWord:
    """A word and its score; higher is better."""

    word: str
    score: float
    """3CosAdd: a cosine, -1 to 1. 3CosMul: from 0, mostly below 1, without an upper limit."""


def parse_sum(parts: Sequence[str]) -> Sum:
    """Read `king - man + woman`, in one piece or in many.

    Raises:
        QueryError: a sign without a word, two words without a sign, or nothing.
    """
    tokens = " ".join(parts).split()
    words, signs = tokens[::2], ["+", *tokens[1::2]]
    if len(words) != len(signs) or not set(signs) <= {"+", "-"} or {"+", "-"} & set(words):
        raise _unreadable(tokens)
    signed = list(zip(signs, words, strict=True))
    return Sum(
        tuple(word for sign, word in signed if sign == "+"),
        tuple(word for sign, word in signed if sign == "-"),
    )


def _unreadable(tokens: Sequence[str]) -> QueryError:
    return QueryError(
        f"{' '.join(tokens)!r} is no sum of words. Write words with + or - between them, and "
        "spaces around the signs: king - man + woman."
    )


def solve(
    words: Sequence[str],
    vectors: NDArray[np.floating],
    asked: Sum,
    *,
    method: Method = "3cosadd",
    count: int = 10,
) -> list[ScoredWord]:
    """The known words nearest to a sum, best first; the words of the sum are left out.

    Args:
        words: the vocabulary, each word once.
        vectors: (len(words), dimension), of any length other than 0.
        asked: words to add and to subtract; a word that is not known as it is written may be
            known in lower case.
        method: how the words' cosines become one score.
        count: words wanted.

    Raises:
        QueryError: a word is not in the vocabulary; the message names the nearest ones.
    """
    rows = {word: row for row, word in enumerate(words)}
    wanted = [_row(word, rows) for word in asked.wanted]
    unwanted = [_row(word, rows) for word in asked.unwanted]
    units = normalise(vectors)
    if method == "3cosadd":
        scores = _add(units, wanted, unwanted)
    else:
        scores = _multiply(units, wanted, unwanted)
    scores[[*wanted, *unwanted]] = -np.inf
    best = np.argsort(-scores, kind="stable")[:count]
    return [ScoredWord(words[row], float(scores[row])) for row in best if scores[row] > -np.inf]


def _add(units: Vectors, wanted: list[int], unwanted: list[int]) -> NDArray[np.float64]:
    total = units[wanted].sum(axis=0, dtype=np.float64)
    total -= units[unwanted].sum(axis=0, dtype=np.float64)
    return scores_with(units, normalise(total)).astype(np.float64)


def _multiply(units: Vectors, wanted: list[int], unwanted: list[int]) -> NDArray[np.float64]:
    def product(chosen: list[int]) -> NDArray[np.float64]:
        cosines = np.stack([scores_with(units, units[row]) for row in chosen])
        return np.asarray(np.prod((1.0 + cosines.astype(np.float64)) / 2.0, axis=0))

    return product(wanted) / ((product(unwanted) if unwanted else 1.0) + EPSILON)


def _row(word: str, rows: dict[str, int]) -> int:
    for spelling in (word, word.lower()):
        if spelling in rows:
            return rows[spelling]
    some = list(islice(rows, MOST_COMPARED_NAMES))
    near = difflib.get_close_matches(word.lower(), some, n=3)
    hint = f"The nearest known: {', '.join(near)}." if near else "No known word is like it."
    raise QueryError(f"{word!r} is not among the {len(rows):,} known words. {hint}")
