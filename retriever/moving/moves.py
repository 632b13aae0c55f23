"""A collection to a file and back: between folders, servers and machines."""

import contextlib
import gzip
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from retriever.checking.isolation import examine_generation
from retriever.checking.observing import observe
from retriever.collection.generations import fresh_generation
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState
from retriever.collection.store import Store
from retriever.errors import CollectionDamaged, CollectionError
from retriever.indexing import switch
from retriever.moving import exports
from retriever.moving.believing import Refusal
from retriever.moving.exports import End, ExportedChunk, ExportedDocument
from retriever.repairing.recovering import open_sound_store
from retriever.settings import Settings

_GZIP = b"\x1f\x8b"
_ROWS_AT_ONCE = 5_000
"""Written together: Chroma takes a third less time for them than for 500."""
_BYTES_AT_ONCE = 256 << 20


@dataclass(frozen=True, slots=True)
class MoveReport:
    """What was written to a file, or read from one."""

    collection: str
    file: Path
    chunks: int
    documents: int
    size_bytes: int
    """Of the file."""
    seconds: float


def export(settings: Settings | None, file: str | Path, *, overwrite: bool = False) -> MoveReport:
    """Write a collection to a file, its vectors and fingerprint included.

    The file is JSON lines, compressed if its name ends in `.gz`. It appears whole or not at
    all. It holds the texts of the documents and the paths of their roots, and no keys.

    Args:
        settings: from `Settings.load`; the defaults and the environment where None.
        file: where to.
        overwrite: whether a file that is there may be replaced.

    Raises:
        CollectionNotFound: nothing has been ingested under that name.
        CollectionLocked: a writer is at work.
        CollectionDamaged: the collection has to be repaired first.
        CollectionError: the file is there already, or cannot be written.
    """
    started_s = time.monotonic()
    settings = settings or Settings.load()
    path = Path(file)
    if path.exists() and not overwrite:
        raise CollectionError(
            f"{path} is there already. Name another file, or overwrite it (--overwrite)."
        )
    with _replacing(path) as stream, observe(settings) as (store, state):
        _refuse_damaged(store, state)
        end = _write(stream, state, store.physical(state.live))
    return _report(state.name, path, end, started_s)


def import_(settings: Settings | None, file: str | Path) -> MoveReport:
    """Read a collection from a file that `export` wrote, into a new or empty collection.

    What the file says is checked line by line, and the whole is examined before it is
    switched to. The collection answers as the one that was exported, by its model.

    Args:
        settings: say where to, and the collection's name; the defaults where None.
        file: an export, compressed or not.

    Raises:
        CollectionLocked: a writer is at work.
        CollectionError: the collection holds something, the file cannot be read, is none, or
            says what cannot be. Nothing was changed.
    """
    started_s = time.monotonic()
    settings = settings or Settings.load()
    path = Path(file)
    with _lines(path) as lines, open_sound_store(settings) as store:
        header = exports.read_header(next(lines, b""))
        known = store.find(settings.collection)
        if known is not None:
            _make_way(store, known)
        state = known or store.create(settings.collection, header.fingerprint)
        try:
            with fresh_generation(store, state, header.fingerprint, header.canary) as target:
                end = _fill(target, lines, header.fingerprint.embedding.dimension)
                _refuse_unsound(store, target.name, end)
            switch(settings, store, state, target, roots=header.roots, run=None)
        except BaseException:
            if known is None:
                store.drop(state)
            raise
    return _report(state.name, path, end, started_s)


def _write(stream: BufferedIOBase, state: CollectionState, data: PhysicalCollection) -> End:
    stream.write(exports.write_header(state, data.fingerprint, data.canary))
    chunks = documents = 0
    for page in data.chunk_pages(with_vectors=True):
        parts = zip(page.ids, page.texts, page.rows, page.vectors, strict=True)
        stream.writelines(exports.write_chunk(ExportedChunk(*one)) for one in parts)
        chunks += len(page.ids)
    for group in data.document_pages():
        pairs = zip(group.records, group.vectors, strict=True)
        stream.writelines(exports.write_document(ExportedDocument(*one)) for one in pairs)
        documents += len(group.records)
    end = End(chunks=chunks, documents=documents)
    stream.write(exports.write_end(end))
    return end


