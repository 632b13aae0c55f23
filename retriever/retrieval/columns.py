"""Metadata in memory, a column a key, so that a filter is evaluated without asking Chroma.

A column holds its distinct values once and a code for each row; a filter's condition is tried on
each distinct value, then looked up by code. What it holds for is what Chroma's own `where` holds
for: text, numbers and truth values are never equal to one another, whole numbers and others
compare as numbers, and $ne, $nin and $not_contains hold for rows without the key.
"""

import operator
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
"""Shape (rows,): whether a filter holds for a row."""

LEFT_OUT = frozenset({"embedded_hash", "start", "end", "line_start", "line_end", "gap"})
"""Keys that differ from chunk to chunk and that hardly a filter names: Chroma evaluates those."""
_MISSING = 0
_MOST_WHOLE = 2**63 - 1
_NEGATIONS = {"$ne": "$eq", "$nin": "$in", "$not_contains": "$contains"}
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one key."""

    codes: NDArray[np.int32]
    """Shape (rows,); 0 where a row lacks the key, else a place in `values`."""
    values: Sequence[object]
    """The distinct values; the first stands for none."""

    def mask(self, condition: str, asked: Any) -> Mask:
        """The rows that a condition with an operator holds for."""
        negated = condition in _NEGATIONS
        holds = _condition(_NEGATIONS.get(condition, condition), asked)
        truths = np.fromiter(map(holds, self.values), dtype=np.bool_, count=len(self.values))
        truths[_MISSING] = False
        return (~truths if negated else truths)[self.codes]


class Columns:
    """The metadata of rows, in their order."""

    def __init__(self, columns: Mapping[str, Column], *, rows: int) -> None:
        self._columns = columns
        self.rows = rows

    @classmethod
    def read(cls, metadata: Sequence[Mapping[str, object] | None]) -> "Columns":
        """The columns of rows as Chroma gives them."""
        return ColumnsBuilder().add(metadata).build()

    def changed(
        self, kept: NDArray[np.intp], metadata: Sequence[Mapping[str, object] | None]
    ) -> "Columns":
        """These rows, in this order, and further ones behind them."""
        columns = {
            key: Column(column.codes[kept], column.values) for key, column in self._columns.items()
        }
        return ColumnsBuilder(columns, rows=len(kept)).add(metadata).build()

    def mask(self, where: Mapping[str, Any]) -> Mask | None:
        """The rows that a filter in Chroma's form holds for; None where Chroma has to be asked."""
        ((key, condition),) = where.items()
        if key in ("$and", "$or"):
            masks = [self.mask(part) for part in condition]
            known = [mask for mask in masks if mask is not None]
            if len(known) < len(masks):
                return None
            join = np.logical_and if key == "$and" else np.logical_or
            return join.reduce(known)  # type: ignore[no-any-return]
        if key in LEFT_OUT or key.startswith(("#", "chroma:")):
            return None  # Chroma's own keys stand for texts and vectors
        ((name, asked),) = condition.items()
        column = self._columns.get(key)
        if column is None:
            return np.full(self.rows, name in _NEGATIONS)
        return column.mask(name, asked)


class ColumnsBuilder:
    """Columns that grow row by row."""

    def __init__(self, columns: Mapping[str, Column] | None = None, *, rows: int = 0) -> None:
        """Begin with the rows that the columns have."""
        begun = columns or {}
        self._rows = rows
        self._codes = {key: array("i", column.codes.tobytes()) for key, column in begun.items()}
        self._values = {key: list(column.values) for key, column in begun.items()}
        self._known = {
            key: {_typed(value): code for code, value in enumerate(values)}
            for key, values in self._values.items()
        }

    def add(self, metadata: Sequence[Mapping[str, object] | None]) -> "ColumnsBuilder":
        """Add rows as Chroma gives them."""
        for row in metadata:
            for key, value in (row or {}).items():
                if value is not None and key not in LEFT_OUT:
                    self._set(key, tuple(value) if isinstance(value, list) else value)
            self._rows += 1
        return self

    def _set(self, key: str, value: object) -> None:
        codes = self._codes.setdefault(key, array("i"))
        values = self._values.setdefault(key, [None])
        code = self._known.setdefault(key, {}).setdefault(_typed(value), len(values))
        if code == len(values):
            values.append(value)
        codes.frombytes(bytes(codes.itemsize * (self._rows - len(codes))))  # rows without the key
        codes.append(code)

    def build(self) -> Columns:
        """The columns of all rows so far."""
        columns = {}
        for key, codes in self._codes.items():
            filled = np.zeros(self._rows, dtype=np.int32)
            filled[: len(codes)] = codes
            columns[key] = Column(filled, self._values[key])
        return Columns(columns, rows=self._rows)


def _typed(value: object) -> object:
    """A key that tells 1, 1.0 and true apart."""
    if isinstance(value, tuple):
        return tuple, *map(_typed, value)
    return value if isinstance(value, str) else (type(value), value)


def _condition(name: str, asked: Any) -> Callable[[Any], bool]:
    if name == "$eq":
        return lambda held: _equal(held, asked)
    if name == "$in":
        return _one_of(asked)
    if name == "$contains":
        return lambda held: (
            isinstance(held, tuple)
            and any(type(one) is type(asked) and one == asked for one in held)
        )
    order = _ORDERS[name]
    return lambda held: _is_number(held) and order(*_comparable(held, asked))


def _one_of(asked: Sequence[Any]) -> Callable[[Any], bool]:
    """What equals one of many values, each looked up: a column may hold as many of its own."""
    numbers = [one for one in asked if _is_number(one)]
    among: Mapping[type, frozenset[Any]] = {
        str: frozenset(one for one in asked if type(one) is str),
        bool: frozenset(one for one in asked if type(one) is bool),
        int: frozenset(_comparable(0, one)[1] for one in numbers),
        float: frozenset(_comparable(0.0, one)[1] for one in numbers),
    }
    return lambda held: type(held) in among and held in among[type(held)]


def _equal(held: Any, asked: Any) -> bool:
    if _is_number(held) and _is_number(asked):
        one, other = _comparable(held, asked)
        return bool(one == other)
    return type(held) is type(asked) and bool(held == asked)


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _comparable(held: Any, asked: Any) -> tuple[Any, Any]:
    """A number is compared as one of the stored kind: Chroma cuts 1.5 to 1 for a stored 1."""
    if type(held) is float:
        return held, float(asked)
    return held, min(max(int(asked), -_MOST_WHOLE - 1), _MOST_WHOLE)
