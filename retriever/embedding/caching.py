"""The vector cache in front of an embedder: asked first, and given what was embedded."""

import threading
from collections.abc import Mapping, Sequence

import numpy as np

from retriever.embedding.ahead import Later
from retriever.embedding.cache import VectorCache
from retriever.embedding.keeping import SLICE_TEXTS, begin_keeping, keep_nothing
from retriever.embedding.vectors import no_vectors
from retriever.protocols import Embedder, Keep, Pending, Vectors
from retriever.records import EmbeddingFingerprint


class CachingEmbedder:
    """An embedder that asks the cache first and keeps what it embeds, part by part.

    A process that is killed loses at most the parts that it was at. Queries are not cached.
    """

    def __init__(
        self, embedder: Embedder, cache: VectorCache, *, slice_texts: int = SLICE_TEXTS
    ) -> None:
        """Wrap `embedder`; where it gives no parts, `slice_texts` texts are one."""
        self._embedder = embedder
        self._cache = cache
        self._slice_texts = slice_texts
        self._counting = threading.Lock()
        self.hits = 0
        """Texts answered from the cache since this was opened."""
        self.misses = 0
        """Texts that had to be embedded since this was opened."""

    def __repr__(self) -> str:
        """The embedder and the cache."""
        return f"CachingEmbedder({self._embedder!r}, {self._cache!r})"

    @property
    def fingerprint(self) -> EmbeddingFingerprint:
        """How the vectors are made."""
        return self._embedder.fingerprint

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """As the wrapped embedder counts them."""
        return self._embedder.count_tokens(texts)

    def embed_chunks(self, texts: Sequence[str]) -> Vectors:
        """Embed texts as chunks: float32, shape (len(texts), dimension), unit length.

        Raises:
            EmbeddingError: as the wrapped embedder, or where the cache cannot be used.
        """
        return self.begin_chunks(texts, keep_nothing).result()

    def begin_chunks(self, texts: Sequence[str], keep: Keep) -> Pending[Vectors]:
        """Look for texts in the cache and begin to embed the others, which `keep` is given too.

        A text that is on its way from an earlier call is not in the cache yet.
        """
        vectors = self._cache.get_many(self.fingerprint, texts)
        missing = [text for text in dict.fromkeys(texts) if text not in vectors]
        with self._counting:
            self.hits += len(set(texts)) - len(missing)
            self.misses += len(missing)

        def keep_twice(part: Mapping[str, Vectors]) -> None:
            self._cache.put_many(self.fingerprint, part)
            keep(part)

        made = begin_keeping(self._embedder, missing, keep_twice, slice_texts=self._slice_texts)

        def complete() -> Vectors:
            vectors.update(zip(missing, made.result(), strict=True))
            if not texts:
                return no_vectors(self.fingerprint.dimension)
            return np.stack([vectors[text] for text in texts])

        return Later(complete, made.cancel)

    def embed_query(self, text: str) -> Vectors:
        """Embed one query: float32, shape (dimension,)."""
        return self._embedder.embed_query(text)
