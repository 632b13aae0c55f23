"""Late interaction with the embedder's own token vectors: no further weights are needed.

MaxSim (Khattab and Zaharia, ColBERT, SIGIR 2020): each token of the query looks for the token
of the text that is nearest to it. Here the score is the mean of these cosines rather than
their sum, so that it does not grow with the query; below 0 it counts as 0.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from retriever.errors import EmbeddingRejected, RerankingError
from retriever.protocols import Embedder, TokenEmbedder, Vectors

TEXTS_AT_ONCE = 32
"""Bounds the memory of the token vectors: about 0.4 MB a text of 256 tokens."""
LONGEST_QUERY_CHARACTERS = 2_000
"""Of a longer query, the beginning is read."""
_SPARE_TOKENS = 16
"""The prefix of a query may take more tokens than that of a chunk, which is counted."""


class ReadingEmbedder(Embedder, TokenEmbedder, Protocol):
    """An embedder with token vectors."""


class LateInteractionReranker:
    """Reranks by MaxSim over an embedder's token vectors; threads may share it."""

    def __init__(self, embedder: ReadingEmbedder) -> None:
        """Keep the embedder; nothing is loaded yet."""
        self._embedder = embedder
        self._name = embedder.fingerprint.model

    def __repr__(self) -> str:
        """The embedder's name."""
        return f"LateInteractionReranker({self._name!r})"

    def load(self) -> None:
        """Load the model's transformer, unless it is.

        Raises:
            RerankingError: the model gives no token vectors.
        """
        self.rerank("ready", ["ready"])

    def rerank(self, query: str, texts: Sequence[str]) -> Vectors:
        """Scores from 0 to 1: float32, shape (len(texts),); 0 for a text without tokens.

        Of a query or text beyond the model's window, the beginning is read.

        Raises:
            RerankingError: the model gives no token vectors.
        """
        scores = np.zeros(len(texts), dtype=np.float32)
        if not texts:
            return scores
        try:
            short = self._fitting(query[:LONGEST_QUERY_CHARACTERS])
            asked = _unit(self._embedder.embed_tokens([short], side="query")[0].matrix)
            for start, matrix in self._matrices(texts):
                scores[start] = max_sim(asked, matrix)
        except EmbeddingRejected as error:
            raise RerankingError(
                f"{self._name} gives no token vectors for this: {error} Use another reranker."
            ) from error
        return np.clip(scores, 0.0, 1.0)

    def _matrices(self, texts: Sequence[str]) -> Iterator[tuple[int, Vectors]]:
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            batch = [self._fitting(text) for text in texts[start : start + TEXTS_AT_ONCE]]
            found = self._embedder.embed_tokens(batch, side="chunk")
            for place, tokens in enumerate(found):
                yield start + place, _unit(tokens.matrix)

    def _fitting(self, text: str) -> str:
        """The beginning of a text that fits the window."""
        room = max(1, self._embedder.fingerprint.window_tokens - _SPARE_TOKENS)
        while len(text) > room and self._embedder.count_tokens([text])[0] > room:
            text = text[: len(text) * 3 // 4]
        return text


def max_sim(query: Vectors, text: Vectors) -> float:
    """Mean over the query's tokens of the highest cosine to one of the text's.

    Args:
        query: unit vectors, float32, shape (tokens, width).
        text: the same of the text.

    Returns:
        From -1 to 1; 0 where either has no tokens.
    """
    if not len(query) or not len(text):
        return 0.0
    return float((query @ text.T).max(axis=1).mean())


def _unit(matrix: Vectors) -> Vectors:
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix / np.maximum(lengths, 1e-12), dtype=np.float32)
