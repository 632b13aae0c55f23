"""From a fused ranking to the passages that are handed over.

Reranked, without repetition, at most so many of a document, spread, and neighbours joined: in
this order. Each step is done only where the settings ask for it, and reads no more candidates
than it needs.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from retriever.collection import rows
from retriever.collection.index import SEMANTIC
from retriever.collection.physical import PhysicalCollection
from retriever.diversity import Sameness, spread, without_repetition
from retriever.errors import CollectionDamaged, RerankingUnavailable
from retriever.fusion import Fused
from retriever.merging import Part, merge_neighbours
from retriever.protocols import Embedder
from retriever.records import Candidate, Passage
from retriever.retrieval.reordering import Reordering, warn_skipped
from retriever.retrieval.requests import Request
from retriever.retrieval.snapshots import Snapshot
from retriever.settings import Settings
from retriever.timing import stage

RERANKER = "reranker"
"""The ranker's name in candidates."""
SPREAD_AMONG = 4
"""MMR chooses among this many times the passages that are wanted."""
READ_BEYOND = 3
"""Candidates read beyond those that are wanted: a few duplicates cost no second reading."""
MOST_FILLING = 2
"""Where chunks join, up to this many times as many as are wanted are taken: a collection of one
document is not handed over as a whole."""
EXPANDED_AT_ONCE = 50
"""Bounds the filter that asks for what stands beside passages."""


@dataclass(frozen=True, slots=True)
class Refining:
    """What is done to a ranking."""

    duplicates: Sameness = "near"
    max_per_document: int | None = None
    mmr_balance: float | None = None
    merge_neighbours: bool = True
    expand: int = 0
    rerank_count: int = 0
    """Candidates that are reranked, at least as many as are wanted; 0 for none."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one query wants."""

    query: str
    top_k: int
    min_score: float | None


def read_refining(settings: Settings) -> Refining:
    """What the settings ask for."""
    chosen, reranking = settings.retrieval, settings.reranking
    return Refining(
        duplicates=chosen.duplicates,
        max_per_document=chosen.max_per_document,
        mmr_balance=chosen.mmr_balance,
        merge_neighbours=chosen.merge_neighbours,
        expand=chosen.expand,
        rerank_count=0 if reranking.backend == "none" else reranking.candidate_count,
    )


def refine(
    snapshot: Snapshot,
    fused: Sequence[Fused],
    wanted: Wanted,
    options: Refining,
    *,
    reordering: Reordering,
) -> list[Passage]:
    """The passages of one query, best first, ranked from 1.

    Raises:
        CollectionDamaged: the semantic ranker named a chunk that is gone: the snapshot is old,
            or its index has lost rows.
        RerankingError: the reranker failed for good.
        CollectionError: the collection could not be read.
    """
    data = snapshot.data
    parts: dict[str, Part] = {}
    least = -math.inf if wanted.min_score is None else wanted.min_score
    if options.rerank_count:
        count = max(options.rerank_count, wanted.top_k)
        fetched = list(_fetched(snapshot, fused[:count], count, parts))
        reranked = _reranked(fetched, wanted.query, reordering, snapshot.embedder)
        ranking: Iterable[Passage] = (one for one in reranked if one.score >= least)
    else:
        good = [one for one in fused if one.score >= least]
        ranking = _fetched(snapshot, good, wanted.top_k + READ_BEYOND, parts)
    choose = _Choosing(data, ranking, wanted.top_k, options)
    chosen = choose.first(wanted.top_k)
    if options.merge_neighbours:
        chosen = _filled(choose, chosen, parts)
    if options.expand or options.merge_neighbours:
        chosen = _joined(data, _placed(chosen, parts), options)
    return [replace(one, rank=rank) for rank, one in enumerate(chosen, start=1)]


def runs_short(passages: Sequence[Passage], fused: Sequence[Fused], request: Request) -> bool:
    """Whether repetition, or one document, took up candidates and fewer are left than are wanted.

    Where the last candidate is below the least score there are no better ones beyond it.
    """
    chunks = sum(max(1, len(one.parts)) for one in passages)
    least = -math.inf if request.min_score is None else request.min_score
    return chunks < request.top_k and bool(fused) and fused[-1].score >= least


