"""Tables, read from a collection: vectors alone at once, or everything on a thread.

What was read before is kept where the documents' records say that nothing changed, so that a
commit costs what it changed. Chroma needs a while for the metadata of a large collection (a few
seconds for each 10,000 chunks): a query never waits for it, but asks Chroma until it is there.

Of a small collection the rows are remembered, too, as of the commit that the snapshot sees: then
passages are made without asking Chroma.
"""

import atexit
import contextlib
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np

from retriever.collection.pages import parts
from retriever.collection.physical import PhysicalCollection
from retriever.collection.rows import Row
from retriever.errors import RetrieverError
from retriever.records import DocumentRecord
from retriever.retrieval.columns import ColumnsBuilder
from retriever.retrieval.table import Table, as_ids, as_unit

BYTES_OF_A_NUMBER = 4
MOST_CHANGED_FRACTION = 0.25
"""Where more of the documents changed, everything is read anew."""
_PATIENCE = 2
"""Filters that Chroma evaluates before a table is filled: one query alone is not worth it."""
_FETCHES = 3
"""Readings of passages after which the rows of a small collection are worth remembering."""
_ROWS_AT_ONCE = 250
_BYTES_OF_A_ROW = 2_000
"""What the metadata of a chunk takes in memory."""
_REST = 20
"""Where commits follow one another: rows are read for at most one part in so many of the time."""

Rows = Mapping[str, tuple[Row, str]]
"""Metadata and text of chunks by id."""


class Holder(Protocol):
    """A snapshot that can be kept open for a while."""

    data: PhysicalCollection
    table: Table | None
    rows: Rows | None


def read_vectors(data: PhysicalCollection) -> Table:
    """A table without metadata. To be called while nobody writes, where that can be helped."""
    ids, vectors = data.all_vectors()
    return Table(as_ids(ids), as_unit(vectors))


def read_table(
    data: PhysicalCollection, before: Table | None, *, stopped: Callable[[], bool]
) -> Table | None:
    """A table of everything; None where it was stopped.

    Chunks that are written meanwhile may be left out: they belong to a later commit.

    Raises:
        CollectionError: the collection could not be read.
    """
    versions = {record.source: record for record in data.manifest()}
    present = data.matching_ids(None)
    changed = None if before is None else _changed(before.versions, versions)
    if before is None or before.columns is None or not changed:
        return _read_all(data, sorted(present), versions, stopped)
    if len(changed) > MOST_CHANGED_FRACTION * len(versions):
        return _read_all(data, sorted(present), versions, stopped)
    rows = {
        chunk_id: chunk.row
        for chunks in data.stored_chunks(changed).values()
        for chunk_id, chunk in chunks.items()
    }
    vectors = data.vectors(list(rows))
    kept = np.array(
        [place for one, place in before.places.items() if one in present and one not in rows],
        dtype=np.intp,
    )
    added = [one for one in rows if one in vectors]
    width = before.vectors.shape[1]
    further = np.array([vectors[one] for one in added], dtype=np.float32).reshape(-1, width)
    return Table(
        as_ids([*before.ids[kept].tolist(), *added]),
        np.concatenate([before.vectors[kept], as_unit(further)]),
        before.columns.changed(kept, [rows[one] for one in added]),
        versions,
    )


def _changed(before: Mapping[str, object], now: Mapping[str, DocumentRecord]) -> list[str]:
    return [one for one in before.keys() | now.keys() if before.get(one) != now.get(one)]


def _read_all(
    data: PhysicalCollection,
    ids: Sequence[str],
    versions: Mapping[str, DocumentRecord],
    stopped: Callable[[], bool],
) -> Table | None:
    """By id: rows that come and go meanwhile do not shift the others out of a page."""
    found: list[str] = []
    columns = ColumnsBuilder()
    width = data.fingerprint.embedding.dimension
    vectors = np.empty((len(ids), width), dtype=np.float32)
    for page in data.chunk_pages(with_vectors=True, with_texts=False, ids=ids):
        if stopped():
            return None
        vectors[len(found) : len(found) + len(page.ids)] = as_unit(page.vectors.reshape(-1, width))
        columns.add(page.rows)
        found.extend(page.ids)
    return Table(as_ids(found), vectors[: len(found)], columns.build(), versions)


