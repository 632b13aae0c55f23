"""Records to Chroma's metadata and back. Pure; knows the names of the keys, no client.

Chroma allows text, numbers, booleans and lists of them. A chunk's own keys come first; a
key of the user's that has the name of one of them is kept as `user_<name>`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from retriever.records import Chunk, Document, DocumentRecord, Metadata, MetadataValue, Passage

Row = dict[str, Any]

CHUNK_KEYS = frozenset(
    {
        "source",
        "ordinal",
        "start",
        "end",
        "line_start",
        "line_end",
        "page",
        "title",
        "heading_path",
        "format",
        "document_hash",
        "embedded_hash",
        "tokens",
        "gap",
    }
)
_TEXT_KEYS = ("source", "document_hash", "embedded_hash", "format")
_NUMBER_KEYS = ("ordinal", "start", "end", "line_start", "line_end", "tokens")
_RECORD_NUMBERS = frozenset({"size_bytes", "mtime_ns", "chunk_count", "token_count"})
_HEADING_SEPARATOR = "\n"


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """What the collection holds of a chunk, less its text and vector."""

    id: str
    row: Row

    @property
    def document_hash(self) -> str:
        """Content hash of the document version that the chunk was last part of."""
        return str(self.row.get("document_hash", ""))

    @property
    def embedded_hash(self) -> str:
        """Hash of the text that was embedded."""
        return str(self.row.get("embedded_hash", ""))


def embedded_hash(text: str) -> str:
    """Hash of an embedded text, to see whether a chunk's vector still stands."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def document_id(source: str) -> str:
    """Id of a document's row: 32 hexadecimal characters."""
    return hashlib.sha256(source.encode("utf-8")).hexdigest()[:32]


def chunk_row(chunk: Chunk, document: Document) -> Row:
    """Metadata of a chunk's row, the document's own metadata included."""
    row: Row = {
        "source": chunk.source,
        "ordinal": chunk.ordinal,
        "start": chunk.start,
        "end": chunk.end,
        "line_start": chunk.line_start,
        "line_end": chunk.line_end,
        "format": document.format,
        "document_hash": document.content_hash,
        "embedded_hash": embedded_hash(chunk.embedded_text),
        "tokens": chunk.token_count,
    }
    if chunk.page is not None:
        row["page"] = chunk.page
    if chunk.gap:
        row["gap"] = chunk.gap
    if chunk.title:
        row["title"] = chunk.title
    if chunk.heading_path:
        row["heading_path"] = _HEADING_SEPARATOR.join(chunk.heading_path)
    return row | user_row(document.metadata)


def user_row(metadata: Metadata) -> Row:
    """The user's metadata in Chroma's types, clear of a chunk's own keys."""
    return {
        f"user_{key}" if key in CHUNK_KEYS else key: (
            list(value) if isinstance(value, tuple) else value
        )
        for key, value in metadata.items()
        if value != ()
    }


def passage(chunk_id: str, row: Mapping[str, Any], text: str, *, score: float) -> Passage:
    """A row as a passage, not yet ranked."""
    return Passage(
        id=chunk_id,
        rank=0,
        score=score,
        text=text,
        source=str(row["source"]),
        start=int(row["start"]),
        end=int(row["end"]),
        page=int(row["page"]) if "page" in row else None,
        line_start=int(row["line_start"]),
        line_end=int(row["line_end"]),
        title=str(row.get("title", "")),
        heading_path=heading_path(row),
        metadata=user_metadata(row),
    )


def stored_document(source: str, row: Mapping[str, Any]) -> Document:
    """What a chunk's row tells of its document: everything that rows are made of, but no text."""
    return Document(
        source=source,
        text="",
        content_hash=str(row["document_hash"]),
        title=str(row.get("title", "")),
        format=str(row["format"]),
        markup="plain",
        metadata=user_metadata(row),
    )


def heading_path(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The headings above a chunk, the highest first."""
    joined = str(row.get("heading_path", ""))
    return tuple(joined.split(_HEADING_SEPARATOR)) if joined else ()


def user_metadata(row: Mapping[str, Any]) -> dict[str, MetadataValue]:
    """The user's metadata in a chunk's row; `title` and `format` are not among it."""
    return {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in row.items()
        if key not in CHUNK_KEYS
    }


def changes(stored: Mapping[str, Any], row: Row) -> Row:
    """What to send for a row to become exactly `row`: Chroma merges, so lost keys are None."""
    return row | dict.fromkeys(stored.keys() - row.keys())


def document_row(record: DocumentRecord) -> Row:
    """Metadata of a document's row."""
    return {
        "source": record.source,
        "content_hash": record.content_hash,
        "size_bytes": record.size_bytes,
        "mtime_ns": record.mtime_ns,
        "status": record.status,
        "chunk_count": record.chunk_count,
        "token_count": record.token_count,
        "title": record.title,
        "format": record.format,
        "reason": record.reason,
        "reading": record.reading,
        "ingested_at": record.ingested_at,
    }


def document_record(row: Mapping[str, Any]) -> DocumentRecord:
    """A document's row as a record."""
    return DocumentRecord(**{name: row[name] for name in DocumentRecord.__slots__})


def is_chunk_row(row: Mapping[str, Any] | None, text: str | None) -> bool:
    """Whether Chroma's row and text are those of a chunk that `chunk_row` made."""
    return (
        row is not None
        and isinstance(text, str)
        and all(isinstance(row.get(key), str) for key in _TEXT_KEYS)
        and all(isinstance(row.get(key), int) for key in _NUMBER_KEYS)
        and isinstance(row.get("page", 1), int)
        and all(isinstance(row.get(key, ""), str) for key in ("title", "heading_path", "gap"))
    )


def is_document_row(row: Mapping[str, Any] | None) -> bool:
    """Whether Chroma's row is one that `document_row` made."""
    kinds = {name: int if name in _RECORD_NUMBERS else str for name in DocumentRecord.__slots__}
    return row is not None and all(isinstance(row.get(name), kind) for name, kind in kinds.items())


def records(rows: Iterable[Mapping[str, Any] | None]) -> list[DocumentRecord]:
    """The documents among rows."""
    return [document_record(row) for row in rows if row and is_document_row(row)]
