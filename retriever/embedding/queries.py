"""Several queries embedded, by any embedder."""

from collections.abc import Sequence

import numpy as np

from retriever.embedding.vectors import no_vectors
from retriever.protocols import BatchQueryEmbedder, Embedder, Vectors


def embed_queries(embedder: Embedder, queries: Sequence[str]) -> Vectors:
    """Embed queries, in one batch where the embedder can: float32, (len(queries), dimension).

    Raises:
        EmbeddingError: as the embedder.
    """
    if isinstance(embedder, BatchQueryEmbedder):
        return embedder.embed_queries(queries)
    if not queries:
        return no_vectors(embedder.fingerprint.dimension)
    return np.stack([embedder.embed_query(query) for query in queries])
