"""A batch of documents on its way into a collection: what to embed, and the order of writes."""

import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from retriever.collection import rows
from retriever.collection.physical import PhysicalCollection
from retriever.embedding.keeping import begin_keeping, keep_nothing
from retriever.embedding.vectors import document_vector
from retriever.ingestion.planning import trusted_mtime_ns
from retriever.ingestion.prefetching import prefetched
from retriever.lexical import LexicalEntry
from retriever.protocols import Embedder, Pending, Vectors
from retriever.records import Chunk, CorpusFile, Document, DocumentRecord

FILES_AHEAD = 512
CHARACTERS_AHEAD = 16_000_000
FIRST_CHUNKS = 128
"""Chunks of a run's first and last batch: the model has work as soon as so many are cut, and
little is left to write when it has none."""
MOST_FILES = 256
"""Files of a batch, where they are too small to fill it with chunks."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that was read and cut, or why it could not be."""

    file: CorpusFile
    document: Document | None
    chunks: tuple[Chunk, ...] = ()
    reason: str = ""
    reading: str = ""
    """Identity of what read it."""
    emptied: bool = False
    """Whether it was read and nothing of it can be embedded: what is stored of it is stale."""

    @property
    def keeps_stored(self) -> bool:
        """Whether the version that is stored, if one is, stays as it is."""
        return self.document is None and not self.emptied


@dataclass(slots=True)
class Totals:
    """Counts of a run, summed over its batches."""

    embedded: int = 0
    reused: int = 0
    deleted: int = 0
    tokens: int = 0
    tokens_cut: int = 0

    def add(self, other: "Totals") -> None:
        """Add another batch's counts."""
        self.embedded += other.embedded
        self.reused += other.reused
        self.deleted += other.deleted
        self.tokens += other.tokens
        self.tokens_cut += other.tokens_cut


@dataclass(slots=True)
class Batch:
    """Documents that are embedded and committed together."""

    prepared: list[Prepared] = field(default_factory=list)
    stored: dict[str, dict[str, rows.StoredChunk]] = field(default_factory=dict)
    """What the collection holds of these documents, by source and chunk id."""
    missing: list[Chunk] = field(default_factory=list)
    """The chunks that the collection lacks or holds with another embedded text."""
    vectors: dict[str, Vectors] = field(default_factory=dict)
    """The new vectors, by chunk id."""
    totals: Totals = field(default_factory=Totals)
    begun_s: float = field(default_factory=time.monotonic)
    """When its embedding began, by the monotonic clock."""
    waited_s: float = 0.0
    """How long its vectors were waited for."""
    _pending: Pending[Vectors] | None = None

    @property
    def chunk_count(self) -> int:
        """Chunks of all its documents."""
        return sum(len(one.chunks) for one in self.prepared)

    def find_missing(self, data: PhysicalCollection | None) -> list[str]:
        """Find out which chunks the collection lacks: the texts to embed, in order."""
        sources = [one.file.source for one in self.prepared]
        self.stored = data.stored_chunks(sources) if data else {source: {} for source in sources}
        chunks = [chunk for one in self.prepared for chunk in one.chunks]
        self.missing = [chunk for chunk in chunks if not self._is_stored(chunk)]
        self.totals.reused = len(chunks) - len(self.missing)
        return [chunk.embedded_text for chunk in self.missing]

    def begin_embedding(self, embedder: Embedder, cached: Collection[str]) -> None:
        """Begin to embed what is missing, equal texts once; those in `cached` cost nothing."""
        window = embedder.fingerprint.window_tokens
        tokens = {chunk.embedded_text: chunk.token_count for chunk in self.missing}
        self.begun_s = time.monotonic()
        self._pending = begin_keeping(embedder, list(tokens), keep_nothing)
        made = [count for text, count in tokens.items() if text not in cached]
        self.totals.embedded = len(made)
        self.totals.reused += len(self.missing) - len(made)
        self.totals.tokens = sum(made)
        self.totals.tokens_cut = sum(max(0, chunk.token_count - window) for chunk in self.missing)

    def end_embedding(self) -> None:
        """Wait for the vectors that were begun, if any were."""
        began_s = time.monotonic()
        if self._pending is not None:
            texts = dict.fromkeys(chunk.embedded_text for chunk in self.missing)
            made = dict(zip(texts, self._pending.result(), strict=True))
            self.vectors = {chunk.id: made[chunk.embedded_text] for chunk in self.missing}
            self._pending = None
        self.waited_s = time.monotonic() - began_s

    def cancel(self) -> None:
        """Stop what was begun, soon."""
        if self._pending is not None:
            self._pending.cancel()

    def shares_texts(self, other: "Batch") -> bool:
        """Whether both lack a vector of the same text."""
        theirs = {chunk.embedded_text for chunk in other.missing}
        return any(chunk.embedded_text in theirs for chunk in self.missing)

    def write(self, data: PhysicalCollection, *, dimension: int) -> None:
        """Write in the order that loses nothing: chunks, records, then what is stale."""
        self._write_new(data)
        self._update_reused(data)
        self._write_records(data, dimension=dimension)
        self._delete_stale(data)

    @property
    def stale(self) -> list[str]:
        """The chunks that documents had and have no more."""
        return [
            chunk_id
            for one in self.prepared
            if not one.keeps_stored
            for chunk_id in self.stored[one.file.source].keys() - {c.id for c in one.chunks}
        ]

    def reworded(self) -> Iterator[list[LexicalEntry]]:
        """All chunks of each document some of whose texts, titles or headings changed."""
        for one in self.prepared:
            held = {
                chunk_id: (str(stored.row.get("title", "")), rows.heading_path(stored.row))
                for chunk_id, stored in self.stored[one.file.source].items()
            }
            if one.chunks and held != {c.id: (c.title, c.heading_path) for c in one.chunks}:
                yield [
                    LexicalEntry(c.id, c.source, c.title, c.heading_path, c.text)
                    for c in one.chunks
                ]

    def _is_stored(self, chunk: Chunk) -> bool:
        held = self.stored[chunk.source].get(chunk.id)
        return held is not None and held.embedded_hash == rows.embedded_hash(chunk.embedded_text)

    def _pairs(self) -> list[tuple[Chunk, Document]]:
        return [
            (chunk, one.document)
            for one in self.prepared
            if one.document is not None
            for chunk in one.chunks
        ]

    def _write_new(self, data: PhysicalCollection) -> None:
        pairs = [pair for pair in self._pairs() if pair[0].id in self.vectors]
        if not pairs:
            return
        metadata = []
        for chunk, document in pairs:
            held = self.stored[chunk.source].get(chunk.id)
            metadata.append(rows.changes(held.row if held else {}, rows.chunk_row(chunk, document)))
        data.put_chunks(
            [chunk.id for chunk, _ in pairs],
            [chunk.text for chunk, _ in pairs],
            np.stack([self.vectors[chunk.id] for chunk, _ in pairs]),
            metadata,
        )

    def _update_reused(self, data: PhysicalCollection) -> None:
        ids, metadata = [], []
        for chunk, document in self._pairs():
            if chunk.id in self.vectors:
                continue
            held = self.stored[chunk.source][chunk.id].row
            row = rows.chunk_row(chunk, document)
            if held != row:
                ids.append(chunk.id)
                metadata.append(rows.changes(held, row))
        data.update_rows(ids, metadata)

    def _write_records(self, data: PhysicalCollection, *, dimension: int) -> None:
        reused = [chunk.id for chunk, _ in self._pairs() if chunk.id not in self.vectors]
        vectors = data.vectors(reused) | self.vectors
        records, means = [], []
        for one in self.prepared:
            if self._keeps_its_old_version(one):
                continue
            records.append(_record(one))
            means.append(document_vector([vectors[chunk.id] for chunk in one.chunks], dimension))
        if records:
            data.put_documents(records, np.stack(means))

    def _delete_stale(self, data: PhysicalCollection) -> None:
        data.delete_chunks(self.stale)
        self.totals.deleted = len(self.stale)

    def _keeps_its_old_version(self, one: Prepared) -> bool:
        return one.keeps_stored and bool(self.stored[one.file.source])


