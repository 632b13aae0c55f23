"""Stored chunks against the files that they were cut from, where these are at hand."""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from retriever.collection.physical import PhysicalCollection
from retriever.errors import LoadingError
from retriever.loading.loader import DocumentLoader
from retriever.records import CorpusFile, Document, DocumentRecord, Passage

_SOURCES_AT_ONCE = 64


def find_misplaced(
    data: PhysicalCollection, roots: Mapping[str, str], loader: DocumentLoader
) -> Iterator[tuple[str, int]]:
    """Sources with chunks that are no slice of their file, and how many of each.

    Files that are gone, have changed, or were read by other loaders prove nothing, and are
    passed over.

    Args:
        data: the chunks.
        roots: name and absolute path of the collection's roots.
        loader: reads the files anew.
    """
    candidates = (
        record
        for record in data.manifest()
        if record.status == "complete" and record.chunk_count and record.reading == loader.reading
    )
    for records in _grouped(candidates):
        present = [(record, file) for record in records if (file := locate(record, roots))]
        stored = data.stored_chunks([record.source for record, _ in present])
        passages = data.passages({one: 0.0 for chunks in stored.values() for one in chunks})
        for record, file in present:
            document = _load(file, record, loader)
            if document is not None:
                chunks = [passages[one] for one in stored[record.source] if one in passages]
                wrong = sum(not _is_slice(one, document) for one in chunks)
                if wrong:
                    yield record.source, wrong


def locate(record: DocumentRecord, roots: Mapping[str, str]) -> CorpusFile | None:
    """The file of a document, if it is in its root and still has the size that it had."""
    root, _, inside = record.source.partition("/")
    if root not in roots or not inside:
        return None
    try:
        base = os.path.realpath(roots[root])
        path = os.path.realpath(os.path.join(base, inside))
        within = os.path.commonpath([base, path]) == base
        size_bytes = os.stat(path).st_size if within else -1
    except (OSError, ValueError):
        return None
    if size_bytes != record.size_bytes:
        return None
    return CorpusFile(
        source=record.source, path=Path(path), size_bytes=size_bytes, mtime_ns=record.mtime_ns
    )


def _load(file: CorpusFile, record: DocumentRecord, loader: DocumentLoader) -> Document | None:
    try:
        document = loader.load(file)
    except LoadingError:
        return None
    return document if document.content_hash == record.content_hash else None


def _is_slice(passage: Passage, document: Document) -> bool:
    return document.text[passage.start : passage.end] == passage.text


def _grouped(records: Iterable[DocumentRecord]) -> Iterator[list[DocumentRecord]]:
    rest = iter(records)
    while group := list(itertools.islice(rest, _SOURCES_AT_ONCE)):
        yield group
