"""Rankings become one: pure functions, higher scores are better, every part visible.

A fused score lies in [0, 1], and ties are broken by rank and id, so that the order in which
rankings are given never matters. `fuse` is the default; the other two are for comparison and
for rankings of any kind.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from retriever.records import Candidate

RANK_CONSTANT = 60
"""Of reciprocal rank fusion, as its authors chose it: how little the first ranks stand out."""

EVEN_WEIGHT = 1.2
"""The semantic ranking's weight where its best chunks say every word, no chunk stands out by
words, and the query is long."""
SUPPORT_WEIGHT = 0.38
LEAST_SUPPORT = 0.05
"""Added to the support, of which the logarithm is taken: below it, less says no more."""
PEAK_RANK = 20
"""The lexical candidate that the first is compared with."""
PEAK_WEIGHT = 0.43
BREVITY_WEIGHT = 0.24
SHORT_QUERY, LONG_QUERY = 4, 8
"""Words of a query of full brevity, and of one that has none."""
UNDERSTOOD = 0.15
"""The support from which brevity counts in full: short or not, a query that the semantic ranking
does not understand is left to the lexical one."""
HALF_BM25 = 10.0
"""BM25 that is half of full strength. Of 5, 10, 20 and 40 the one whose scores best told
answerable from unanswerable questions, on one set; 5 and 20 were hardly worse."""


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


@dataclass(frozen=True, slots=True)
class Balance:
    """How much a query's two rankings are trusted, and why."""

    semantic_weight: float
    """From 0 to 1; the lexical ranking has the rest."""
    support: float
    """From 0 to 1: how many of the query's words the semantic ranking's best chunks say."""
    peak: float
    """From 0 to 1: how far the lexical ranking's first stands above its twentieth."""
    brevity: float
    """From 0 to 1: how few words the query has."""


def fuse(
    semantic: Sequence[Candidate],
    lexical: Sequence[Candidate],
    *,
    word_count: int,
    weights: Mapping[str, float] | None = None,
) -> list[Fused]:
    """Fuse by a convex combination whose weights the query's own rankings decide, best first.

    Scores are scaled to [0, 1] between a ranking's last and its first (a lexical ranking that
    was not cut off ends at 0) and weighted by `balance`. So that scores can be compared between
    queries, all of them are multiplied by the strength of the best ones: cosine for the semantic
    ranking, BM25 / (BM25 + 10) for the lexical one, weighted alike. 1 is the best possible.

    Args:
        semantic: candidates with cosine similarity as score, best first.
        lexical: candidates with BM25 as score, best first.
        word_count: how many words of the query were searched for.
        weights: ranker to a factor for its weight, at least 0; 1 where it is not named.

    Raises:
        ValueError: a weight is negative or not finite.
    """
    sides = [
        (semantic, _scaled(semantic, {}), _cosine_strength(semantic)),
        (lexical, _words(semantic, lexical), _bm25_strength(lexical)),
    ]
    parts: list[tuple[Candidate, float]] = []
    strength = 0.0
    shares = trust(semantic, lexical, word_count=word_count, weights=weights)
    for share, (ranking, scaled, strongest) in zip(shares, sides, strict=True):
        strength += share * strongest
        parts += [(one, share * value) for one, value in zip(ranking, scaled, strict=True)]
    return _ordered(parts, strength)


def trust(
    semantic: Sequence[Candidate],
    lexical: Sequence[Candidate],
    *,
    word_count: int,
    weights: Mapping[str, float] | None = None,
) -> tuple[float, float]:
    """The weights that `fuse` gives both rankings: `balance`, times what was asked for.

    Returns:
        That of the semantic and of the lexical ranking; their sum is 1, or 0 where only
        rankings without weight name anything.

    Raises:
        ValueError: a weight is negative or not finite.
    """
    asked = _shares([semantic, lexical], weights or {})
    wanted = [asked[ranking[0].ranker] if ranking else 0.0 for ranking in (semantic, lexical)]
    balanced = balance(semantic, lexical, word_count).semantic_weight
    trusted = [wanted[0] * balanced, wanted[1] * (1.0 - balanced)]
    if not any(trusted):  # the only ranking that is trusted was given no weight
        trusted = wanted
    total = sum(trusted) or 1.0
    return trusted[0] / total, trusted[1] / total


