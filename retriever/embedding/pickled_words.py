"""gensim's own files (`KeyedVectors.save`, `Word2Vec.save`), which are pickles, read as data.

A pickle is a program that may call anything. Here its instructions are taken apart by
`pickletools`, which runs none of them, and put together as plain lists, dictionaries and names:
where the program would import or call something, its name and arguments are noted. Words and
arrays are picked out of that; whatever else a file asks for never happens.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.errors import SettingsError

FIRST_BYTE = b"\x80"
"""Begins every pickle since protocol 2."""
MOST_BYTES = 2_000_000_000
_ARRAY_TYPES = ("f2", "f4", "f8", "i4", "i8", "u4", "u8")
_MARK = object()


@dataclass(slots=True)
class Made:
    """What a pickle would have made by calling something."""

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None


def read_pickled(path: Path) -> tuple[list[str], NDArray[np.float32], NDArray[np.int64] | None]:
    """Words, vectors (words, dimension) and, where the file has them, counts (words,).

    Raises:
        ValueError: the file is damaged, or holds something else; the message says what.
        SettingsError: the file, or one that gensim put beside it, cannot be read.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError("a pickle of more than 2 GB; write it with save_word2vec_format")
    try:
        return _table(_Pickle().read(path.read_bytes()), path)
    except (AttributeError, LookupError, OverflowError, TypeError) as error:
        raise ValueError(f"a damaged pickle ({type(error).__name__})") from error


def _table(
    found: Any, path: Path
) -> tuple[list[str], NDArray[np.float32], NDArray[np.int64] | None]:
    state, beside = _state(found), ""
    if isinstance(state.get("wv"), Made):
        state, beside = _state(state["wv"]), "wv."
    words = state.get("index_to_key", state.get("index2word"))
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError("it holds no list of words (index_to_key)")
    vectors = _array(state.get("vectors"), path, f"{beside}vectors")
    if vectors.ndim != 2 or len(vectors) < len(words):
        raise ValueError(f"{len(words)} words, but vectors of shape {vectors.shape}")
    expandos = state.get("expandos")
    held = expandos.get("count") if isinstance(expandos, dict) else None
    counts = _array(held, path, "count") if isinstance(held, Made) else None
    if counts is not None and (counts.shape != (len(words),) or counts.min(initial=1) < 0):
        counts = None
    rows = np.ascontiguousarray(vectors[: len(words)], dtype=np.float32)
    return words, rows, None if counts is None else counts.astype(np.int64)


def _state(found: Any) -> dict[str, Any]:
    if not isinstance(found, Made) or not isinstance(found.state, dict):
        raise ValueError("a pickle of something else than word vectors")
    return found.state


def _array(found: Any, path: Path, name: str) -> NDArray[Any]:
    """An array in the pickle, or in the file that gensim puts beside it where it is large."""
    if found is None:
        beside = path.with_name(f"{path.name}.{name}.npy")
        try:
            array: NDArray[Any] = np.load(beside, mmap_mode="r", allow_pickle=False)
        except OSError as error:
            raise SettingsError(
                f"{path} has its {name} in {beside.name}, which cannot be read: {error.strerror}. "
                "Keep both files side by side."
            ) from error
        if array.dtype.str[1:] not in _ARRAY_TYPES:
            raise ValueError(f"{beside.name} holds {array.dtype}")
        return array
    if isinstance(found, Made) and found.name.endswith(" _reconstruct"):
        _, shape, kind, by_columns, content = found.state
    elif isinstance(found, Made) and found.name.endswith(" _frombuffer"):
        content, kind, shape, order = found.arguments
        by_columns = order == "F"
    else:
        raise ValueError(f"its {name} are no array")
    order_mark = kind.state[1] if kind.state else "<"
    if kind.arguments[0] not in _ARRAY_TYPES or order_mark not in ("<", ">", "|", "="):
        raise ValueError(f"an array of {kind.arguments[0]!r}")
    flat = np.frombuffer(content, dtype=order_mark.replace("|", "=") + kind.arguments[0])
    return flat.reshape(shape, order="F" if by_columns else "C")


class _Pickle:
    """A stack machine that notes calls instead of making them."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def read(self, content: bytes) -> Any:
        """The object that the pickle describes.

        Raises:
            ValueError: an instruction that no file of word vectors needs.
            AttributeError, LookupError, TypeError: a damaged one.
        """
        for code, argument, _ in pickletools.genops(content):
            if code.name == "STOP":
                return self._stack.pop()
            if code.name in _CONSTANTS:
                self._stack.append(_CONSTANTS[code.name]())
            elif code.name in _STEPS:
                _STEPS[code.name](self, argument)
            elif code.name not in ("PROTO", "FRAME"):
                self._stack.append(_value(code, argument))
        raise ValueError("a pickle that breaks off")

    def to_mark(self) -> list[Any]:
        items = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def tuple_of(self, size: int) -> None:
        items = tuple(self._stack[len(self._stack) - size :])
        del self._stack[len(self._stack) - size :]
        self._stack.append(items)

    def append_all(self, items: list[Any]) -> None:
        self._stack[-1].extend(items)

    def set_all(self, items: list[Any]) -> None:
        target = self._stack[-1]
        pairs = zip(items[::2], items[1::2], strict=True)
        target.update(pair for pair in pairs if isinstance(pair[0], (str, int)))

    def put(self, number: int | None) -> None:
        self._memo[len(self._memo) if number is None else number] = self._stack[-1]

    def get(self, number: int) -> None:
        self._stack.append(self._memo[number])

    def name(self, text: str | None) -> None:
        if text is None:
            name, module = self._stack.pop(), self._stack.pop()
            text = f"{module} {name}"
        self._stack.append(Made(text))

    def call(self) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        if not isinstance(arguments, tuple):
            raise ValueError("a damaged pickle")
        self._stack.append(Made(called.name, arguments))

    def build(self) -> None:
        state = self._stack.pop()
        self._stack[-1].state = state

    def drop(self) -> None:
        self._stack.pop()

    def push(self, item: Any) -> None:
        self._stack.append(item)

    def pop(self) -> Any:
        return self._stack.pop()


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": list,
    "MARK": lambda: _MARK,
}
_STEPS: dict[str, Callable[[_Pickle, Any], None]] = {
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.to_mark())),
    "FROZENSET": lambda machine, _: machine.push(tuple(machine.to_mark())),
    "APPEND": lambda machine, _: machine.append_all([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append_all(machine.to_mark()),
    "ADDITEMS": lambda machine, _: machine.append_all(machine.to_mark()),
    "SETITEM": lambda machine, _: machine.set_all([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_all(machine.to_mark()),
    "MEMOIZE": lambda machine, _: machine.put(None),
    "BINPUT": lambda machine, number: machine.put(number),
    "LONG_BINPUT": lambda machine, number: machine.put(number),
    "BINGET": lambda machine, number: machine.get(number),
    "LONG_BINGET": lambda machine, number: machine.get(number),
    "GLOBAL": lambda machine, text: machine.name(text),
    "STACK_GLOBAL": lambda machine, _: machine.name(None),
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
    "POP": lambda machine, _: machine.drop(),
}


def _value(code: pickletools.OpcodeInfo, argument: Any) -> Any:
    """A number or a string; everything else is refused."""
    if argument is None or not isinstance(argument, (str, int, float, bytes, bytearray)):
        raise ValueError(f"a pickle with {code.name}, which word vectors do not need")
    return argument
