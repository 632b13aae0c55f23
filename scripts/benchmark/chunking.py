"""Measure chunking: how fast, and how well its chunks are found and fit what answers a question.

    python scripts/benchmark/chunking.py DATA_FOLDER [--tokens 128 200] [--json]

DATA_FOLDER holds `folders/curl-docs` and `chunking-eval`: two texts and 220 questions with the
exact spans that answer them. Chunks of both texts are ranked together, by exact search with the
default model. A question's passages are compared with its spans character by character:

    recall     the part of the spans that the passages hold
    precision  the part of the passages that lies in the spans
    IoU        what both hold, divided by what either holds

at 5 and 10 passages, and at context budgets of 500, 1000 and 2000 tokens, filled from the first
passage on until one does not fit. Vectors are kept in the temporary folder between runs.
Needs the package chonkie, one of the rivals.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rival_chunkers import Cut, Piece, Span, recursive, windows

from retriever.chunking import Chunker, ChunkingOptions
from retriever.embedding.cache import VectorCache
from retriever.embedding.caching import CachingEmbedder
from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.loading import DocumentLoader, LoadingOptions
from retriever.protocols import Embedder
from retriever.records import CorpusFile, Document, Heading
from retriever.settings.tree import EmbeddingSettings, LoadingSettings

_PASSAGES = (5, 10)
_BUDGETS_TOKENS = (500, 1000, 2000)
_WIKI_HEADING = re.compile(r"(?m)^ ((?:= )+)(\S[^\n]*?)(?: =)+ $")


class Question(NamedTuple):
    """A question and the spans of one document that answer it."""

    text: str
    document: str
    spans: list[Span]


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a folder was cut."""

    folder: str
    characters: int
    chunks: int
    tokens_mean: float
    cpu_s: float
    tokenizing_cpu_s: float
    """The same texts through the tokenizer once, whole: what any count costs."""
    mb_per_s: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How well the chunks of one configuration answer the questions."""

    chunker: str
    chunks: int
    tokens_mean: float
    at: dict[str, tuple[float, float, float]]
    """Recall, precision and IoU at each number of passages and each budget."""


def main() -> int:
    """Measure and print."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one core, as the figures say
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("--tokens", type=int, nargs="*", default=[100, 128, 160, 200, 256])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    model = EmbeddingSettings().model
    embedder = open_embedder(EmbedderOptions(model=model))
    speeds = [
        speed(embedder, arguments.data_folder / name)
        for name in ("folders/curl-docs", "chunking-eval/corpora")
    ]
    cache = VectorCache(Path(tempfile.gettempdir()) / "retriever-benchmark-vectors")
    judge = Judge(arguments.data_folder / "chunking-eval", CachingEmbedder(embedder, cache))
    qualities = [judge.quality(name, cut) for name, cut in cuts(embedder, arguments.tokens)]
    if arguments.json:
        print(json.dumps([asdict(row) for row in (*speeds, *qualities)], indent=1))
    else:
        print_tables(speeds, qualities)
    return 0


def load_folder(folder: Path) -> list[Document]:
    """Every Markdown file below a folder."""
    options = LoadingOptions(**LoadingSettings().model_dump())
    with DocumentLoader(options) as loader:
        return [
            loader.load(CorpusFile(path.relative_to(folder).as_posix(), path, 0, 0))
            for path in sorted(folder.rglob("*.md"))
        ]


def speed(embedder: Embedder, folder: Path) -> Speed:
    """Cut a folder with the real tokenizer, its reading not counted."""
    documents = load_folder(folder)
    options = ChunkingOptions(200, 0, embed_title=True, embed_headings=True)
    embedder.count_tokens(["warm"])
    start = time.process_time()
    embedder.count_tokens([document.text for document in documents])
    tokenizing_cpu_s = time.process_time() - start
    chunker = Chunker(
        options,
        count_tokens=embedder.count_tokens,
        window_tokens=embedder.fingerprint.window_tokens,
    )
    start, counts = time.process_time(), []
    for document in documents:
        counts.extend(chunk.token_count for chunk in chunker.chunk(document))
    cpu_s = time.process_time() - start
    characters = sum(len(document.text) for document in documents)
    return Speed(
        folder=folder.name,
        characters=characters,
        chunks=len(counts),
        tokens_mean=float(np.mean(counts)),
        cpu_s=cpu_s,
        tokenizing_cpu_s=tokenizing_cpu_s,
        mb_per_s=characters / cpu_s / 1e6,
    )


def cuts(embedder: Embedder, sizes: Sequence[int]) -> Iterator[tuple[str, Cut]]:
    """The configurations that are compared."""
    for tokens in sizes:
        yield f"ours {tokens}", ours(embedder, tokens, headings=False, overlap_tokens=0)
    for tokens in sizes:
        yield f"ours {tokens} headings", ours(embedder, tokens, headings=True, overlap_tokens=0)
    for tokens in sizes[::2]:
        overlap_tokens = tokens // 5
        name = f"ours {tokens} overlap {overlap_tokens}"
        yield name, ours(embedder, tokens, headings=False, overlap_tokens=overlap_tokens)
    for tokens in sizes:
        yield f"RecursiveChunker {tokens}", recursive(embedder, tokens)
    for tokens in sizes:
        yield f"token windows {tokens}", windows(embedder, tokens)


