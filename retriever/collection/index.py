"""Chroma's approximate index (HNSW): its settings, how widely a query searches it, its answers.

Chosen by `scripts/benchmark/hnsw.py` on vectors of the default model: at 20,000 and at 100,000
chunks the first 10 of a query are at least 99 % of the exact ones, and the first 100 are, too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from retriever.records import Candidate

SEMANTIC = "semantic"
SEARCH_WIDTH = 400
"""Candidates that a search keeps (`ef_search`)."""
INDEX: Mapping[str, Any] = {
    "hnsw": {
        "space": "cosine",
        "ef_construction": 200,
        "ef_search": SEARCH_WIDTH,
        "max_neighbors": 16,
    }
}
_WIDTH_FOR_EACH = 4
_MOST_FURTHER = 1_000


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
