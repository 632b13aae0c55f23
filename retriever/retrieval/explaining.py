"""Why passages stand where they stand: what the rankers said, what fusing and words did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from retriever.collection.index import SEMANTIC
from retriever.fusion import Fused, balance, trust
from retriever.lexical import LexicalIndex
from retriever.lexical.index import LEXICAL
from retriever.records import Explanation, Passage
from retriever.retrieval.ranking import Ranked
from retriever.retrieval.requests import Request


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of one query after ranking."""

    request: Request
    ranked: Sequence[Ranked]
    """Of each wording, the query itself first."""
    fused: Sequence[Fused]
    """The one ranking that became of them."""
    index: LexicalIndex | None
    """Tells the weight of each word; None where words were not asked."""


def explained(passages: Sequence[Passage], told: Told) -> list[Passage]:
    """The passages, and their parts, with an explanation each.

    Raises:
        IndexDamaged: the lexical index broke while it was read.
    """
    weights, first = _weights(told), told.ranked[0]
    both = bool(first.semantic and first.lexical)
    balanced = balance(first.semantic, first.lexical, first.word_count)
    fused = {one.chunk_id: one for one in told.fused}
    words = _words(told)

    def explain(passage: Passage) -> Passage:
        one = fused[passage.id]
        terms = _terms(told, passage.id)
        explanation = Explanation(
            rank=one.rank,
            score=one.score,
            shares=one.parts,
            weights=weights,
            support=balanced.support if both else None,
            peak=balanced.peak if both else None,
            brevity=balanced.brevity if both else None,
            terms=terms,
            missing=tuple(word for word in words if word not in terms),
        )
        parts = tuple(explain(part) for part in passage.parts)
        return replace(passage, explanation=explanation, parts=parts)

    return [explain(passage) for passage in passages]


def _weights(told: Told) -> dict[str, float]:
    """Ranker to its weight, as `fuse_rewritings` names the rankers of further wordings."""
    found: dict[str, float] = {}
    for number, ranked in enumerate(told.ranked, start=1):
        suffix = f":{number}" if number > 1 else ""
        pair = _pair(told.request.mode, ranked, told.request.weights)
        for ranker, weight in zip((SEMANTIC, LEXICAL), pair, strict=True):
            if weight > 0:
                found[ranker + suffix] = weight / len(told.ranked)
    return found


def _pair(mode: str, ranked: Ranked, weights: Mapping[str, float]) -> tuple[float, float]:
    if mode != "hybrid":
        return (1.0, 0.0) if mode == "semantic" else (0.0, 1.0)
    return trust(ranked.semantic, ranked.lexical, word_count=ranked.word_count, weights=weights)


def _words(told: Told) -> list[str]:
    """The words of the query that are searched for, in its order."""
    if told.index is None:
        return []
    counts = told.index.term_counts(told.request.queries[0])
    return list(dict.fromkeys(one.term for one in counts))


def _terms(told: Told, chunk_id: str) -> dict[str, float]:
    terms: dict[str, float] = {}
    if told.index is not None:
        for term, weight in told.index.explain(told.request.queries[0], chunk_id):
            terms[term] = terms.get(term, 0.0) + weight
    return terms
