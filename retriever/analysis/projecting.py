"""Vectors to places in two dimensions: UMAP where it is installed, else principal components."""

import importlib.util
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np

from retriever.analysis.clustering import principal_components, steady
from retriever.protocols import Vectors

LEAST_FOR_UMAP = 10
"""Fewer points have too few neighbours for it."""
_NEIGHBOURS = 15
_LEAST_GAP = 0.1


@dataclass(frozen=True, slots=True)
class Projection:
    """Places on a map."""

    places: Vectors
    """float32, (n, 2), from 0 to 1 on the longer side, the other side centred."""
    method: Literal["UMAP", "PCA"]


def can_umap() -> bool:
    """Whether umap-learn is installed (extra `map`)."""
    return importlib.util.find_spec("umap") is not None


def project(vectors: Vectors, *, seed: int) -> Projection:
    """Places such that near vectors are near: UMAP (McInnes, Healy and Melville 2018), by cosine.

    With its usual 15 neighbours and least gap of 0.1, on one thread, so that the seed decides.
    Where umap-learn is not installed, or there are fewer than 10 vectors: the two principal
    components (Pearson 1901), which show the coarse directions only.

    Args:
        vectors: unit vectors, (n, dimension); all of them are held in memory.
        seed: of all chance.
    """
    if len(vectors) < LEAST_FOR_UMAP or not can_umap():
        return Projection(_to_unit_square(_by_components(vectors, seed)), "PCA")
    return Projection(_to_unit_square(_by_umap(vectors, seed)), "UMAP")


def _by_components(vectors: Vectors, seed: int) -> Vectors:
    with steady():
        found = principal_components(vectors, 2, seed=seed)
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def _by_umap(vectors: Vectors, seed: int) -> Vectors:
    with warnings.catch_warnings():
        # It warns of parts that are not connected, of rows that are equal, of its own imports.
        warnings.simplefilter("ignore")
        from umap import UMAP

        # Principal components as the beginning: the usual one asks a solver that may not end.
        model = UMAP(
            n_neighbors=min(_NEIGHBOURS, len(vectors) - 1),
            min_dist=_LEAST_GAP,
            metric="cosine",
            init=_beginning(vectors, seed),
            random_state=seed,
            n_jobs=1,
        )
        found = model.fit_transform(np.ascontiguousarray(vectors))
    return np.nan_to_num(np.asarray(found, dtype=np.float32))


def _beginning(vectors: Vectors, seed: int) -> Vectors:
    """Principal components scaled to UMAP's usual range, equal rows moved apart a little."""
    places = _by_components(vectors, seed)
    widest = float(np.abs(places).max()) or 1.0
    jitter = np.random.default_rng(seed).normal(scale=1e-4, size=places.shape)
    return np.asarray(10.0 * places / widest + jitter, dtype=np.float32)


def _to_unit_square(places: Vectors) -> Vectors:
    least, most = places.min(axis=0), places.max(axis=0)
    longest = float((most - least).max()) or 1.0
    centred = (places - (least + most) / 2) / longest
    return np.asarray(centred + 0.5, dtype=np.float32)
