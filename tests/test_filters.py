"""`where` as people write it, as Chroma wants it."""

import pytest

from retriever.collection.filters import translate
from retriever.errors import QueryError


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, None),
        ({}, None),
        ({"a": 1}, {"a": {"$eq": 1}}),
        ({"a": "x", "b": True}, {"$and": [{"a": {"$eq": "x"}}, {"b": {"$eq": True}}]}),
        ({"a": ["x", "y"]}, {"a": {"$in": ["x", "y"]}}),
        ({"a": {"$gte": 1, "$lt": 5}}, {"$and": [{"a": {"$gte": 1}}, {"a": {"$lt": 5}}]}),
        ({"$or": [{"a": 1}]}, {"a": {"$eq": 1}}),
        (
            {"$or": [{"a": 1}, {"b": 2, "c": 3}]},
            {"$or": [{"a": {"$eq": 1}}, {"$and": [{"b": {"$eq": 2}}, {"c": {"$eq": 3}}]}]},
        ),
        ({"tags": {"$contains": "x"}}, {"tags": {"$contains": "x"}}),
        ({"a": "\ud800"}, {"a": {"$eq": "?"}}),
    ],
)
def test_a_filter_becomes_chromas(where: dict[str, object] | None, expected: object) -> None:
    assert translate(where) == expected


@pytest.mark.parametrize(
    "where",
    [
        {"a": {"$regex": "x"}},
        {"a": {}},
        {"a": None},
        {"a": []},
        {"a": [1, "x"]},
        {"a": {"$gt": "x"}},
        {"a": {"$in": "x"}},
        {"a": float("nan")},
        {"a": {"$gt": float("-inf")}},
        {"a": 2**63},
        {"$not": [{"a": 1}]},
        {"$and": []},
        {"$or": [{}]},
        {"$or": "x"},
        {"": 1},
        {1: 1},
        "a = 1",
    ],
)
def test_a_filter_that_chroma_cannot_run_is_refused(where: object) -> None:
    with pytest.raises(QueryError):
        translate(where)  # type: ignore[arg-type]


def test_a_filter_nested_without_end_is_refused() -> None:
    where: dict[str, object] = {"a": 1}
    for _ in range(100):
        where = {"$and": [where, {"b": 2}]}
    with pytest.raises(QueryError, match="nested"):
        translate(where)
