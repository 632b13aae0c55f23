"""Two rankers, one ranking: modes, candidates, scores, filters, and a writer at work beside it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from retriever import assembly
from retriever.errors import FingerprintMismatch, QueryError, SettingsError
from retriever.fusion import HALF_BM25, fuse
from retriever.ingestion import ingest
from retriever.retrieval import Retriever
from retriever.settings import Settings
from retriever.timing import stage_times

MakeSettings = Callable[..., Settings]

WORDS = "Part XJ-900 is spare."
"""A text whose name only a lexical ranker finds whole."""


@pytest.fixture
def ready(settings: Settings, corpus: Path) -> Settings:
    (corpus / "parts.md").write_text(f"# Parts\n\n{WORDS}\n", encoding="utf-8")
    ingest(corpus, settings)
    return settings


def test_hybrid_is_the_default_and_asks_both_rankers(ready: Settings) -> None:
    with Retriever.open(ready) as retriever:
        best = retriever.retrieve("reset the pump with the red button")[0]
    assert [one.ranker for one in best.candidates] == ["lexical", "semantic"]
    assert [one.rank for one in best.candidates] == [1, 1]


def test_hybrid_scores_are_those_of_fusion(ready: Settings) -> None:
    query = "cold water of the pump"
    with Retriever.open(ready) as retriever:
        hybrid = retriever.retrieve(query, top_k=20)
        rankings = [
            [one.candidates[0] for one in retriever.retrieve(query, top_k=20, mode=mode)]
            for mode in ("semantic", "lexical")
        ]
    expected = fuse(*rankings, word_count=3)
    assert [(one.id, one.score) for one in hybrid] == [
        (one.chunk_id, one.score) for one in expected
    ]


def test_each_mode_names_its_own_rankers_and_scores_within_its_range(ready: Settings) -> None:
    with Retriever.open(ready) as retriever:
        (semantic, *_) = retriever.retrieve("red button", mode="semantic")
        (lexical, *_) = retriever.retrieve("red button", mode="lexical")
    assert [one.ranker for one in semantic.candidates] == ["semantic"]
    assert semantic.score == semantic.candidates[0].score
    assert [one.ranker for one in lexical.candidates] == ["lexical"]
    bm25 = lexical.candidates[0].score
    assert lexical.score == pytest.approx(bm25 / (bm25 + HALF_BM25))
    assert 0 < lexical.score < 1


def test_a_query_without_a_known_word_is_answered_by_meaning_with_the_cosine(
    ready: Settings,
) -> None:
    with Retriever.open(ready) as retriever:
        hybrid = retriever.retrieve("qwertz uiop", top_k=20)
        semantic = retriever.retrieve("qwertz uiop", top_k=20, mode="semantic")
        assert retriever.retrieve("qwertz uiop", mode="lexical") == []
    assert [one.id for one in hybrid] == [one.id for one in semantic]
    assert hybrid[0].score == pytest.approx(max(0.0, semantic[0].score))


def test_lexical_mode_opens_no_model(make_settings: MakeSettings, ready: Settings) -> None:
    """The settings name a model that is not there and differs: only what needs it complains."""
    absent = {"embedding.backend": "sentence-transformers", "embedding.model": "not/there"}
    with Retriever.open(make_settings(**absent, **{"retrieval.mode": "lexical"})) as retriever:
        assert retriever.retrieve("XJ-900")[0].source == "corpus/parts.md"
        with pytest.raises((FingerprintMismatch, SettingsError)):
            retriever.retrieve("XJ-900", mode="hybrid")


def test_an_unknown_mode_is_refused_with_those_there_are(ready: Settings) -> None:
    with (
        Retriever.open(ready) as retriever,
        pytest.raises(QueryError, match="hybrid, semantic, lexical"),
    ):
        retriever.retrieve("x", mode="fuzzy")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "lexical"])
def test_min_score_and_filters_hold_in_every_mode(
    ready: Settings, make_settings: MakeSettings, mode: str
) -> None:
    with Retriever.open(make_settings(**{"retrieval.mode": mode})) as retriever:
        every = retriever.retrieve("water", top_k=20)
        least = every[0].score
        assert retriever.retrieve("water", top_k=20, min_score=least) == [
            one for one in every if one.score >= least
        ]
        assert retriever.retrieve("water", min_score=1.1) == []
        found = retriever.retrieve("water", where={"author": "Ada"})
        assert {one.source for one in found} == {"corpus/guides/boiler.md"}
        assert retriever.retrieve("water", where={"author": "Bob"}) == []


def test_both_rankers_are_asked_for_as_many_and_for_top_k_at_least(
    ready: Settings, make_settings: MakeSettings
) -> None:
    with Retriever.open(make_settings(**{"retrieval.candidate_count": 2})) as retriever:
        two = retriever.retrieve("the water of the pump", top_k=2)
        every = retriever.retrieve("the water of the pump", top_k=20)
    assert all(candidate.rank <= 2 for one in two for candidate in one.candidates)
    assert len(every) > 3


def test_weights_tip_the_balance(ready: Settings, make_settings: MakeSettings) -> None:
    words = make_settings(**{"retrieval.lexical_weight": 1000})
    query = "XJ-900 water boiler heats sixty degrees"
    with Retriever.open(words) as retriever, Retriever.open(ready) as even:
        first = retriever.retrieve(query, mode="lexical")[0]
        assert retriever.retrieve(query)[0].id == first.id
        assert retriever.retrieve(query)[0].score != even.retrieve(query)[0].score


def test_a_chunk_that_only_the_words_still_name_is_dropped(
    ready: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lexical index may be a commit ahead or behind of a row that was just deleted."""
    with Retriever.open(ready) as retriever:
        before = retriever.retrieve("XJ-900", mode="lexical")
        assert before[0].source == "corpus/parts.md"
        with assembly.open_writing_store(ready) as store:
            store.physical("docs.1").delete_chunks([before[0].id])
        for mode in ("lexical", "hybrid"):
            found = retriever.retrieve("XJ-900", mode=mode)  # type: ignore[arg-type]
            assert all(one.id != before[0].id for one in found)


