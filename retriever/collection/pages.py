"""Parts of a collection, read whole: what an export, a copy or a proof goes through."""

from collections.abc import Iterator, Sequence
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


class NoDocuments:
    """Stands for Chroma's collection of documents where it is gone: none are found."""

    id = ""

    def get(self, **_: object) -> dict[str, list[object]]:
        """An empty page."""
        return {"ids": [], "metadatas": [], "embeddings": []}


def parts(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Items in their order, so many at a time."""
    return (items[part] for part in slices(len(items), size))


def slices(count: int, size: int) -> Iterator[slice]:
    """The places of so many items at a time."""
    return (slice(start, start + size) for start in range(0, count, size))
