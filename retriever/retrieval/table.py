"""A collection's vectors and metadata in memory: exact search, of all rows or of some."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retriever.collection.index import SEMANTIC
from retriever.protocols import Vectors
from retriever.records import Candidate
from retriever.retrieval.columns import Columns

Rows = NDArray[np.intp]

GATHERED_FRACTION = 0.12
"""Up to this part of the rows it is faster to copy them together than to multiply all of them."""
KEPT_SELECTIONS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The chunks that a filter holds for."""

    ids: frozenset[str]
    table: "Table | None" = None
    rows: Rows | None = None
    """Their rows in the table."""


class Selections:
    """What the last few filters hold for. Threads may share it."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Selection] = OrderedDict()

    def find(self, key: str) -> Selection | None:
        """What was kept of a filter."""
        with self._lock:
            return self._kept.get(key)

    def keep(self, key: str, selection: Selection) -> None:
        """Keep it in place of the oldest."""
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = selection
            if len(self._kept) > KEPT_SELECTIONS:
                self._kept.popitem(last=False)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The rows of one committed state; frozen, so that threads may share it."""

    ids: NDArray[np.object_]
    vectors: Vectors
    """float32, shape (rows, dimension), unit length."""
    columns: Columns | None = None
    versions: Mapping[str, object] = field(default_factory=dict)
    """Source to the document's record, at the time of reading."""
    places: Mapping[str, int] = field(init=False)
    order: NDArray[np.intp] = field(init=False)
    """Each row's place in the order of ids: decides between equal scores."""

    def __post_init__(self) -> None:
        """Look up rows by id and rank ids, once."""
        places = {chunk_id: place for place, chunk_id in enumerate(self.ids.tolist())}
        order = np.empty(len(self.ids), dtype=np.intp)
        order[np.argsort(self.ids, kind="stable")] = np.arange(len(self.ids))
        object.__setattr__(self, "places", places)
        object.__setattr__(self, "order", order)

    def select(self, ids: frozenset[str]) -> Selection:
        """The rows of ids that somebody else chose; those that are not here are left out."""
        rows = sorted(self.places[one] for one in ids if one in self.places)
        return Selection(ids, self, np.array(rows, dtype=np.intp))

    def filtered(self, where: Mapping[str, object]) -> Selection | None:
        """The rows that a filter in Chroma's form holds for; None where it cannot tell."""
        mask = None if self.columns is None else self.columns.mask(where)
        if mask is None:
            return None
        rows = np.flatnonzero(mask)
        return Selection(frozenset(self.ids[rows].tolist()), self, rows)

    def rank(
        self, queries: Vectors, *, count: int, rows: Rows | None = None
    ) -> list[list[Candidate]]:
        """The nearest rows of each query by cosine, best first; equal ones in the order of ids.

        Args:
            queries: float32, shape (queries, dimension), unit length.
            count: most candidates a query.
            rows: the only ones that may be among them.
        """
        return [self._nearest(query, count, rows) for query in queries]

    def _nearest(self, query: Vectors, count: int, rows: Rows | None) -> list[Candidate]:
        if rows is None:
            scores, rows = _cosines(self.vectors, query), np.arange(len(self.ids))
        elif len(rows) <= GATHERED_FRACTION * len(self.ids):
            scores = _cosines(self.vectors[rows], query)
        else:
            scores = _cosines(self.vectors, query)[rows]
        if len(scores) > count:
            least = np.partition(scores, len(scores) - count)[len(scores) - count]
            best = np.flatnonzero(scores >= least)
            scores, rows = scores[best], rows[best]
        ranked = np.lexsort((self.order[rows], -scores))[:count]
        ids = self.ids[rows[ranked]].tolist()
        told = np.clip(scores[ranked], -1.0, 1.0).tolist()
        return [
            Candidate(chunk_id=chunk_id, ranker=SEMANTIC, score=score, rank=rank)
            for rank, (chunk_id, score) in enumerate(zip(ids, told, strict=True), start=1)
        ]


def _cosines(vectors: Vectors, query: Vectors) -> Vectors:
    """Of unit vectors, shape (rows,): equal rows have equal ones, wherever they stand.

    The matrix product `@` would wake the threads of a BLAS, which wait busily for some
    milliseconds afterwards, in the way of whatever the query does next.
    """
    return np.asarray(np.einsum("ij,j->i", vectors, query), dtype=np.float32)


def as_ids(ids: Sequence[str]) -> NDArray[np.object_]:
    """Ids as an array that rows can be taken from."""
    made = np.empty(len(ids), dtype=np.object_)
    made[:] = ids
    return made


def as_unit(vectors: Vectors) -> Vectors:
    """Vectors at unit length: a copy where others put in some that are not."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    if np.all(np.abs(lengths - 1.0) < 1e-3):
        return vectors
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0)[:, None], dtype=np.float32)
