"""The canary: a fixed text whose stored vector tells whether a model is still the same.

A name says little: weights under it can change. So a collection keeps the vector that its
model made of a text, and whoever loads the model for it compares.
"""

import threading
from collections.abc import Callable, Sequence

import numpy as np

from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import Canary
from retriever.embedding.cache import CachingEmbedder, VectorCache
from retriever.errors import FingerprintMismatch
from retriever.protocols import BatchQueryEmbedder, Embedder, Vectors
from retriever.records import EmbeddingFingerprint

TEXT = "A canary sings in the mine: 42 litres of air, naïve café, 日本語, print('hello')."
LEAST_COSINE = 0.99
"""Other arithmetic (bfloat16, another runtime) stays above 0.999; other weights fall far below."""


def make_canary(embedder: Embedder) -> Canary:
    """The canary of a new collection."""
    return Canary(text=TEXT, vector=embedder.embed_chunks([TEXT])[0])


def check_canary(embedder: Embedder, canary: Canary, *, collection: str) -> float:
    """Embed the canary again and compare: the cosine, from -1 to 1.

    Raises:
        FingerprintMismatch: the cosine is below 0.99, so the model has changed.
    """
    vector = embedder.embed_chunks([canary.text])[0]
    same_width = vector.shape == canary.vector.shape
    norms = float(np.linalg.norm(vector) * np.linalg.norm(canary.vector)) or 1.0
    cosine = float(vector @ canary.vector) / norms if same_width else -1.0
    if cosine < LEAST_COSINE:
        raise FingerprintMismatch(
            collection,
            {"canary cosine": (1.0, round(cosine, 4))},
            advice=f"The model under the name {embedder.fingerprint.model!r} makes other vectors "
            "than the one that built the collection. Bring the old model back, or ingest into a "
            "new collection.",
        )
    return cosine


class CheckedEmbedder:
    """An embedder that runs a check before its model is used for the first time.

    What needs no model (fingerprint, counting tokens) runs no check.
    """

    def __init__(self, embedder: Embedder, check: Callable[[Embedder], object]) -> None:
        """Wrap `embedder`; `check` is called with it and raises where it is the wrong one."""
        self._embedder = embedder
        self._check = check
        self._lock = threading.Lock()
        self._checked = False

    @property
    def fingerprint(self) -> EmbeddingFingerprint:
        """How the vectors are made."""
        return self._embedder.fingerprint

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """As the wrapped embedder counts them."""
        return self._embedder.count_tokens(texts)

    def embed_chunks(self, texts: Sequence[str]) -> Vectors:
        """Embed texts as chunks: float32, shape (len(texts), dimension), unit length."""
        return self._ready().embed_chunks(texts)

    def embed_query(self, text: str) -> Vectors:
        """Embed one query: float32, shape (dimension,)."""
        return self._ready().embed_query(text)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed queries in one batch where the embedder can: shape (len(texts), dimension)."""
        ready = self._ready()
        if isinstance(ready, BatchQueryEmbedder):
            return ready.embed_queries(texts)
        return np.stack([ready.embed_query(text) for text in texts])

    def _ready(self) -> Embedder:
        with self._lock:
            if not self._checked:
                self._check(self._embedder)
                self._checked = True
        return self._embedder


def checked_embedder(
    embedder: Embedder, data: PhysicalCollection, cache: VectorCache | None
) -> Embedder:
    """The embedder behind the cache; its first use sees that it is the one that built `data`."""

    def check(loaded: Embedder) -> None:
        canary = data.canary
        if canary is not None:
            check_canary(loaded, canary, collection=data.name)

    checked = CheckedEmbedder(embedder, check)
    return CachingEmbedder(checked, cache) if cache else checked
