"""Room given back: live rows move to a new generation, and what deleting left goes with the old.

Chroma frees neither index entries nor pages of its SQLite file when rows are deleted.
"""

import time
from dataclasses import dataclass

from retriever import assembly
from retriever.checking.isolation import examine_generation
from retriever.collection import segments
from retriever.collection.client import StorageOptions
from retriever.collection.generations import copy, fresh_generation
from retriever.collection.locking import sole_use, writer_lock
from retriever.collection.store import Store
from retriever.errors import CollectionDamaged, CollectionError, CollectionLocked
from retriever.indexing import switch
from retriever.repairing.recovering import open_sound_store
from retriever.settings import Settings


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What was moved and what it freed."""

    collection: str
    live: str
    """The physical collection that answers now."""
    chunks: int
    documents: int
    bytes_before: int | None
    """Bytes of Chroma's folder; None where it is not a folder of this machine."""
    bytes_after: int | None
    note: str
    """Why less was freed than could be; empty where all was."""
    seconds: float


def compact(settings: Settings | None = None) -> CompactReport:
    """Move a collection to fresh index files and give back what deleted rows held.

    The copy is examined before readers are switched to it, in one step; they go on meanwhile.
    The SQLite file is rewritten only while nobody else has the collections open.

    Args:
        settings: from `Settings.load`; the defaults and the environment where None.

    Raises:
        CollectionNotFound: nothing has been ingested under that name.
        CollectionLocked: a writer is at work.
        CollectionDamaged: the collection has to be repaired first. Nothing was changed.
    """
    started_s = time.monotonic()
    settings = settings or Settings.load()
    options = assembly.storage_options(settings)
    with open_sound_store(settings, existing=True) as store:
        state = store.state(settings.collection)
        before = _size_bytes(options)
        held = _refuse_damaged(store, state.live)
        source = store.physical(state.live)
        with fresh_generation(store, state, source.fingerprint, source.canary) as target:
            copy(source, target)
            target = store.settle(target.name)
            if _refuse_damaged(store, target.name) != held:
                raise CollectionDamaged(f"The copy of {source.name} lacks rows, and was dropped.")
        state = switch(settings, store, state, target)
    note = _vacuum(options)
    return CompactReport(
        collection=state.name,
        live=state.live,
        chunks=held.chunks,
        documents=held.documents,
        bytes_before=before,
        bytes_after=_size_bytes(options),
        note=note,
        seconds=round(time.monotonic() - started_s, 3),
    )


@dataclass(frozen=True, slots=True)
class _Held:
    """What a generation holds that can be read and found."""

    chunks: int
    documents: int


def _refuse_damaged(store: Store, name: str) -> _Held:
    """See that every chunk has a vector that is found, before the only other copy may go."""
    found = examine_generation(store, name)
    if found.fault or found.foreign or found.foreign_documents or found.needs_rebuilding:
        raise CollectionDamaged(
            f"{name} is not whole, so that it was not compacted. retriever check says what is "
            "wrong, retriever repair mends it."
        )
    return _Held(chunks=found.chunks, documents=found.documents)


def _vacuum(options: StorageOptions) -> str:
    """Shrink the SQLite file: why that was not done, or nothing."""
    if options.mode == "memory":
        return ""
    if options.mode != "embedded":
        return "The server's own files are shrunk there: chroma vacuum."
    try:
        with writer_lock(options.path), sole_use(options.path):
            segments.vacuum(options.path)
    except CollectionLocked:
        return (
            "The SQLite file was not shrunk, since the collections are open elsewhere. Close what "
            "reads them and compact again."
        )
    except CollectionError as error:
        return str(error)
    return ""


def _size_bytes(options: StorageOptions) -> int | None:
    if options.mode != "embedded":
        return None
    return segments.size_bytes(options.path / segments.CHROMA)
