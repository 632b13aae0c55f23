"""Word vectors as an embedder: a document is the mean of its words.

`mean` is the plain mean. `sif` weights each word by a / (a + p(w)) with a = 0.001 and p(w) the
word's share of all running text: smooth inverse frequency (Arora, Liang and Ma 2017, "A simple
but tough-to-beat baseline for sentence embeddings", equation 2). The paper goes on to remove
the common component, the first singular vector of the texts at hand. That is not done: it
would tie every stored vector to the documents that happened to be in the collection, so that
each new one changed them all.
"""

import functools
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.catalogue import NO_LIMIT_TOKENS
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.revision import HashMemo
from retriever.embedding.static import Reading, StaticEmbedder
from retriever.embedding.word_files import WordTable, is_pickle, read_shape, read_words
from retriever.embedding.word_reading import count_pieces, known_forms, words
from retriever.errors import SettingsError
from retriever.protocols import Vectors
from retriever.records import EmbeddingFingerprint

SMOOTHING = 1e-3
"""The paper's a: it reports the same results from 0.0001 to 0.001."""
READING = "words-1"
"""Name and version of the way that text becomes words: part of the revision."""
COUNTS_SUFFIX = ".counts"
_COUNT_LINE = re.compile(r"(\S+) (\d{1,18})")


def open_word_vectors(options: EmbedderOptions) -> StaticEmbedder:
    """An embedder over the file in `embedding.path`, else in `embedding.model`.

    Only the beginning of the file is read, but for gensim's own format.

    Raises:
        SettingsError: there is no such file, it holds no word vectors, or an option contradicts it.
    """
    path = Path(os.path.expanduser(options.path or options.model))
    table = read_words(path) if is_pickle(path) else None
    dimension = table.vectors.shape[1] if table else read_shape(path).dimension
    pooling = "sif" if options.pooling == "auto" else options.pooling
    _refuse(options, path, dimension, pooling)
    fingerprint = EmbeddingFingerprint(
        backend="word-vectors",
        model=path.name,
        revision=_revision(path, pooling, options.cache_dir),
        dimension=dimension,
        window_tokens=options.window_tokens or NO_LIMIT_TOKENS,
        pooling=pooling,
        query_prefix="",
        chunk_prefix="",
    )
    return StaticEmbedder(fingerprint, WordLexicon(path, pooling, table))


class WordLexicon:
    """The words of one file."""

    unit = "word"

    def __init__(self, path: Path, pooling: str, table: WordTable | None = None) -> None:
        """Keep where the file is; without its table, it is read when a word is first looked up."""
        self._path = path
        self._pooling = pooling
        self._lock = threading.Lock()
        self._held = table

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Words and punctuation marks of each text."""
        return [count_pieces(text) for text in texts]

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """The words of each text: known ones as rows, the others in lower case."""
        return [self._reading(text) for text in texts]

    def vectors(self) -> Vectors:
        """The words' vectors: float32, (words, dimension)."""
        return self._table.vectors

    def names(self) -> Sequence[str]:
        """The words."""
        return self._table.words

    def weights(self) -> NDArray[np.float32]:
        """How much each word counts: shape (words,)."""
        return self._weights

    def _reading(self, text: str) -> Reading:
        known = self._rows
        rows: list[int] = []
        unknown: list[str] = []
        for word in words(text):
            forms = [known[form] for form in known_forms(word, known)]
            rows.extend(forms)
            if not forms:
                unknown.append(word.lower())
        return Reading(rows, unknown)

    @property
    def _table(self) -> WordTable:
        return self._loaded()

    def _loaded(self) -> WordTable:
        with self._lock:
            if self._held is None:
                self._held = read_words(self._path)
            return self._held

    @functools.cached_property
    def _rows(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self._table.words)}

    @functools.cached_property
    def _weights(self) -> NDArray[np.float32]:
        count = len(self._table.words)
        if self._pooling == "mean":
            return np.ones(count, dtype=np.float32)
        counts, held = read_counts(counts_file(self._path)), self._table.counts
        if counts is not None:
            shares = _shares(self._table.words, counts)
        elif held is not None and held.any():
            shares = held / held.sum()
        else:
            shares = zipf_shares(count)
        return np.asarray(SMOOTHING / (SMOOTHING + shares), dtype=np.float32)


def counts_file(path: Path) -> Path:
    """Where the words' frequencies are looked for: beside the vectors."""
    return path.with_name(path.name + COUNTS_SUFFIX)


def read_counts(file: Path) -> dict[str, int] | None:
    """How often each word was seen: lines of a word, a blank and a number, as GloVe's vocab.txt.

    None where there is no such file.

    Raises:
        SettingsError: a line is none.
    """
    if not file.is_file():
        return None
    counts: dict[str, int] = {}
    with file.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            found = _COUNT_LINE.fullmatch(line.strip("\r\n"))
            if found is None:
                raise SettingsError(
                    f"{file}, line {number}, is not a word, a blank and a number. Correct it, or "
                    "remove the file: frequencies are then estimated from the order of the words."
                )
            counts[found[1]] = int(found[2])
    return counts


def zipf_shares(count: int) -> NDArray[np.float64]:
    """Shares of running text by rank alone, where words stand by falling frequency, as they do
    in the files of word2vec and GloVe: 1 / (rank * H), H the sum of 1 / rank (Zipf's law).
    """  # noqa: D205
    shares: NDArray[np.float64] = 1.0 / np.arange(1, count + 1, dtype=np.float64)
    return np.asarray(shares / shares.sum())


def _shares(names: Sequence[str], counts: dict[str, int]) -> NDArray[np.float64]:
    total = max(1, sum(counts.values()))
    return np.array([counts.get(name, 1) / total for name in names], dtype=np.float64)


def _revision(path: Path, pooling: str, memo_dir: Path | None) -> str:
    memo = HashMemo(memo_dir)
    parts = [READING, memo.sha256(path)]
    if pooling == "sif" and counts_file(path).is_file():
        parts.append(memo.sha256(counts_file(path)))
    memo.save()
    return "-".join(part[:32] for part in parts)


def _refuse(options: EmbedderOptions, path: Path, dimension: int, pooling: str) -> None:
    if pooling not in ("mean", "sif"):
        raise SettingsError(
            f"embedding.pooling is {pooling!r}, which word vectors do not have: they have mean "
            "and sif. Leave it unset."
        )
    if options.dimension not in (None, dimension):
        raise SettingsError(
            f"embedding.dimension is {options.dimension}, but the vectors in {path} have "
            f"{dimension}. Leave it unset."
        )
    if options.query_prefix or options.chunk_prefix:
        raise SettingsError(
            "Word vectors read no prefix: leave embedding.query_prefix and "
            "embedding.chunk_prefix unset."
        )
