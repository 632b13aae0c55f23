"""An embedder for tests of readers: dense vectors far from each other, which any index finds."""

import hashlib

import numpy as np

from retriever.protocols import Vectors
from retriever.testing import HashingEmbedder

WIDTH = 16


class LastWordEmbedder(HashingEmbedder):
    """Embeds a text as a random direction in 16 dimensions, drawn by its last word alone.

    A query that ends in a document's last word has exactly that document's vector, so that an
    approximate index has no excuse: who misses it has not seen it.
    """

    def _vector(self, text: str) -> Vectors:
        words = text.replace(".", " ").lower().split()
        digest = hashlib.sha256(" ".join(words[-1:]).encode("utf-8")).digest()
        drawn = np.random.default_rng(int.from_bytes(digest[:8], "big")).normal(size=WIDTH)
        vector: Vectors = (drawn / np.linalg.norm(drawn)).astype(np.float32)
        return vector
