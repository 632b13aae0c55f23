"""What a query's rankers say, and the one ranking that becomes of it.

Both rankers are asked for the same number of candidates, under the same filter. A lexical index
may be one commit ahead of what the snapshot saw: a chunk that it alone names and that is gone
is dropped; one that it names already is in Chroma, since chunks are written first.
"""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from retriever.embedding.vectors import no_vectors
from retriever.errors import NothingToEmbed
from retriever.fusion import HALF_BM25, Fused, fuse
from retriever.lexical import LexicalIndex
from retriever.protocols import Embedder, Vectors
from retriever.records import Candidate
from retriever.retrieval.requests import Request
from retriever.retrieval.selecting import nearest, select
from retriever.retrieval.snapshots import Snapshot
from retriever.retrieval.table import Selection
from retriever.timing import stage


@dataclass(frozen=True, slots=True)
class Worded:
    """What the words of one query find."""

    ranking: Sequence[Candidate]
    word_count: int
    """Words of the query that were searched for; 0 where words were not asked."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The rankings of one query, and what becomes of them."""

    semantic: Sequence[Candidate]
    lexical: Sequence[Candidate]
    fused: Sequence[Fused]
    word_count: int
    """Words of the query that were searched for; 0 where words were not asked."""


def rank(snapshot: Snapshot, request: Request) -> list[Ranked]:
    """The rankings of each query, best first.

    Raises:
        EmbeddingError: a query could not be embedded.
        CollectionError: the collection, or its lexical index, could not be read.
    """
    queries = request.queries
    semantic: Sequence[Sequence[Candidate]] = [()] * len(queries)
    words: Sequence[Worded] = [Worded((), 0)] * len(queries)
    with stage("filter"):
        selection = select(snapshot, request.where)
    if request.mode == "lexical":
        index = snapshot.lexical()
        with stage("lexical"):
            words = _by_words(index, request, selection)
    elif request.mode == "semantic":
        semantic = _by_meaning(snapshot, request, selection, _embedded(snapshot, request))
    else:
        semantic, words = _by_both(snapshot, request, selection)
    with stage("fuse"):
        return [
            Ranked(one, other.ranking, _fused(request, one, other), other.word_count)
            for one, other in zip(semantic, words, strict=True)
        ]


def is_cut(ranked: Iterable[Ranked], request: Request) -> bool:
    """Whether a ranker may know more candidates than it was asked for."""
    return any(
        max(len(one.semantic), len(one.lexical)) >= request.candidate_count for one in ranked
    )


def _by_both(
    snapshot: Snapshot, request: Request, selection: Selection | None
) -> tuple[Sequence[Sequence[Candidate]], Sequence[Worded]]:
    """Both rankings of each query: words need no vector, so they are ranked meanwhile."""
    snapshot.embedder()  # that it cannot be had is told before all else
    index = snapshot.lexical()
    with snapshot.beside.begun("rank words", lambda: _by_words(index, request, selection)) as words:
        semantic = _by_meaning(snapshot, request, selection, _embedded(snapshot, request))
        with stage("lexical"):
            return semantic, words.result()


def _embedded(snapshot: Snapshot, request: Request) -> tuple[Vectors, Sequence[int]]:
    """Vectors of the queries that can be embedded, and the places of these."""
    embedder = snapshot.embedder()
    with stage("embed"):
        try:
            return embedder.embed_queries(request.queries), range(len(request.queries))
        except NothingToEmbed:
            known = _embed_known(embedder, request.queries)
            if request.mode == "hybrid" or (request.is_one_query and known[1]):
                return known  # words, or other wordings, find the others
            raise


def _by_meaning(
    snapshot: Snapshot,
    request: Request,
    selection: Selection | None,
    embedded: tuple[Vectors, Sequence[int]],
) -> list[list[Candidate]]:
    vectors, known = embedded
    rankings: list[list[Candidate]] = [[] for _ in request.queries]
    if not known:
        return rankings
    with stage("semantic"):
        found = nearest(
            snapshot,
            vectors,
            count=request.candidate_count,
            where=request.where,
            selection=selection,
        )
    for place, ranking in zip(known, found, strict=True):
        rankings[place] = ranking
    return rankings


def _by_words(index: LexicalIndex, request: Request, selection: Selection | None) -> list[Worded]:
    allowed = None if selection is None else selection.ids
    return [
        Worded(
            index.rank(query, count=request.candidate_count, allowed=allowed),
            index.count_words(query),
        )
        for query in request.queries
    ]


def _fused(request: Request, semantic: Sequence[Candidate], words: Worded) -> list[Fused]:
    if request.mode == "semantic":
        return [_alone(one, one.score) for one in semantic]
    if request.mode == "lexical":
        return [_alone(one, one.score / (one.score + HALF_BM25)) for one in words.ranking]
    return fuse(semantic, words.ranking, word_count=words.word_count, weights=request.weights)


def _alone(one: Candidate, score: float) -> Fused:
    """A candidate of the only ranking there is."""
    return Fused(one.chunk_id, score, one.rank, parts={one.ranker: score}, candidates=(one,))


def _embed_known(embedder: Embedder, queries: Sequence[str]) -> tuple[Vectors, Sequence[int]]:
    """The vectors of the queries that can be embedded, and their places."""
    vectors, places = [no_vectors(embedder.fingerprint.dimension)], []
    for place, query in enumerate(queries):
        with contextlib.suppress(NothingToEmbed):
            vectors.append(embedder.embed_query(query)[None])
            places.append(place)
    return np.vstack(vectors), places
