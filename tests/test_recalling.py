"""recall: what the approximate index finds, compared with exact search."""

from pathlib import Path

import numpy as np
import pytest
from command_line import run, use_settings

from retriever import assembly
from retriever.collection.index import SEARCH_WIDTH, rows_to_ask
from retriever.errors import QueryError
from retriever.ingestion import ingest
from retriever.recalling import measure_recall
from retriever.settings import Settings


@pytest.fixture
def many(tmp_path: Path, settings: Settings) -> Settings:
    """A collection of 150 chunks."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(150):
        words = " ".join(f"word{number * step % 97}" for step in range(1, 30))
        (folder / f"{number}.txt").write_text(f"Note {number}: {words}.\n", encoding="utf-8")
    ingest(folder, settings)
    return settings


def test_an_index_that_finds_everything_has_a_recall_of_one(many: Settings) -> None:
    report = measure_recall(many, sample=20)
    assert [(one.depth, one.recall, one.worst) for one in report.depths] == [
        (10, 1.0, 1.0),
        (100, 1.0, 1.0),
    ]
    assert (report.chunks, report.queries, report.is_exact) == (150, 20, True)


def test_what_the_index_misses_is_counted(many: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second candidate withheld, half of the ten nearest are found at most."""
    from retriever.collection.physical import PhysicalCollection

    rank = PhysicalCollection.rank

    def half(self, queries, *, count, where):  # type: ignore[no-untyped-def]
        return [one[1::2] for one in rank(self, queries, count=count, where=where)]

    monkeypatch.setattr(PhysicalCollection, "rank", half)
    ten = measure_recall(many, sample=20).depths[0]
    assert 0.3 <= ten.recall <= 0.6


def test_questions_are_asked_in_the_place_of_passages(many: Settings) -> None:
    report = measure_recall(many, ["word3 word6", "word5"])
    assert (report.queries, report.of_questions) == (2, True)
    assert report.depths[0].recall == 1.0


def test_the_same_seed_draws_the_same_passages(many: Settings) -> None:
    one, other = (measure_recall(many, sample=30, seed=4).depths for _ in range(2))
    assert one == other


def test_a_collection_without_neighbours_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.txt").write_text("alone", encoding="utf-8")
    ingest(tmp_path / "one", settings)
    with pytest.raises(QueryError, match="too few passages"):
        measure_recall(settings)


def test_nothing_can_be_drawn_by_less_than_one(many: Settings) -> None:
    with pytest.raises(QueryError, match="at least 1"):
        measure_recall(many, sample=0)


@pytest.mark.parametrize("depth", [10, 100, 150])
def test_a_long_answer_is_as_exact_as_a_short_one(many: Settings, depth: int) -> None:
    """However long it is, it begins with the nearest rows, in their order."""
    with assembly.open_store(many) as store:
        data = store.physical(store.state(many.collection).live)
        ids, vectors = data.all_vectors()
        found = data.rank(vectors[:1], count=depth, where=None)[0]
    scores = vectors @ vectors[0]
    np.testing.assert_allclose(
        [one.score for one in found], np.sort(scores)[::-1][:depth], atol=1e-5
    )
    assert {one.chunk_id for one in found} <= set(ids)
    assert [one.rank for one in found] == list(range(1, depth + 1))


def test_a_long_answer_is_searched_more_widely() -> None:
    hnsw = {"hnsw": {"ef_search": SEARCH_WIDTH}, "spann": None}
    assert [rows_to_ask(hnsw, count) for count in (10, 100, 101, 1_000)] == [10, 100, 404, 2_000]


def test_an_index_of_another_kind_is_asked_for_what_is_wanted() -> None:
    """Chroma Cloud bounds how much a query may ask for."""
    assert rows_to_ask({"hnsw": None, "spann": {}}, 300) == 300


def test_recall_is_a_command(
    many: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use_settings(monkeypatch, many)
    asked = tmp_path / "asked.txt"
    asked.write_text("word1 word2\n\nword3\n", encoding="utf-8")

    ended = run(capsys, ["recall", "--file", str(asked), "--json"])
    assert (ended.code, ended.json["queries"]) == (0, 2)
    _, out, _ = run(capsys, ["recall", "--sample", "5"])
    assert "recall@10" in out
    assert "searched exactly" in out
    asked.write_text("\n", encoding="utf-8")
    assert run(capsys, ["recall", "--file", str(asked)]).code == 2
