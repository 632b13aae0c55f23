"""Exact search in memory: the same answers as by hand, with filters, after commits, on any path."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from retriever import assembly
from retriever.collection.filters import translate
from retriever.collection.physical import PhysicalCollection
from retriever.errors import CollectionDamaged
from retriever.ingestion import ingest
from retriever.protocols import Vectors
from retriever.records import Candidate, Passage
from retriever.retrieval import Retriever, filling, selecting, snapshots
from retriever.retrieval.filling import Filling, read_rows, read_table
from retriever.retrieval.table import Selections, Table, as_ids, as_unit
from retriever.settings import Settings

MakeSettings = Callable[..., Settings]

TOPICS = ("pump", "boiler", "garden", "tower")
FILTERS: list[dict[str, object]] = [
    {"topic": "pump"},
    {"number": {"$gte": 5}},
    {"$or": [{"topic": "boiler"}, {"number": 3}]},
    {"tags": {"$contains": "even"}},
    {"topic": {"$nin": ["pump", "boiler"]}},
    {"topic": "nowhere"},
]


def write_document(folder: Path, number: int, *, topic: str) -> None:
    tags = "[even]" if number % 2 == 0 else "[odd]"
    text = (
        f"---\ntopic: {topic}\nnumber: {number}\ntags: {tags}\n---\n"
        f"# Note {number}\n\nThe {topic} number{number} is painted in colour{number % 5}.\n"
    )
    (folder / f"{number}.md").write_text(text, encoding="utf-8")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(16):
        write_document(folder, number, topic=TOPICS[number % 4])
    return folder


PLAIN = {"retrieval.duplicates": "none", "retrieval.merge_neighbours": False}


@pytest.fixture
def ready(make_settings: MakeSettings, notes: Path) -> Settings:
    settings = make_settings(**PLAIN)
    ingest(notes, settings)
    return settings


def ids(passages: list[Passage]) -> list[str]:
    return [one.id for one in passages]


def by_hand(settings: Settings, query: str, where: dict[str, object] | None) -> list[str]:
    """All chunks that a filter holds for, by falling cosine, then by id."""
    vector = assembly.open_configured_embedder(settings).embed_query(query)
    with assembly.open_store(settings) as store:
        data = store.physical(store.state("docs").live)
        vectors = data.vectors(sorted(data.matching_ids(translate(where))))
    cosines = {one: round(float(vector @ vectors[one]), 5) for one in vectors}
    return sorted(cosines, key=lambda one: (-cosines[one], one))


def asked(retriever: Retriever, where: dict[str, object] | None) -> list[str]:
    found = retriever.retrieve("the boiler in colour2", top_k=50, where=where, mode="semantic")
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    return ids(sorted(found, key=lambda one: (-round(one.score, 5), one.id)))


@pytest.fixture(params=["small", "large", "left to Chroma", "left to its index"])
def any_size(
    request: pytest.FixtureRequest, ready: Settings, make_settings: MakeSettings
) -> Settings:
    """The same collection, taken for one that is small, or large, or too large for memory."""
    monkeypatch = request.getfixturevalue("monkeypatch")
    if request.param != "small":
        monkeypatch.setattr(snapshots, "EXACT_CHUNKS", 0)
    if request.param == "left to its index":
        monkeypatch.setattr(selecting, "EXACT_BY_ID", 0)
    if request.param.startswith("left to"):
        return make_settings(**PLAIN, **{"retrieval.table_mb": 0})
    return ready


def test_a_filter_gives_what_it_gives_by_hand_before_and_after_memory_is_filled(
    any_size: Settings,
) -> None:
    with Retriever.open(any_size) as retriever:
        for where in (None, *FILTERS):
            assert asked(retriever, where) == by_hand(any_size, "the boiler in colour2", where)
        retriever._snapshots._filling.wait()
        for where in (None, *FILTERS):
            assert asked(retriever, where) == by_hand(any_size, "the boiler in colour2", where)


def test_the_words_are_filtered_alike_before_and_after_memory_is_filled(
    any_size: Settings,
) -> None:
    with Retriever.open(any_size) as retriever:

        def answers() -> list[list[str]]:
            query = "boiler number4 in colour2"
            return [
                ids(retriever.retrieve(query, top_k=50, where=where, mode="lexical"))
                for where in FILTERS
            ]

        before = answers()
        retriever._snapshots._filling.wait()
        assert answers() == before
        allowed = [set(by_hand(any_size, "boiler", where)) for where in FILTERS]
    assert all(set(found) <= these for found, these in zip(before, allowed, strict=True))
    assert before[0]


def test_a_filter_that_matches_little_loses_nothing(any_size: Settings) -> None:
    with Retriever.open(any_size) as retriever:
        for number in range(16):
            found = retriever.retrieve("tower", where={"number": number}, mode="semantic")
            assert [one.source for one in found] == [f"notes/{number}.md"]


def test_chroma_is_spared_a_filter_that_enough_of_the_nearest_pass(
    ready: Settings, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the chunks pass: among twice two of the nearest there are two, or Chroma is asked."""
    asked_where: list[object] = []
    rank = PhysicalCollection.rank

    def told(self: PhysicalCollection, *args: Vectors, **options: Any) -> list[list[Candidate]]:
        asked_where.append(options["where"])
        return rank(self, *args, **options)

    monkeypatch.setattr(snapshots, "EXACT_CHUNKS", 0)
    few = {"retrieval.table_mb": 0, "retrieval.candidate_count": 2, "retrieval.top_k": 2}
    where: dict[str, object] = {"topic": ["boiler", "pump"]}

    def scores(query: str) -> list[tuple[int, float]]:
        found = retriever.retrieve(query, where=where, mode="semantic")
        assert {one.metadata["topic"] for one in found} <= {"boiler", "pump"}
        return [(one.rank, round(one.score, 5)) for one in found]

    inside, outside = "The boiler in colour2", "The garden tower"
    with Retriever.open(make_settings(**PLAIN, **few)) as retriever:
        expected = scores(inside), scores(outside)
        monkeypatch.setattr(selecting, "EXACT_BY_ID", 0)
        monkeypatch.setattr(PhysicalCollection, "rank", told)
        assert scores(inside) == expected[0]
        assert asked_where == [None]
        assert scores(outside) == expected[1]
        assert asked_where == [None, None, translate(where)]