def ahead_of_time(prepared: Iterable[Prepared]) -> AbstractContextManager[Iterator[Prepared]]:
    """Read and cut documents while earlier ones are embedded, within bounded memory."""
    return prefetched(prepared, ahead=FILES_AHEAD, weigh=_weight, most_weight=CHARACTERS_AHEAD)


def _weight(one: Prepared) -> int:
    return len(one.document.text) if one.document is not None else 0


def batches(
    prepared: Iterable[Prepared], *, most_chunks: int, files: int | None = None
) -> Iterator[Batch]:
    """Documents in batches that end with the one that brings them to `most_chunks`.

    The first ones are smaller, each at most twice as large as the one before it. So are the last
    ones, if it is told how many `files` there are: nothing goes on beside the last batch's write.
    """
    wanted = min(most_chunks, FIRST_CHUNKS)
    batch, done, done_chunks = Batch(), 0, 0
    for one in prepared:
        batch.prepared.append(one)
        if batch.chunk_count >= wanted or len(batch.prepared) >= MOST_FILES:
            done, done_chunks = done + len(batch.prepared), done_chunks + batch.chunk_count
            yield batch
            batch = Batch()
            wanted = min(most_chunks, 2 * wanted)
            if files is not None:
                left = (files - done) * done_chunks // done
                wanted = min(wanted, max(FIRST_CHUNKS, left // 2))
    if batch.prepared:
        yield batch


def _record(one: Prepared) -> DocumentRecord:
    document = one.document
    return DocumentRecord(
        source=one.file.source,
        content_hash=document.content_hash if document else "",
        size_bytes=one.file.size_bytes,
        mtime_ns=trusted_mtime_ns(one.file),
        status="complete" if document else "skipped",
        chunk_count=len(one.chunks),
        token_count=sum(chunk.token_count for chunk in one.chunks),
        title=document.title if document else "",
        format=document.format if document else "",
        reason=one.reason,
        reading=one.reading,
        ingested_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
