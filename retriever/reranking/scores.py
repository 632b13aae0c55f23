"""Scores as every reranker gives them: float32, from 0 to 1, one for each text."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retriever.errors import RerankingError
from retriever.protocols import Vectors

_NOISE = 1e-3
_ADVICE = "It has to give one finite number from 0 to 1 for each text."


def checked(scores: ArrayLike, *, count: int, model: str) -> Vectors:
    """The scores, if there is one for each text; noise beyond the range is cut off.

    Raises:
        RerankingError: there are more or fewer, or one is no number or far beyond the range.
    """
    try:
        found = np.asarray(scores, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise RerankingError(
            f"The reranker {model} gave no scores, but {scores!r:.80}. {_ADVICE}"
        ) from error
    if found.shape != (count,) or not np.isfinite(found).all():
        raise RerankingError(
            f"The reranker {model} gave scores of shape {found.shape} for {count} texts, or one "
            f"that is no number. {_ADVICE}"
        )
    if count and (found.min() < -_NOISE or found.max() > 1.0 + _NOISE):
        raise RerankingError(
            f"The reranker {model} gave scores from {found.min():g} to {found.max():g}. {_ADVICE}"
        )
    return np.clip(found, 0.0, 1.0)


def from_logits(scores: NDArray[np.floating]) -> NDArray[np.floating]:
    """Scores of any range as numbers from 0 to 1 in the same order: the logistic function."""
    within = np.clip(scores, -60.0, 60.0)
    return np.asarray(1.0 / (1.0 + np.exp(-within)))
