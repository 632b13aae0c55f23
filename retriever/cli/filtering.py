"""`--where` on the command line to the filter that the retriever takes.

    year=2023            equal; the same key again means one of them
    status!=draft        not equal, or without that key
    year>=2020 year<2024 numbers compared

Other filters must all hold. A value is typed as text, yet what is stored may be a number, a
truth value or a list that holds it: every reading of it matches.
"""

import math
import re
from collections.abc import Mapping, Sequence

_FILTER = re.compile(r"^\s*([^=!<>]+?)\s*(!=|>=|<=|=|>|<)(.*)$", re.DOTALL)
_WHOLE = re.compile(r"^\s*[+-]?[0-9]+\s*$")
_INTEGERS_BELOW = 2**63
"""Chroma's integers have 64 bits."""
_TRUTH_VALUES = {"true": True, "false": False}
_COMPARISONS = {">=": "$gte", "<=": "$lte", ">": "$gt", "<": "$lt"}
FORM = "Write it as key=value, key!=value, key>=3, key>3, key<=3 or key<3."

Filter = dict[str, object]


def parse_filters(filters: Sequence[str]) -> Mapping[str, object] | None:
    """Read the values of `--where`, all of which must hold.

    Returns:
        A filter as `retriever.collection.filters` documents it; None for no values.

    Raises:
        ValueError: one is not of the form above; the message says which and what is.
    """
    clauses: list[Filter] = []
    alternatives: dict[str, list[Filter]] = {}
    for text in filters:
        key, operator, value = _split(text)
        if operator == "=":
            alternatives.setdefault(key, []).extend(_equal(key, value))
        elif operator == "!=":
            clauses.extend(_unequal(key, value))
        else:
            clauses.append({key: {_COMPARISONS[operator]: _compared(text, value)}})
    clauses += [{"$or": readings} for readings in alternatives.values()]
    return {"$and": clauses} if clauses else None


def _split(text: str) -> tuple[str, str, str]:
    found = _FILTER.match(text)
    if found is None or found[3].startswith("="):
        raise ValueError(f"{text!r} is no filter. {FORM}")
    return found[1], found[2], found[3].strip()


def _equal(key: str, value: str) -> list[Filter]:
    readings: list[Filter] = [{key: {"$eq": one}} for one in _readings(value)]
    return readings + [{key: {"$contains": one}} for one in _readings(value)]


def _unequal(key: str, value: str) -> list[Filter]:
    readings: list[Filter] = [{key: {"$ne": one}} for one in _readings(value)]
    return readings + [{key: {"$not_contains": one}} for one in _readings(value)]


def _readings(value: str) -> list[str | float | bool]:
    """The text itself, and the number or truth value that it reads as."""
    readings: list[str | float | bool] = [value]
    if value.casefold() in _TRUTH_VALUES:
        readings.append(_TRUTH_VALUES[value.casefold()])
    number = _number(value)
    return readings if number is None else [*readings, number]


def _compared(text: str, value: str) -> float:
    number = _number(value)
    if number is None:
        raise ValueError(f"{text!r} compares with {value!r}, which is not a number. {FORM}")
    return number


def _number(value: str) -> float | None:
    """The number that a value reads as: whole where it is and Chroma can store it so."""
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    if _WHOLE.match(value) and abs(number) < _INTEGERS_BELOW:
        return int(value)
    return number
