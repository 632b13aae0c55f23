"""How many of the exactly nearest passages the approximate index finds, on one's own collection.

Queries are questions of the user's, or vectors of the collection's own passages, each of which is
left out of its answer. What is exact is computed from every vector, page by page.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retriever import assembly
from retriever.analysis.reading import open_collection
from retriever.canary import checked_embedder
from retriever.collection.physical import PhysicalCollection
from retriever.embedding.vectors import normalise
from retriever.errors import QueryError
from retriever.protocols import Vectors
from retriever.records import Candidate
from retriever.retrieval.snapshots import EXACT_CHUNKS
from retriever.settings import Settings

DEPTHS = (10, 100)
SAMPLED_QUERIES = 200
_EQUAL = 1e-6
"""Scores that differ by less are equal: float32 sums depend on their order."""


@dataclass(frozen=True, slots=True)
class DepthRecall:
    """What was found among the first passages."""

    depth: int
    recall: float
    """Mean over the queries of the part of the exactly nearest that the index found."""
    worst: float
    """Of the query that was answered worst."""


@dataclass(frozen=True, slots=True)
class RecallReport:
    """What a measurement found."""

    collection: str
    chunks: int
    queries: int
    of_questions: bool
    """Whether questions were asked; otherwise passages looked for their neighbours."""
    depths: tuple[DepthRecall, ...]
    p50_ms: float
    """Of one query to the index."""
    p95_ms: float
    is_exact: bool
    """Whether the collection is small enough that searches do without the index."""


def measure_recall(
    settings: Settings,
    questions: Sequence[str] = (),
    *,
    sample: int = SAMPLED_QUERIES,
    seed: int = 0,
) -> RecallReport:
    """Ask the index and compare with exact search.

    Args:
        settings: say which collection.
        questions: to ask; if there are none, `sample` passages are drawn with `seed`.
        sample: how many passages to draw at most.
        seed: of the draw.

    Raises:
        CollectionNotFound: nothing was ingested under that name.
        CollectionLocked: a writer is at work.
        CollectionDamaged: the index lacks a vector.
        QueryError: it holds less than two passages, or `sample` is less than 1.
    """
    if sample < 1:
        raise QueryError(f"{sample} passages cannot be drawn; draw at least 1.")
    with open_collection(settings) as data:
        count = data.chunk_count()
        if count < 2:
            raise QueryError(
                f"The collection {data.name!r} has too few passages ({count}) to miss one. "
                "Ingest a folder first."
            )
        if questions:
            queries, own = _embedded(settings, data, questions), [""] * len(questions)
        else:
            queries, own = _drawn(data, min(sample, count), seed)
        depths = [depth for depth in DEPTHS if depth < count] or [count - 1]
        deepest = max(depths)
        scores, rows = _exact(data, queries, own, deepest)
        found, times_ms = _asked(data, queries, own, deepest)
    return RecallReport(
        collection=data.name,
        chunks=rows,
        queries=len(queries),
        of_questions=bool(questions),
        depths=tuple(_recall(scores, found, depth) for depth in depths),
        p50_ms=round(float(np.percentile(times_ms, 50)), 3),
        p95_ms=round(float(np.percentile(times_ms, 95)), 3),
        is_exact=rows <= EXACT_CHUNKS,
    )


def _embedded(settings: Settings, data: PhysicalCollection, questions: Sequence[str]) -> Vectors:
    embedder = assembly.open_collection_embedder(settings, data.fingerprint.embedding, follow=False)
    return checked_embedder(embedder, data).embed_queries(questions)


def _drawn(data: PhysicalCollection, count: int, seed: int) -> tuple[Vectors, list[str]]:
    ids = sorted(data.matching_ids(None))
    drawn = np.random.default_rng(seed).choice(len(ids), size=min(count, len(ids)), replace=False)
    own = [ids[place] for place in drawn]
    vectors = data.vectors(own)
    return np.stack([vectors[one] for one in own]), own


def _exact(
    data: PhysicalCollection, queries: Vectors, own: Sequence[str], deepest: int
) -> tuple[NDArray[np.float32], int]:
    """The best scores of each query, falling, shape (queries, deepest); and rows read."""
    best = np.full((len(queries), deepest), -np.inf, dtype=np.float32)
    place = {chunk_id: row for row, chunk_id in enumerate(own)}
    units = normalise(queries)
    rows = 0
    for page in data.chunk_pages(with_vectors=True, with_texts=False):
        rows += len(page.ids)
        scores = units @ normalise(page.vectors).T
        for column, chunk_id in enumerate(page.ids):
            if chunk_id in place:
                scores[place[chunk_id], column] = -np.inf
        both = np.concatenate([best, scores], axis=1)
        best = -np.partition(-both, deepest - 1, axis=1)[:, :deepest]
    return -np.sort(-best, axis=1), rows


def _asked(
    data: PhysicalCollection, queries: Vectors, own: Sequence[str], deepest: int
) -> tuple[list[list[Candidate]], list[float]]:
    """What the index finds for each query, and how long each takes in milliseconds."""
    data.rank(queries[:1], count=1, where=None)  # loads the index
    answers, times_ms = [], []
    for query, chunk_id in zip(queries, own, strict=True):
        began_s = time.perf_counter()
        found = data.rank(query[None], count=deepest + bool(chunk_id), where=None)[0]
        times_ms.append(1000 * (time.perf_counter() - began_s))
        answers.append([one for one in found if one.chunk_id != chunk_id][:deepest])
    return answers, times_ms


def _recall(
    exact: NDArray[np.float32], found: Sequence[Sequence[Candidate]], depth: int
) -> DepthRecall:
    parts = []
    for scores, candidates in zip(exact, found, strict=True):
        wanted = scores[:depth][np.isfinite(scores[:depth])]
        right = sum(one.score >= wanted[-1] - _EQUAL for one in candidates[:depth])
        parts.append(min(1.0, right / len(wanted)))
    return DepthRecall(depth, round(float(np.mean(parts)), 4), round(min(parts), 4))
