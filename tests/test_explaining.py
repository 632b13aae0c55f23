"""Why a passage stands where it stands: what is told agrees with what was done."""

from collections.abc import Callable
from pathlib import Path

import pytest

from retriever.cli.explanations import explanation_json, passage_lines, query_line
from retriever.fusion import balance, trust
from retriever.ingestion import ingest
from retriever.records import Candidate, Explanation, Passage
from retriever.retrieval import Retriever
from retriever.settings import Settings

MakeSettings = Callable[..., Settings]
QUERY = "reset the pump with cold water"


@pytest.fixture
def ready(settings: Settings, corpus: Path) -> Settings:
    ingest(corpus, settings)
    return settings


def told(passage: Passage) -> Explanation:
    assert passage.explanation is not None
    return passage.explanation


def test_explained_passages_are_those_of_the_same_query(ready: Settings) -> None:
    with Retriever.open(ready) as retriever:
        plain = retriever.retrieve(QUERY, top_k=20)
        explained = retriever.explain(QUERY, top_k=20)
    assert [(one.id, one.score, one.rank) for one in explained] == [
        (one.id, one.score, one.rank) for one in plain
    ]
    assert all(one.explanation is None for one in plain)


def test_shares_sum_to_the_score_weights_to_one_and_terms_to_bm25(ready: Settings) -> None:
    with Retriever.open(ready) as retriever:
        passages = retriever.explain(QUERY, top_k=20)
    for one in passages:
        explanation = told(one)
        assert (explanation.rank, explanation.score) == (one.rank, one.score)
        assert sum(explanation.shares.values()) == pytest.approx(one.score)
        assert sum(explanation.weights.values()) == pytest.approx(1.0)
        for candidate in one.candidates:
            if candidate.ranker == "lexical":
                assert sum(explanation.terms.values()) == pytest.approx(candidate.score)
    first = told(passages[0])
    assert set(first.terms) | set(first.missing) == {"reset", "pump", "cold", "water"}
    assert not set(first.terms) & set(first.missing)


def test_weights_and_reasons_are_those_of_fusion(ready: Settings) -> None:
    with Retriever.open(ready) as retriever:
        semantic, lexical = (
            [one.candidates[0] for one in retriever.retrieve(QUERY, top_k=20, mode=mode)]
            for mode in ("semantic", "lexical")
        )
        explanation = told(retriever.explain(QUERY, top_k=20)[0])
    expected = balance(semantic, lexical, len(explanation.terms) + len(explanation.missing))
    assert (explanation.support, explanation.peak) == (expected.support, expected.peak)
    assert explanation.brevity == expected.brevity == 1.0
    weights = tuple(explanation.weights.get(name, 0.0) for name in ("semantic", "lexical"))
    assert weights == pytest.approx(trust(semantic, lexical, word_count=4))


@pytest.mark.parametrize("mode", ["semantic", "lexical"])
def test_one_ranker_alone_is_trusted_alone(ready: Settings, mode: str) -> None:
    with Retriever.open(ready) as retriever:
        (first, *_) = retriever.explain(QUERY, mode=mode)  # type: ignore[arg-type]
    assert dict(told(first).weights) == {mode: 1.0}
    assert told(first).support is None
    assert query_line(told(first)) == f"answered by the {mode} ranking alone"


def test_a_reranker_and_the_chunks_of_a_joined_passage_are_told(
    make_settings: MakeSettings, corpus: Path
) -> None:
    reranking = {"reranking.backend": "retriever.testing:OverlapReranker"}
    settings = make_settings(**reranking, **{"retrieval.merge_neighbours": True})
    ingest(corpus, settings)
    with Retriever.open(settings) as retriever:
        joined = next(one for one in retriever.explain(QUERY) if one.source == "corpus/pump.md")
    assert len(joined.parts) > 1
    assert all(told(part).rank >= 1 for part in joined.parts)
    lines = passage_lines(joined)
    assert [line.split()[0] for line in lines] == [
        "fused", "lexical", "semantic", "reranker", "joined"
    ]  # fmt: skip


def test_several_collections_explain_each_its_own(
    make_settings: MakeSettings, corpus: Path
) -> None:
    for name in ("one", "two"):
        ingest(corpus, make_settings(collection=name))
    with Retriever.open(make_settings(), collections=["one", "two"]) as retriever:
        assert all(told(one).rank >= 1 for one in retriever.explain(QUERY))


def test_lines_say_what_a_person_wants_to_know() -> None:
    explanation = Explanation(
        rank=2,
        score=0.5,
        shares={"lexical": 0.2, "semantic": 0.3},
        weights={"semantic": 0.6, "lexical": 0.4},
        support=0.5,
        peak=0.25,
        brevity=0.5,
        terms={"pump": 1.5},
        missing=("red",),
    )
    candidates = (Candidate("a", "lexical", 1.5, 11), Candidate("a", "semantic", 0.7, 1))
    passage = Passage(
        id="a", rank=1, score=0.5, text="", source="a.md", start=0, end=0,
        candidates=candidates, explanation=explanation,
    )  # fmt: skip
    assert passage_lines(passage) == [
        "fused     2nd, score 0.500 = lexical 0.200 + semantic 0.300",
        "lexical   11th, BM25 1.500: pump 1.50; without red",
        "semantic  1st, cosine 0.700",
    ]
    assert query_line(explanation).startswith("weights: semantic 0.60, lexical 0.40; ")
    assert explanation_json(explanation)["missing"] == ["red"]
