"""Which vectors stand alone: far from the centre, or in a thinner place than their neighbours."""

import numpy as np

from retriever.analysis.clustering import sample, steady
from retriever.analysis.cosines import blocks, centroid, scores_with
from retriever.protocols import Vectors

MOST_ROWS_FITTED = 20_000
"""Above it, densities are those of a sample: all pairs are looked at."""


def centroid_scores(vectors: Vectors) -> Vectors:
    """The cosine of each unit vector with the direction of their mean: (n,), -1 to 1."""
    return scores_with(vectors, centroid(vectors))


def local_outlier_factors(vectors: Vectors, *, neighbours: int, seed: int) -> Vectors:
    """How much thinner it is around each row than around its neighbours: LOF, (n,) float32.

    1 is as dense as there; the higher, the lonelier. Breunig et al. 2000, by cosine. Above
    20,000 rows the densities are those of a sample of so many.

    Args:
        vectors: unit vectors, (n, dimension).
        neighbours: how many rows density is measured by; fewer where there are fewer rows.
            A group of outliers is only seen with more neighbours than it has members.
        seed: of the sample.
    """
    from sklearn.neighbors import LocalOutlierFactor

    chosen = sample(len(vectors), MOST_ROWS_FITTED, seed=seed)
    count = min(neighbours, len(chosen) - 1)
    if count < 1:
        return np.ones(len(vectors), dtype=np.float32)
    whole = len(chosen) == len(vectors)
    model = LocalOutlierFactor(count, metric="cosine", algorithm="brute", novelty=not whole)
    with steady():
        model.fit(np.asarray(vectors[chosen]))
        found = np.empty(len(vectors), dtype=np.float32)
        found[chosen] = -model.negative_outlier_factor_
        if not whole:
            others = np.setdiff1d(np.arange(len(vectors)), chosen)
            for part in blocks(len(others)):
                rows = others[part]
                found[rows] = -model.score_samples(np.asarray(vectors[rows]))
    return found
