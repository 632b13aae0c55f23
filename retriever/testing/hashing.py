"""An embedder that needs no model: vectors of hashed words, so that rankings mean something."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from retriever.embedding.options import EmbedderOptions
from retriever.embedding.vectors import mean_vector, no_vectors, normalise
from retriever.errors import EmbeddingRejected
from retriever.protocols import Side, TokenVectors, Vectors
from retriever.records import EmbeddingFingerprint

TOKEN = re.compile(r"\w+|[^\w\s]")
SPECIAL_TOKENS = 2
SHORT_WORD_WEIGHT = 0.2
"""Words of up to three letters are mostly function words; they must not decide a ranking."""


class HashingEmbedder:
    """Embeds a text as the bag of its lower-case words, each hashed to one component.

    Texts that share words are near each other, others are not. Deterministic on every
    machine, and fast. A token is a word or a mark; two more stand for special tokens.
    For tests: `embedding.backend = "retriever.testing:HashingEmbedder"`.
    """

    def __init__(
        self, options: EmbedderOptions | None = None, *, dimension: int = 256, window: int = 256
    ) -> None:
        """Take model name, prefixes, dimension and window from the options where they say so."""
        chosen = options or EmbedderOptions(model="hashing")
        self._fingerprint = EmbeddingFingerprint(
            backend="hashing",
            model=chosen.model,
            revision="1",
            dimension=chosen.dimension or dimension,
            window_tokens=chosen.window_tokens or window,
            pooling="mean",
            query_prefix=chosen.query_prefix or "",
            chunk_prefix=chosen.chunk_prefix or "",
        )

    @property
    def fingerprint(self) -> EmbeddingFingerprint:
        """How the vectors are made."""
        return self._fingerprint

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words and marks of each text and of the chunk prefix, and two special tokens."""
        prefix = self._fingerprint.chunk_prefix
        return [len(TOKEN.findall(prefix + text)) + SPECIAL_TOKENS for text in texts]

    def embed_chunks(self, texts: Sequence[str]) -> Vectors:
        """Embed texts as chunks: float32, shape (len(texts), dimension), unit length.

        Raises:
            EmbeddingRejected: a text is longer than the window.
        """
        window = self._fingerprint.window_tokens
        for text, count in zip(texts, self.count_tokens(texts), strict=True):
            if count > window:
                raise EmbeddingRejected(
                    f"A text of {count} tokens is beyond the window of {window}: "
                    f"{text[:60]!r}... Cut it first."
                )
        if not texts:
            return no_vectors(self._fingerprint.dimension)
        return np.stack([self._vector(self._fingerprint.chunk_prefix + text) for text in texts])

    def embed_query(self, text: str) -> Vectors:
        """Embed one query, shape (dimension,); beyond the window, the mean of its windows."""
        prefix = self._fingerprint.query_prefix
        room = self._fingerprint.window_tokens - SPECIAL_TOKENS - len(TOKEN.findall(prefix))
        windows = [prefix + part for part in _split(text, max(room, 1))] or [prefix]
        return mean_vector(np.stack([self._vector(window) for window in windows]))

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed queries: shape (len(texts), dimension)."""
        if not texts:
            return no_vectors(self._fingerprint.dimension)
        return np.stack([self.embed_query(text) for text in texts])

    def embed_tokens(self, texts: Sequence[str], *, side: Side) -> list[TokenVectors]:
        """The words and marks of each text: one-hot rows, equal for equal words on either side."""
        found = [list(TOKEN.finditer(text)) for text in texts]
        return [
            TokenVectors(
                np.stack([self._vector(one.group()) for one in each])
                if each
                else no_vectors(self._fingerprint.dimension),
                tuple(one.span() for one in each),
            )
            for each in found
        ]

    def _vector(self, text: str) -> Vectors:
        vector = np.zeros(self._fingerprint.dimension, dtype=np.float64)
        words = [token for token in TOKEN.findall(text.lower()) if token.isalnum()]
        for word in words or [""]:
            weight = SHORT_WORD_WEIGHT if len(word) <= 3 else 1.0
            digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
            vector[int.from_bytes(digest[:8], "big") % len(vector)] += weight
        return normalise(vector)


def _split(text: str, tokens: int) -> Iterator[str]:
    found = iter(TOKEN.findall(text))
    while window := list(islice(found, tokens)):
        yield " ".join(window)
