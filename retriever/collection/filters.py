"""`where`: a small form for filters on metadata, translated to Chroma's.

    {"source": "docs/a.md"}                       equal
    {"company": ["ACME", "Initech"]}              one of
    {"year": {"$gte": 2020, "$lt": 2024}}         operators, all of which must hold
    {"company": "ACME", "year": 2023}             all keys must hold
    {"$or": [{"year": 2022}, {"year": 2023}]}     one of the filters must hold ($and: all)

Operators: $eq $ne $gt $gte $lt $lte $in $nin $contains $not_contains (the last two on lists).
$ne, $nin and $not_contains also hold for chunks that lack the key.
"""

import math
from collections.abc import Mapping, Sequence

from retriever.errors import QueryError

_VALUE_OPERATORS = frozenset({"$eq", "$ne", "$contains", "$not_contains"})
_NUMBER_OPERATORS = frozenset({"$gt", "$gte", "$lt", "$lte"})
_LIST_OPERATORS = frozenset({"$in", "$nin"})
_OPERATORS = _VALUE_OPERATORS | _NUMBER_OPERATORS | _LIST_OPERATORS
_MOST_VALUES = 10_000
_DEEPEST = 16

Where = Mapping[str, object]


def translate(where: Where | None) -> dict[str, object] | None:
    """Chroma's form of a filter, or None where there is nothing to filter.

    Raises:
        QueryError: an operator is unknown, or a value has a type that it cannot compare.
    """
    if where is None:
        return None
    clauses = _clauses(where, depth=0)
    return _together("$and", clauses) if clauses else None


def _clauses(where: object, *, depth: int) -> list[dict[str, object]]:
    if depth > _DEEPEST:
        raise QueryError(f"The filter is nested more than {_DEEPEST} levels deep: flatten it.")
    if not isinstance(where, Mapping):
        raise QueryError(f"A filter maps names to values, such as {{'year': 2023}}, not {where!r}.")
    clauses: list[dict[str, object]] = []
    for key, condition in where.items():
        if not isinstance(key, str) or not key:
            raise QueryError(f"A filter's keys are names of metadata, not {key!r}.")
        if key in ("$and", "$or"):
            clauses.append(_combination(key, condition, depth=depth))
        elif key.startswith("$"):
            raise QueryError(f"A filter combines by $and and $or, not by {key}.")
        else:
            clauses.extend(_conditions(key, condition))
    return clauses


def _combination(operator: str, filters: object, *, depth: int) -> dict[str, object]:
    if isinstance(filters, str) or not isinstance(filters, Sequence) or not filters:
        raise QueryError(f"{operator} takes a list of filters, not {filters!r}.")
    parts = []
    for one in filters:
        clauses = _clauses(one, depth=depth + 1)
        if not clauses:
            raise QueryError(f"{operator} holds an empty filter, which would match everything.")
        parts.append(_together("$and", clauses))
    return _together(operator, parts)


def _together(operator: str, clauses: list[dict[str, object]]) -> dict[str, object]:
    """Chroma refuses a combination of one."""
    return clauses[0] if len(clauses) == 1 else {operator: clauses}


def _conditions(key: str, condition: object) -> list[dict[str, object]]:
    if isinstance(condition, Mapping):
        if not condition:
            raise QueryError(f"The filter on {key!r} is empty. Give a value or an operator.")
        return [{key: _comparison(key, name, value)} for name, value in condition.items()]
    if isinstance(condition, (list, tuple, set, frozenset)):
        return [{key: _comparison(key, "$in", list(condition))}]
    return [{key: _comparison(key, "$eq", condition)}]


def _comparison(key: str, operator: object, value: object) -> dict[str, object]:
    if operator not in _OPERATORS:
        known = " ".join(sorted(_OPERATORS))
        raise QueryError(f"Unknown operator {operator!r} on {key!r}. There are: {known}.")
    name = str(operator)
    if name in _LIST_OPERATORS:
        values = list(value) if isinstance(value, (list, tuple, set, frozenset)) else []
        if not 0 < len(values) <= _MOST_VALUES or len({type(one) for one in values}) != 1:
            raise QueryError(
                f"{name} on {key!r} takes a list of 1 to {_MOST_VALUES} values of one type, "
                f"not {value!r:.80}."
            )
        return {name: [_scalar(key, name, one) for one in values]}
    scalar = _scalar(key, name, value)
    if name in _NUMBER_OPERATORS and (isinstance(scalar, (str, bool))):
        raise QueryError(f"{name} on {key!r} compares numbers only, not {value!r}.")
    return {name: scalar}


def _scalar(key: str, operator: str, value: object) -> str | int | float | bool:
    if isinstance(value, float) and not math.isfinite(value):
        raise QueryError(f"{operator} on {key!r} cannot compare with {value}.")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise QueryError(f"{operator} on {key!r} compares with numbers of 64 bits, not {value}.")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, (int, float)):
        return value
    raise QueryError(
        f"{operator} on {key!r} compares with text, numbers or true and false, not {value!r}."
    )
