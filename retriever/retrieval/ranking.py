"""What a query's rankers say, and the one ranking that becomes of it.

Both rankers are asked for the same number of candidates, under the same filter. A lexical index
may be one commit ahead of what the snapshot saw: a chunk that it alone names and that is gone
is dropped; one that it names already is in Chroma, since chunks are written first.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from retriever.collection.physical import SEMANTIC
from retriever.fusion import HALF_BM25, Fused, fuse
from retriever.protocols import BatchQueryEmbedder, Embedder, Vectors
from retriever.records import Candidate, Passage
from retriever.retrieval.snapshots import Snapshot
from retriever.retrieval.timing import stage

Mode = Literal["hybrid", "semantic", "lexical"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, checked."""

    queries: tuple[str, ...]
    mode: Mode
    top_k: int
    candidate_count: int
    """Candidates of each ranker; at least `top_k`."""
    where: Mapping[str, object] | None
    """A filter in Chroma's form."""
    min_score: float | None
    weights: Mapping[str, float]
    """Ranker to a factor on its weight."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The rankings of one query, and what becomes of them."""

    semantic: Sequence[Candidate]
    lexical: Sequence[Candidate]
    fused: Sequence[Fused]


def rank(snapshot: Snapshot, request: Request) -> list[Ranked]:
    """The rankings of each query, best first.

    Raises:
        EmbeddingError: a query could not be embedded.
        CollectionError: the collection, or its lexical index, could not be read.
    """
    queries = request.queries
    semantic: Sequence[Sequence[Candidate]] = [()] * len(queries)
    lexical: Sequence[Sequence[Candidate]] = [()] * len(queries)
    if request.mode != "lexical":
        semantic = _by_meaning(snapshot, request)
    if request.mode != "semantic":
        lexical = _by_words(snapshot, request)
    with stage("fuse"):
        return [
            Ranked(one, other, _fused(request, one, other))
            for one, other in zip(semantic, lexical, strict=True)
        ]


def fetch(snapshot: Snapshot, fused: Sequence[Fused], *, count: int) -> list[Passage] | None:
    """The first `count` of a ranking as passages.

    Returns:
        None where the semantic ranker named a chunk that is gone: the snapshot is stale.
    """
    kept: list[Passage] = []
    left = iter(fused)
    while len(kept) < count and (batch := _next(left, count - len(kept))):
        with stage("fetch"):
            found = snapshot.data.passages({one.chunk_id: one.score for one in batch})
        for one in batch:
            if one.chunk_id in found:
                kept.append(replace(found[one.chunk_id], candidates=one.candidates))
            elif any(candidate.ranker == SEMANTIC for candidate in one.candidates):
                return None
    return [replace(one, rank=rank) for rank, one in enumerate(kept, start=1)]


def _next(left: Iterator[Fused], count: int) -> list[Fused]:
    return list(itertools.islice(left, count))


def _by_meaning(snapshot: Snapshot, request: Request) -> list[list[Candidate]]:
    embedder = snapshot.embedder()
    with stage("embed"):
        vectors = _embed(embedder, request.queries)
    with stage("semantic"):
        return snapshot.data.rank(vectors, count=request.candidate_count, where=request.where)


def _by_words(snapshot: Snapshot, request: Request) -> list[list[Candidate]]:
    index = snapshot.lexical()
    with stage("filter"):
        allowed = None if request.where is None else snapshot.data.matching_ids(request.where)
    with stage("lexical"):
        return [
            index.rank(query, count=request.candidate_count, allowed=allowed)
            for query in request.queries
        ]


def _fused(
    request: Request, semantic: Sequence[Candidate], lexical: Sequence[Candidate]
) -> list[Fused]:
    if request.mode == "semantic":
        return [_alone(one, one.score) for one in semantic]
    if request.mode == "lexical":
        return [_alone(one, one.score / (one.score + HALF_BM25)) for one in lexical]
    return fuse(semantic, lexical, weights=request.weights)


def _alone(one: Candidate, score: float) -> Fused:
    """A candidate of the only ranking there is."""
    return Fused(one.chunk_id, score, one.rank, parts={one.ranker: score}, candidates=(one,))


def _embed(embedder: Embedder, queries: Sequence[str]) -> Vectors:
    if len(queries) > 1 and isinstance(embedder, BatchQueryEmbedder):
        return embedder.embed_queries(queries)
    return np.stack([embedder.embed_query(query) for query in queries])
