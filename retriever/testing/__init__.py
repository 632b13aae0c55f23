"""For tests: an embedder without a model, and the kits that an implementation has to pass."""

from retriever.testing.embedder_contract import EmbedderContract
from retriever.testing.hashing import HashingEmbedder
from retriever.testing.reader_contract import ReaderContract

__all__ = ["EmbedderContract", "HashingEmbedder", "ReaderContract"]
