"""A collection as lines of JSON: what an export file says, and what is believed of one.

The first line is the header, then come the chunks, the documents, and a line that ends the
file. Vectors are little-endian float32 in base64. A file may be hostile: every value is
checked for its type and size before it goes anywhere.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from retriever.collection import rows
from retriever.collection.state import (
    LAYOUT,
    Canary,
    CollectionState,
    build_metadata,
    read_canary,
    read_fingerprint,
)
from retriever.errors import CollectionDamaged
from retriever.moving.believing import (
    Refusal,
    as_count,
    as_mapping,
    as_text,
    check_metadata,
    decode_vector,
    encode_vector,
    is_source,
    refuse,
)
from retriever.protocols import Vectors
from retriever.records import DocumentRecord, Fingerprint

FORMAT = "rag-retriever export"
VERSION = 1
MOST_LINE_BYTES = 64 << 20
"""Far more than a chunk with its vector and metadata takes."""

_ID = re.compile(r"[0-9a-f]{32}")
_CONTENT_HASH = re.compile(r"(?:[0-9a-f]{64})?")
_MOST_DIMENSIONS = 65_536
MOST_KEYS = 256
_MOST_ROOTS = 1_000
_PLACES = ("ordinal", "start", "end", "line_start", "line_end", "page", "tokens")
_PLACES_BELOW = 2**40
"""A document has fewer characters, and so fewer lines, pages and tokens: a terabyte holds it."""


@dataclass(frozen=True, slots=True)
class Header:
    """What an export says of the collection as a whole."""

    fingerprint: Fingerprint
    canary: Canary | None
    roots: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ExportedChunk:
    """A chunk as it is stored."""

    id: str
    text: str
    row: rows.Row
    vector: Vectors


@dataclass(frozen=True, slots=True)
class ExportedDocument:
    """A document as it is remembered."""

    record: DocumentRecord
    vector: Vectors


@dataclass(frozen=True, slots=True)
class End:
    """The last line: how many of each went before."""

    chunks: int
    documents: int


Line = Header | ExportedChunk | ExportedDocument | End


def write_header(state: CollectionState, fingerprint: Fingerprint, canary: Canary | None) -> bytes:
    """The first line."""
    built = build_metadata(fingerprint, canary)
    return _line(
        {
            "format": FORMAT,
            "version": VERSION,
            "collection": state.name,
            "built": built,
            "roots": dict(state.roots),
        }
    )


def write_chunk(chunk: ExportedChunk) -> bytes:
    """A line for a chunk."""
    vector, row = encode_vector(chunk.vector), dict(sorted(chunk.row.items()))
    return _line({"chunk": chunk.id, "text": chunk.text, "row": row, "vector": vector})


def write_document(document: ExportedDocument) -> bytes:
    """A line for a document."""
    return _line({"document": asdict(document.record), "vector": encode_vector(document.vector)})


def write_end(end: End) -> bytes:
    """The last line."""
    return _line({"end": asdict(end)})


def read_header(line: bytes) -> Header:
    """Believe a first line.

    Raises:
        Refusal: it is of another format or layout, or says what cannot be.
    """
    values = parse(line)
    if values.get("format") != FORMAT:
        refuse("it is no export of this package")
    if values.get("version") != VERSION:
        refuse(f"it has version {values.get('version')!r:.20}, this package reads {VERSION}")
    built = as_mapping(values.get("built"))
    if built.get("fingerprint_layout") != LAYOUT:
        refuse(f"its collection has layout {built.get('fingerprint_layout')!r:.20}, not {LAYOUT}")
    fingerprint = _fingerprint(built)
    return Header(
        fingerprint=fingerprint,
        canary=_canary(built, fingerprint.embedding.dimension),
        roots=_roots(values.get("roots")),
    )


def read_line(line: bytes, dimension: int) -> Line:
    """Believe any other line.

    Raises:
        Refusal: it is none, or a value in it has a type or size that cannot be.
    """
    values = parse(line)
    if "chunk" in values:
        return _chunk(values, dimension)
    if "document" in values:
        return _document(values, dimension)
    end = as_mapping(values.get("end"))
    return End(chunks=as_count(end.get("chunks")), documents=as_count(end.get("documents")))


def _chunk(values: Mapping[str, Any], dimension: int) -> ExportedChunk:
    chunk_id, text, row = values["chunk"], values.get("text"), as_mapping(values.get("row"))
    if not isinstance(chunk_id, str) or not _ID.fullmatch(chunk_id):
        refuse("the id of a chunk is no hash")
    if not rows.is_chunk_row(row, text) or len(row) > MOST_KEYS:
        refuse(f"chunk {chunk_id} lacks a field or has one of another type")
    for key, value in row.items():
        check_metadata(key, value)
    places = [row[key] for key in _PLACES if key in row]
    if not all(0 <= one < _PLACES_BELOW for one in places):
        refuse(f"chunk {chunk_id} stands where no chunk can")
    if not is_source(row["source"]) or row["end"] - row["start"] != len(str(text)):
        refuse(f"chunk {chunk_id} has a source or span that cannot be")
    return ExportedChunk(
        id=chunk_id,
        text=as_text(text),
        row=dict(row),
        vector=decode_vector(values.get("vector"), dimension),
    )


def _document(values: Mapping[str, Any], dimension: int) -> ExportedDocument:
    row = as_mapping(values["document"])
    source = as_text(row.get("source"))
    complete = rows.is_document_row(row) and row.keys() == set(DocumentRecord.__slots__)
    if not complete or not is_source(source):
        refuse("a document lacks a field or has one of another type")
    for value in row.values():
        _ = as_text(value) if isinstance(value, str) else as_count(value)
    if row["status"] not in ("complete", "skipped"):
        refuse("a document is neither complete nor skipped")
    if not _CONTENT_HASH.fullmatch(row["content_hash"]):
        refuse("the content hash of a document is no hash")
    return ExportedDocument(
        record=rows.document_record(row), vector=decode_vector(values.get("vector"), dimension)
    )


def _fingerprint(built: Mapping[str, Any]) -> Fingerprint:
    try:
        fingerprint = read_fingerprint("in the file", built)
    except (CollectionDamaged, RecursionError) as error:
        raise Refusal("its fingerprint cannot be read") from error
    for part in (fingerprint.embedding, fingerprint.chunking):
        for item in fields(part):
            value = getattr(part, item.name)
            if type(value) is not item.type:
                refuse(f"its fingerprint has a wrong {item.name}")
            if isinstance(value, str):
                as_text(value)
    embedding = fingerprint.embedding
    if not 1 <= embedding.dimension <= _MOST_DIMENSIONS or fingerprint.chunking.tokens < 1:
        refuse("its fingerprint has a dimension or chunk size that cannot be")
    if ":" in embedding.backend:
        refuse("its fingerprint names a class to load, which only settings may")
    return fingerprint


def _canary(built: Mapping[str, Any], dimension: int) -> Canary | None:
    try:
        canary = read_canary(built)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        refuse("its canary cannot be read")
    if canary is not None and (
        canary.vector.shape != (dimension,) or not np.isfinite(canary.vector).all()
    ):
        refuse("its canary has another dimension")
    return canary


def _roots(value: object) -> dict[str, str]:
    roots = as_mapping(value)
    if len(roots) > _MOST_ROOTS:
        refuse("it has too many roots")
    for name, path in roots.items():
        if not is_source(f"{name}/x") or "/" in name or not as_text(path) or "\x00" in path:
            refuse("a root has a name or place that cannot be")
    return dict(roots)


def parse(line: bytes) -> dict[str, Any]:
    """A line of a file as the JSON object that it is.

    Raises:
        Refusal: it is none.
    """
    try:
        values = json.loads(line, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"it is no JSON ({type(error).__name__})") from error
    if not isinstance(values, dict):
        refuse("it is no JSON object")
    return values


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
