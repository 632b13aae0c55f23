"""Files of word vectors: word2vec's text and binary format, GloVe's text, gensim's own.

word2vec writes a line with the number of words and their dimension, then each word, a blank and
its numbers, as text or as little-endian float32. GloVe writes the same text without the first
line. Nothing that a file says of itself is believed before its size allows for it.
"""

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.pickled_words import FIRST_BYTE, read_pickled
from retriever.errors import SettingsError
from retriever.protocols import Vectors

MOST_DIMENSIONS = 16_384
LONGEST_WORD_BYTES = 4_096
LONGEST_NUMBER_BYTES = 32
LINES_AT_ONCE = 2_048
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class WordTable:
    """Words and their vectors."""

    words: tuple[str, ...]
    """Each once, in the file's order."""
    vectors: Vectors
    """Shape (words, dimension), as they were trained."""
    counts: NDArray[np.int64] | None = None
    """How often each word was seen, where the file says: shape (words,)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the beginning of a file says."""

    words: int | None
    """None where the file does not say: GloVe."""
    dimension: int
    binary: bool
    offset: int
    """Where the first word begins."""


class DamagedError(SettingsError):
    """A file of word vectors that is none, or that is damaged."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} holds no word vectors that can be read: {why}. Expected is word2vec's text "
            "or binary format or GloVe's text, uncompressed; gensim writes them with "
            "KeyedVectors.save_word2vec_format."
        )


def read_shape(path: Path) -> Shape:
    """Format and dimension of a file, from its first lines.

    Raises:
        SettingsError: it cannot be opened, or is none of the formats.
    """
    with _opened(path) as file:
        first = file.readline(MOST_DIMENSIONS * LONGEST_NUMBER_BYTES)
        header = _header(first)
        if header is None:
            dimension = _numbers_of(first)
            if not 0 < dimension <= MOST_DIMENSIONS:
                raise DamagedError(path, "its first line is neither a header nor a word's vector")
            return Shape(None, dimension, binary=False, offset=0)
        words, dimension = header
        second = file.readline(LONGEST_WORD_BYTES + dimension * LONGEST_NUMBER_BYTES)
        binary = not _is_line(second, dimension)
    _check_size(path, words, dimension, len(first))
    return Shape(words, dimension, binary=binary, offset=len(first))


def read_words(path: Path) -> WordTable:
    """All words and vectors of a file; of a word that comes twice, the first.

    Raises:
        SettingsError: the file cannot be read, or is damaged: the message says where.
    """
    if is_pickle(path):
        try:
            names, rows, counts = read_pickled(path)
        except ValueError as error:
            raise DamagedError(path, str(error)) from error
        _refuse_infinite(path, names, rows)
        return WordTable(tuple(names), rows, counts)
    shape = read_shape(path)
    words, vectors = _read_binary(path, shape) if shape.binary else _read_text(path, shape)
    _refuse_infinite(path, words, vectors)
    return _each_once(words, vectors)


def is_pickle(path: Path) -> bool:
    """Whether a file is one of gensim's own, which says nothing of itself at its beginning."""
    with _opened(path) as file:
        return file.read(1) == FIRST_BYTE


def _refuse_infinite(path: Path, words: Sequence[str], vectors: Vectors) -> None:
    if not np.isfinite(vectors).all():
        row = int(np.argmin(np.isfinite(vectors).all(axis=1)))
        raise DamagedError(path, f"the vector of {words[row]!r} is not finite")


def _check_size(path: Path, words: int, dimension: int, offset: int) -> None:
    """A number takes two bytes at least, as text or binary: what is less cannot be there."""
    size = path.stat().st_size - offset
    if not 0 < dimension <= MOST_DIMENSIONS or words < 1 or 2 * words * dimension > size:
        raise DamagedError(
            path,
            f"its header says {words:,} words of {dimension:,} dimensions, which {size:,} bytes "
            "cannot hold",
        )


def _header(line: bytes) -> tuple[int, int] | None:
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() and len(field) < 19 for field in fields):
        return None
    return int(fields[0]), int(fields[1])


