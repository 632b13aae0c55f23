"""The records that travel between the rooms: frozen, slotted, no behaviour but display.

Spans are character positions in `Document.text`, counted from 0, end exclusive.
Pages and lines are counted from 1. Hashes are lower-case hexadecimal SHA-256.
"""

from retriever.records.documents import (
    Chunk,
    CorpusFile,
    Document,
    DocumentRecord,
    Heading,
    Markup,
    Metadata,
    MetadataValue,
    PageSpan,
    Root,
    Skipped,
)
from retriever.records.fingerprints import (
    ChunkingFingerprint,
    EmbeddingFingerprint,
    Fingerprint,
)
from retriever.records.passages import (
    Candidate,
    Citation,
    Context,
    Explanation,
    Passage,
)
from retriever.records.reports import (
    ChunkCounts,
    IngestProgress,
    IngestReport,
)

__all__ = [
    "Candidate",
    "Chunk",
    "ChunkCounts",
    "ChunkingFingerprint",
    "Citation",
    "Context",
    "CorpusFile",
    "Document",
    "DocumentRecord",
    "EmbeddingFingerprint",
    "Explanation",
    "Fingerprint",
    "Heading",
    "IngestProgress",
    "IngestReport",
    "Markup",
    "Metadata",
    "MetadataValue",
    "PageSpan",
    "Passage",
    "Root",
    "Skipped",
]
