"""Filters in memory hold for exactly what Chroma's own `where` holds for."""

import operator
import random
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings as ChromaSettings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from retriever.collection.filters import translate
from retriever.errors import QueryError
from retriever.retrieval.columns import Columns

KEYS = ("a", "b", "c")
SCALARS: list[Any] = [
    0, 1, 2, -1, 2**53 + 1, 0.0, 1.0, 1.5, 2.0, float(2**53), -1.5, 1e300,
    True, False, "", "x", "1", "Straße",
]  # fmt: skip
LISTS: list[Any] = [[1, 2], [1.0, 2.5], [True], ["x", "y"], ["1"]]
ROWS = 120


def make_rows() -> list[dict[str, Any]]:
    draw = random.Random(7)
    return [
        {"always": number}
        | {key: draw.choice(SCALARS + LISTS) for key in KEYS if draw.random() < 0.7}
        for number in range(ROWS)
    ]


@pytest.fixture(scope="module")
def chroma() -> Any:
    client = chromadb.EphemeralClient(settings=ChromaSettings(anonymized_telemetry=False))
    collection = client.get_or_create_collection("columns", embedding_function=None)
    collection.add(
        ids=[f"{number:04}" for number in range(ROWS)],
        embeddings=np.eye(ROWS, 2, dtype=np.float32),  # type: ignore[arg-type]
        metadatas=make_rows(),  # type: ignore[arg-type]
    )
    yield collection
    client.delete_collection("columns")


numbers = st.sampled_from([one for one in SCALARS if type(one) in (int, float)])
kinds = [[one for one in SCALARS if type(one) is kind] for kind in (int, float, bool, str)]
conditions = st.one_of(
    st.tuples(
        st.sampled_from(["$eq", "$ne", "$contains", "$not_contains"]), st.sampled_from(SCALARS)
    ),
    st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), numbers),
    st.tuples(
        st.sampled_from(["$in", "$nin"]),
        st.sampled_from(kinds).flatmap(
            lambda kind: st.lists(st.sampled_from(kind), min_size=1, max_size=4)
        ),
    ),
)
leaves = st.builds(
    lambda key, condition: {key: dict([condition])},
    st.sampled_from([*KEYS, "never"]),
    conditions,
)
filters = st.recursive(
    leaves,
    lambda parts: st.builds(
        lambda name, several: {name: several},
        st.sampled_from(["$and", "$or"]),
        st.lists(parts, min_size=1, max_size=3),
    ),
    max_leaves=5,
)


COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq, "$ne": operator.ne, "$gt": operator.gt,
    "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le,
}  # fmt: skip


@pytest.mark.parametrize("asked", [0.5, 1.5, 2.25, -0.5, -1.5])
@pytest.mark.parametrize("name", COMPARED)
@pytest.mark.parametrize("key", KEYS)
def test_whole_numbers_are_compared_with_fractions_as_numbers(
    chroma: Any, name: str, key: str, asked: float
) -> None:
    held = {number: row.get(key) for number, row in enumerate(make_rows())}
    numbers = {row: value for row, value in held.items() if type(value) in (int, float)}
    found = chroma.get(where=translate({key: {name: asked}}), include=[])["ids"]
    expected = [row for row, value in numbers.items() if COMPARED[name](value, asked)]
    assert sorted(int(one) for one in found if int(one) in numbers) == expected
    assert name == "$ne" or {int(one) for one in found} <= set(numbers)


@pytest.mark.parametrize("asked", [[1.5], [1.5, 2.0], [1.5, 1.0, -1.5]])
@pytest.mark.parametrize("key", KEYS)
def test_whole_numbers_are_looked_up_among_fractions_as_numbers(
    chroma: Any, key: str, asked: list[float]
) -> None:
    held = {
        number: row[key]
        for number, row in enumerate(make_rows())
        if type(row.get(key)) in (int, float)
    }
    one_of = chroma.get(where=translate({key: {"$in": asked}}), include=[])["ids"]
    none_of = chroma.get(where=translate({key: {"$nin": asked}}), include=[])["ids"]
    assert {int(one) for one in one_of} == {row for row, value in held.items() if value in asked}
    assert not {int(one) for one in one_of} & {int(one) for one in none_of}
    assert len(one_of) + len(none_of) == ROWS


