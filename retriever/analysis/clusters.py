"""A collection in groups, each named by its own words and its most central members."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from retriever.analysis.clustering import (
    NO_GROUP,
    SAMPLE_ROWS,
    Choice,
    Labels,
    choose_count,
    density_groups,
    sample,
    spherical_kmeans,
    steady,
)
from retriever.analysis.cosines import centroid, scores_with
from retriever.analysis.naming import TermCounts
from retriever.analysis.reading import Points, Unit, open_collection, read_points, texts
from retriever.errors import QueryError
from retriever.settings import Settings

ClusterMethod = Literal["kmeans", "hdbscan"]

TERMS = 6
CENTRAL_MEMBERS = 3
LEAST_MEMBERS = 5
"""Of a group found by density; scikit-learn's default."""


@dataclass(frozen=True, slots=True)
class Member:
    """A document or passage near the centre of its group."""

    name: str
    title: str
    score: float
    """Cosine with the direction of the group's mean, -1 to 1."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A group, the largest first."""

    number: int
    """From 1."""
    size: int
    terms: tuple[str, ...]
    """The words that best tell it from the others; `naming` says how."""
    central: tuple[Member, ...]
    members: tuple[str, ...]
    """All of them, by name."""


@dataclass(frozen=True, slots=True)
class ClusterReport:
    """A collection in groups."""

    collection: str
    unit: Unit
    method: ClusterMethod
    points: int
    unclustered: int
    """In no group: only by density."""
    silhouette: float | None
    """Mean silhouette by cosine (Rousseeuw 1987), -1 to 1, on at most 2,000; None for one group."""
    tried: dict[int, float]
    """Silhouettes by number of groups, where the number was to be chosen."""
    clusters: tuple[Cluster, ...]


def find_clusters(
    settings: Settings | None = None,
    *,
    count: int | Literal["auto"] = "auto",
    method: ClusterMethod = "kmeans",
    unit: Unit = "documents",
    least_members: int = LEAST_MEMBERS,
    seed: int = 0,
) -> ClusterReport:
    """Put a collection's documents or passages into groups of like ones.

    Args:
        settings: say which collection; the defaults where None.
        count: of groups, or `auto`: by silhouette (`clustering.choose_count`); HDBSCAN always
            finds it itself.
        method: spherical k-means, or HDBSCAN for groups of any form and outliers in none.
        unit: what is grouped.
        least_members: of a group that HDBSCAN finds.
        seed: the same one gives the same groups.

    Raises:
        QueryError: there are too few or, for HDBSCAN, too many vectors for that.
        CollectionError: the collection is not there, or a writer is at work.
    """
    settings = settings or Settings.load()
    with open_collection(settings) as data:
        points = read_points(data, unit)
        labels, choice = group(
            points, count=count, method=method, least_members=least_members, seed=seed
        )
        names = name_groups(
            points, labels, ((key, source, text) for key, source, _, text in texts(data))
        )
    return ClusterReport(
        collection=settings.collection,
        unit=unit,
        method=method,
        points=len(points.points),
        unclustered=int((labels == NO_GROUP).sum()),
        silhouette=silhouette(points, labels, seed=seed),
        tried=choice.silhouettes,
        clusters=tuple(
            _cluster(points, labels, number, names[number]) for number in range(len(names))
        ),
    )


def group(
    points: Points,
    *,
    count: int | Literal["auto"] = "auto",
    method: ClusterMethod = "kmeans",
    least_members: int = LEAST_MEMBERS,
    seed: int = 0,
) -> tuple[Labels, Choice]:
    """The group of each point, from 0, the largest first; -1 for none. And what was tried.

    Raises:
        QueryError: there are too few or too many points for that.
    """
    if method == "hdbscan":
        if least_members < 2:
            raise QueryError(f"A group of {least_members} is none; 2 members are the least.")
        labels = density_groups(points.vectors, least_members=least_members, seed=seed)
        return labels, Choice(int(labels.max(initial=-1)) + 1, {})
    if count == "auto":
        choice = choose_count(points.vectors, seed=seed)
    elif 1 <= count <= len(points.points):
        choice = Choice(count, {})
    else:
        raise QueryError(
            f"{len(points.points):,} {points.unit} cannot be put into {count} groups. Ask for 1 "
            f"to {len(points.points):,}, or for auto."
        )
    return spherical_kmeans(points.vectors, choice.count, seed=seed), choice


def name_groups(
    points: Points, labels: Labels, passages: Iterable[tuple[str, str, str]]
) -> list[tuple[str, ...]]:
    """The distinctive words of each group.

    Args:
        points: what was grouped.
        labels: its groups.
        passages: id, source and text of every passage.
    """
    by_key = {point.key: int(label) for point, label in zip(points.points, labels, strict=True)}
    counts = TermCounts()
    for key, source, text in passages:
        label = by_key.get(source if points.unit == "documents" else key)
        if label is not None:
            counts.add(label, text)
    return [counts.distinctive(number, TERMS) for number in range(int(labels.max(initial=-1)) + 1)]


def silhouette(points: Points, labels: Labels, *, seed: int) -> float | None:
    """Mean silhouette by cosine of what is in a group, on a sample of 2,000; None for one group."""
    from sklearn.metrics import silhouette_score

    grouped = np.flatnonzero(labels != NO_GROUP)
    chosen = grouped[sample(len(grouped), SAMPLE_ROWS, seed=seed)]
    held = labels[chosen]
    if not 1 < len(np.unique(held)) < len(chosen):
        return None
    with steady():
        return float(silhouette_score(np.asarray(points.vectors[chosen]), held, metric="cosine"))


def _cluster(points: Points, labels: Labels, number: int, terms: tuple[str, ...]) -> Cluster:
    rows = np.flatnonzero(labels == number)
    vectors = points.vectors[rows]
    scores = scores_with(vectors, centroid(vectors))
    best = np.argsort(-scores, kind="stable")[:CENTRAL_MEMBERS]
    return Cluster(
        number=number + 1,
        size=len(rows),
        terms=terms,
        central=tuple(
            Member(points.points[rows[i]].name, points.points[rows[i]].title, float(scores[i]))
            for i in best
        ),
        members=tuple(points.points[row].name for row in rows),
    )
