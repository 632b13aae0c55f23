"""The socket of a provider: what one call takes, gives, and fails with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.rate_headers import NOT_TOLD, RateLimits
from retriever.errors import EmbeddingRejected, EmbeddingUnavailable

Side = Literal["query", "chunk"]


class TooLargeError(EmbeddingRejected):
    """The provider refused a call for its size: half of it may pass."""


class OverLimit(EmbeddingUnavailable):
    """The provider refused a call because too many, or too many tokens, came in a minute.

    Attributes:
        limits: what it says of its limits.
    """

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, limits: RateLimits | None = None
    ) -> None:
        self.limits = limits or NOT_TOLD
        super().__init__(message, retry_after_s=retry_after_s)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider takes in one call."""

    texts: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call gave."""

    vectors: NDArray[np.floating]
    """Shape (texts, dimension), in the order of the texts."""
    tokens: int
    """Tokens that the provider charged, 0 where it does not say."""
    limits: RateLimits = NOT_TOLD
    """What it says of its limits."""


class Provider(Protocol):
    """One call to an embedding service."""

    def call(self, texts: Sequence[str], side: Side) -> Answer:
        """Embed texts that are within the limits, prefixes included.

        Raises:
            EmbeddingUnavailable: a transient failure; OverLimit where calls came too fast.
            TooLargeError: the call was too large for the provider.
            EmbeddingRejected: a final failure.
        """
        ...

    def close(self) -> None:
        """Close what connections are open; the next call opens new ones."""
        ...
