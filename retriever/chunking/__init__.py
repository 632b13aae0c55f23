"""Documents become chunks: exact spans of them that fit the embedding model's window."""

from retriever.chunking.chunks import Chunker
from retriever.chunking.embedded_text import ChunkingOptions, compose_embedded_text

__all__ = ["Chunker", "ChunkingOptions", "compose_embedded_text"]
