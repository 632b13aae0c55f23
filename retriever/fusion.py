"""Rankings become one: pure functions, higher scores are better, every part visible.

A fused score lies in [0, 1]. Candidates of equal score stand in the order of their ids, so
that the order in which rankings are given never matters.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retriever.records import Candidate

RANK_CONSTANT = 60
"""Of reciprocal rank fusion, as its authors chose it: how little the first ranks stand out."""


@dataclass(frozen=True, slots=True)
class Fused:
    """A chunk after fusion; rank 1 is best."""

    chunk_id: str
    score: float
    """From 0 to 1, higher is better."""
    rank: int
    parts: Mapping[str, float]
    """Ranker to what it added to the score; the parts sum to it."""
    candidates: tuple[Candidate, ...]
    """The place that each ranker gave it, in the order of the rankers' names."""


def fuse_reciprocal(
    rankings: Sequence[Sequence[Candidate]], *, weights: Mapping[str, float] | None = None
) -> list[Fused]:
    """Weighted reciprocal rank fusion: sum of weight / (60 + rank), best first.

    Source: Cormack, Clarke and Buettcher, SIGIR 2009. Ranks count from 1. Divided by what a
    candidate that is first in every ranking gets, so that the best possible score is 1.

    Args:
        rankings: one for each ranker, best first; a ranker that found nothing may be left out.
        weights: ranker to weight, at least 0; 1 where it is not named.

    Raises:
        ValueError: a weight is negative or not finite.
    """
    shares = _shares(rankings, weights or {})
    parts = {
        candidate: shares[candidate.ranker] * (RANK_CONSTANT + 1) / (RANK_CONSTANT + candidate.rank)
        for ranking in rankings
        for candidate in ranking
    }
    return _ordered(parts)


def fuse_convex(
    rankings: Sequence[Sequence[Candidate]],
    *,
    weights: Mapping[str, float] | None = None,
    least: Mapping[str, float] | None = None,
) -> list[Fused]:
    """Convex combination of normalised scores, best first.

    Source: Bruch, Gai and Ingber, ACM TOIS 2023. A score is scaled to [0, 1] between the least
    score that its ranker can give and the best of the ranking; a candidate that a ranker did
    not name gets 0 from it.

    Args:
        rankings: one for each ranker, best first; a ranker that found nothing may be left out.
        weights: ranker to weight, at least 0; 1 where it is not named.
        least: ranker to the score that stands for nothing in common; the last score of its
            ranking where it is not named.

    Raises:
        ValueError: a weight is negative or not finite.
    """
    shares = _shares(rankings, weights or {})
    parts = {
        candidate: shares[candidate.ranker] * scaled
        for ranking in rankings
        for candidate, scaled in zip(ranking, _scaled(ranking, least or {}), strict=True)
    }
    return _ordered(parts)


def _scaled(ranking: Sequence[Candidate], least: Mapping[str, float]) -> list[float]:
    """A ranking's scores in [0, 1], the best of them 1."""
    scores = [candidate.score for candidate in ranking]
    if not scores:
        return []
    bottom = least.get(ranking[0].ranker, min(scores))
    span = max(scores) - bottom
    return [max(0.0, (score - bottom) / span) if span > 0 else 1.0 for score in scores]


def _shares(
    rankings: Sequence[Sequence[Candidate]], weights: Mapping[str, float]
) -> dict[str, float]:
    """Each ranker's part of the whole; they sum to 1 unless every weight is 0."""
    rankers = sorted({ranking[0].ranker for ranking in rankings if ranking})
    given = {ranker: float(weights.get(ranker, 1.0)) for ranker in rankers}
    total = sum(given.values())
    if not all(0 <= weight < math.inf for weight in given.values()):
        raise ValueError(f"Weights are finite and at least 0, not {given}.")
    return {ranker: weight / total if total else 0.0 for ranker, weight in given.items()}


def _ordered(parts: Mapping[Candidate, float]) -> list[Fused]:
    """Candidates by chunk, with their parts summed, best first."""
    chunks: dict[str, list[Candidate]] = {}
    for candidate in sorted(parts, key=lambda each: each.ranker):
        chunks.setdefault(candidate.chunk_id, []).append(candidate)
    scores = {
        chunk_id: min(1.0, sum(parts[candidate] for candidate in candidates))
        for chunk_id, candidates in chunks.items()
    }
    order = sorted(chunks, key=lambda chunk_id: (-scores[chunk_id], chunk_id))
    return [
        Fused(
            chunk_id=chunk_id,
            score=scores[chunk_id],
            rank=rank,
            parts={one.ranker: parts[one] for one in chunks[chunk_id]},
            candidates=tuple(chunks[chunk_id]),
        )
        for rank, chunk_id in enumerate(order, start=1)
    ]
