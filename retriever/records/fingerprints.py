"""How a collection was built: what has to be equal for its vectors to be comparable."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EmbeddingFingerprint:
    """How an embedder makes vectors: two embedders with equal fields share one vector space."""

    backend: str
    model: str
    revision: str
    """Hash of the weights where they are local, the provider's version or `-` elsewhere."""
    dimension: int
    window_tokens: int
    pooling: str
    query_prefix: str
    chunk_prefix: str
    normalised: bool = True


@dataclass(frozen=True, slots=True)
class ChunkingFingerprint:
    """How documents are cut and what of them is embedded."""

    chunker: str
    """Name and version of the algorithm."""
    tokens: int
    overlap_tokens: int
    embed_title: bool
    embed_headings: bool


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """How a collection was built."""

    embedding: EmbeddingFingerprint
    chunking: ChunkingFingerprint
    layout: int
    """Version of the way that this package lays out its data in Chroma."""
