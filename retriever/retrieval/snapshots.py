"""What a reader sees: one committed state of a collection, replaced when a commit is newer.

An embedded Chroma keeps its index in memory and never learns of another process's writes.
So each query first reads the collection's revision (0.3 ms); if it moved, a fresh client is
opened and the old one is closed when the last query on it has ended.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retriever import assembly
from retriever.canary import checked_embedder
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState, differences
from retriever.collection.store import Store
from retriever.errors import FingerprintMismatch
from retriever.protocols import Embedder
from retriever.repairing.recovering import refuse_torn
from retriever.settings import Settings


@dataclass(slots=True)
class Snapshot:
    """An open store, the state that it was opened at, and the embedder for its queries."""

    store: Store
    state: CollectionState
    data: PhysicalCollection
    embedder: Embedder
    users: int = 0
    retired: bool = False


class Snapshots:
    """Hands out the newest snapshot of one collection. Threads may share it.

    Raises:
        CollectionNotFound: there is no such collection.
        FingerprintMismatch: the settings name another model than the one that built it.
        CollectionDamaged: a writer was killed while it wrote the index.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._current = self._open(None)

    @contextlib.contextmanager
    def newest(self) -> Iterator[Snapshot]:
        """A snapshot of the last commit, open until the context is left."""
        snapshot = self._acquire()
        try:
            yield snapshot
        finally:
            self._release(snapshot)

    def refresh(self, stale: Snapshot) -> None:
        """Open the collection anew if `stale` is still the current snapshot."""
        with self._lock:
            if self._current is stale:
                self._replace()

    def close(self) -> None:
        """Close the store once no query uses it. Safe to repeat."""
        with self._lock:
            self._retire(self._current)

    def _acquire(self) -> Snapshot:
        with self._lock:
            current = self._current
            now = current.store.state(current.state.name)
            if now.live != current.state.live or self._is_stale(now):
                self._replace()
            self._current.users += 1
            return self._current

    def _is_stale(self, now: CollectionState) -> bool:
        """A server's index is always up to date, a folder's is as old as its client."""
        return (
            self._current.store.options.mode == "embedded"
            and now.revision != self._current.state.revision
        )

    def _release(self, snapshot: Snapshot) -> None:
        with self._lock:
            snapshot.users -= 1
            if snapshot.retired and snapshot.users == 0:
                snapshot.store.close()

    def _replace(self) -> None:
        old = self._current
        self._current = self._open(old)
        self._retire(old)

    def _retire(self, snapshot: Snapshot) -> None:
        if not snapshot.retired:
            snapshot.retired = True
            if snapshot.users == 0:
                snapshot.store.close()

    def _open(self, before: Snapshot | None) -> Snapshot:
        store = assembly.open_store(self._settings)
        try:
            with store.guard():
                state = store.state(self._settings.collection)
                refuse_torn(store, state.live)
                data = store.physical(state.live)
                built = data.fingerprint.embedding
                if data.chunk_count():
                    data.rank(_any_vector(built.dimension), count=1, where=None)
            if before is not None and before.embedder.fingerprint == built:
                embedder = before.embedder
            else:
                embedder = self._open_embedder(state.name, data, follow=before is not None)
            return Snapshot(store=store, state=state, data=data, embedder=embedder)
        except BaseException:
            store.close()
            raise

    def _open_embedder(self, name: str, data: PhysicalCollection, *, follow: bool) -> Embedder:
        """The collection's embedder; a reader that was let in follows its collection's swaps."""
        built = data.fingerprint.embedding
        embedder = assembly.open_collection_embedder(self._settings, built, follow=follow)
        _refuse_other(name, differences(built, embedder.fingerprint))
        return checked_embedder(embedder, data)


def _any_vector(dimension: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """A query that makes Chroma load its index while the lock is held."""
    return np.eye(1, dimension, dtype=np.float32)


def _refuse_other(name: str, differing: dict[str, tuple[object, object]]) -> None:
    if differing:
        raise FingerprintMismatch(
            name,
            differing,
            advice="Open it with the config that built it, or leave embedding.model out of the "
            "settings: a collection remembers its model.",
        )
