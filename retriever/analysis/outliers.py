"""Documents that stand alone, and documents that are all but the same."""

import math
from dataclasses import dataclass

import numpy as np

from retriever.analysis.clustering import MOST_ROWS_AT_ONCE, Labels
from retriever.analysis.cosines import close_pairs, nearest
from retriever.analysis.density import centroid_scores, local_outlier_factors
from retriever.analysis.reading import Points, Unit, open_collection, read_points
from retriever.errors import QueryError
from retriever.protocols import Vectors
from retriever.settings import Settings

LEAST_CENTRE_SCORE = 0.3
"""The threshold of the guide to embeddings that this package grew from.

It tells strangers from a collection of one subject. Where there are several, most documents are
far from the centre of all: with 20 strangers among 1,398 documents, of those below it 23 % were
strangers, of those above `MOST_LONELINESS` 67 %, and of the first 20 as they are listed 95 %.
"""
MOST_LONELINESS = 1.5
"""The factor above which scikit-learn calls a row an outlier."""
NEIGHBOURS = 50
"""Rows that density is measured by. Where 20 documents of one kind were hidden among some 800 of
another, in 30 ways, those ranked first by density held 38 % of them with scikit-learn's 20, which
takes so many for a group of their own, and 73 % with 50; by both rankings together, 80 %."""
LEAST_DUPLICATE_SCORE = 0.95
MOST_PAIRS = 1_000
_NEAREST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A point near another one."""

    name: str
    score: float
    """Cosine, -1 to 1."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """A document or passage that stands alone."""

    name: str
    title: str
    centre_score: float
    """Cosine with the mean of all, -1 to 1: the lower, the farther out."""
    loneliness: float
    """Local outlier factor: 1 is as dense as around its neighbours, more is thinner."""
    far: bool
    """The cosine is below the threshold."""
    lonely: bool
    """The factor is above its threshold."""
    nearest: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two documents or passages that are all but the same."""

    name: str
    other: str
    score: float
    """Cosine, -1 to 1."""


@dataclass(frozen=True, slots=True)
class OutlierReport:
    """What stands alone in a collection, and what is there twice."""

    collection: str
    unit: Unit
    points: int
    least_centre_score: float
    most_loneliness: float
    outliers: tuple[Outlier, ...]
    """The loneliest first: by the sum of their places in both rankings."""
    duplicates: tuple[Pair, ...]
    """The closest first, 1,000 at most."""
    duplicate_count: int | None
    """All there are; None where there are too many vectors to compare each with each."""


def find_outliers(
    settings: Settings | None = None,
    *,
    unit: Unit = "documents",
    least_centre_score: float = LEAST_CENTRE_SCORE,
    most_loneliness: float = MOST_LONELINESS,
    neighbours: int = NEIGHBOURS,
    least_duplicate_score: float = LEAST_DUPLICATE_SCORE,
    seed: int = 0,
) -> OutlierReport:
    """What is far from a collection's centre or in a thin place, and what is near-duplicate.

    Args:
        settings: say which collection; the defaults where None.
        unit: what is looked at.
        least_centre_score: a cosine with the mean of all below this is far, -1 to 1.
        most_loneliness: a local outlier factor above this is lonely, 1 or more.
        neighbours: how many rows density is measured by.
        least_duplicate_score: the cosine from which on two are near-duplicates.
        seed: of the sample above 20,000 vectors; the same one gives the same answer.

    Raises:
        QueryError: there are fewer than 3 vectors, or a threshold cannot be.
        CollectionError: the collection is not there, or a writer is at work.
    """
    settings = settings or Settings.load()
    _refuse_thresholds(least_centre_score, most_loneliness, least_duplicate_score)
    points = _read(settings, unit, neighbours)
    centre = centroid_scores(points.vectors)
    factors = local_outlier_factors(points.vectors, neighbours=neighbours, seed=seed)
    order = combined_order(centre, factors)
    far, lonely = centre < least_centre_score, factors > most_loneliness
    rows = order[(far | lonely)[order]]
    pairs, count = _duplicates(points, least_duplicate_score)
    return OutlierReport(
        collection=settings.collection,
        unit=unit,
        points=len(points.points),
        least_centre_score=least_centre_score,
        most_loneliness=most_loneliness,
        outliers=tuple(
            Outlier(
                name=points.points[row].name,
                title=points.points[row].title,
                centre_score=float(centre[row]),
                loneliness=float(factors[row]),
                far=bool(far[row]),
                lonely=bool(lonely[row]),
                nearest=near,
            )
            for row, near in zip(rows.tolist(), _neighbours(points, rows), strict=True)
        ),
        duplicates=pairs,
        duplicate_count=count,
    )


def _refuse_thresholds(centre: float, loneliness: float, duplicates: float) -> None:
    for name, value, least, most in (
        ("cosine with the centre", centre, -1.0, 1.0),
        ("local outlier factor", loneliness, 0.0, math.inf),
        ("cosine of near-duplicates", duplicates, -1.0, 1.0),
    ):
        if not least <= value <= most:
            raise QueryError(
                f"The threshold of the {name} is {value:g}, not from {least:g} to {most:g}."
            )


def _read(settings: Settings, unit: Unit, neighbours: int) -> Points:
    if neighbours < 1:
        raise QueryError(f"{neighbours} neighbours were asked for; 1 is the least.")
    with open_collection(settings) as data:
        points = read_points(data, unit)
    if len(points.points) < 3:
        raise QueryError(
            f"An outlier is told from 2 others at least, and of {unit} the collection holds "
            f"{len(points.points)}. Ingest more."
        )
    return points


def combined_order(centre: Vectors, factors: Vectors) -> Labels:
    """Row numbers, the loneliest first, by the sum of their places in two rankings (Borda 1781).

    Args:
        centre: cosines with the centre, (n,), lower is lonelier.
        factors: local outlier factors, (n,), higher is lonelier.
    """
    return np.argsort(_places(centre) + _places(-factors), kind="stable")


def _places(values: Vectors) -> Labels:
    """The place of each value, the lowest first; equal ones share their mean place, doubled."""
    ordered = np.sort(values)
    first = np.searchsorted(ordered, values, side="left")
    return np.asarray(first + np.searchsorted(ordered, values, side="right"), dtype=np.int64)


def _neighbours(points: Points, rows: Labels) -> list[tuple[Neighbour, ...]]:
    """The nearest others of each of some rows."""
    found, scores = nearest(points.vectors, np.asarray(points.vectors[rows]), _NEAREST_SHOWN + 1)
    return [
        tuple(
            Neighbour(points.points[other].name, score)
            for other, score in zip(others, values, strict=True)
            if other != row
        )[:_NEAREST_SHOWN]
        for row, others, values in zip(rows.tolist(), found.tolist(), scores.tolist(), strict=True)
    ]


def _duplicates(points: Points, least: float) -> tuple[tuple[Pair, ...], int | None]:
    if len(points.points) > MOST_ROWS_AT_ONCE:
        return (), None
    pairs, count = close_pairs(points.vectors, least=least, most=MOST_PAIRS)
    names = [point.name for point in points.points]
    return tuple(Pair(names[left], names[right], score) for left, right, score in pairs), count