def balance(
    semantic: Sequence[Candidate], lexical: Sequence[Candidate], word_count: int
) -> Balance:
    """Which of two rankings leads, by what each says of the other, and by the query's length.

    Semantic weight = 1.2 + 0.38 ln(support + 0.05) - 0.43 peak + 0.24 brevity min(1, support /
    0.15), within [0, 1]. A semantic ranking whose best chunks say nothing of the query is that of a
    model which does not understand it: another language, a name it never saw. A lexical ranking
    whose first hardly stands above its twentieth has only common words to go by, and one that was
    asked for few words knows little of what is meant. The constants were chosen on sixteen judged
    sets in four languages and small draws of them; `scripts/benchmark/fusion.py` shows what they
    are worth, also on a set that was left out of choosing.
    """
    brevity = min(1.0, max(0.0, (LONG_QUERY - word_count) / (LONG_QUERY - SHORT_QUERY)))
    if not semantic or not lexical:
        return Balance(1.0 if semantic else 0.0, support=0.0, peak=0.0, brevity=brevity)
    best = max(candidate.score for candidate in lexical)
    said = {candidate.chunk_id: candidate.score / best for candidate in lexical}
    nearness = [scaled**2 for scaled in _scaled(semantic, {})]
    supported = sum(
        near * said.get(candidate.chunk_id, 0.0)
        for near, candidate in zip(nearness, semantic, strict=True)
    )
    support = supported / sum(nearness)
    peak = 1.0 - sorted(said.values(), reverse=True)[:PEAK_RANK][-1]
    weight = EVEN_WEIGHT + SUPPORT_WEIGHT * math.log(support + LEAST_SUPPORT)
    weight += BREVITY_WEIGHT * brevity * understood(support) - PEAK_WEIGHT * peak
    return Balance(min(1.0, max(0.0, weight)), support, peak, brevity)


def understood(support: float) -> float:
    """How much of a query's brevity counts, from 0 to 1."""
    return min(1.0, support / UNDERSTOOD)


def fuse_rewritings(rankings: Sequence[Sequence[Fused]]) -> list[Fused]:
    """Mean of the scores that a chunk has in the rankings of one query's wordings, best first.

    Source: CombSUM (Fox and Shaw, TREC-2 1994), divided by the number of rankings, so that
    scores stay in [0, 1]. Rankers of the second ranking are called `semantic:2`, and so on.

    Args:
        rankings: that of the query itself first; a chunk that one does not name has 0 there.
    """
    if len(rankings) == 1:
        return list(rankings[0])
    parts: list[tuple[Candidate, float]] = []
    for number, ranking in enumerate(rankings, start=1):
        suffix = f":{number}" if number > 1 else ""
        for one in ranking:
            for candidate in one.candidates:
                named = replace(candidate, ranker=candidate.ranker + suffix)
                parts.append((named, one.parts.get(candidate.ranker, 0.0) / len(rankings)))
    return _ordered(parts)


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
    return _ordered(
        [
            (one, shares[one.ranker] * (RANK_CONSTANT + 1) / (RANK_CONSTANT + one.rank))
            for ranking in rankings
            for one in ranking
        ]
    )


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
    return _ordered(
        [
            (one, shares[one.ranker] * scaled)
            for ranking in rankings
            for one, scaled in zip(ranking, _scaled(ranking, least or {}), strict=True)
        ]
    )


def _scaled(ranking: Sequence[Candidate], least: Mapping[str, float]) -> list[float]:
    """A ranking's scores in [0, 1], the best of them 1."""
    scores = [candidate.score for candidate in ranking]
    if not scores:
        return []
    bottom = least.get(ranking[0].ranker, min(scores))
    span = max(scores) - bottom
    return [max(0.0, (score - bottom) / span) if span > 0 else 1.0 for score in scores]


def _words(semantic: Sequence[Candidate], lexical: Sequence[Candidate]) -> list[float]:
    """The lexical scores in [0, 1]; a ranking shorter than the other names all there is."""
    cut_off = len(lexical) >= len(semantic) > 0
    return _scaled(lexical, {} if cut_off or not lexical else {lexical[0].ranker: 0.0})


def _cosine_strength(ranking: Sequence[Candidate]) -> float:
    return min(1.0, max([0.0, *(candidate.score for candidate in ranking)]))


def _bm25_strength(ranking: Sequence[Candidate]) -> float:
    best = max([0.0, *(candidate.score for candidate in ranking)])
    return best / (best + HALF_BM25)


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


def _ordered(parts: Iterable[tuple[Candidate, float]], strength: float = 1.0) -> list[Fused]:
    """Candidates by chunk, with their parts summed, best first; all scaled by the strength.

    Of equal sums the one that a ranker placed higher comes first, then the lower id.
    """
    chunks: dict[str, list[tuple[Candidate, float]]] = {}
    for pair in sorted(parts, key=lambda each: each[0].ranker):
        chunks.setdefault(pair[0].chunk_id, []).append(pair)
    order = sorted(
        (-min(1.0, math.fsum(part for _, part in pairs)), min(one.rank for one, _ in pairs), chunk)
        for chunk, pairs in chunks.items()
    )
    return [
        Fused(
            chunk_id=chunk_id,
            score=-negated * strength,
            rank=rank,
            parts={one.ranker: part * strength for one, part in chunks[chunk_id]},
            candidates=tuple(one for one, _ in chunks[chunk_id]),
        )
        for rank, (negated, _, chunk_id) in enumerate(order, start=1)
    ]
