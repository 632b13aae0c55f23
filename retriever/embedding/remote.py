"""An embedder somewhere else: what every provider shares.

The provider makes one call, and `calls` all that are needed. Prefixes, refusals, equal texts once,
and queries beyond the window are here.
"""

import warnings
from collections.abc import Sequence

import numpy as np

from retriever.embedding.calls import Calls, KeepRows
from retriever.embedding.keeping import keep_nothing
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.provider import Limits, Provider, Side
from retriever.embedding.provider_tokens import Count
from retriever.embedding.spending import Budget
from retriever.embedding.vectors import mean_vector, no_vectors
from retriever.errors import EmbeddingRejected
from retriever.protocols import Keep, Vectors
from retriever.records import EmbeddingFingerprint

UNREADABLE = (ValueError, TypeError, AttributeError, OverflowError, RecursionError)
"""What reading an answer raises that is not what was asked for, or is nested without end."""


class RemoteEmbedder:
    """Embeds by calls to a provider; threads may share it."""

    def __init__(
        self,
        provider: Provider,
        fingerprint: EmbeddingFingerprint,
        options: EmbedderOptions,
        *,
        limits: Limits,
        count: Count,
        budget: Budget,
        counting_advice: str = "",
    ) -> None:
        """Keep everything; no call is made.

        `counting_advice` says how inexact counts become exact; who counts is told once.
        """
        self._provider = provider
        self._fingerprint = fingerprint
        self._count = count
        self._calls = Calls(provider, fingerprint, options, limits=limits, budget=budget)
        self._counting_advice = counting_advice
        self.budget = budget

    def __repr__(self) -> str:
        """Backend and model, and nothing secret."""
        return f"RemoteEmbedder({self._fingerprint.backend}, {self._fingerprint.model!r})"

    @property
    def fingerprint(self) -> EmbeddingFingerprint:
        """How the vectors are made, as far as the provider says."""
        return self._fingerprint

    def close(self) -> None:
        """Close the connections to the provider; the next call opens new ones."""
        self._provider.close()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Counts with the chunk prefix: exact, or an upper bound where no vocabulary is at hand."""
        if self._counting_advice:
            advice, self._counting_advice = self._counting_advice, ""
            warnings.warn(advice, UserWarning, stacklevel=2)
        return self._count([self._fingerprint.chunk_prefix + text for text in texts])

    def embed_chunks(self, texts: Sequence[str]) -> Vectors:
        """Embed texts as chunks: float32, shape (len(texts), dimension), unit length.

        Raises:
            EmbeddingRejected: a text is longer than the window, or the provider refused.
            EmbeddingUnavailable: a transient failure outlasted every try.
            BudgetExceeded: the next call would cost more than is left.
        """
        return self.embed_chunks_keeping(texts, keep_nothing)

    def embed_chunks_keeping(self, texts: Sequence[str], keep: Keep) -> Vectors:
        """As `embed_chunks`; what each call brings is handed to `keep` when it comes.

        `keep` may be called by any thread, and for calls that end after another has failed.
        """
        prefix = self._fingerprint.chunk_prefix

        def keep_bare(prefixed: Sequence[str], vectors: Vectors) -> None:
            keep({text[len(prefix) :]: row for text, row in zip(prefixed, vectors, strict=True)})

        return self._embed([prefix + text for text in texts], "chunk", keep_bare)

    def embed_query(self, text: str) -> Vectors:
        """Embed one query, shape (dimension,); beyond the window, the mean of its windows."""
        vector: Vectors = self.embed_queries([text])[0]
        return vector

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed queries in as few calls as they fit: shape (len(texts), dimension)."""
        if not texts:
            return no_vectors(self._fingerprint.dimension)
        prefix, window = self._fingerprint.query_prefix, self._fingerprint.window_tokens
        windows = [[prefix + part for part in self._split(text, prefix, window)] for text in texts]
        vectors = self._embed([part for parts in windows for part in parts], "query", _drop)
        rows, start = [], 0
        for parts in windows:
            rows.append(mean_vector(vectors[start : start + len(parts)]))
            start += len(parts)
        return np.stack(rows)

    def _split(self, text: str, prefix: str, window: int) -> list[str]:
        """Halves of halves, cut at spaces, until each part fits the window."""
        if len(text) < 2 or self._count([prefix + text])[0] <= window:
            return [text]
        middle = len(text) // 2
        space = text.rfind(" ", 1, middle)
        cut = space if space > middle // 2 else middle
        return self._split(text[:cut], prefix, window) + self._split(text[cut:], prefix, window)

    def _embed(self, texts: Sequence[str], side: Side, keep: KeepRows) -> Vectors:
        if not texts:
            return no_vectors(self._fingerprint.dimension)
        unique = list(dict.fromkeys(texts))
        counts = self._count(unique)
        self._refuse_long(unique, counts)
        vectors = self._calls.embed(unique, counts, side, keep)
        row = {text: i for i, text in enumerate(unique)}
        return vectors[[row[text] for text in texts]]

    def _refuse_long(self, texts: Sequence[str], counts: Sequence[int]) -> None:
        window = self._fingerprint.window_tokens
        for text, count in zip(texts, counts, strict=True):
            if count > window:
                raise EmbeddingRejected(
                    f"A text of about {count} tokens is beyond the window of "
                    f"{self._fingerprint.model}, {window} tokens: {text[:60]!r}... Nothing is ever "
                    "cut off: make smaller chunks (chunking.tokens)."
                )


def _drop(texts: Sequence[str], vectors: Vectors) -> None:
    """Queries are not kept."""
