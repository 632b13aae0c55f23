"""Several queries embedded, by any embedder."""

from collections.abc import Sequence

import numpy as np

from retriever.embedding.vectors import kept_promise, no_vectors
from retriever.protocols import BatchQueryEmbedder, Embedder, Vectors


def embed_queries(embedder: Embedder, queries: Sequence[str]) -> Vectors:
    """Embed queries, in one batch where the embedder can: float32, (len(queries), dimension).

    Raises:
        EmbeddingError: as the embedder, or its answer is not what an embedder promises.
    """
    made = embedder.fingerprint
    if not queries:
        return no_vectors(made.dimension)
    answer: object
    if isinstance(embedder, BatchQueryEmbedder):
        answer = embedder.embed_queries(queries)
    else:
        answer = [embedder.embed_query(query) for query in queries]
    return kept_promise(answer, count=len(queries), dimension=made.dimension, model=made.model)


def embed_query(embedder: Embedder, query: str) -> Vectors:
    """Embed one query by any embedder, one of a user's own too: float32, (dimension,).

    Raises:
        EmbeddingRejected: the answer is not what an embedder promises.
    """
    made = embedder.fingerprint
    answer = [embedder.embed_query(query)]
    vectors = kept_promise(answer, count=1, dimension=made.dimension, model=made.model)
    return np.asarray(vectors[0])
