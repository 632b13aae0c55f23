"""A collection's documents, prepared anew for another generation: from stored text or files."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

from retriever.chunking import Chunker, ChunkingOptions, compose_embedded_text
from retriever.collection import rows
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState
from retriever.collection.store import Store
from retriever.errors import CollectionDamaged, CollectionError, LoadingError
from retriever.ingestion.batching import Prepared
from retriever.ingestion.selecting import has_left_out
from retriever.loading.loader import DocumentLoader
from retriever.protocols import Embedder
from retriever.records import Chunk, CorpusFile, DocumentRecord, Fingerprint, Passage

DOCUMENTS_AT_ONCE = 64
"""Documents whose chunks are read from the collection in one go."""


def from_stored_text(
    live: PhysicalCollection, options: ChunkingOptions, embedder: Embedder
) -> Iterator[Prepared]:
    """Every document with its chunks as they are stored; files are not looked at.

    Raises:
        CollectionError: a chunk does not fit the embedder's window, so it has to be cut anew.
    """
    for records in _grouped(live.manifest(), DOCUMENTS_AT_ONCE):
        stored = live.stored_chunks([record.source for record in records])
        texts = live.passages({one: 0.0 for chunks in stored.values() for one in chunks})
        for record in records:
            yield _prepared(record, stored[record.source], texts, options, embedder)


def from_files(
    live: PhysicalCollection,
    roots: Mapping[str, str],
    *,
    loader: DocumentLoader,
    chunker: Chunker,
) -> Iterator[Prepared]:
    """Every document read and cut again.

    Raises:
        CollectionError: a file is gone or has changed since it was ingested.
    """
    for record in live.manifest():
        file = _file(record, roots)
        if record.status == "skipped" and not has_left_out(record):
            yield Prepared(file=file, document=None, reason=record.reason, reading=record.reading)
            continue
        try:
            document = loader.load(file)
        except LoadingError as error:
            raise CollectionError(_not_at_hand(record, error.reason)) from error
        if document.content_hash != record.content_hash and record.status != "skipped":
            raise CollectionError(_not_at_hand(record, "it has changed"))
        chunks = tuple(chunker.chunk(document))
        yield Prepared(file=file, document=document, chunks=chunks, reading=loader.reading)


def _prepared(
    record: DocumentRecord,
    stored: Mapping[str, rows.StoredChunk],
    texts: Mapping[str, Passage],
    options: ChunkingOptions,
    embedder: Embedder,
) -> Prepared:
    file = _file(record, {})
    if record.status == "skipped":
        return Prepared(file=file, document=None, reason=record.reason, reading=record.reading)
    ordered = sorted(stored.values(), key=lambda one: int(one.row["ordinal"]))
    embedded = [
        compose_embedded_text(
            texts[one.id].title, texts[one.id].heading_path, texts[one.id].text, options
        )
        for one in ordered
    ]
    counts = embedder.count_tokens(embedded)
    if max(counts, default=0) > embedder.fingerprint.window_tokens:
        raise ChunksTooLong(record.source)
    chunks = tuple(
        _chunk(one, texts[one.id], text, count)
        for one, text, count in zip(ordered, embedded, counts, strict=True)
    )
    row: Mapping[str, object] = (
        ordered[0].row
        if ordered
        else {"document_hash": record.content_hash, "format": record.format, "title": record.title}
    )
    document = rows.stored_document(record.source, row)
    return Prepared(file=file, document=document, chunks=chunks, reading=record.reading)


def find_begun(store: Store, state: CollectionState, wanted: Fingerprint) -> str | None:
    """The generation that a stopped swap to what is wanted began, if it can be gone on with."""
    with store.guard():
        unusable = {state.live, state.previous, *store.torn()}
    for name in store.generations(state):
        if name in unusable or store.missing_parts(name):
            continue
        if store.physical(name).fingerprint == wanted:
            return name
    return None


def forget(target: PhysicalCollection, sources: list[str]) -> None:
    """Delete what an earlier, stopped swap copied of documents that the live one holds no more."""
    stored = target.stored_chunks(sources)
    target.delete_chunks([chunk_id for chunks in stored.values() for chunk_id in chunks])
    target.delete_documents(sources)


def check_copy(live: PhysicalCollection, target: PhysicalCollection, *, documents: int) -> int:
    """See that the new generation holds what it should, vectors included: its chunks.

    Raises:
        CollectionDamaged: it does not; nothing was switched.
    """
    expected = sum(record.chunk_count for record in target.manifest())
    reachable = sum(len(page.ids) for page in target.chunk_pages(with_vectors=True))
    known = {record.source: record for record in live.manifest()}
    copied = {record.source: record for record in target.manifest()}
    changed = known.keys() != copied.keys() or any(
        record.content_hash != copied[source].content_hash
        and not (has_left_out(record) or has_left_out(copied[source]))
        for source, record in known.items()
    )
    if expected != reachable or changed or documents != len(known):
        raise CollectionDamaged(
            f"The new generation {target.name} holds {reachable} chunks of {len(copied)} "
            f"documents, not {expected} of {len(known)}. The live one was left as it is; "
            "run the swap again."
        )
    return reachable


class ChunksTooLong(CollectionError):
    """Stored chunks do not fit the window of the model that is to embed them."""

    def __init__(self, source: str) -> None:
        self.source = source
        super().__init__(
            f"A chunk of {source} does not fit the new model's window. Its files have to be cut "
            "anew: set chunking.tokens to what the model reads."
        )


def _chunk(one: rows.StoredChunk, stored: Passage, embedded_text: str, token_count: int) -> Chunk:
    return Chunk(
        id=one.id,
        source=stored.source,
        text=stored.text,
        start=stored.start,
        end=stored.end,
        ordinal=int(one.row["ordinal"]),
        title=stored.title,
        heading_path=stored.heading_path,
        page=stored.page,
        line_start=stored.line_start,
        line_end=stored.line_end,
        embedded_text=embedded_text,
        token_count=token_count,
        gap=str(one.row.get("gap", "")),
    )


def _file(record: DocumentRecord, roots: Mapping[str, str]) -> CorpusFile:
    root, _, inside = record.source.partition("/")
    return CorpusFile(
        source=record.source,
        path=Path(roots.get(root, "")) / inside,
        size_bytes=record.size_bytes,
        mtime_ns=record.mtime_ns,
    )


def _not_at_hand(record: DocumentRecord, why: str) -> str:
    return (
        f"{record.source} cannot be cut anew: {why}. Ingest its folder first with the present "
        "settings, or keep the chunking settings as they are."
    )


def _grouped(items: Iterator[DocumentRecord], size: int) -> Iterator[list[DocumentRecord]]:
    while group := list(itertools.islice(items, size)):
        yield group