def test_filters_follow_commits(any_size: Settings, notes: Path) -> None:
    """Added, changed in metadata alone, deleted: by the next query, whatever is in memory."""
    with Retriever.open(any_size) as retriever:
        for where in FILTERS:
            asked(retriever, where)
        retriever._snapshots._filling.wait()
        for step in range(3):
            write_document(notes, 20 + step, topic="pump")
            write_document(notes, step, topic="tower")
            (notes / f"{10 + step}.md").unlink()
            ingest(notes, any_size)
            for where in (None, *FILTERS):
                assert asked(retriever, where) == by_hand(any_size, "the boiler in colour2", where)
            retriever._snapshots._filling.wait()
            for where in FILTERS:
                assert asked(retriever, where) == by_hand(any_size, "the boiler in colour2", where)


def test_a_table_that_was_brought_up_to_date_is_one_that_was_read_anew(
    ready: Settings, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(before: Table | None) -> Table:
        with assembly.open_store(ready) as store:
            data = store.physical(store.state("docs").live)
            table = read_table(data, before, stopped=lambda: False)
        assert table is not None
        return table

    def rows(table: Table) -> dict[str, list[float]]:
        return dict(zip(table.ids.tolist(), table.vectors.tolist(), strict=True))

    old = read(None)
    write_document(notes, 3, topic="pump")
    (notes / "4.md").unlink()
    write_document(notes, 30, topic="garden")
    ingest(notes, ready)
    anew = read(None)
    monkeypatch.setattr(filling, "_read_all", None)  # not to be called
    changed = read(old)
    assert rows(changed) == rows(anew)
    where = {"topic": {"$eq": "pump"}}
    one, other = changed.filtered(where), anew.filtered(where)
    assert one is not None
    assert other is not None
    assert one.ids == other.ids


def test_one_filtered_query_fills_no_memory_and_closing_stops_what_does(
    ready: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "EXACT_CHUNKS", 0)  # a small one remembers rows, too
    with Retriever.open(ready) as retriever:
        filled = retriever._snapshots._filling
        asked(retriever, FILTERS[0])
        asked(retriever, FILTERS[0])
        assert filled._thread is None
        asked(retriever, FILTERS[1])
        assert filled._thread is not None
    assert not filled._thread.is_alive()


def test_passages_of_a_small_collection_are_read_from_memory_after_a_few_queries(
    ready: Settings, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same ones; a caller that changes their metadata changes no later answer."""

    def forbidden(*_: object, **__: object) -> list[object]:
        raise CollectionDamaged("Chroma was asked for rows")

    query = "the boiler in colour2"
    with Retriever.open(ready) as retriever:
        before = [retriever.retrieve(query) for _ in range(4)]
        retriever._snapshots._filling.wait()
        with monkeypatch.context() as memory:
            memory.setattr(PhysicalCollection, "chunk_texts", forbidden)
            found = retriever.retrieve(query)
            assert found == before[0] == before[3]
            found[0].metadata["topic"] = "changed"  # type: ignore[index]
            assert retriever.retrieve(query) == before[0]
        write_document(notes, 2, topic="boiler in colour2 and")
        ingest(notes, ready)
        assert "boiler in colour2 and number2" in retriever.retrieve(query)[0].text


def test_rows_are_remembered_as_far_as_there_is_room(ready: Settings) -> None:
    with assembly.open_store(ready) as store:
        data = store.physical("docs.1")
        known = sorted(data.matching_ids(None))
        all_of_them = read_rows(data, known, most_bytes=10**6, stopped=lambda: False)
        assert sorted(all_of_them) == known
        assert len(read_rows(data, known, most_bytes=5_000, stopped=lambda: False)) == 2
        assert read_rows(data, known, most_bytes=10**6, stopped=lambda: True) == {}


def test_where_commits_follow_one_another_rows_are_read_now_and_then(ready: Settings) -> None:
    """What took its time is not begun again before twenty times as long has passed."""
    with Retriever.open(ready) as retriever:
        filled = retriever._snapshots._filling
        filled._rested_at_s = time.monotonic() + 60
        for _ in range(10):
            retriever.retrieve("the boiler in colour2")
        assert filled._thread is None
        filled._rested_at_s = 0.0
        retriever.retrieve("the boiler in colour2")
        filled.wait()
        assert filled._rested_at_s > time.monotonic() - 1
        assert filled._thread is not None


def test_a_failure_of_filling_is_no_failure_of_a_query(
    ready: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Table:
        raise CollectionDamaged("gone")

    monkeypatch.setattr(filling, "read_table", fail)
    with Retriever.open(ready) as retriever:
        for _ in range(2):
            for where in FILTERS:
                assert asked(retriever, where) == by_hand(ready, "the boiler in colour2", where)
            retriever._snapshots._filling.wait()


def test_a_collection_beyond_the_bound_is_not_read(ready: Settings) -> None:
    with assembly.open_store(ready) as store:
        data = store.physical("docs.1")
        assert Filling(16 * 256 * 4).fits(data)
        assert not Filling(16 * 256 * 4 - 1).fits(data)


vectors = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 40), st.just(3)),
    elements=st.sampled_from([-1.0, 0.0, 0.5, 1.0]),
)


@given(vectors, st.integers(1, 50), st.data())
def test_the_nearest_are_those_by_hand_and_equal_ones_in_the_order_of_ids(
    rows: np.ndarray[tuple[int, int], np.dtype[np.float32]], count: int, data: st.DataObject
) -> None:
    names = data.draw(st.permutations([f"{number:02}" for number in range(len(rows))]))
    table = Table(as_ids(names), rows)
    query = np.array([1.0, 0.5, 0.0], dtype=np.float32)
    chosen = data.draw(st.none() | st.sets(st.integers(0, len(rows) - 1)))
    among = sorted(range(len(rows)) if chosen is None else chosen)
    places = None if chosen is None else np.array(among, dtype=np.intp)
    found = table.rank(query[None], count=count, rows=places)[0]
    scores = {names[row]: float(rows[row] @ query) for row in among}
    expected = sorted(scores, key=lambda one: (-scores[one], one))[:count]
    assert [one.chunk_id for one in found] == expected
    assert [one.rank for one in found] == list(range(1, len(found) + 1))
    assert [one.score for one in found] == [np.clip(scores[one], -1, 1) for one in expected]


def test_vectors_of_other_lengths_are_brought_to_one() -> None:
    made = as_unit(np.array([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(made, [[0.6, 0.8], [0.0, 0.0], [1.0, 0.0]], atol=1e-7)


def test_only_the_last_few_filters_are_remembered() -> None:
    kept = Selections()
    table = Table(as_ids(["a"]), np.ones((1, 1), dtype=np.float32))
    for number in range(100):
        kept.keep(str(number), table.select(frozenset({"a"})))
    assert kept.find("0") is None
    assert kept.find("99") is not None
    assert len(kept._kept) < 10
