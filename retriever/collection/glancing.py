"""What an embedded collection remembers of its documents, read without loading Chroma.

To find that nothing changed, a run needs the state, the fingerprint and the manifest: three
reads of Chroma's SQLite file. Loading Chroma for that takes longer than all else in such a run.
Whatever is not exactly as expected is left to Chroma: then there is no glance.
"""

import contextlib
import itertools
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retriever.collection import client, marks, rows, segments
from retriever.collection.client import StorageOptions
from retriever.collection.locking import writer_lock
from retriever.collection.state import CollectionState, read_fingerprint
from retriever.errors import CollectionDamaged
from retriever.records import DocumentRecord, Fingerprint

Cells = tuple[str, str | None, int | None, float | None, int | None]
"""A key and its value, as Chroma's tables hold it: in the column of its type."""

_COLLECTIONS = (
    "SELECT c.name, c.id FROM collections c JOIN databases d ON d.id = c.database_id "
    "WHERE d.name = 'default_database' AND d.tenant_id = 'default_tenant'"
)
_METADATA = (
    "SELECT key, str_value, int_value, float_value, bool_value FROM collection_metadata "
    "WHERE collection_id = ?"
)
_DOCUMENTS = "SELECT collection_id FROM collection_metadata WHERE key = 'of' AND str_value = ?"
_SEGMENT = (
    "SELECT s.id, coalesce(m.seq_id, 0) FROM segments s LEFT JOIN max_seq_id m "
    "ON m.segment_id = s.id WHERE s.collection = ? AND s.scope = 'METADATA'"
)
_PENDING = "SELECT 1 FROM embeddings_queue WHERE seq_id > ? AND topic LIKE '%' || ? LIMIT 1"
"""Writes that Chroma has confirmed and not yet brought into the tables of rows."""
_ROWS = (
    "SELECT id, key, string_value, int_value, float_value, bool_value FROM embedding_metadata "
    "WHERE id IN (SELECT id FROM embeddings WHERE segment_id = ?) ORDER BY id"
)


@dataclass(frozen=True, slots=True)
class Glance:
    """A collection that no run has left half written."""

    state: CollectionState
    fingerprint: Fingerprint
    manifest: dict[str, DocumentRecord]
    """By source."""


@contextlib.contextmanager
def glance(options: StorageOptions, name: str) -> Iterator[Glance | None]:
    """Hold the state folder for writing, and look at a collection in it.

    None where only Chroma can tell: another kind of store, no such collection, an interrupted
    run, or tables that are not as this version of the package knows them.

    Raises:
        CollectionLocked: another writer is at work.
    """
    if options.mode != "embedded" or not segments.database(options.path).is_file():
        yield None
        return
    with writer_lock(options.path):
        yield _look(options, name)


def _look(options: StorageOptions, name: str) -> Glance | None:
    if marks.any_left(options.path) or segments.find_cut_short(options.path):
        return None
    with client.unloaded() as alone:
        if not alone:
            return None
        try:
            with segments.reading(options.path) as tables:
                return _read(tables, name)
        except (sqlite3.Error, CollectionDamaged, KeyError, TypeError, ValueError):
            return None


def _read(tables: sqlite3.Connection, name: str) -> Glance | None:
    ids = dict(tables.execute(_COLLECTIONS).fetchall())
    if name not in ids:
        return None
    state = CollectionState.parse(name, _metadata(tables, ids[name]))
    if state is None or state.run is not None or _leftovers(ids, state):
        return None
    fingerprint = read_fingerprint(state.live, _metadata(tables, ids[state.live]))
    (documents,) = tables.execute(_DOCUMENTS, (state.live,)).fetchone()
    segment, applied = tables.execute(_SEGMENT, (documents,)).fetchone()
    if tables.execute(_PENDING, (applied, documents)).fetchone():
        return None
    cells = itertools.groupby(tables.execute(_ROWS, (segment,)), key=lambda cell: cell[0])
    held = rows.records(_row(cell[1:] for cell in group) for _, group in cells)
    return Glance(state, fingerprint, {record.source: record for record in held})


def _leftovers(ids: dict[str, str], state: CollectionState) -> bool:
    """Whether there are generations that the next writing run would look at."""
    pattern = re.compile(rf"{re.escape(state.name)}\.[0-9]+")
    return any(pattern.fullmatch(one) and one not in (state.live, state.previous) for one in ids)


def _metadata(tables: sqlite3.Connection, collection_id: str) -> dict[str, object]:
    return _row(tables.execute(_METADATA, (collection_id,)))


def _row(cells: Iterator[Cells] | sqlite3.Cursor) -> dict[str, object]:
    return {key: _value(values) for key, *values in cells}


def _value(values: Sequence[object]) -> object:
    text, whole, real, truth = values
    if truth is not None:
        return bool(truth)
    return next((one for one in (text, whole, real) if one is not None), None)