def ours(embedder: Embedder, tokens: int, *, headings: bool, overlap_tokens: int) -> Cut:
    """This package's chunks; the texts' wiki headings are told to it or not."""
    chunker = Chunker(
        ChunkingOptions(tokens, overlap_tokens, embed_title=True, embed_headings=True),
        count_tokens=embedder.count_tokens,
        window_tokens=embedder.fingerprint.window_tokens,
    )

    def cut(document: Document) -> Iterator[Piece]:
        known = replace(document, headings=wiki_headings(document.text) if headings else ())
        for chunk in chunker.chunk(known):
            yield Piece(document.source, (chunk.start, chunk.end), chunk.embedded_text)

    return cut


def wiki_headings(text: str) -> tuple[Heading, ...]:
    """The lines ` = = Gameplay = = ` as headings."""
    return tuple(
        Heading(found[1].count("="), found[2].strip(), found.start(), found.end())
        for found in _WIKI_HEADING.finditer(text)
    )


class Judge:
    """Retrieves for every question and compares with its spans."""

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        self._embedder = embedder
        self._documents = load_folder(folder / "corpora")
        self._questions = list(read_questions(folder / "questions.jsonl"))
        self._vectors = np.stack([embedder.embed_query(found.text) for found in self._questions])

    def quality(self, name: str, cut: Cut) -> Quality:
        """Cut, embed, rank, compare."""
        pieces = [piece for document in self._documents for piece in cut(document)]
        vectors = self._embedder.embed_chunks([piece.embedded_text for piece in pieces])
        counts = self._embedder.count_tokens([self._text(piece) for piece in pieces])
        rankings = np.argsort(-(self._vectors @ vectors.T), axis=1, kind="stable")
        at: dict[str, list[tuple[float, float, float]]] = {}
        for question, ranking in zip(self._questions, rankings, strict=True):
            for key, chosen in choices(ranking, counts):
                spans = [
                    pieces[place].span
                    for place in chosen
                    if pieces[place].document == question.document
                ]
                total = sum(len(self._text(pieces[place])) for place in chosen)
                at.setdefault(key, []).append(agreement(question.spans, spans, total))
        means = {key: tuple(np.mean(rows, axis=0)) for key, rows in at.items()}
        return Quality(name, len(pieces), float(np.mean(counts)), means)

    def _text(self, piece: Piece) -> str:
        document = next(found for found in self._documents if found.source == piece.document)
        return document.text[slice(*piece.span)]


def read_questions(path: Path) -> Iterator[Question]:
    """The questions of a file of JSON lines."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            spans = [(span["start"], span["end"]) for span in row["spans"]]
            yield Question(row["text"], row["document"], spans)


def choices(ranking: Sequence[int], counts: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """What is handed over at each number of passages and each budget."""
    for number in _PASSAGES:
        yield f"@{number}", list(ranking[:number])
    spent = np.cumsum([counts[place] for place in ranking])
    for budget in _BUDGETS_TOKENS:
        yield f"{budget}t", list(ranking[: int(np.searchsorted(spent, budget, side="right"))])


def agreement(wanted: list[Span], found: list[Span], total: int) -> tuple[float, float, float]:
    """Recall, precision and IoU of the characters; `total` of them were handed over."""
    want = covered(wanted)
    both = want & covered(found)
    return (
        len(both) / len(want),
        len(both) / total if total else 0.0,
        len(both) / (len(want) + total - len(both)),
    )


def covered(spans: list[Span]) -> set[int]:
    """The positions inside the spans."""
    return {position for start, end in spans for position in range(start, end)}


def print_tables(speeds: list[Speed], qualities: list[Quality]) -> None:
    """For people."""
    print(f"{'folder':16}{'MB':>7}{'chunks':>8}{'tokens':>8}{'MB/s':>7}{'tokenizer alone':>17}")
    for row in speeds:
        alone = row.characters / row.tokenizing_cpu_s / 1e6
        print(
            f"{row.folder:16}{row.characters / 1e6:7.2f}{row.chunks:8}{row.tokens_mean:8.0f}"
            f"{row.mb_per_s:7.2f}{alone:17.2f}"
        )
    keys = list(qualities[0].at) if qualities else []
    print("\nrecall/precision/IoU in percent")
    print(f"{'chunker':28}{'chunks':>7}{'tokens':>7}" + "".join(f"{key:>16}" for key in keys))
    for quality in qualities:
        cells = "".join(
            f"{'/'.join(f'{100 * value:.1f}' for value in quality.at[key]):>16}" for key in keys
        )
        print(f"{quality.chunker:28}{quality.chunks:7}{quality.tokens_mean:7.0f}{cells}")


if __name__ == "__main__":
    sys.exit(main())
