"""No row holds metadata that was not written to it, whatever was deleted from Chroma before."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damaged_collections import contents

from retriever import assembly
from retriever.checking.checks import check
from retriever.collection import inheriting, segments
from retriever.collection.inheriting import inherited
from retriever.collection.physical import PhysicalCollection
from retriever.compacting import compact
from retriever.ingestion import ingest
from retriever.retrieval import Retriever
from retriever.settings import Settings

Make = Callable[..., Settings]
LISTS = {"tags": ["secret", "old"], "page": [7], "rates": [0.5]}


@pytest.fixture(params=["memory", "embedded"])
def settings(make_settings: Make, request: pytest.FixtureRequest) -> Settings:
    return make_settings(**{"storage.mode": request.param})


@pytest.fixture
def tagged(tmp_path: Path) -> Path:
    folder = tmp_path / "tagged"
    folder.mkdir()
    for number in range(12):
        text = f"---\ncrew: [Ada, Bo]\nyears: [1999]\n---\nNothing much about {number}.\n"
        (folder / f"{number}.md").write_text(text, encoding="utf-8")
    return folder


def delete_with_chroma(settings: Settings, rows: int) -> None:
    """What another program does: a collection with lists, made and deleted."""
    with assembly.open_writing_store(settings) as store:
        made = store._client.create_collection("another", embedding_function=None)
        vectors = np.eye(rows, 8, dtype=np.float32)
        made.add(ids=[f"{n}" for n in range(rows)], embeddings=vectors, metadatas=[LISTS] * rows)
        store._client.delete_collection("another")


def rows_that_chroma_makes(settings: Settings, count: int) -> set[str]:
    """The keys of new rows of which only `key` is written."""
    with assembly.open_writing_store(settings) as store:
        made = store._client.create_collection("another", embedding_function=None)
        vectors = np.eye(count, 8, dtype=np.float32)
        ids = [f"{n}" for n in range(count)]
        made.add(ids=ids, embeddings=vectors, metadatas=[{"key": 1}] * count)
        return {key for row in made.get()["metadatas"] for key in row}


def expected(make_settings: Make, corpus: Path, tmp_path: Path) -> dict[str, Any]:
    """The rows of the corpus in a store where nothing was ever deleted."""
    elsewhere = make_settings(**{"storage.path": tmp_path / "elsewhere"})
    ingest(corpus, elsewhere)
    return contents(elsewhere)[0]


def test_lists_of_a_collection_that_another_program_deleted_do_not_come_back(
    settings: Settings, make_settings: Make, corpus: Path, tmp_path: Path
) -> None:
    delete_with_chroma(settings, 40)
    ingest(corpus, settings)
    assert contents(settings)[0] == expected(make_settings, corpus, tmp_path)
    with Retriever.open(settings) as retriever:
        assert retriever.retrieve("boiler", where={"tags": {"$contains": "secret"}}) == []
    assert check(settings).findings == ()


@pytest.mark.slow
def test_a_run_that_dies_before_it_has_cleared_them_is_completed_by_the_next(
    settings: Settings,
    make_settings: Make,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    delete_with_chroma(settings, 40)
    with monkeypatch.context() as patch:
        patch.setattr(PhysicalCollection, "_disinherit", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ingest(corpus, settings)
    ingest(corpus, settings)
    assert contents(settings)[0] == expected(make_settings, corpus, tmp_path)


def test_lists_of_a_collection_of_ours_go_with_it(settings: Settings, tagged: Path) -> None:
    ingest(tagged, settings)
    with assembly.open_writing_store(settings) as store:
        store.drop(store.state("docs"))
    assert rows_that_chroma_makes(settings, 40).isdisjoint({"crew"})


@pytest.mark.slow
def test_what_queries_may_be_at_is_not_emptied_row_by_row(
    make_settings: Make, tagged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are asked again where a collection is gone, but not where it lacks rows."""
    settings = make_settings(**{"storage.mode": "memory"})
    ingest(tagged, settings)
    released: list[object] = []
    monkeypatch.setattr(inheriting, "release", released.append)
    compact(settings)
    assert released == []
    assert all(row["crew"] == ["Ada", "Bo"] for _, row in contents(settings)[0].values())


@pytest.mark.slow
def test_lists_that_are_left_in_a_folder_are_cleared_at_the_next_deletion(
    make_settings: Make, tagged: Path
) -> None:
    settings = make_settings()
    ingest(tagged, settings)
    delete_with_chroma(settings, 3)
    with assembly.open_writing_store(settings) as store:
        state = store.state("docs")
        store.drop_generation(store.add_generation(state, store.physical(state.live).fingerprint))
    with contextlib.closing(sqlite3.connect(segments.database(settings.storage.path))) as tables:
        kept = tables.execute("SELECT DISTINCT key FROM embedding_metadata_array").fetchall()
    assert set(kept) == {("crew",), ("years",)}
    assert all(row["crew"] == ["Ada", "Bo"] for _, row in contents(settings)[0].values())


def test_lists_of_the_users_own_are_kept_and_lose_nothing(settings: Settings, tagged: Path) -> None:
    delete_with_chroma(settings, 40)
    ingest(tagged, settings)
    rows = [row for _, row in contents(settings)[0].values()]
    assert [(row["crew"], row["years"]) for row in rows] == [(["Ada", "Bo"], ["1999"])] * 12
    assert not any(row.keys() & {"page", "rates", "tags"} for row in rows)


def test_a_key_that_was_written_as_none_is_not_one_that_was_inherited() -> None:
    held = [{"a": 1, "tags": ["x"]}, None, {"b": 2}]
    written = {"one": {"a": 1, "gone": None}, "two": {"a": 1}, "three": {"b": 2}}
    assert inherited(["one", "two", "three"], held, written) == {"one": {"tags": None}}
