"""The sockets: anything with these methods fits, nothing has to inherit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from retriever.records import EmbeddingFingerprint

Vectors = NDArray[np.float32]
V_co = TypeVar("V_co", covariant=True)

Keep = Callable[[Mapping[str, Vectors]], None]
"""Takes vectors by text, as they come."""
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


class Reranker(Protocol):
    """Scores texts by reading each together with the query.

    `retriever.testing` holds the kit that an implementation has to pass.
    """

    def rerank(self, query: str, texts: Sequence[str]) -> Vectors:
        """How well each text answers the query: shape (len(texts),), in the order given.

        From 0 to 1, higher is better. A score depends on its own text and the query alone.

        Raises:
            RerankingUnavailable: a transient failure; the order stays as it was.
            RerankingError: a final failure.
        """
        ...


@runtime_checkable
class KeepingEmbedder(Protocol):
    """An embedder whose vectors come in parts, each of which is worth keeping by itself."""

    def embed_chunks_keeping(self, texts: Sequence[str], keep: Keep) -> Vectors:
        """As `embed_chunks`; `keep` is given each part when it comes, by any thread.

        Where this raises, what was given to `keep` is whole and right.
        """
        ...


class Pending(Protocol[V_co]):
    """Texts on their way to vectors."""

    def result(self) -> V_co:
        """Wait for the vectors, in the order of the texts. To be asked for once.

        Raises:
            EmbeddingError: as the embedder; nothing goes on then.
        """
        ...

    def cancel(self) -> None:
        """Stop what is not done yet, soon. Safe to repeat, and after `result`."""
        ...


@runtime_checkable
class AheadEmbedder(Protocol):
    """An embedder that works on texts while its caller does something else."""

    def begin_chunks(self, texts: Sequence[str], keep: Keep) -> Pending[Vectors]:
        """Begin what `embed_chunks` does; `keep` is given each part while it is waited for.

        Raises:
            EmbeddingError: what is known to fail before anything is begun.
        """
        ...


@runtime_checkable
class Loadable(Protocol):
    """A part that takes time to get ready, and can be told to before it is timed."""

    def load(self) -> None:
        """Load what the first use would load. Safe to repeat."""
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


@runtime_checkable
class SelectiveEmbedder(Protocol):
    """An embedder that cannot embed every text, such as one that knows a list of words.

    It raises NothingToEmbed for a text that it cannot embed. Who has many asks first.
    """

    def sample_text(self) -> str:
        """A text that it can embed."""
        ...

    def refusals(self, texts: Sequence[str]) -> list[str]:
        """Why each text cannot be embedded as a chunk, in a few words; empty where it can."""
        ...

    def notes(self) -> list[str]:
        """What was left out of the chunks embedded so far, each in one sentence."""
        ...


@runtime_checkable
class VocabularyEmbedder(Protocol):
    """An embedder that holds a vector for each of its words."""

    def vocabulary(self) -> tuple[Sequence[str], Vectors]:
        """The words, and their vectors as they were trained: float32, (words, dimension).

        Row i belongs to word i; the order is the file's, which is mostly by falling frequency.
        The array is the embedder's own: it is not to be changed.
        """
        ...
