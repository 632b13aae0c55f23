"""Vectors kept as they come, so that an interruption loses little."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from retriever.embedding.ahead import Later
from retriever.embedding.vectors import kept_promise, no_vectors
from retriever.protocols import AheadEmbedder, Embedder, Keep, KeepingEmbedder, Pending, Vectors

SLICE_TEXTS = 512
"""Texts that are embedded before their vectors are kept, where the embedder gives no parts."""


def embed_keeping(
    embedder: Embedder, texts: Sequence[str], keep: Keep, *, slice_texts: int = SLICE_TEXTS
) -> Vectors:
    """Embed texts as chunks, handing vectors to `keep` part by part: (len(texts), dimension).

    An embedder that gives parts decides what one is; of another's texts, a part is a slice.

    Raises:
        EmbeddingError: as the embedder, after what came before was kept.
    """
    if not texts:
        return no_vectors(embedder.fingerprint.dimension)
    if isinstance(embedder, KeepingEmbedder):
        return embedder.embed_chunks_keeping(texts, keep)
    if isinstance(embedder, AheadEmbedder):
        return embedder.begin_chunks(texts, keep).result()
    parts = []
    for start in range(0, len(texts), slice_texts):
        part = texts[start : start + slice_texts]
        vectors = embed_checked(embedder, part)
        keep(dict(zip(part, vectors, strict=True)))
        parts.append(vectors)
    return np.concatenate(parts)


def embed_checked(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    """Embed texts as chunks by any embedder, one of a user's own too: what it answers is checked.

    Raises:
        EmbeddingRejected: the answer is not what an embedder promises.
    """
    made = embedder.fingerprint
    answer = embedder.embed_chunks(texts)
    return kept_promise(answer, count=len(texts), dimension=made.dimension, model=made.model)


def begin_keeping(
    embedder: Embedder, texts: Sequence[str], keep: Keep, *, slice_texts: int = SLICE_TEXTS
) -> Pending[Vectors]:
    """Begin what `embed_keeping` does, where the embedder can go on while nobody waits."""
    if texts and isinstance(embedder, AheadEmbedder):
        return embedder.begin_chunks(texts, keep)
    return Later(partial(embed_keeping, embedder, texts, keep, slice_texts=slice_texts))


def keep_nothing(part: Mapping[str, Vectors]) -> None:
    """Where nobody keeps parts."""
