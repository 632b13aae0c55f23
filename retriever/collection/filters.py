"""`where`: a small form for filters on metadata, translated to Chroma's.

    {"source": "docs/a.md"}                       equal
    {"company": ["ACME", "Initech"]}              one of
    {"year": {"$gte": 2020, "$lt": 2024}}         operators, all of which must hold
    {"company": "ACME", "year": 2023}             all keys must hold
    {"$or": [{"year": 2022}, {"year": 2023}]}     one of the filters must hold ($and: all)

Operators: $eq $ne $gt $gte $lt $lte $in $nin $contains $not_contains (the last two on lists).
$ne, $nin and $not_contains also hold for chunks that lack the key. Numbers are compared as numbers,
whole ones with fractions, too.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from retriever.errors import QueryError

_VALUE_OPERATORS = frozenset({"$eq", "$ne", "$contains", "$not_contains"})
_NUMBER_OPERATORS = frozenset({"$gt", "$gte", "$lt", "$lte"})
_LIST_OPERATORS = frozenset({"$in", "$nin"})
_OPERATORS = _VALUE_OPERATORS | _NUMBER_OPERATORS | _LIST_OPERATORS
_MOST_VALUES = 10_000
_DEEPEST = 16
_MOST_CONDITIONS = 500
"""Chroma makes one statement of a filter, and SQLite nests 1,000 terms."""
_MOST_VARIABLES = 32_000
"""SQLite takes 32,766; Chroma makes two of a number."""

Where = Mapping[str, object]


def translate(where: Where | None) -> dict[str, object] | None:
    """Chroma's form of a filter, or None where there is nothing to filter.

    Raises:
        QueryError: an operator is unknown, a value has a type that it cannot compare, or the
            filter holds more than Chroma can be asked at once.
    """
    if where is None:
        return None
    clauses = _clauses(where, depth=0)
    if not clauses:
        return None
    translated = _together("$and", clauses)
    conditions, variables = _size(translated)
    if conditions > _MOST_CONDITIONS or variables > _MOST_VARIABLES:
        raise QueryError(
            f"The filter is too large: at most {_MOST_CONDITIONS} conditions (it has "
            f"{conditions:,}), and {_MOST_VARIABLES:,} texts or {_MOST_VARIABLES // 2:,} numbers, "
            "can be asked at once. Name the values of one key as a list: {'year': [2022, 2023]}."
        )
    return translated


def _size(translated: Mapping[str, Any]) -> tuple[int, int]:
    """How many conditions a filter in Chroma's form holds, and how many variables SQLite needs."""
    ((key, held),) = translated.items()
    if key in ("$and", "$or"):
        sizes = [_size(one) for one in held]
        return sum(one for one, _ in sizes), sum(variables for _, variables in sizes)
    (value,) = held.values()
    values = value if isinstance(value, list) else [value]
    return 1, sum(1 if isinstance(one, str) else 2 for one in values)


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
        return [_condition(key, name, value) for name, value in condition.items()]
    if isinstance(condition, (list, tuple, set, frozenset)):
        return [_condition(key, "$in", list(condition))]
    return [_condition(key, "$eq", condition)]


def _condition(key: str, operator: object, value: object) -> dict[str, object]:
    """A condition that also holds for stored whole numbers: Chroma cuts 2.5 to 2 for those."""
    comparison = _comparison(key, operator, value)
    ((name, asked),) = comparison.items()
    taken_for = _taken_for(asked if isinstance(asked, list) else [asked])
    if not taken_for:
        return {key: comparison}
    is_above = not isinstance(asked, list) and asked > 0
    if name in ("$eq", "$in", "$gte" if is_above else "$lte"):
        return {"$and": [{key: comparison}, {key: {"$nin": taken_for}}]}
    if name in ("$ne", "$nin", "$lt" if is_above else "$gt"):
        return {"$or": [{key: comparison}, {key: {"$in": taken_for}}]}
    return {key: comparison}


def _taken_for(asked: list[Any]) -> list[int]:
    """The whole numbers that Chroma takes for a fraction which was asked for."""
    cut = {int(one) for one in asked if isinstance(one, float) and not one.is_integer()}
    return sorted(cut.difference(one for one in asked if not isinstance(one, str)))


def _comparison(key: str, operator: object, value: object) -> dict[str, Any]:
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
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):  # numpy's and enumerations' own kinds are plain numbers
        return int(value) if isinstance(value, int) else float(value)
    raise QueryError(
        f"{operator} on {key!r} compares with text, numbers or true and false, not {value!r}."
    )