def read_rows(
    data: PhysicalCollection,
    ids: Sequence[str],
    *,
    most_bytes: int,
    stopped: Callable[[], bool],
) -> Rows:
    """Metadata and texts of chunks, as many as there is room for; none where it was stopped.

    Raises:
        CollectionError: the collection could not be read.
    """
    found: dict[str, tuple[Row, str]] = {}
    room = most_bytes
    for some in parts(ids, _ROWS_AT_ONCE):
        if stopped():
            return {}
        for chunk_id, row, text in data.chunk_texts(ids=some):
            room -= sys.getsizeof(text) + _BYTES_OF_A_ROW
            if room < 0:
                return found
            found[chunk_id] = row, text
    return found


class Filling:
    """Fills the tables of a reader's snapshots on a thread, one at a time.

    Args:
        most_bytes: a collection whose vectors are larger is left to Chroma.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._tried: Holder | None = None
        self._last: tuple[str, Table] | None = None
        self._misses = 0
        self._fetches = 0
        self._rested_at_s = 0.0
        _at_work.add(self)

    def fits(self, data: PhysicalCollection) -> bool:
        """Whether a collection's vectors are small enough."""
        width = data.fingerprint.embedding.dimension
        return data.chunk_count() * width * BYTES_OF_A_NUMBER <= self._most_bytes

    def missed(self, holder: Holder, held: Callable[[], AbstractContextManager[object]]) -> None:
        """Hear that Chroma evaluated a filter; `held` keeps the snapshot open meanwhile."""
        with self._lock:
            self._misses += 1
            if self._misses < _PATIENCE or self._tried is holder or not self._is_free():
                return
            self._tried = holder
            self._begin(self._fill, holder, held)

    def fetched(self, holder: Holder, held: Callable[[], AbstractContextManager[object]]) -> None:
        """Hear that Chroma read passages of a small collection, whose rows are not in memory."""
        with self._lock:
            self._fetches += 1
            is_rested = time.monotonic() >= self._rested_at_s
            if self._fetches < _FETCHES or not is_rested or not self._is_free():
                return
            self._fetches = 0
            self._begin(self._remember, holder, held)

    def _is_free(self) -> bool:
        is_at_work = self._thread is not None and self._thread.is_alive()
        return not is_at_work and not self._stop.is_set()

    def _begin(
        self,
        work: Callable[[Holder, Callable[[], AbstractContextManager[object]]], None],
        holder: Holder,
        held: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._thread = threading.Thread(
            target=work, args=(holder, held), name="retriever-table", daemon=True
        )
        self._thread.start()

    def wait(self) -> None:
        """Wait until the thread is done, if there is one."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def close(self) -> None:
        """Stop after the page that is being read."""
        self._stop.set()
        self.wait()

    def _fill(self, holder: Holder, held: Callable[[], AbstractContextManager[object]]) -> None:
        # what fails here fails again where a query asks for it, and is told there
        with contextlib.suppress(RetrieverError), held():
            if not self.fits(holder.data):
                return
            of, before = self._last or ("", None)
            table = read_table(
                holder.data,
                before if of == holder.data.id else None,
                stopped=self._stop.is_set,
            )
            if table is not None:
                self._last = holder.data.id, table
                holder.table = table

    def _remember(self, holder: Holder, held: Callable[[], AbstractContextManager[object]]) -> None:
        began_s = time.monotonic()
        with contextlib.suppress(RetrieverError), held():
            table = holder.table
            if table is not None:
                holder.rows = read_rows(
                    holder.data,
                    table.ids.tolist(),
                    most_bytes=self._most_bytes - table.vectors.nbytes,
                    stopped=self._stop.is_set,
                )
        ended_s = time.monotonic()
        self._rested_at_s = ended_s + _REST * (ended_s - began_s)


_at_work: weakref.WeakSet[Filling] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Let no thread be within Chroma when Python ends: it would end the process by a signal."""
    for filling in list(_at_work):
        filling.close()
