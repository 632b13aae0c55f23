"""Parts of a collection, read whole: what an export, a copy or a proof goes through."""

from dataclasses import dataclass

from retriever.collection import rows
from retriever.protocols import Vectors
from retriever.records import DocumentRecord


@dataclass(frozen=True, slots=True)
class ChunkPage:
    """Some chunks, whole: position i of each field is one chunk."""

    ids: list[str]
    texts: list[str]
    rows: list[rows.Row]
    vectors: Vectors
    """float32, shape (len(ids), dimension); of width 0 where vectors were not asked for."""


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Some documents and the mean vector of each."""

    records: list[DocumentRecord]
    vectors: Vectors
