"""Scores as every reranker gives them: float32, from 0 to 1, one for each text."""

import numpy as np
from numpy.typing import NDArray

from retriever.errors import RerankingError
from retriever.protocols import Vectors


def checked(scores: NDArray[np.generic], *, count: int, model: str) -> Vectors:
    """The scores, if there is one for each text; noise beyond the range is cut off.

    Raises:
        RerankingError: there are more or fewer, or one is no number.
    """
    found = np.asarray(scores, dtype=np.float32)
    if found.shape != (count,) or not np.isfinite(found).all():
        raise RerankingError(
            f"The reranker {model} gave scores of shape {found.shape} for {count} texts, or one "
            "that is no number. Its scores are one finite number for each text."
        )
    return np.clip(found, 0.0, 1.0)


def from_logits(scores: NDArray[np.floating]) -> NDArray[np.floating]:
    """Scores of any range as numbers from 0 to 1 in the same order: the logistic function."""
    within = np.clip(scores, -60.0, 60.0)
    return np.asarray(1.0 / (1.0 + np.exp(-within)))
