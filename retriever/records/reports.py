"""What a run did, and how far it has come."""

from dataclasses import dataclass, field

from retriever.records.documents import Skipped


@dataclass(frozen=True, slots=True)
class ChunkCounts:
    """Chunks of one run."""

    embedded: int = 0
    reused: int = 0
    deleted: int = 0
    total: int = 0
    """Chunks in the collection afterwards."""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What a run did: every file that went in is counted once."""

    collection: str
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    skipped: tuple[Skipped, ...] = ()
    chunks: ChunkCounts = field(default_factory=ChunkCounts)
    tokens: int = 0
    """Tokens embedded, prefixes and special tokens included."""
    tokens_cut: int = 0
    """Tokens of embedded chunks beyond the model's window: 0 unless something is broken."""
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """How far a run has come."""

    files_done: int
    files_total: int
    chunks_done: int
    """Chunks of added and updated documents that are searchable."""
    tokens_done: int
    """Tokens embedded so far."""
    source: str
    """The last file that was read."""