def _refuse_damaged(store: Store, state: CollectionState) -> None:
    found = examine_generation(store, state.live)
    if not found.is_clean:
        raise CollectionDamaged(
            f"Collection {state.name!r} is not whole, so that it was not exported. retriever "
            "check says what is wrong, retriever repair mends it."
        )


def _make_way(store: Store, state: CollectionState) -> None:
    """Refuse a collection that holds something; drop what an interrupted import left of one."""
    count = store.physical(state.live).chunk_count()
    if count:
        raise CollectionError(
            f"Collection {state.name!r} holds {count} chunks. Import into a new one: "
            "--collection NAME."
        )
    for other in store.generations(state):
        if other not in (state.live, state.previous):
            store.drop_generation(other)


@dataclass(slots=True)
class _Pending:
    """Rows that are written together."""

    chunks: list[ExportedChunk] = field(default_factory=list)
    documents: list[ExportedDocument] = field(default_factory=list)

    def write(self, target: PhysicalCollection) -> None:
        ids = {one.id for one in self.chunks} | {one.record.source for one in self.documents}
        if len(ids) < len(self.chunks) + len(self.documents):
            raise Refusal("what it holds is not unique: a chunk or document comes twice")
        if self.chunks:
            target.put_chunks(
                [one.id for one in self.chunks],
                [one.text for one in self.chunks],
                np.stack([one.vector for one in self.chunks]),
                [one.row for one in self.chunks],
            )
        if self.documents:
            target.put_documents(
                [one.record for one in self.documents],
                np.stack([one.vector for one in self.documents]),
            )
        self.chunks, self.documents = [], []


def _fill(target: PhysicalCollection, lines: Iterator[bytes], dimension: int) -> End:
    """Write what the lines say: how much that was, as the last of them confirms."""
    pending = _Pending()
    chunks = documents = read_bytes = 0
    for line in lines:
        one = exports.read_line(line, dimension)
        read_bytes += len(line)
        if isinstance(one, End):
            pending.write(target)
            if one != End(chunks, documents) or next(lines, None) is not None:
                raise Refusal("its last line does not agree with what it holds")
            return one
        if isinstance(one, ExportedChunk):
            pending.chunks.append(one)
            chunks += 1
        elif isinstance(one, ExportedDocument):
            pending.documents.append(one)
            documents += 1
        if (chunks + documents) % _ROWS_AT_ONCE == 0 or read_bytes > _BYTES_AT_ONCE:
            pending.write(target)
            read_bytes = 0
    raise Refusal("it ends too early: the rest of it is missing")


def _refuse_unsound(store: Store, name: str, end: End) -> None:
    """See that the parts of what was imported agree: counts show what was there twice."""
    found = examine_generation(store, name)
    if not found.is_clean or End(found.chunks, found.documents) != end:
        raise Refusal("its chunks, documents and vectors do not agree with one another")


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BufferedIOBase]:
    """A stream whose bytes become the file when all of them are on the disk."""
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        with part.open("xb") as file:
            if path.suffix == ".gz":
                with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as stream:
                    yield stream
            else:
                yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise CollectionError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _lines(path: Path) -> Iterator[Iterator[bytes]]:
    """The lines of an export; whatever is wrong with it is told with its name and line."""
    place = [0]
    try:
        with path.open("rb") as file:
            compressed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            with gzip.GzipFile(fileobj=file) if compressed else file as stream:
                yield _bounded(stream, place)
    except (OSError, EOFError, zlib.error) as error:
        raise CollectionError(f"{path} cannot be read: {error}.") from error
    except Refusal as error:
        raise CollectionError(
            f"{path}, line {max(1, *place)}: {error}. Nothing was imported."
        ) from error


def _bounded(stream: BufferedIOBase, place: list[int]) -> Iterator[bytes]:
    while line := stream.readline(exports.MOST_LINE_BYTES + 1):
        place[0] += 1
        if len(line) > exports.MOST_LINE_BYTES:
            raise Refusal("it is too long")
        yield line


def _report(name: str, path: Path, end: End, started_s: float) -> MoveReport:
    return MoveReport(
        collection=name,
        file=path,
        chunks=end.chunks,
        documents=end.documents,
        size_bytes=path.stat().st_size,
        seconds=round(time.monotonic() - started_s, 3),
    )
