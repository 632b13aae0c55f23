"""A collection to a file and back: between folders, servers and machines."""

import contextlib
import gzip
import os
import stat
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from retriever.checking.isolation import examine_generation
from retriever.checking.observing import observe
from retriever.collection.generations import fresh_generation
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState
from retriever.collection.store import Store
from retriever.errors import CollectionDamaged, CollectionError
from retriever.indexing import kept_in_step
from retriever.moving import exports
from retriever.moving.believing import Refusal
from retriever.moving.elsewhere import read_pair
from retriever.moving.exports import End, ExportedChunk, ExportedDocument, Header, Line
from retriever.moving.filling import fill
from retriever.repairing.recovering import open_sound_store
from retriever.settings import Settings
from retriever.timing import stage

_GZIP = b"\x1f\x8b"


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
        overwrite: whether a regular file that is there may be replaced. Its permissions stay,
            and so does a link that leads to it.

    Raises:
        CollectionNotFound: nothing has been ingested under that name.
        CollectionLocked: a writer is at work.
        CollectionDamaged: the collection has to be repaired first.
        CollectionError: the file is there already, is no regular file, or cannot be written.
    """
    started_s = time.monotonic()
    settings = settings or Settings.load()
    path = Path(file)
    if path.exists() and not path.is_file():
        raise CollectionError(f"{path} is no regular file and is left alone. Name another file.")
    if path.exists() and not overwrite:
        raise CollectionError(
            f"{path} is there already. Name another file, or overwrite it (--overwrite)."
        )
    with _replacing(path) as stream, observe(settings) as (store, state):
        _refuse_damaged(store, state)
        end = _write(stream, state, store.physical(state.live))
    return _report(state.name, path, end, started_s)


def import_(
    settings: Settings | None, file: str | Path, *, vectors: str | Path | None = None
) -> MoveReport:
    """Read a collection from a file that `export` wrote, into a new or empty collection.

    What the file says is checked line by line, and the whole is examined before it is
    switched to. The collection answers as the one that was exported, by its model.

    Args:
        settings: say where to, and the collection's name; the defaults where None.
        file: an export, compressed or not; with `vectors` chunks, see `moving.elsewhere`.
        vectors: a file of `numpy.save` with the vectors that the settings' model made of them.

    Raises:
        CollectionLocked: a writer is at work.
        CollectionError: the collection holds something, the file cannot be read, is none, or
            says what cannot be. Nothing was changed.
    """
    started_s = time.monotonic()
    settings = settings or Settings.load()
    path = Path(file)
    with _lines(path) as lines:
        # before a store is opened, which makes the state folder where there is none
        header, content = (
            read_pair(settings, lines, Path(vectors)) if vectors else _read_export(lines)
        )
        with open_sound_store(settings) as store:
            known = store.find(settings.collection)
            if known is not None:
                _make_way(store, known)
            state = known or store.create(settings.collection, header.fingerprint)
            try:
                end = _take_in(settings, store, state, header, content)
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


def _read_export(lines: Iterator[bytes]) -> tuple[Header, Iterator[tuple[Line, int]]]:
    header = exports.read_header(next(lines, b""))
    dimension = header.fingerprint.embedding.dimension
    return header, ((exports.read_line(line, dimension), len(line)) for line in lines)


def _take_in(
    settings: Settings,
    store: Store,
    state: CollectionState,
    header: Header,
    lines: Iterator[tuple[Line, int]],
) -> End:
    """Fill a generation, examine it, and let it answer in place of the empty one."""
    built, canary = header.fingerprint, header.canary
    with (
        fresh_generation(store, state, built, canary) as target,
        kept_in_step(settings, store, state, target) as lexical,
    ):
        end, words = fill(target, lexical, lines)
        with stage("settle"):
            target = store.settle(target.name)
        with stage("examine"):
            _refuse_unsound(store, target.name, end)
        saved = state.next(live=target.name, roots=header.roots, run=None)
        with stage("commit"):
            if words.are_scattered:
                lexical.remake(target, saved)
            else:
                lexical.commit(saved)
            store.save(saved)
    store.drop_generation(state.live)
    return end


def _refuse_unsound(store: Store, name: str, end: End) -> None:
    """See that the parts of what was imported agree: counts show what was there twice."""
    found = examine_generation(store, name)
    if not found.is_clean or End(found.chunks, found.documents) != end:
        raise Refusal("its chunks, documents and vectors do not agree with one another")


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BufferedIOBase]:
    """A stream whose bytes become the file when all of them are on the disk."""
    target = Path(os.path.realpath(path))
    part = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        with part.open("xb") as file:
            if target.exists():  # before a byte is written: nobody new may read it meanwhile
                part.chmod(stat.S_IMODE(target.stat().st_mode))
            if path.suffix == ".gz":
                with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as stream:
                    yield stream
            else:
                yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
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