def test_the_words_of_a_commit_are_found_by_the_next_query(ready: Settings, corpus: Path) -> None:
    with Retriever.open(ready) as retriever:
        assert retriever.retrieve("ZK-12", mode="lexical") == []
        (corpus / "new.md").write_text("# New\n\nThe ZK-12 lands.\n", encoding="utf-8")
        ingest(corpus, ready)
        for mode in ("lexical", "hybrid"):
            found = retriever.retrieve("ZK-12", mode=mode)  # type: ignore[arg-type]
            assert found[0].source == "corpus/new.md"
        (corpus / "new.md").unlink()
        ingest(corpus, ready)
        assert retriever.retrieve("ZK-12", mode="lexical") == []


@pytest.mark.parametrize("where", [None, {"source": ["corpus/pump.md", "corpus/parts.md"]}])
def test_a_row_that_a_writer_has_just_deleted_is_not_named_and_no_error(
    ready: Settings, where: dict[str, object] | None
) -> None:
    """Its commit is still to come, so the reader has not looked anew."""
    with Retriever.open(ready) as retriever:
        first = retriever.retrieve("red button", where=where)[0]
        with assembly.open_writing_store(ready) as store:
            store.physical("docs.1").delete_chunks([first.id])
            for mode in ("semantic", "lexical", "hybrid"):
                found = retriever.retrieve("red button", where=where, mode=mode)  # type: ignore[arg-type]
                assert all(one.id != first.id for one in found)


def test_stage_times_say_where_a_query_spends_its_time(ready: Settings) -> None:
    with Retriever.open(ready) as retriever:
        with stage_times() as times_s:
            retriever.retrieve("red button", where={"source": "corpus/pump.md"})
        assert {"freshness", "embed", "semantic", "lexical", "fuse", "fetch"} <= times_s.keys()
        assert all(seconds >= 0 for seconds in times_s.values())
        counted = dict(times_s)
        retriever.retrieve("red button")
    assert times_s == counted
