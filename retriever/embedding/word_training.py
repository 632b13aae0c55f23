"""Training word vectors on one's own texts: Word2Vec (Mikolov et al. 2013), by gensim.

Skip-gram with negative sampling, gensim's defaults but for what the options say. With one
worker the same texts, options and seed give the same file; with more, threads race.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from retriever.embedding.word_reading import words
from retriever.embedding.word_vectors import counts_file
from retriever.errors import EmbeddingRejected, MissingDependencyError

LINE_WORDS = 1_000
"""gensim drops what is beyond 10,000 words of a line."""


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How word vectors are trained."""

    vector_size: int
    window: int
    """Words on each side that a word is learnt from."""
    min_count: int
    """Words that come less often get no vector."""
    workers: int
    epochs: int
    """Times that all texts are read; small corpora need more than gensim's 5."""
    seed: int


@dataclass(frozen=True, slots=True)
class TrainedWords:
    """What a training made."""

    words: int
    """Words with a vector."""
    words_read: int
    """Running words of all texts."""
    words_covered: int
    """Those of them that have a vector."""


def train_words(texts: Iterable[str], out: Path, options: TrainingOptions) -> TrainedWords:
    """Train on texts, and write vectors to `out` and the words' counts beside it.

    The file is in word2vec's binary format, or as text where its name ends in `.txt`. Nothing
    of the texts is kept in memory, and nothing is written before the training is done.

    Raises:
        MissingDependencyError: gensim is not installed.
        EmbeddingRejected: no word comes often enough.
        OSError: `out` cannot be written.
    """
    word2vec = _gensim()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".train-words-") as folder:
        lines = Path(folder) / "lines"
        with lines.open("w", encoding="utf-8", newline="\n") as file:
            read = _write_lines(file, texts)
        model = _trained(word2vec, lines, options)
        vectors, counts = Path(folder) / "vectors", Path(folder) / "counts"
        model.wv.save_word2vec_format(str(vectors), fvocab=str(counts), binary=out.suffix != ".txt")
        # Counts first: vectors without them would be weighted by rank.
        os.replace(counts, counts_file(out))
        os.replace(vectors, out)
    covered = sum(model.wv.get_vecattr(word, "count") for word in model.wv.index_to_key)
    return TrainedWords(len(model.wv), read, int(covered))


def _write_lines(file: TextIO, texts: Iterable[str]) -> int:
    read = 0
    for text in texts:
        for block in text.split("\n\n"):
            found = [word.lower() for word in words(block)]
            read += len(found)
            for line in _slices(found):
                file.write(" ".join(line) + "\n")
    return read


def _slices(found: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(found), LINE_WORDS):
        yield found[start : start + LINE_WORDS]


def _trained(word2vec: Any, lines: Path, options: TrainingOptions) -> Any:
    try:
        return word2vec.Word2Vec(
            sentences=word2vec.LineSentence(str(lines)),
            vector_size=options.vector_size,
            window=options.window,
            min_count=options.min_count,
            workers=options.workers,
            epochs=options.epochs,
            seed=options.seed,
            sg=1,
        )
    except RuntimeError as error:  # "you must first build vocabulary": there is none
        raise EmbeddingRejected(
            f"No word comes {options.min_count} times in these texts, so there is nothing to "
            "train on. Name more folders, or lower --min-count."
        ) from error


def _gensim() -> Any:
    try:
        from gensim.models import word2vec
    except ImportError as error:
        raise MissingDependencyError("gensim", "words", "Training word vectors") from error
    return word2vec
