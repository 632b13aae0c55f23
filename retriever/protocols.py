"""The sockets: anything with these methods fits, nothing has to inherit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from retriever.records import EmbeddingFingerprint

Vectors = NDArray[np.float32]
Side = Literal["query", "chunk"]
"""As what a text is embedded: models may read the two differently."""


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """A text's tokens as a model reads them in their sentence."""

    matrix: Vectors
    """Last hidden states: float32, shape (tokens, width), of any length."""
    spans: tuple[tuple[int, int], ...]
    """Where each token stands in the text: characters, end exclusive."""


class Embedder(Protocol):
    """Turns text into vectors: float32, unit length, one space for chunks and queries.

    `retriever.testing` holds the kit that an implementation has to pass.
    """

    @property
    def fingerprint(self) -> EmbeddingFingerprint:
        """How the vectors are made. Known without loading the model."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens the model reads for each text as a chunk.

        The chunk prefix and special tokens are included, so that a text fits if its count
        is at most `fingerprint.window_tokens`. Never too low. Does not load the model.
        """
        ...

    def embed_chunks(self, texts: Sequence[str]) -> Vectors:
        """Embed texts as chunks: shape (len(texts), dimension), rows in the order given.

        Raises:
            EmbeddingRejected: a text is longer than the window (nothing is ever cut), or refused.
            EmbeddingUnavailable: a transient failure outlasted every retry.
        """
        ...

    def embed_query(self, text: str) -> Vectors:
        """Embed one query: shape (dimension,).

        A query beyond the window is the normalised mean of its windows: nothing of it is cut.

        Raises:
            EmbeddingError: as for `embed_chunks`.
        """
        ...


@runtime_checkable
class BatchQueryEmbedder(Protocol):
    """An embedder that can also embed many queries in one batch."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed queries: shape (len(texts), dimension); row i equals `embed_query(texts[i])`."""
        ...


@runtime_checkable
class TokenEmbedder(Protocol):
    """An embedder that can also give a vector for each token."""

    def embed_tokens(self, texts: Sequence[str], *, side: Side) -> list[TokenVectors]:
        """The tokens of each text, in order; those of the prefix and special ones left out.

        Prefix and special tokens are read with the text. An array of 256 tokens takes about
        0.4 MB at 384 dimensions: the caller bounds how many texts are asked for at once.

        Raises:
            EmbeddingRejected: a text is longer than the window, or the model has no such vectors.
        """
        ...
