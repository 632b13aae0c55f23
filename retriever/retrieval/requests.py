"""What is asked for, checked before anything is searched."""

import contextlib
import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from retriever.errors import QueryError

MOST_TOP_K = 10_000
WIDENED_TIMES = 4
MOST_WIDENED = 2_000
"""Candidates of each ranker that a query whose answer repetition leaves short is widened to."""

Mode = Literal["hybrid", "semantic", "lexical"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, checked."""

    queries: tuple[str, ...]
    mode: Mode
    top_k: int
    candidate_count: int
    """Candidates of each ranker; at least `top_k`."""
    where: Mapping[str, object] | None
    """A filter in Chroma's form."""
    min_score: float | None
    weights: Mapping[str, float]
    """Ranker to a factor on its weight."""
    is_one_query: bool = False
    """The queries are wordings of the first."""
    explains: bool = False
    """Each passage is to say why it stands where it stands; of one query only."""

    def wider(self) -> "Request | None":
        """The same among more candidates; None where there are many already."""
        wider = self.candidate_count * WIDENED_TIMES
        return replace(self, candidate_count=wider) if wider <= MOST_WIDENED else None


def checked_query(query: str) -> str:
    """A query as it is searched for.

    Raises:
        QueryError: it is no text, or blank.
    """
    text = checked_text(query)
    if not text:
        raise QueryError("The query is empty. Ask for something.")
    return text


def checked_text(query: str) -> str:
    """A query as it is searched for; empty where it is blank.

    Raises:
        QueryError: it is no text.
    """
    if not isinstance(query, str):
        raise QueryError(f"A query is text, not {type(query).__name__}.")
    return query.encode("utf-8", "replace").decode("utf-8").replace("\x00", " ").strip()


def checked_list(queries: Iterable[str]) -> list[str]:
    """Several queries, not checked themselves.

    Raises:
        QueryError: they are one text, or no list.
    """
    if isinstance(queries, str):
        raise QueryError(f"A list of queries is expected, not one text: [{queries!r:.80}].")
    try:
        return list(queries)
    except TypeError as error:
        raise QueryError(f"A list of queries is expected, not {type(queries).__name__}.") from error


def checked_top_k(top_k: int) -> int:
    """How many passages are wanted.

    Raises:
        QueryError: it is no whole number, or out of range.
    """
    try:
        wanted = operator.index(top_k)
    except TypeError as error:
        raise QueryError(f"top_k is {top_k!r}; it must be a whole number.") from error
    if not 1 <= wanted <= MOST_TOP_K:
        raise QueryError(f"top_k is {wanted}; it must be from 1 to {MOST_TOP_K}.")
    return wanted


def checked_min_score(min_score: float) -> float:
    """The least score.

    Raises:
        QueryError: it is no number.
    """
    with contextlib.suppress(TypeError):
        if not math.isnan(min_score):
            return float(min_score)
    raise QueryError(f"min_score is {min_score!r}; it must be a number.")


def checked_mode(mode: str) -> Mode:
    """Which rankers answer.

    Raises:
        QueryError: there is no such mode.
    """
    for known in get_args(Mode):
        if mode == known:
            return known  # type: ignore[no-any-return]
    raise QueryError(f"There is no mode {mode!r}. There are: {', '.join(get_args(Mode))}.")
