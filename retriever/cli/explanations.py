"""Why a passage stands where it stands, for people and for programs."""

from collections.abc import Mapping

from retriever.records import Candidate, Explanation, Passage

_SCORES = {"semantic": "cosine", "lexical": "BM25", "reranker": "score"}
"""What a ranker's score is."""


def explanation_json(explanation: Explanation) -> dict[str, object]:
    """An explanation as `search --explain --json` prints it."""
    return {
        "rank": explanation.rank,
        "score": explanation.score,
        "shares": dict(explanation.shares),
        "weights": dict(explanation.weights),
        "support": explanation.support,
        "peak": explanation.peak,
        "brevity": explanation.brevity,
        "terms": dict(explanation.terms),
        "missing": list(explanation.missing),
    }


def query_line(explanation: Explanation) -> str:
    """How much each ranking was trusted for the query, and why."""
    if explanation.support is None or explanation.peak is None:
        return f"answered by the {' and '.join(explanation.weights) or 'semantic'} ranking alone"
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in explanation.weights.items())
    return (
        f"weights: {weights}; the nearest chunks hold {explanation.support:.0%} of what the query "
        f"says, the best chunk by words stands {explanation.peak:.0%} above the twentieth"
    )


def passage_lines(passage: Passage) -> list[str]:
    """What each step did to a passage: one line a step, none where it was not explained."""
    told = passage.explanation
    if told is None:
        return []
    by_ranker = {one.ranker: one for one in passage.candidates}
    reranked = by_ranker.pop("reranker", None)
    lines = [_fused_line(told)]
    lines += [_ranker_line(one, told) for one in by_ranker.values()]
    if "lexical" not in by_ranker and told.terms:
        lines.append(f"lexical   not among its candidates; {_terms(told)}")
    if reranked is not None:
        lines.append(f"reranker  {_ordinal(reranked.rank)}, score {reranked.score:.3f}")
    if len(passage.parts) > 1:
        ranks = [_ordinal(one.explanation.rank) for one in passage.parts if one.explanation]
        lines.append(f"joined    of the chunks fused {', '.join(ranks)}")
    return lines


def _fused_line(told: Explanation) -> str:
    return f"fused     {_ordinal(told.rank)}, score {told.score:.3f}{_sum(told.shares)}"


def _sum(shares: Mapping[str, float]) -> str:
    added = [f"{name} {value:.3f}" for name, value in shares.items() if len(shares) > 1]
    return f" = {' + '.join(added)}" if added else ""


def _ranker_line(one: Candidate, told: Explanation) -> str:
    kind = one.ranker.partition(":")[0]
    line = f"{one.ranker:<8}  {_ordinal(one.rank)}, {_SCORES.get(kind, 'score')} {one.score:.3f}"
    return f"{line}: {_terms(told)}" if one.ranker == "lexical" else line


def _terms(told: Explanation) -> str:
    """The words that it holds and lacks; as they are indexed, which is by their stems."""
    held = ", ".join(f"{term} {weight:.2f}" for term, weight in told.terms.items())
    lacks = f"without {', '.join(told.missing)}" if told.missing else ""
    return "; ".join(filter(None, (held, lacks)))


def _ordinal(rank: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{'th' if rank % 100 in (11, 12, 13) else ending}"