@pytest.mark.parametrize("combined", ["$and", "$or"])
def test_chroma_is_able_to_run_the_largest_filter_that_is_let_through(
    chroma: Any, combined: str
) -> None:
    conditions: list[object] = [{"a": {"$ne": place + 0.5}} for place in range(250)]
    where = translate({combined: conditions})
    chroma.get(where=where, include=[])
    chroma.query(query_embeddings=np.eye(1, 2), n_results=3, where=where, include=[])
    numbers, texts = list(range(8_000)), [str(one) for one in range(8_000)]
    for most in (numbers, numbers), (texts, texts, texts, texts):
        where = translate({combined: [{"a": {"$nin": each}} for each in most]})
        chroma.get(where=where, include=[])
        with pytest.raises(QueryError, match="too large"):
            translate({combined: [{"b": 1}, where]})
    with pytest.raises(QueryError, match="501"):
        translate({combined: [*conditions, {"a": 1}]})


@hypothesis_settings(max_examples=300)
@given(where=filters)
def test_a_filter_holds_for_what_chroma_says(chroma: Any, where: dict[str, Any]) -> None:
    condition = translate(where)
    assert condition is not None
    mask = Columns.read(make_rows()).mask(condition)
    assert mask is not None
    expected = sorted(int(one) for one in chroma.get(where=condition, include=[])["ids"])
    assert np.flatnonzero(mask).tolist() == expected


@given(where=leaves, data=st.data())
def test_columns_that_were_changed_are_those_of_the_rows_there_are_now(
    where: dict[str, Any], data: st.DataObject
) -> None:
    rows = make_rows()
    cut = data.draw(st.integers(0, ROWS))
    kept = data.draw(st.lists(st.integers(0, max(cut - 1, 0)), unique=True, max_size=cut))
    old = Columns.read(rows[:cut])
    changed = old.changed(np.array(kept, dtype=np.intp), rows[cut:])
    condition = translate(where)
    assert condition is not None
    now = [rows[place] for place in kept] + rows[cut:]
    one, other = changed.mask(condition), Columns.read(now).mask(condition)
    assert one is not None
    assert other is not None
    assert one.tolist() == other.tolist()


@pytest.mark.parametrize(
    "where",
    [
        {"a": np.float64(1.5)},
        {"a": {"$ne": np.float64(2)}},
        {"a": [np.float64(1), np.float64(1.5)]},
        {"a": IntEnum("Year", {"FIRST": 1}).FIRST},  # type: ignore[attr-defined]
    ],
)
def test_numbers_of_other_libraries_hold_for_the_same_in_memory_as_in_chroma(
    chroma: Any, where: dict[str, Any]
) -> None:
    translated = translate(where)
    mask = Columns.read(make_rows()).mask(translated or {})
    found = {int(one) for one in chroma.get(where=translated, include=[])["ids"]}
    assert mask is not None
    assert set(np.flatnonzero(mask).tolist()) == found
    assert 0 < len(found) < ROWS


@pytest.mark.parametrize("key", ["#document", "chroma:document"])
def test_chromas_own_keys_are_left_to_chroma(key: str) -> None:
    columns = Columns.read([{"a": 1}])
    assert columns.mask({key: {"$eq": "x"}}) is None
    assert columns.mask({"$and": [{"a": {"$eq": 1}}, {key: {"$eq": "x"}}]}) is None


def test_a_row_without_metadata_lacks_every_key() -> None:
    columns = Columns.read([None, {"a": 1}, {"a": None}])
    assert columns.mask({"a": {"$ne": 1}}).tolist() == [True, False, True]  # type: ignore[union-attr]


class _Read(list[int]):
    """A list that counts how often it is read from its beginning."""

    times = 0

    def __iter__(self) -> Iterator[int]:
        self.times += 1
        return super().__iter__()


def test_a_filters_list_is_not_read_again_for_each_distinct_value_that_a_key_has() -> None:
    asked = _Read(range(0, 1_000, 2))
    mask = Columns.read([{"a": number} for number in range(500)]).mask({"a": {"$in": asked}})
    assert mask is not None
    assert mask.tolist() == [number % 2 == 0 for number in range(500)]
    assert asked.times < 10
