"""Documents like others, by the mean vectors that the collection keeps of its documents.

What is liked and what is not make one query, as relevance feedback does (Rocchio 1971): the
mean of the liked less a part of the mean of the disliked.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retriever.analysis.cosines import centroid, nearest
from retriever.analysis.reading import Points, open_collection, read_points
from retriever.embedding.vectors import normalise
from retriever.errors import QueryError
from retriever.protocols import Vectors
from retriever.settings import Settings

DISLIKE_WEIGHT = 0.2
"""The usual 0.15 to 0.75 of Rocchio's formula (Manning, Raghavan and Schütze 2008, 9.1.1)."""


@dataclass(frozen=True, slots=True)
class Related:
    """A document that was recommended."""

    rank: int
    source: str
    title: str
    score: float
    """Cosine with the query that likes and dislikes make, -1 to 1."""


def rocchio(liked: Vectors, disliked: Vectors, *, weight: float = DISLIKE_WEIGHT) -> Vectors:
    """The direction between likes and dislikes (Rocchio 1971): float32, (dimension,).

    Args:
        liked: unit vectors, (n, dimension), n at least 1.
        disliked: unit vectors, (m, dimension), m may be 0.
        weight: of the dislikes' mean, 0 or more.
    """
    wanted = liked.mean(axis=0, dtype=np.float64)
    if len(disliked):
        wanted = wanted - weight * disliked.mean(axis=0, dtype=np.float64)
    return normalise(wanted) if wanted.any() else centroid(liked)


def recommend(
    liked: Sequence[str],
    settings: Settings | None = None,
    *,
    disliked: Sequence[str] = (),
    count: int = 10,
    weight: float = DISLIKE_WEIGHT,
) -> list[Related]:
    """The documents that are most like some and least like others, best first.

    Those that are named are left out. The search is exact.

    Args:
        liked: sources, one or more; a path's end will do where it fits one source alone.
        settings: say which collection; the defaults where None.
        disliked: sources.
        count: most documents wanted.
        weight: of the dislikes, 0 or more.

    Raises:
        QueryError: a source is not in the collection (the message names the nearest), or none
            is liked.
        CollectionError: the collection is not there, or a writer is at work.
    """
    if not liked:
        raise QueryError("No document is named. Say which one the others should be like.")
    if count < 1:
        raise QueryError(f"{count} documents were asked for; 1 is the least.")
    with open_collection(settings or Settings.load()) as data:
        points = read_points(data, "documents")
    return related(points, liked, disliked=disliked, count=count, weight=weight)


def related(
    points: Points,
    liked: Sequence[str],
    *,
    disliked: Sequence[str] = (),
    count: int = 10,
    weight: float = DISLIKE_WEIGHT,
) -> list[Related]:
    """As `recommend`, of documents that were read before.

    Raises:
        QueryError: a source is not among them.
    """
    rows = {point.key: row for row, point in enumerate(points.points)}
    wanted = [find_source(source, rows) for source in liked]
    unwanted = [find_source(source, rows) for source in disliked]
    query = rocchio(
        np.asarray(points.vectors[wanted]), np.asarray(points.vectors[unwanted]), weight=weight
    )
    named = {*wanted, *unwanted}
    found, scores = nearest(points.vectors, query[None], count + len(named))
    kept = [
        (row, score)
        for row, score in zip(found[0].tolist(), scores[0].tolist(), strict=True)
        if row not in named
    ]
    return [
        Related(rank, points.points[row].source, points.points[row].title, score)
        for rank, (row, score) in enumerate(kept[:count], start=1)
    ]


def find_source(source: str, rows: dict[str, int]) -> int:
    """The row of a source, or of the only one that ends with it.

    Raises:
        QueryError: there is none, or there are several.
    """
    if source in rows:
        return rows[source]
    ending = source.replace("\\", "/").removeprefix("./").strip("/")
    fitting = sorted(one for one in rows if one.endswith(f"/{ending}"))
    if len(fitting) == 1:
        return rows[fitting[0]]
    if fitting:
        raise QueryError(
            f"{source!r} is the end of {len(fitting)} sources: {', '.join(fitting[:5])}"
            f"{', ...' if len(fitting) > 5 else ''}. Name one of them in full."
        )
    near = _nearest_sources(source, rows)
    raise QueryError(
        f"The collection holds no document {source!r}. The nearest names: {', '.join(near)}."
    )


def _nearest_sources(source: str, rows: dict[str, int]) -> list[str]:
    """Three names that look most like one that is not known; compared by their last parts."""
    names: dict[str, str] = {}
    for one in rows:
        names.setdefault(one.rpartition("/")[2], one)
    last = source.replace("\\", "/").rpartition("/")[2]
    near = difflib.get_close_matches(last, list(names)[:50_000], n=3, cutoff=0.0)
    return [names[name] for name in near]
