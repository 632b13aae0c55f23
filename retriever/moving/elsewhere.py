"""Vectors that were made elsewhere: chunks as JSON lines, and an array with a row for each line.

A line is {"source": "papers/a.md", "text": "...", "metadata": {...}}; metadata may be left out.
Lines of one source follow one another, in order. A collection answers by one model, so some of
the vectors are made again by the model that the settings name, and compared.
"""

import hashlib
import itertools
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path

import numpy as np

from retriever import assembly
from retriever.canary import LEAST_COSINE, make_canary
from retriever.collection.rows import chunk_row
from retriever.embedding.vectors import document_vector, normalise
from retriever.errors import CollectionError
from retriever.moving.believing import Refusal, as_mapping, as_text, check_metadata, is_source
from retriever.moving.exports import (
    MOST_KEYS,
    End,
    ExportedChunk,
    ExportedDocument,
    Header,
    Line,
    parse,
)
from retriever.protocols import Embedder, Vectors
from retriever.records import Chunk, Document, DocumentRecord, Metadata
from retriever.settings import Settings

_KEYS = ("source", "text", "metadata")
_DOCUMENTS_AT_ONCE = 64
_SAMPLES = 16
"""Vectors that are made again, spread over all."""
_BETWEEN = "\n\n"
"""Stands between the chunks of a document in its spans: what was there is not known."""
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    SyntaxError,
    tokenize.TokenError,
    MemoryError,
    RuntimeError,
)
"""What numpy raises of files that are no arrays: it reads their headers as Python does a value."""
_ARCHIVE = b"PK"


@dataclass(frozen=True, slots=True)
class _Given:
    """A line."""

    place: int
    """Its number, from 0, and the row of its vector."""
    source: str
    text: str
    metadata: Metadata
    size_bytes: int


def read_pair(
    settings: Settings, lines: Iterator[bytes], vectors: Path
) -> tuple[Header, Iterator[tuple[Line, int]]]:
    """What a collection of these chunks is built by, and its lines as those of an export.

    Args:
        settings: name the model that made the vectors.
        lines: of the chunks.
        vectors: a file of `numpy.save`: float, shape (number of lines, dimension). It is read
            where it lies, never as a whole.

    Raises:
        CollectionError: the file holds no such array.
        EmbeddingError: the model cannot be had.
    """
    embedder = assembly.open_configured_embedder(settings)
    array = _open_array(vectors, embedder)
    built = assembly.fingerprint(embedder, assembly.open_chunker(settings, embedder))
    header = Header(built, canary=make_canary(embedder), roots={})
    return header, _Reading(embedder, array).lines(lines)


def _open_array(path: Path, embedder: Embedder) -> np.ndarray:
    wanted = f"an array of {embedder.fingerprint.model}, float, of shape (number of lines, "
    wanted += f"{embedder.fingerprint.dimension}), as numpy.save writes it"
    try:
        with path.open("rb") as file:
            if file.read(len(_ARCHIVE)) == _ARCHIVE:
                raise ValueError("it is a ZIP file, as several arrays are kept in")
        array = np.lib.format.open_memmap(path, mode="r")  # never as a pickle
    except _UNREADABLE as error:
        why = str(error).rstrip(".")
        raise CollectionError(f"{path} cannot be read: {why}. It has to be {wanted}.") from error
    if array.dtype.kind != "f" or array.shape[1:] != (embedder.fingerprint.dimension,):
        raise CollectionError(
            f"{path} holds {array.dtype} of shape {array.shape}. It has to be {wanted}."
        )
    return array


