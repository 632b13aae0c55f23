"""Several collections asked as one: scores where they can be compared, ranks where not."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retriever.errors import CollectionNotFound, QueryError, RerankingUnavailable, SettingsError
from retriever.ingestion import ingest
from retriever.retrieval import Retriever, build_context
from retriever.retrieval.reordering import RerankingSkipped
from retriever.settings import Settings

MakeSettings = Callable[..., Settings]


class RerankerThatFailsForMinutes:
    """Gives everything a low score, and is not to be had for one of the notes."""

    def __init__(self, options: object) -> None:
        """Nothing is needed."""

    def rerank(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """0.05 for each."""
        if any("ordered in May" in text for text in texts):
            raise RerankingUnavailable("The reranker is busy.")
        return np.full(len(texts), 0.05, dtype=np.float32)


@pytest.fixture
def two(make_settings: MakeSettings, corpus: Path, tmp_path: Path) -> MakeSettings:
    """Collections `manuals` and `minutes`; a notice stands in both."""
    other = tmp_path / "other" / "corpus"
    other.mkdir(parents=True)
    (other / "notes.txt").write_text(
        "The annual meeting takes place in March.\n\nMembers vote on the budget.\n", "utf-8"
    )
    (other / "pump.md").write_text("# Order\n\nA new pump was ordered in May.\n", "utf-8")
    ingest(corpus, make_settings(collection="manuals"))
    ingest(other, make_settings(collection="minutes"))
    return make_settings


def test_the_best_of_all_comes_first_and_says_where_it_is_from(two: MakeSettings) -> None:
    with Retriever.open(two(), collections=["manuals", "minutes"]) as retriever:
        best = retriever.retrieve("hold the red button of the pump")[0]
        ordered = retriever.retrieve("a new pump was ordered in May")[0]
    assert (best.collection, best.source) == ("manuals", "corpus/pump.md")
    assert (ordered.collection, ordered.source) == ("minutes", "corpus/pump.md")
    assert ordered.citation == "minutes: corpus/pump.md:1-3"


def test_of_one_model_scores_are_those_of_each_collection_alone(two: MakeSettings) -> None:
    with (
        Retriever.open(two(), collections=["manuals", "minutes"]) as both,
        Retriever.open(two(collection="manuals")) as one,
    ):
        together = both.retrieve("red button", top_k=20)
        alone = {each.id: each.score for each in one.retrieve("red button", top_k=20)}
    assert [each.rank for each in together] == list(range(1, len(together) + 1))
    scores = [each.score for each in together]
    assert scores == sorted(scores, reverse=True)
    assert {each.id: each.score for each in together if each.collection == "manuals"} == alone


def test_of_one_model_the_chunks_of_a_joined_passage_keep_their_own_scores(
    two: MakeSettings, tmp_path: Path
) -> None:
    long = tmp_path / "long"
    long.mkdir()
    steps = ("Hold the red button of the pump.", "Wait until the lamp is green, then go home.")
    (long / "steps.md").write_text("\n\n".join(" ".join([step] * 6) for step in steps), "utf-8")
    ingest(long, two(collection="manuals"))
    joining = two(collection="manuals", retrieval__merge_neighbours=True)
    with (
        Retriever.open(joining, collections=["manuals", "minutes"]) as both,
        Retriever.open(joining) as one,
    ):
        question = "hold the red button until the lamp is green"
        together = {each.id: each for each in both.retrieve(question)}
        joined = next(each for each in one.retrieve(question) if len(each.parts) > 1)
    scores = [part.score for part in joined.parts]
    assert scores[0] > scores[1]
    assert [part.score for part in together[joined.id].parts] == scores


def test_where_the_reranker_failed_for_one_collection_its_scores_are_not_compared(
    two: MakeSettings,
) -> None:
    backend = f"{__name__}:RerankerThatFailsForMinutes"
    settings = two(reranking__backend=backend, retrieval__duplicates="none")
    with (
        Retriever.open(settings, collections=["manuals", "minutes"]) as retriever,
        pytest.warns(RerankingSkipped, match="busy"),
    ):
        found = retriever.retrieve("a new pump was ordered", top_k=4)
    assert [one.score for one in found] == [1.0, 1.0, 61 / 62, 61 / 62]
    assert [one.collection for one in found] == ["manuals", "minutes"] * 2


def test_the_same_text_in_two_collections_is_one_passage_with_both(two: MakeSettings) -> None:
    with Retriever.open(two(), collections=["manuals", "minutes"]) as retriever:
        best = retriever.retrieve("annual meeting in March", top_k=2)[0]
    assert best.collection == "manuals"
    assert [one.citation for one in best.duplicates] == ["minutes: corpus/notes.txt:1-3"]
    context = build_context([best])
    assert context.citations[1].collection == "manuals"
    assert context.citations[1].also == ("minutes: corpus/notes.txt:1-3",)


def test_of_two_models_each_embeds_with_its_own_and_ranks_decide(
    two: MakeSettings, corpus: Path
) -> None:
    ingest(corpus, two(collection="wide", **{"embedding.dimension": 64}))
    named = two(**{"embedding.model": "hashing", "embedding.dimension": 256})
    with Retriever.open(two(), collections=["wide", "minutes"]) as retriever:
        passages = retriever.retrieve("hold the red button of the pump", top_k=4)
    assert passages[0].score == passages[1].score == 1.0
    assert [one.collection for one in passages[:2]] == ["wide", "minutes"]
    assert passages[0].source == "corpus/pump.md"
    assert named.embedding.model == "hashing"


def test_many_queries_filters_modes_and_rewriting_work_as_with_one(two: MakeSettings) -> None:
    with Retriever.open(two(), collections=["manuals", "minutes"]) as retriever:
        queries = ["red button", "annual meeting"]
        assert retriever.retrieve_many(queries) == [retriever.retrieve(one) for one in queries]
        found = retriever.retrieve("water", where={"author": "Ada"})
        assert {one.source for one in found} == {"corpus/guides/boiler.md"}
        words = retriever.retrieve("pump", mode="lexical")
        assert {one.collection for one in words} == {"manuals", "minutes"}
        wide = retriever.retrieve("zebra", rewrite=lambda _: ["red button"], top_k=1)
        assert wide[0].source == "corpus/pump.md"


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ([], QueryError),
        ("manuals", QueryError),
        (["manuals", "manuals"], QueryError),
        (["manuals", "nope"], CollectionNotFound),
        (["manuals", "no/pe"], SettingsError),
    ],
)
def test_collections_that_cannot_be_asked_are_refused(
    two: MakeSettings, names: list[str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Retriever.open(two(), collections=names)


def test_one_name_is_that_collection(two: MakeSettings) -> None:
    with Retriever.open(two(), collections=["minutes"]) as retriever:
        assert retriever.retrieve("pump", top_k=1)[0].collection == ""