def _numbers_of(line: bytes) -> int:
    """How many numbers end a line of text; 0 where it is no word with its vector."""
    fields = line.rstrip().split(b" ")
    count = 0
    for field in reversed(fields[1:]):
        try:
            float(field)
        except ValueError:
            break
        count += 1
    return count


def _is_line(line: bytes, dimension: int) -> bool:
    fields = line.rstrip().rsplit(b" ", dimension)
    try:
        return len(fields) == dimension + 1 and len([float(each) for each in fields[1:]]) > 0
    except ValueError:
        return False


def _read_text(path: Path, shape: Shape) -> tuple[list[str], Vectors]:
    most = LONGEST_WORD_BYTES + shape.dimension * LONGEST_NUMBER_BYTES
    words: list[str] = []
    blocks: list[Vectors] = []
    with _opened(path) as file:
        file.seek(shape.offset)
        while lines := list(islice(_lines(file, most), LINES_AT_ONCE)):
            blocks.append(_parsed(path, lines, shape.dimension, words))
    vectors = np.concatenate(blocks) if blocks else np.zeros((0, shape.dimension), np.float32)
    if shape.words not in (None, len(words)):
        raise DamagedError(path, f"it ends after {len(words):,} of {shape.words:,} words")
    return words, vectors


def _lines(file: BinaryIO, most: int) -> Iterator[bytes]:
    while line := file.readline(most):
        if line.strip():
            yield line


def _parsed(path: Path, lines: Sequence[bytes], dimension: int, words: list[str]) -> Vectors:
    numbers: list[bytes] = []
    for line in lines:
        word, *fields = line.rstrip().rsplit(b" ", dimension)
        if len(fields) != dimension:
            raise DamagedError(
                path, f"line {len(words) + 1} has {len(fields)} numbers, not {dimension}"
            )
        words.append(word.decode("utf-8", "replace"))
        numbers.extend(fields)
    try:
        values = np.fromiter(map(float, numbers), dtype=np.float32, count=len(numbers))
    except ValueError as error:
        last = len(words)
        raise DamagedError(path, f"{error} in words {last - len(lines) + 1} to {last}") from error
    return values.reshape(len(lines), dimension)


def _read_binary(path: Path, shape: Shape) -> tuple[list[str], Vectors]:
    count, dimension = shape.words or 0, shape.dimension
    if count * (dimension * FLOAT_BYTES + 2) > path.stat().st_size - shape.offset + count:
        raise DamagedError(path, f"it is too short for {count:,} words of {dimension:,} dimensions")
    words: list[str] = []
    vectors: NDArray[np.float32] = np.empty((count, dimension), dtype=np.float32)
    with _opened(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = shape.offset
        for row in range(count):
            end = data.find(b" ", at, at + LONGEST_WORD_BYTES)
            if end < 0 or end + 1 + dimension * FLOAT_BYTES > len(data):
                raise DamagedError(path, f"it ends or breaks off at word {row + 1:,} of {count:,}")
            words.append(data[at:end].lstrip(b"\n").decode("utf-8", "replace"))
            at = end + 1 + dimension * FLOAT_BYTES
            vectors[row] = np.frombuffer(data[end + 1 : at], dtype="<f4")
    return words, vectors


def _each_once(words: Sequence[str], vectors: Vectors) -> WordTable:
    first: dict[str, int] = {}
    for row, word in enumerate(words):
        first.setdefault(word, row)
    if len(first) == len(words):
        return WordTable(tuple(words), vectors)
    return WordTable(tuple(first), vectors[list(first.values())])


def _opened(path: Path) -> BinaryIO:
    try:
        if path.is_dir():
            raise DamagedError(path, "it is a folder")
        return path.open("rb")
    except OSError as error:
        raise SettingsError(
            f"The word vectors {path} cannot be read: {error.strerror}. Set embedding.path to a "
            "file of word vectors; `retriever train-words` makes one."
        ) from error
