"""Arithmetic on vectors that every backend shares: unit length, means, checks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retriever.errors import EmbeddingRejected
from retriever.protocols import Vectors

CANARY_TEXT = "A canary sings in the mine: 42 litres of air, naïve café, 日本語, print('hello')."
"""What a model embeds to show that it is still the same: of no document, and told in no note."""

_LENGTH_TOLERANCE = 1e-3
"""Far more than float32 rounds away."""


def normalise(vectors: NDArray[np.floating]) -> Vectors:
    """Scale vectors to unit length along the last axis; zero vectors stay zero.

    Args:
        vectors: shape (..., dimension), any float type.

    Returns:
        The same shape, float32. Lengths are computed in float64.
    """
    wide = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(wide, axis=-1, keepdims=True)
    return np.asarray(wide / np.where(lengths == 0.0, 1.0, lengths), dtype=np.float32)


def mean_vector(vectors: Vectors) -> Vectors:
    """The normalised mean of unit vectors: (n, dimension) to (dimension,)."""
    return normalise(vectors.mean(axis=0, dtype=np.float64))


def document_vector(vectors: Sequence[Vectors], dimension: int) -> Vectors:
    """The normalised mean of a document's chunk vectors; the first axis where there is none."""
    if vectors:
        mean = mean_vector(np.stack(vectors))
        if mean.any():
            return mean
    axis: Vectors = np.zeros(dimension, dtype=np.float32)
    axis[0] = 1.0
    return axis


def no_vectors(dimension: int) -> Vectors:
    """The answer to an empty list: shape (0, dimension)."""
    return np.zeros((0, dimension), dtype=np.float32)


def checked(vectors: NDArray[np.floating], *, count: int, dimension: int, model: str) -> Vectors:
    """Normalise a model's answer after checking that it is one.

    Returns:
        float32, shape (count, dimension), unit length.

    Raises:
        EmbeddingRejected: another shape, a value that is not finite, or a vector of zeros.
    """
    if vectors.shape != (count, dimension):
        raise EmbeddingRejected(
            f"{model} answered with an array of shape {vectors.shape} for {count} texts; "
            f"({count}, {dimension}) was expected. Set embedding.dimension to what the model "
            "gives, or name another model."
        )
    if not np.isfinite(vectors).all():
        raise EmbeddingRejected(
            f"{model} answered with values that are not finite. Of a local model, try "
            "embedding.precision = 'float32'; of a server, ask who runs it."
        )
    units = normalise(vectors)
    if count and not np.any(units, axis=1).all():
        raise EmbeddingRejected(
            f"{model} answered with a vector of zeros, which has no direction and cannot be "
            "searched. Leave the text out, or name another model."
        )
    return units


def kept_promise(answer: object, *, count: int, dimension: int, model: str) -> Vectors:
    """What an embedder answered, where it is what every embedder promises.

    Vectors of unit length stay as they are, bit by bit; others are normalised.

    Returns:
        float32, shape (count, dimension), unit length.

    Raises:
        EmbeddingRejected: it is no array of numbers, or `checked` refuses it.
    """
    try:
        with np.errstate(over="ignore"):
            vectors = np.asarray(answer, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise EmbeddingRejected(
            f"{model} answered with {type(answer).__name__}, where an array of shape "
            f"({count}, {dimension}) was expected: {error}. retriever.testing.EmbedderContract "
            "says what an embedder has to do."
        ) from error
    if vectors.shape == (count, dimension):
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        if (np.abs(lengths - 1.0) < _LENGTH_TOLERANCE).all():
            return vectors
    return checked(vectors, count=count, dimension=dimension, model=model)


def is_sound(vector: Vectors, dimension: int) -> bool:
    """Whether a vector can be one of an embedder's: its dimension, finite, of unit length."""
    if vector.shape != (dimension,) or not np.isfinite(vector).all():
        return False
    length = float(np.linalg.norm(vector.astype(np.float64)))  # float32 overflows
    return abs(length - 1.0) < _LENGTH_TOLERANCE
