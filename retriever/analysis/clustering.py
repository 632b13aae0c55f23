"""Groups of vectors: spherical k-means, HDBSCAN, and how many groups there are.

Plain functions on unit vectors, (n, dimension) float32. They run on one thread: sums of
several threads come in no fixed order, and the same seed has to give the same groups.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retriever.analysis.cosines import blocks
from retriever.embedding.vectors import normalise
from retriever.errors import QueryError
from retriever.protocols import Vectors

Labels = NDArray[np.int64]

MOST_ROWS_AT_ONCE = 100_000
"""More rows than this are clustered in batches."""
BEGINNING_ROWS = 20_000
"""Rows of the sample that batches begin from."""
MOST_ROWS_BY_DENSITY = 20_000
"""HDBSCAN's time grows with the square of the rows."""
SAMPLE_ROWS = 2_000
"""Rows that the number of groups is chosen on: all their pairs are held in memory, 32 MB."""
MOST_GROUPS_TRIED = 40
LEAST_MEAN_MEMBERS = 3
"""Of groups whose number is to be chosen: pairs and single rows are no groups of a collection."""
DENSITY_DIMENSIONS = 20
"""What HDBSCAN sees, by principal components: among hundreds of dimensions all gaps are alike."""
SMALL_GAIN = 0.05
_MOST_STEPS = 100
_STARTS = 4
NO_GROUP = -1


@dataclass(frozen=True, slots=True)
class Choice:
    """A number of groups, and what was tried."""

    count: int
    silhouettes: dict[int, float]
    """By number of groups: -1 to 1, higher is better."""


def spherical_kmeans(vectors: Vectors, count: int, *, seed: int) -> Labels:
    """Groups around directions (Dhillon and Modha 2001): (n,) labels from 0, the largest first.

    scikit-learn's k-means finds them on unit vectors, in mini-batches above 100,000; then
    centroids of unit length are moved until no row changes its group.

    Args:
        vectors: unit vectors, (n, dimension).
        count: groups, from 1 to n; fewer come back where there are fewer different rows.
        seed: of the starting points.
    """
    count = min(count, len(vectors))
    with steady():
        centres = _centres(vectors, count, seed)
        labels = _assign(vectors, centres)
        for _ in range(_MOST_STEPS if len(vectors) <= MOST_ROWS_AT_ONCE else 1):
            moved = _assign(vectors, _means(vectors, labels, centres))
            if np.array_equal(moved, labels):
                break
            labels = moved
    return by_size(labels)


def _centres(vectors: Vectors, count: int, seed: int) -> Vectors:
    from sklearn.cluster import KMeans, MiniBatchKMeans

    many = len(vectors) > MOST_ROWS_AT_ONCE
    most = max(BEGINNING_ROWS, count) if many else len(vectors)
    begin = sample(len(vectors), most, seed=seed)
    found = KMeans(count, n_init=_STARTS, random_state=seed).fit(np.asarray(vectors[begin]))
    if len(begin) < len(vectors):
        # Mini-batches that begin by themselves leave groups merged: a sample's centres are better.
        found = MiniBatchKMeans(count, init=found.cluster_centers_, n_init=1, random_state=seed)
        places = np.random.default_rng(seed).permutation(len(vectors))
        for part in blocks(len(vectors)):
            found.partial_fit(np.asarray(vectors[np.sort(places[part])]))
    return normalise(found.cluster_centers_)


def _assign(vectors: Vectors, centres: Vectors) -> Labels:
    return np.concatenate(
        [np.argmax(vectors[part] @ centres.T, axis=1) for part in blocks(len(vectors))]
    ).astype(np.int64)


def _means(vectors: Vectors, labels: Labels, before: Vectors) -> Vectors:
    """The direction of each group's mean; a group without a row stays where it was."""
    sums = np.zeros(before.shape, dtype=np.float64)
    for part in blocks(len(vectors)):
        np.add.at(sums, labels[part], vectors[part].astype(np.float64))
    moved = normalise(sums)
    return np.where(moved.any(axis=1, keepdims=True), moved, before)


def density_groups(vectors: Vectors, *, least_members: int, seed: int) -> Labels:
    """Groups of any form, by density: HDBSCAN (Campello, Moulavi and Sander 2013).

    On the first principal components, normalised again.

    Args:
        vectors: unit vectors, (n, dimension), at most 20,000.
        least_members: rows that make a group, 2 or more.
        seed: of the principal components.

    Returns:
        (n,) labels from 0, the largest group first; -1 for rows in none.

    Raises:
        QueryError: there are too many rows.
    """
    from sklearn.cluster import HDBSCAN

    if len(vectors) > MOST_ROWS_BY_DENSITY:
        raise QueryError(
            f"HDBSCAN compares all pairs, and is run on {MOST_ROWS_BY_DENSITY:,} vectors at most, "
            f"not on {len(vectors):,}. Use k-means."
        )
    if len(vectors) <= least_members or np.allclose(vectors, vectors[0], atol=1e-6):
        return np.zeros(len(vectors), dtype=np.int64)
    with steady():
        reduced = normalise(principal_components(vectors, DENSITY_DIMENSIONS, seed=seed))
        found = HDBSCAN(min_cluster_size=least_members, copy=True).fit_predict(reduced)
    return by_size(np.asarray(found, dtype=np.int64))


