"""Chroma's approximate index (HNSW): its settings, how widely a query searches it, its answers.

Chosen by `scripts/benchmark/hnsw.py` on vectors of the default model: at 20,000 and at 100,000
chunks the first 10 of a query are at least 99 % of the exact ones, and the first 100 are, too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from retriever.records import Candidate

Index = Mapping[str, Any]
"""Settings of an index, in Chroma's form."""
SEMANTIC = "semantic"
SEARCH_WIDTH = 400
"""Candidates that a search keeps (`ef_search`)."""
DOCUMENTS = ".documents"
"""Ends the name of the collection that holds a generation's manifest."""
INDEX: Index = {
    "hnsw": {
        "space": "cosine",
        "ef_construction": 200,
        "ef_search": SEARCH_WIDTH,
        "max_neighbors": 16,
        "sync_threshold": 1_000,
    }
}
"""Chroma writes all of an index to the disk after so many rows, and whoever opens it brings those
that were not written yet into it again: few, so that a search starts at once."""
_FILLED_AT_ONCE = 20
"""Index files are written so much more seldom while nobody reads them: of 1,000,000 rows all that
is written are 40 GB, at every 5,000 rows it would be 170. Beyond, reading what is pending before
each write costs more than is saved."""
_WIDTH_FOR_EACH = 4
_MOST_FURTHER = 1_000


def for_filling(index: Index) -> dict[str, Any]:
    """The settings of an index while a collection is filled that nobody reads yet."""
    hnsw = index["hnsw"]
    return {"hnsw": hnsw | {"sync_threshold": hnsw["sync_threshold"] * _FILLED_AT_ONCE}}


def once_filled(index: Index) -> dict[str, Any]:
    """What is changed about an index that was made by `for_filling`, when all is in it."""
    return {"hnsw": {"sync_threshold": index["hnsw"]["sync_threshold"]}}


def rows_to_ask(configuration: Mapping[str, Any], count: int) -> int:
    """How many rows to ask for, so that the first `count` of the answer are the nearest.

    A search is as wide as its answer is long, and never narrower than the width that the
    collection was made with: a long answer needs a wider search than itself. Where the index is
    none of Chroma's HNSW, as in Chroma Cloud, it is `count`.

    Args:
        configuration: of the collection, as Chroma tells it.
        count: rows that are wanted.
    """
    made_with = configuration.get("hnsw") or {}
    width = made_with.get("ef_search")
    if width is None or count * _WIDTH_FOR_EACH <= width:
        return count
    return min(count * _WIDTH_FOR_EACH, count + _MOST_FURTHER)


def candidates(ids: Sequence[str], distances: Sequence[float]) -> list[Candidate]:
    """Chroma's answer to a query as candidates, best first: a score is 1 - cosine distance."""
    scores = (min(1.0, max(-1.0, 1.0 - float(distance))) for distance in distances)
    return [
        Candidate(chunk_id=chunk_id, ranker=SEMANTIC, score=score, rank=rank)
        for rank, (chunk_id, score) in enumerate(zip(ids, scores, strict=True), start=1)
    ]
