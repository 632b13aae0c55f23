"""What a reader sees: one committed state of a collection, replaced when a commit is newer.

An embedded Chroma keeps its index in memory and never learns of another process's writes.
So each query first reads the collection's revision (0.3 ms); if it moved, a fresh client is
opened and the old one is closed when the last query on it has ended.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager

import numpy as np

from retriever import assembly
from retriever.canary import CheckedEmbedder, checked_embedder
from retriever.collection.physical import PhysicalCollection
from retriever.collection.rows import Row
from retriever.collection.state import CollectionState, differences
from retriever.collection.store import Store
from retriever.errors import CollectionError, FingerprintMismatch
from retriever.indexing import open_current
from retriever.lexical import LexicalIndex
from retriever.repairing.recovering import refuse_torn
from retriever.retrieval.beside import Beside
from retriever.retrieval.filling import Filling, Rows, read_vectors
from retriever.retrieval.table import Selections, Table
from retriever.settings import Settings
from retriever.timing import stage

EXACT_CHUNKS = 10_000
"""Up to as many a collection is searched exactly, from memory: faster than any index opens."""
BYTES_OF_A_MB = 1_000_000


class Snapshot:
    """An open store and the state that it was opened at."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        open_embedder: Callable[[CollectionState, PhysicalCollection], CheckedEmbedder],
        filling: Filling,
        beside: Beside,
        hold: Callable[["Snapshot"], AbstractContextManager[None]],
    ) -> None:
        """See the collection as it is now, through a store that becomes the snapshot's own.

        Raises:
            CollectionNotFound: there is no such collection.
            CollectionDamaged: a writer was killed while it wrote the index.
        """
        self._settings = settings
        self._open_embedder = open_embedder
        self._lock = threading.Lock()
        self._embedder: CheckedEmbedder | None = None
        self._lexical: LexicalIndex | None = None
        self._hold = hold
        self._has_tables = store.options.mode in ("embedded", "memory")
        self.store = store
        self.filling = filling
        self.beside = beside
        self.table: Table | None = None
        self.rows: Rows | None = None
        self.is_small = False
        self.chunk_count = 0
        self.selections = Selections()
        self.users = 0
        self.retired = False
        with store.guard():
            self.state = store.state(settings.collection)
            refuse_torn(store, self.state.live)
            self.data = store.physical(self.state.live)
            self._open_vectors()

    def embedder(self) -> CheckedEmbedder:
        """The embedder for queries.

        Raises:
            FingerprintMismatch: the settings name another model than the one that built it.
        """
        with self._lock:
            if self._embedder is None:
                self._embedder = self._open_embedder(self.state, self.data)
            return self._embedder

    def _open_vectors(self) -> None:
        """Have Chroma open its index, and read the vectors of a small collection.

        In one step, while nobody writes: Chroma's tables are always those of now, its index is
        that of when it was opened, and it refuses to read a vector that only the tables know of.
        """
        with stage("open vectors"):
            self.chunk_count = count = self.data.chunk_count()
            if count:
                any_vector = _any_vector(self.data.fingerprint.embedding.dimension)
                self.data.rank(any_vector, count=1, where=None)
            if 0 < count <= EXACT_CHUNKS and self._has_tables and self.filling.fits(self.data):
                self.table = read_vectors(self.data)
                self.is_small = True

    def miss(self) -> None:
        """Hear that Chroma had to evaluate a filter."""
        if self._has_tables:
            self.filling.missed(self, lambda: self._hold(self))

    def chunk_texts(self, ids: Sequence[str]) -> Iterable[tuple[str, Row, str]]:
        """Id, metadata and text of those of the chunks that are there; from memory where it can be.

        Raises:
            CollectionError: the collection could not be read.
        """
        rows = self.rows
        if rows is None:
            if self.is_small:
                self.filling.fetched(self, lambda: self._hold(self))
        elif all(one in rows for one in ids):
            return [(one, *rows[one]) for one in ids]
        return self.data.chunk_texts(ids=ids)

    def lexical(self) -> LexicalIndex:
        """The index of the collection's words, not older than the snapshot."""
        with self._lock:
            if self._lexical is None:
                with stage("open words"):
                    self._lexical = open_current(self._settings, self.store, self.state, self.data)
            return self._lexical

    def close(self) -> None:
        """Free what was opened."""
        with self._lock:
            if self._lexical is not None:
                self._lexical.close()
            self.store.close()


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
        self._embedder: CheckedEmbedder | None = None
        self._filling = Filling(settings.retrieval.table_mb * BYTES_OF_A_MB)
        self._beside = Beside()
        self._is_closed = False
        self._current = self._open()

    @contextlib.contextmanager
    def newest(self) -> Iterator[Snapshot]:
        """A snapshot of the last commit, open until the context is left."""
        with stage("freshness"):
            snapshot = self._acquire()
        try:
            yield snapshot
        finally:
            self._release(snapshot)

    def refresh(self, stale: Snapshot) -> None:
        """Open the collection anew if `stale` is still the current snapshot."""
        with self._lock:
            if self._current is stale and not self._is_closed:
                self._replace()

    def close(self) -> None:
        """Close the store once no query uses it. Safe to repeat."""
        self._filling.close()
        self._beside.close()
        with self._lock:
            self._is_closed = True
            self._retire(self._current)

    @contextlib.contextmanager
    def _hold(self, snapshot: Snapshot) -> Iterator[None]:
        """Keep a snapshot open for what is done beside the queries."""
        with self._lock:
            if snapshot.retired and snapshot.users == 0:
                raise CollectionError("The snapshot was closed meanwhile. Ask again.")
            snapshot.users += 1
        try:
            yield
        finally:
            self._release(snapshot)

    def _acquire(self) -> Snapshot:
        with self._lock:
            if self._is_closed:
                raise CollectionError("The retriever was closed. Open another one.")
            current = self._current
            now = current.store.state(current.state.name)
            if _commit(now) != _commit(current.state):
                self._replace()
            self._current.users += 1
            return self._current

    def _release(self, snapshot: Snapshot) -> None:
        with self._lock:
            snapshot.users -= 1
            if snapshot.retired and snapshot.users == 0:
                snapshot.close()

    def _replace(self) -> None:
        old = self._current
        self._current = self._open()
        self._retire(old)

    def _retire(self, snapshot: Snapshot) -> None:
        if not snapshot.retired:
            snapshot.retired = True
            if snapshot.users == 0:
                snapshot.close()

    def _open(self) -> Snapshot:
        with stage("open"):
            return self._opened()

    def _opened(self) -> Snapshot:
        store = assembly.open_store(self._settings)
        try:
            snapshot = Snapshot(
                self._settings,
                store,
                open_embedder=self._open_embedder,
                filling=self._filling,
                beside=self._beside,
                hold=self._hold,
            )
            if self._settings.retrieval.mode != "lexical":
                snapshot.embedder()
            return snapshot
        except BaseException:
            store.close()
            raise

    def _open_embedder(self, state: CollectionState, data: PhysicalCollection) -> CheckedEmbedder:
        """The collection's embedder; a reader that was let in follows its collection's swaps."""
        built = data.fingerprint.embedding
        before = self._embedder
        if before is not None and before.fingerprint == built:
            return before
        embedder = assembly.open_collection_embedder(
            self._settings, built, follow=before is not None
        )
        _refuse_other(state.name, differences(built, embedder.fingerprint))
        self._embedder = checked_embedder(embedder, data)
        return self._embedder


def _commit(state: CollectionState) -> tuple[str, int, str]:
    """Tells commits apart: a collection that is made anew counts its revisions from 0 again."""
    return state.live, state.revision, state.commit


def _any_vector(dimension: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """A query of no meaning: Chroma's first one takes longer than others."""
    return np.eye(1, dimension, dtype=np.float32)


def _refuse_other(name: str, differing: dict[str, tuple[object, object]]) -> None:
    if differing:
        raise FingerprintMismatch(
            name,
            differing,
            advice="Open it with the config that built it, or leave embedding.model out of the "
            "settings: a collection remembers its model.",
        )