class _Choosing:
    """The first passages of a ranking without repetition, and more of them when asked again."""

    def __init__(
        self, data: PhysicalCollection, ranking: Iterable[Passage], top_k: int, options: Refining
    ) -> None:
        self._data = data
        self._ranking = iter(ranking)
        self._options = options
        self.top_k = top_k

    def first(self, count: int) -> list[Passage]:
        """The first `count`; with more asked for, the same ones and more."""
        options = self._options
        self._ranking, again = itertools.tee(self._ranking)
        spreading = options.mmr_balance is not None
        chosen = without_repetition(
            again,
            sameness=options.duplicates,
            max_per_document=options.max_per_document,
            most=self.top_k * SPREAD_AMONG if spreading else count,
        )
        if options.mmr_balance is None:
            return chosen
        vectors = self._data.vectors([one.id for one in chosen])
        return spread(chosen, vectors, balance=options.mmr_balance, most=count)


def _filled(choose: _Choosing, chosen: list[Passage], parts: Mapping[str, Part]) -> list[Passage]:
    """So many chunks that `top_k` passages become of them, but not many times as many."""
    missing = choose.top_k - len(merge_neighbours(_placed(chosen, parts)))
    while missing > 0 and len(chosen) < choose.top_k * MOST_FILLING:
        more = choose.first(min(len(chosen) + missing, choose.top_k * MOST_FILLING))
        if len(more) == len(chosen):
            return chosen
        chosen = more
        missing = choose.top_k - len(merge_neighbours(_placed(chosen, parts)))
    return chosen


def _placed(chosen: Sequence[Passage], parts: Mapping[str, Part]) -> list[Part]:
    return [replace(parts[one.id], passage=one) for one in chosen]


def _fetched(
    snapshot: Snapshot, fused: Sequence[Fused], count: int, parts: dict[str, Part]
) -> Iterator[Passage]:
    """The passages of a ranking, read in batches of `count`; `parts` learns their places.

    A lexical index may be a commit ahead: what it alone names and is gone is left out.
    """
    left = iter(fused)
    while batch := list(itertools.islice(left, count)):
        with stage("fetch"):
            found = _parts(snapshot.chunk_texts([one.chunk_id for one in batch]))
        for one in batch:
            part = found.get(one.chunk_id)
            if part is not None:
                parts[one.chunk_id] = part
                yield replace(part.passage, score=one.score, candidates=one.candidates)
            elif any(told.ranker.partition(":")[0] == SEMANTIC for told in one.candidates):
                raise CollectionDamaged(
                    f"Collection {snapshot.data.name} lost rows that its index still names. "
                    "Mend it with: retriever repair"
                )


def _reranked(
    before: list[Passage], query: str, reordering: Reordering, embedder: Callable[[], Embedder]
) -> list[Passage]:
    """Candidates in the reranker's order; as they were where it cannot be had."""
    if not before:
        return []
    texts = ["\n".join([" > ".join(one.heading_path), one.text]).strip() for one in before]
    try:
        with stage("rerank"):
            scores = reordering.scores(query, texts, embedder)
    except RerankingUnavailable as error:
        warn_skipped(error)
        return before
    order = sorted(range(len(before)), key=lambda place: (-scores[place], place))
    return [
        _rescored(before[place], float(scores[place]), rank)
        for rank, place in enumerate(order, start=1)
    ]


def _rescored(passage: Passage, score: float, rank: int) -> Passage:
    told = Candidate(chunk_id=passage.id, ranker=RERANKER, score=score, rank=rank)
    return replace(passage, score=score, candidates=(*passage.candidates, told))


def _joined(data: PhysicalCollection, ranking: Sequence[Part], options: Refining) -> list[Passage]:
    around: list[Part] = []
    if options.expand:
        with stage("expand"):
            for start in range(0, len(ranking), EXPANDED_AT_ONCE):
                beside = _beside(ranking[start : start + EXPANDED_AT_ONCE], options.expand)
                around.extend(_parts(data.chunk_texts(where=beside)).values())
    return merge_neighbours(ranking, around)


def _beside(ranking: Sequence[Part], count: int) -> dict[str, object]:
    """A filter for what stands up to `count` chunks before and after those of a ranking."""
    wanted: dict[str, set[int]] = {}
    for part in ranking:
        first = max(0, part.ordinal - count)
        wanted.setdefault(part.passage.source, set()).update(range(first, part.ordinal + count + 1))
    each: list[dict[str, object]] = [
        {"$and": [{"source": source}, {"ordinal": {"$in": sorted(ordinals)}}]}
        for source, ordinals in wanted.items()
    ]
    return each[0] if len(each) == 1 else {"$or": each}


def _parts(found: Iterable[tuple[str, rows.Row, str]]) -> dict[str, Part]:
    return {
        chunk_id: Part(
            passage=rows.passage(chunk_id, row, text, score=0.0),
            ordinal=int(row["ordinal"]),
            version=str(row["document_hash"]),
            gap=str(row.get("gap", "")),
        )
        for chunk_id, row, text in found
    }