class _Reading:
    """One pass over lines and array."""

    def __init__(self, embedder: Embedder, array: np.ndarray) -> None:
        self._embedder = embedder
        self._array = array
        self._step = max(1, len(array) // _SAMPLES)
        self._now = datetime.now(UTC).isoformat(timespec="seconds")

    def lines(self, lines: Iterator[bytes]) -> Iterator[tuple[Line, int]]:
        """Chunks and documents, and the end.

        Raises:
            Refusal: a line or vector cannot be believed, or there are more of one than of the
                other.
        """
        chunks = documents = 0
        given = itertools.starmap(_believe, enumerate(lines))
        grouped = (list(group) for _, group in itertools.groupby(given, attrgetter("source")))
        seen: set[str] = set()
        while batch := list(itertools.islice(grouped, _DOCUMENTS_AT_ONCE)):
            flat = [one for group in batch for one in group]
            counts = self._counts(flat)
            vectors = self._vectors(flat)
            first = chunks
            for group in batch:
                if group[0].source in seen:
                    raise Refusal(f"the lines of {group[0].source!r:.80} stand in several places")
                seen.add(group[0].source)
                part = slice(chunks - first, chunks - first + len(group))
                yield from self._document(group, vectors[part], counts[part])
                chunks, documents = chunks + len(group), documents + 1
        if chunks != len(self._array):
            raise Refusal(f"there are {len(self._array)} vectors and {chunks} lines")
        yield End(chunks, documents), 0

    def _vectors(self, given: Sequence[_Given]) -> Vectors:
        first = given[0].place
        if given[-1].place >= len(self._array):
            raise Refusal(f"there are only {len(self._array)} vectors")
        raw = np.asarray(self._array[first : given[-1].place + 1], dtype=np.float32)
        unsound = ~np.isfinite(raw).all(axis=1) | ~raw.any(axis=1)
        if unsound.any():
            raise Refusal(
                f"the vector of line {first + int(unsound.argmax()) + 1} is zero or not finite"
            )
        vectors = normalise(raw)
        self._compare([one for one in given if one.place % self._step == 0], vectors, first)
        return vectors

    def _compare(self, given: Sequence[_Given], vectors: Vectors, first: int) -> None:
        """See that the model makes these vectors of these texts."""
        if not given:
            return
        made = self._embedder.embed_chunks([one.text for one in given])
        for one, vector in zip(given, made, strict=True):
            cosine = float(vector @ vectors[one.place - first])
            if cosine < LEAST_COSINE:
                raise Refusal(
                    f"{self._embedder.fingerprint.model} makes another vector of line "
                    f"{one.place + 1} (cosine {cosine:.3f}). Name the model that made the "
                    "vectors, with its prefixes, by --config"
                )

    def _counts(self, given: Sequence[_Given]) -> list[int]:
        counts = self._embedder.count_tokens([one.text for one in given])
        window = self._embedder.fingerprint.window_tokens
        for one, count in zip(given, counts, strict=True):
            if count > window:
                raise Refusal(
                    f"line {one.place + 1} has {count} tokens, of which its vector tells "
                    f"{window} at most: cut it into several"
                )
        return counts

    def _document(
        self, given: Sequence[_Given], vectors: Vectors, counts: Sequence[int]
    ) -> Iterator[tuple[Line, int]]:
        text = _BETWEEN.join(one.text for one in given)
        content_hash = hashlib.sha256(text.encode("utf-8")).hexdigest()
        start, line = 0, 1
        for ordinal, (one, vector, count) in enumerate(zip(given, vectors, counts, strict=True)):
            last_line = line + one.text.count("\n")
            chunk = _chunk(one, ordinal, start=start, lines=(line, last_line), tokens=count)
            row = chunk_row(chunk, _as_document(one.source, content_hash, one.metadata))
            yield ExportedChunk(chunk.id, one.text, row, vector), one.size_bytes
            start, line = start + len(one.text) + len(_BETWEEN), last_line + len(_BETWEEN)
        record = DocumentRecord(
            source=given[0].source,
            content_hash=content_hash,
            size_bytes=len(text.encode("utf-8")),
            mtime_ns=0,
            status="complete",
            chunk_count=len(given),
            token_count=sum(counts),
            title="",
            format="text",
            reason="",
            reading="",
            ingested_at=self._now,
        )
        yield ExportedDocument(record, document_vector(list(vectors), vectors.shape[1])), 0


def _believe(place: int, line: bytes) -> _Given:
    values = parse(line)
    unknown = sorted(values.keys() - set(_KEYS))
    if unknown:
        raise Refusal(f"{unknown[0]!r:.40} is none of its keys, which are {', '.join(_KEYS)}")
    source, text = as_text(values.get("source")), as_text(values.get("text"))
    if not is_source(source):
        raise Refusal(f"the source {source!r:.80} is not of the form ROOT/PATH")
    if not text.strip():
        raise Refusal("its text is blank")
    metadata = as_mapping(values.get("metadata", {}))
    if len(metadata) > MOST_KEYS:
        raise Refusal(f"it has more than {MOST_KEYS} keys of metadata")
    for key, value in metadata.items():
        check_metadata(key, value)
    held = {key: tuple(one) if isinstance(one, list) else one for key, one in metadata.items()}
    return _Given(place, source, text, held, size_bytes=len(line))


def _chunk(
    given: _Given, ordinal: int, *, start: int, lines: tuple[int, int], tokens: int
) -> Chunk:
    identity = f"{given.source}\0{ordinal}\0{given.text}".encode()
    return Chunk(
        id=hashlib.sha256(identity).hexdigest()[:32],
        source=given.source,
        text=given.text,
        start=start,
        end=start + len(given.text),
        ordinal=ordinal,
        title="",
        heading_path=(),
        page=None,
        line_start=lines[0],
        line_end=lines[1],
        embedded_text=given.text,
        token_count=tokens,
    )


def _as_document(source: str, content_hash: str, metadata: Metadata) -> Document:
    return Document(
        source=source,
        text="",
        content_hash=content_hash,
        title="",
        format="text",
        markup="plain",
        metadata=metadata,
    )
