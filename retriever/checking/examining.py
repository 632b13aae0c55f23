"""One generation of a collection, proved: its rows, texts, vectors and manifest agree.

Chroma's own counts say nothing of vectors: the index can lack what the tables hold. So every
vector is read, and a sample of the chunks is searched for.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from retriever.checking.diagnosis import Diagnosis, Part
from retriever.chunking import Chunker, ChunkingOptions, compose_embedded_text
from retriever.collection import rows
from retriever.collection.pages import ChunkPage
from retriever.collection.physical import PhysicalCollection
from retriever.collection.probing import readable_vectors
from retriever.embedding.vectors import is_sound, normalise
from retriever.errors import CollectionDamaged
from retriever.protocols import Vectors
from retriever.records import ChunkingFingerprint, DocumentRecord

MOST_PROBES = 1_000
"""Chunks that are searched for by their own vector, spread over the collection."""
_PROBES_AT_ONCE = 100
_PROBE_RANKS = 10
_SAME_SCORE = 0.999
"""A vector scores 1 against itself, less what float32 rounds away."""
Tell = Callable[[Part], None]


def examine(data: PhysicalCollection, tell: Tell = lambda _: None) -> Diagnosis:
    """Read all of a generation and compare its parts with one another.

    Memory grows with the number of documents, not with their texts and vectors.

    Args:
        data: the generation; nothing is written to it.
        tell: called with the name of each part before its index is touched.

    Raises:
        CollectionDamaged: it does not say how it was built.
    """
    examination = _Examination(data)
    found = examination.diagnosis
    works: dict[Part, Callable[[], None]] = {
        "documents": examination.read_documents,
        "chunks": examination.read_chunks,
    }
    for part, work in works.items():
        tell(part)
        try:
            work()
        except CollectionDamaged as error:
            found.fault, found.faulty = str(error.__cause__ or error), part
            return found
    examination.compare_records()
    return found


@dataclass(slots=True)
class _Held:
    """What the collection holds of one source."""

    versions: Counter[str] = field(default_factory=Counter)
    """Chunks by the hash of the document version that they were last part of."""
    tokens: int = 0
    title: str = ""
    format: str = ""
    total: Vectors | None = None
    """Sum of the vectors read so far, until all of them are."""
    unsound: bool = False
    """Whether one of its vectors is lost or wrong."""

    def record(self, source: str) -> DocumentRecord:
        """A record that tells of these chunks, and has their file read again."""
        return DocumentRecord(
            source=source,
            content_hash="",
            size_bytes=0,
            mtime_ns=0,
            status="complete",
            chunk_count=self.versions.total(),
            token_count=self.tokens,
            title=self.title,
            format=self.format,
            reason="",
            reading="",
            ingested_at="",
        )


class _Examination:
    def __init__(self, data: PhysicalCollection) -> None:
        self.diagnosis = Diagnosis()
        self._data = data
        fingerprint = data.fingerprint
        self._dimension = fingerprint.embedding.dimension
        self._composing = _composing(fingerprint.chunking)
        self._records: dict[str, DocumentRecord] = {}
        self._held: dict[str, _Held] = {}

    def read_documents(self) -> None:
        """Read the manifest and the vector of every document."""
        for page in self._data.document_rows():
            sources = {}
            for document_id, row in page.items():
                if not rows.is_document_row(row) or document_id != _id_of(row):
                    self.diagnosis.foreign_documents.append(document_id)
                    continue
                record = rows.document_record(row)
                self._records[record.source] = record
                sources[document_id] = record.source
            vectors = readable_vectors(self._data.document_vectors, list(sources))
            self.diagnosis.vectorless += [
                source
                for document_id, source in sources.items()
                if document_id not in vectors or not self._is_sound(vectors[document_id])
            ]
        self.diagnosis.documents = len(self._records)

    def read_chunks(self) -> None:
        """Read every chunk and its vector, and search for a sample of them."""
        count = self._data.chunk_count()
        self.diagnosis.chunks = count
        step = -(-count // MOST_PROBES) or 1
        probes: dict[str, Vectors] = {}
        seen = 0
        for page in self._data.chunk_pages(with_vectors=False):
            vectors = readable_vectors(self._data.vectors, page.ids)
            self._read_page(page, vectors)
            for place, chunk_id in enumerate(page.ids, start=seen):
                if place % step == 0 and self._is_sound(vectors.get(chunk_id)):
                    probes[chunk_id] = vectors[chunk_id]
            seen += len(page.ids)
        self._search(probes)

    def compare_records(self) -> None:
        """Compare the manifest with the chunks that are there."""
        for source in sorted(self._records.keys() | self._held.keys()):
            held = self._held.get(source, _Held())
            record = self._records.get(source)
            difference = _difference(record, held.versions)
            if difference:
                self.diagnosis.disagreeing[source] = difference
            if difference or source in self.diagnosis.altered:
                self.diagnosis.corrections[source] = asdict(_correction(record, held, source))
            elif record is not None and record.status == "complete" and not record.content_hash:
                self.diagnosis.unread.append(source)

    def _read_page(self, page: ChunkPage, vectors: Mapping[str, Vectors]) -> None:
        finished = []
        for chunk_id, row, text in zip(page.ids, page.rows, page.texts, strict=True):
            if not rows.is_chunk_row(row, text):
                self.diagnosis.foreign.append(chunk_id)
                continue
            source = row["source"]
            if not self._is_as_stored(row, text):
                self.diagnosis.altered.setdefault(source, []).append(chunk_id)
            held = self._count(source, row)
            self._add_vector(held, source, chunk_id, vectors.get(chunk_id))
            record = self._records.get(source)
            if record is not None and held.versions.total() == record.chunk_count:
                finished.append(source)
        self._compare_means(finished)

    def _count(self, source: str, row: Mapping[str, Any]) -> _Held:
        held = self._held.setdefault(source, _Held())
        held.versions[row["document_hash"]] += 1
        held.tokens += row["tokens"]
        held.title = held.title or str(row.get("title", ""))
        held.format = row["format"]
        return held

    def _add_vector(self, held: _Held, source: str, chunk_id: str, vector: Vectors | None) -> None:
        if vector is None:
            self.diagnosis.lost.setdefault(source, []).append(chunk_id)
        elif not self._is_sound(vector):
            self.diagnosis.wrong.setdefault(source, []).append(chunk_id)
        else:
            held.total = vector.astype(np.float64) if held.total is None else held.total + vector
            return
        held.unsound = True

    def _compare_means(self, sources: list[str]) -> None:
        """See that documents whose chunks were all read have the mean of them as their vector."""
        known = set(self.diagnosis.vectorless)
        ids = {
            rows.document_id(source): source
            for source in sources
            if source not in known and not self._held[source].unsound
        }
        vectors = readable_vectors(self._data.document_vectors, list(ids))
        for document_id, source in ids.items():
            total = self._held[source].total
            if total is None or not total.any() or document_id not in vectors:
                continue
            if float(normalise(total) @ vectors[document_id]) < _SAME_SCORE:
                self.diagnosis.vectorless.append(source)
        for source in sources:
            self._held[source].total = None

    def _search(self, probes: Mapping[str, Vectors]) -> None:
        """Each chunk finds itself, or ten others with the same vector."""
        ids = list(probes)
        self.diagnosis.probed = len(ids)
        for start in range(0, len(ids), _PROBES_AT_ONCE):
            batch = ids[start : start + _PROBES_AT_ONCE]
            queries = np.stack([probes[one] for one in batch])
            try:
                rankings = self._data.rank(queries, count=_PROBE_RANKS, where=None)
            except CollectionDamaged:
                self.diagnosis.unfound = len(ids)
                return
            for chunk_id, ranking in zip(batch, rankings, strict=True):
                crowded = len(ranking) == _PROBE_RANKS and ranking[-1].score > _SAME_SCORE
                found = {one.chunk_id for one in ranking if one.score > _SAME_SCORE}
                self.diagnosis.unfound += chunk_id not in found and not crowded

    def _is_sound(self, vector: Vectors | None) -> bool:
        return vector is not None and is_sound(vector, self._dimension)

    def _is_as_stored(self, row: Mapping[str, Any], text: str) -> bool:
        if not row["embedded_hash"]:
            return True  # a repair has marked it: the next run writes it again
        if row["end"] - row["start"] != len(text):
            return False
        if self._composing is None:
            return True
        embedded = compose_embedded_text(
            str(row.get("title", "")), rows.heading_path(row), text, self._composing
        )
        return bool(rows.embedded_hash(embedded) == row["embedded_hash"])


def _composing(chunking: ChunkingFingerprint) -> ChunkingOptions | None:
    """How a collection's embedded texts are made again; None where another version made them."""
    options = ChunkingOptions(
        tokens=chunking.tokens,
        overlap_tokens=chunking.overlap_tokens,
        embed_title=chunking.embed_title,
        embed_headings=chunking.embed_headings,
    )
    present = Chunker(
        options, count_tokens=lambda texts: [0] * len(texts), window_tokens=chunking.tokens
    )
    return options if present.fingerprint.chunker == chunking.chunker else None


def _id_of(row: Mapping[str, Any]) -> str:
    return rows.document_id(row["source"])


def _difference(record: DocumentRecord | None, versions: Mapping[str, int]) -> str:
    """How a record and the chunks of its source disagree; empty where they agree."""
    count = sum(versions.values())
    if record is None:
        return f"it has {count} chunks and no record"
    if count != record.chunk_count:
        return f"its record tells of {record.chunk_count} chunks, {count} are there"
    if (
        record.status == "complete"
        and record.content_hash
        and set(versions) - {record.content_hash}
    ):
        return "some of its chunks are of another version of the file"
    return ""


def _correction(record: DocumentRecord | None, held: _Held, source: str) -> DocumentRecord:
    """What is known of a document, so that the next run reads its file again."""
    made = held.record(source)
    if record is None:
        return made
    return replace(
        made,
        title=record.title or made.title,
        format=record.format or made.format,
        ingested_at=record.ingested_at,
    )