def principal_components(vectors: Vectors, count: int, *, seed: int) -> Vectors:
    """The coordinates of most variance (Pearson 1901): (n, dimension) to (n, count) float32.

    Fewer columns where there are fewer rows or dimensions; signs are fixed by the data.
    """
    from sklearn.decomposition import PCA

    kept = min(count, *vectors.shape)
    fitted = PCA(kept, svd_solver="auto", random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal rows have no variance to share
        found = fitted.fit_transform(vectors)
    return np.nan_to_num(np.asarray(found, dtype=np.float32))


def choose_count(vectors: Vectors, *, seed: int) -> Choice:
    """The least number of groups whose mean silhouette (Rousseeuw 1987, by cosine) is as the best.

    More groups have to be worth it: `least_as_good` says what counts as good as the best. Tried
    on a sample of 2,000 rows, from 2 groups to 40, or to a third of the rows.

    Raises:
        QueryError: there are fewer than 3 rows.
    """
    if len(vectors) < 3:
        raise QueryError(
            f"There is too little to choose groups from: {len(vectors)}, and 3 are needed. "
            "Ingest more, or say how many groups."
        )
    chosen = sample(len(vectors), SAMPLE_ROWS, seed=seed)
    means, errors = _silhouettes(np.asarray(vectors[chosen]), seed)
    if not means:  # all rows are equal
        return Choice(1, {})
    return Choice(least_as_good(means, errors), means)


def least_as_good(means: dict[int, float], errors: dict[int, float]) -> int:
    """The least number of groups that is as good as the best one.

    That is within one standard error of it (Breiman, Friedman, Olshen and Stone 1984), or within
    a twentieth: of mixtures of three to five sets of documents that was never further from the
    sets, and nearer in three of nine.

    Args:
        means: mean silhouettes by number of groups, one at least.
        errors: the standard error of each.
    """
    best = max(means, key=lambda count: means[count])
    tolerance = max(errors[best], SMALL_GAIN * abs(means[best]))
    return min(count for count, mean in means.items() if mean >= means[best] - tolerance)


def _silhouettes(rows: Vectors, seed: int) -> tuple[dict[int, float], dict[int, float]]:
    """By number of groups: the mean silhouette, and the standard error of that mean."""
    from sklearn.metrics import silhouette_samples

    apart = np.clip(1.0 - rows @ rows.T, 0.0, 2.0)
    np.fill_diagonal(apart, 0.0)
    means, errors = {}, {}
    for count in _candidates(len(rows)):
        labels = spherical_kmeans(rows, count, seed=seed)
        if 1 < len(set(labels.tolist())) < len(rows):
            with steady():
                found = silhouette_samples(apart, labels, metric="precomputed")
            means[count] = round(float(np.mean(found)), 4)
            errors[count] = float(np.std(found)) / math.sqrt(len(rows))
    return means, errors


def _candidates(rows: int) -> list[int]:
    """Every number up to 12, then wider steps: neighbours of a large one hardly differ."""
    wanted = [*range(2, 13), 14, 16, 18, 20, 24, 28, 32, 36, MOST_GROUPS_TRIED]
    return [count for count in wanted if count <= max(2, rows // LEAST_MEAN_MEMBERS)]


def sample(rows: int, most: int, *, seed: int) -> NDArray[np.int64]:
    """Row numbers in order: all of them, or `most` drawn at random."""
    if rows <= most:
        return np.arange(rows, dtype=np.int64)
    drawn = np.random.default_rng(seed).choice(rows, size=most, replace=False)
    return np.sort(drawn).astype(np.int64)


def by_size(labels: Labels) -> Labels:
    """The same groups, numbered by size and then by their first row; -1 stays."""
    kept, firsts, sizes = np.unique(labels[labels >= 0], return_index=True, return_counts=True)
    order = np.lexsort((firsts, -sizes))
    numbers = {int(kept[place]): number for number, place in enumerate(order)}
    return np.array([numbers.get(int(one), NO_GROUP) for one in labels], dtype=np.int64)


@contextmanager
def steady() -> Iterator[None]:
    """One thread, and no warning where there are fewer different rows than groups."""
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
