"""Cosines between vectors, in blocks: bounded memory, whatever the number of rows.

The cosine of two vectors is the dot product of their directions: 1 for the same direction,
0 for none in common, -1 for the opposite (Salton, Wong and Yang 1975). Rows may be mapped
from a file; a block of them is in memory at a time.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.vectors import normalise
from retriever.protocols import Vectors

BLOCK_ROWS = 2_048
"""Rows at a time: a block against a block of them is 16 MB."""

Numbers = NDArray[np.int64]


def blocks(rows: int) -> Iterator[slice]:
    """All rows in slices of `BLOCK_ROWS`."""
    return (slice(start, start + BLOCK_ROWS) for start in range(0, rows, BLOCK_ROWS))


def cosine_matrix(vectors: NDArray[np.floating]) -> Vectors:
    """The cosine of every vector with every other: (n, dimension) to (n, n), -1 to 1.

    Symmetric, 1 on the diagonal.
    """
    units = normalise(vectors)
    found = np.clip(units @ units.T, -1.0, 1.0)
    found = (found + found.T) / 2
    np.fill_diagonal(found, 1.0)
    return np.asarray(found, dtype=np.float32)


def centroid(vectors: Vectors) -> Vectors:
    """The direction of the mean of unit vectors: (n, dimension) to (dimension,)."""
    total = np.zeros(vectors.shape[1], dtype=np.float64)
    for part in blocks(len(vectors)):
        total += vectors[part].sum(axis=0, dtype=np.float64)
    return normalise(total)


def scores_with(vectors: Vectors, direction: Vectors) -> Vectors:
    """The cosine of each unit vector with one: (n, dimension) and (dimension,) to (n,)."""
    found = np.empty(len(vectors), dtype=np.float32)
    for part in blocks(len(vectors)):
        found[part] = vectors[part] @ direction
    return np.clip(found, -1.0, 1.0)


def nearest(vectors: Vectors, queries: Vectors, count: int) -> tuple[Numbers, Vectors]:
    """The rows nearest to each query, by exact search, best first; equal scores by row number.

    Args:
        vectors: unit vectors, (n, dimension).
        queries: unit vectors, (q, dimension).
        count: rows for each query, at most n.

    Returns:
        Row numbers and their cosines, (q, min(count, n)) each.
    """
    count = min(count, len(vectors))
    rows = np.zeros((len(queries), 0), dtype=np.int64)
    scores = np.zeros((len(queries), 0), dtype=np.float32)
    for part in blocks(len(vectors)):
        found = np.clip(queries @ vectors[part].T, -1.0, 1.0)
        numbers = np.broadcast_to(np.arange(part.start, part.start + found.shape[1]), found.shape)
        rows = np.concatenate([rows, numbers], axis=1)
        scores = np.concatenate([scores, found], axis=1)
        best = np.lexsort((rows, -scores))[:, :count]
        rows = np.take_along_axis(rows, best, axis=1)
        scores = np.take_along_axis(scores, best, axis=1)
    return rows, scores


def close_pairs(
    vectors: Vectors, *, least: float, most: int
) -> tuple[list[tuple[int, int, float]], int]:
    """Pairs of rows whose cosine is at least `least`, the closest first.

    Every pair is looked at, n² / 2 of them.

    Args:
        vectors: unit vectors, (n, dimension).
        least: the cosine from which on two rows are a pair.
        most: pairs that are kept.

    Returns:
        (row, later row, cosine) for each pair kept, and how many pairs there are in all.
    """
    found: list[tuple[int, int, float]] = []
    count = 0
    for left in blocks(len(vectors)):
        for right in blocks(len(vectors)):
            if right.start < left.start:
                continue
            scores = vectors[left] @ vectors[right].T
            if left == right:
                scores[np.tril_indices(len(scores))] = -np.inf
            rows, columns = np.nonzero(scores >= least)
            count += len(rows)
            values = np.minimum(scores[rows, columns], 1.0)
            kept = np.argsort(-values, kind="stable")[:most]
            found += (
                (left.start + int(rows[i]), right.start + int(columns[i]), float(values[i]))
                for i in kept
            )
            found = sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1]))[:most]
    return found, count
