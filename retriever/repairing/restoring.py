"""Vectors that an index has lost: from the cache, else embedded again from the stored text."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from retriever import assembly
from retriever.canary import checked_embedder
from retriever.chunking import ChunkingOptions, compose_embedded_text
from retriever.collection import rows
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import differences
from retriever.embedding.vectors import is_sound
from retriever.errors import FingerprintMismatch
from retriever.protocols import Embedder, Vectors
from retriever.settings import Settings


class VectorRestorer:
    """Makes the vectors of stored chunks again; a model is loaded only if the cache lacks one."""

    def __init__(self, data: PhysicalCollection, settings: Settings) -> None:
        """Nothing is opened but the cache.

        Args:
            data: the collection whose chunks they are.
            settings: say where the cache is and how its model is found.
        """
        self._data = data
        self._settings = settings
        self._built = data.fingerprint.embedding
        chunking = data.fingerprint.chunking
        self._composing = ChunkingOptions(
            tokens=chunking.tokens,
            overlap_tokens=chunking.overlap_tokens,
            embed_title=chunking.embed_title,
            embed_headings=chunking.embed_headings,
        )
        self._cache = assembly.open_cache(settings)
        self._embedder: Embedder | None = None
        self.from_cache = 0
        self.embedded = 0

    def restore(self, stored: Sequence[tuple[Mapping[str, Any], str]]) -> Vectors:
        """The vectors of chunks, given as rows and texts: float32, shape (len(stored), dimension).

        A text that was altered and is now longer than the window gets the first axis: its file
        is to be read again anyway.

        Raises:
            FingerprintMismatch: the model at hand is not the one that built the collection.
            EmbeddingError: a text could not be embedded.
        """
        texts = [
            compose_embedded_text(
                str(row.get("title", "")), rows.heading_path(row), text, self._composing
            )
            for row, text in stored
        ]
        found = self._cached(texts)
        self.from_cache += len(found)
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            found.update(self._embed(missing))
        return np.stack([found[text] for text in texts])

    def _cached(self, texts: Sequence[str]) -> dict[str, Vectors]:
        if self._cache is None:
            return {}
        found = self._cache.get_many(self._built, texts)
        return {
            text: vector
            for text, vector in found.items()
            if is_sound(vector, self._built.dimension)
        }

    def _embed(self, texts: Sequence[str]) -> dict[str, Vectors]:
        embedder = self._open()
        counts = embedder.count_tokens(texts)
        fitting = [
            text
            for text, count in zip(texts, counts, strict=True)
            if count <= self._built.window_tokens
        ]
        made = dict(zip(fitting, embedder.embed_chunks(fitting), strict=True))
        self.embedded += len(made)
        if self._cache is not None:
            self._cache.put_many(self._built, made)
        axis = np.eye(1, self._built.dimension, dtype=np.float32)[0]
        return {text: made.get(text, axis) for text in texts}

    def _open(self) -> Embedder:
        if self._embedder is None:
            embedder = assembly.open_collection_embedder(self._settings, self._built, follow=True)
            other = differences(self._built, embedder.fingerprint)
            if other:
                raise FingerprintMismatch(
                    self._data.name,
                    other,
                    advice="Lost vectors can only be made by the model that made the others: "
                    "bring it back, or rebuild the collection with retriever swap.",
                )
            self._embedder = checked_embedder(embedder, self._data)
        return self._embedder
