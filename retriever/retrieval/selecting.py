"""Which chunks a filter holds for, and the nearest among them: from memory where it can be.

A filter is evaluated once for both rankers. Among chunks that are known in memory the search is
exact, so that a filter that matches little loses nothing; so is that of a small collection.
"""

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from retriever.protocols import Vectors
from retriever.records import Candidate
from retriever.retrieval.snapshots import Snapshot
from retriever.retrieval.table import Selection, Table, as_ids

EXACT_BY_ID = 500
"""Chunks whose vectors are read one by one sooner than Chroma searches with a filter."""
MOST_ASKED = 2_000
"""Chunks that Chroma names without a filter sooner than it searches with one."""


def select(snapshot: Snapshot, where: Mapping[str, object] | None) -> Selection | None:
    """The chunks that a filter in Chroma's form holds for; None where there is no filter.

    Raises:
        QueryError: Chroma cannot run the filter.
        CollectionError: the collection could not be read.
    """
    if where is None:
        return None
    key = json.dumps(where, sort_keys=True)
    table = snapshot.table
    known = snapshot.selections.find(key)
    if known is not None and known.table is table:
        return known
    found = None if table is None else table.filtered(where)
    if found is None:
        ids = snapshot.data.matching_ids(where)
        found = Selection(ids) if table is None else table.select(ids)
        snapshot.miss()
    snapshot.selections.keep(key, found)
    return found


def nearest(
    snapshot: Snapshot,
    queries: Vectors,
    *,
    count: int,
    where: Mapping[str, object] | None,
    selection: Selection | None,
) -> list[list[Candidate]]:
    """The nearest chunks of each query, best first, of those that were selected.

    Args:
        snapshot: whose vectors were loaded.
        queries: float32, shape (queries, dimension), unit length.
        count: most candidates a query.
        where: the filter, in Chroma's form.
        selection: what it holds for.

    Raises:
        CollectionError: the collection could not be read.
    """
    if selection is None:
        table = snapshot.table if snapshot.is_small else None
        if table is not None:
            return table.rank(queries, count=count)
        return snapshot.data.rank(queries, count=count, where=None)
    if not selection.ids:
        return [[] for _ in queries]
    if selection.table is not None:
        return selection.table.rank(queries, count=count, rows=selection.rows)
    if len(selection.ids) <= EXACT_BY_ID:
        vectors = snapshot.data.vectors(sorted(selection.ids))
        few = Table(as_ids(list(vectors)), np.array(list(vectors.values()), dtype=np.float32))
        return few.rank(queries, count=count) if vectors else [[] for _ in queries]
    among = _among_the_nearest(snapshot, queries, count=count, allowed=selection.ids)
    return among or snapshot.data.rank(queries, count=count, where=where)


def _among_the_nearest(
    snapshot: Snapshot, queries: Vectors, *, count: int, allowed: frozenset[str]
) -> list[list[Candidate]]:
    """The nearest allowed chunks among the nearest of all; empty where those hold too few.

    Twice as many are looked at as would do if the allowed ones were spread evenly.
    """
    asked = max(count, 2 * count * snapshot.chunk_count // len(allowed))
    if asked > MOST_ASKED:
        return []
    nearest_of_all = snapshot.data.rank(queries, count=asked, where=None)
    found = [
        list(itertools.islice((one for one in ranking if one.chunk_id in allowed), count))
        for ranking in nearest_of_all
    ]
    if any(len(ranking) < min(count, len(allowed)) for ranking in found):
        return []
    return [
        [replace(one, rank=rank) for rank, one in enumerate(ranking, start=1)] for ranking in found
    ]
