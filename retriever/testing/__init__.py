"""For tests: parts without a model, and the kits that an implementation has to pass."""

from retriever.testing.embedder_contract import EmbedderContract
from retriever.testing.hashing import HashingEmbedder
from retriever.testing.overlap import OverlapReranker
from retriever.testing.reader_contract import ReaderContract
from retriever.testing.reranker_contract import RerankerContract

__all__ = [
    "EmbedderContract",
    "HashingEmbedder",
    "OverlapReranker",
    "ReaderContract",
    "RerankerContract",
]
