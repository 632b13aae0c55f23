"""Measure passages: do merging and expanding help, and how do other splitters' chunks compare.

    python scripts/benchmark/passages.py DATA_FOLDER [--rivals CUTS.jsonl]

DATA_FOLDER holds `chunking-eval`: two texts and 220 questions with the spans that answer them.
Our lines go through `ingest` and `Retriever.retrieve_many` with the default model. Other
chunkers' pieces are ranked by the same model, exactly, and by our hybrid fusion; what is beyond
the model's window is cut off before it is embedded, as their users' embedders do.

Recall, precision and IoU of the spans' characters, in percent, at 5 and 10 passages, and at
context budgets of 500, 1000 and 2000 tokens, filled from the first passage on until one does
not fit; of a joined one the chunks that fit are taken, as `build_context` does. For a budget as
many chunks are asked for as it holds at 125 tokens each.

CUTS.jsonl holds pieces cut elsewhere, a line each: {"chunker", "document", "start", "end"};
`rival_cuts.py` beside this file writes it for LangChain and LlamaIndex at their defaults.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from chunking import agreement, load_folder, read_questions
from rival_chunkers import Cut, Piece, Span, recursive, windows

from retriever.embedding.cache import VectorCache
from retriever.embedding.caching import CachingEmbedder
from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.fusion import fuse
from retriever.ingestion import ingest
from retriever.lexical import LexicalEntry, LexicalIndex
from retriever.protocols import Embedder
from retriever.records import Candidate, Document, Passage
from retriever.retrieval import Retriever
from retriever.settings import Settings
from retriever.settings.tree import EmbeddingSettings

PASSAGES = (5, 10)
BUDGETS_TOKENS = (500, 1000, 2000)
TOKENS_PER_CHUNK = 125
CANDIDATES = 100
KEYS = [*(f"@{count}" for count in PASSAGES), *(f"{budget}t" for budget in BUDGETS_TOKENS)]
OURS: dict[str, dict[str, object]] = {
    "ours, single chunks": {"merge_neighbours": False},
    "ours, neighbours merged (default)": {},
    "ours, semantic": {"mode": "semantic"},
    "ours, lexical": {"mode": "lexical"},
    "ours, expand 1": {"expand": 1},
}

Place = tuple[str, Span]
Found = list[tuple[Place, list[Place]]]
"""What was found, each with the chunks that it was joined from."""
Row = dict[str, tuple[float, float, float]]


def main() -> int:
    """Measure and print a Markdown table."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("--rivals", type=Path, help="pieces cut elsewhere")
    arguments = parser.parse_args()
    folder = arguments.data_folder / "chunking-eval"
    judge = Judge(folder)
    print("| chunks | number | " + " | ".join(KEYS) + " |\n" + "|---" * (len(KEYS) + 2) + "|")
    with tempfile.TemporaryDirectory() as work:
        for name, options in OURS.items():
            show(name, *judge.ours(folder / "corpora", Path(work), options))
    for name, cut in rival_cuts(judge.embedder, arguments.rivals):
        pieces = [piece for document in judge.documents for piece in cut(document)]
        for mode in ("semantic", "hybrid"):
            show(f"{name}, {mode}", len(pieces), judge.theirs(pieces, mode))
    return 0


def show(name: str, count: int, row: Row) -> None:
    """One line of the table."""
    cells = (" / ".join(f"{100 * value:.1f}" for value in row[key]) for key in KEYS)
    print(f"| {name} | {count} | " + " | ".join(cells) + " |", flush=True)


def rival_cuts(embedder: Embedder, file: Path | None) -> Iterator[tuple[str, Cut]]:
    """The configurations that ours is compared with."""
    yield "windows of 200 tokens", windows(embedder, 200)
    yield "windows of 400 tokens", windows(embedder, 400)
    yield "chonkie RecursiveChunker, 2048 tokens (default)", recursive(embedder, 2048)
    if file is not None:
        pieces = [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]
        for name in dict.fromkeys(piece["chunker"] for piece in pieces):
            yield name, cut_elsewhere([piece for piece in pieces if piece["chunker"] == name])


def place_of(passage: Passage) -> Place:
    """Its file and span."""
    return passage.source.partition("/")[2], (passage.start, passage.end)


def cut_elsewhere(pieces: Sequence[dict[str, object]]) -> Cut:
    """Pieces that a file holds."""

    def cut(document: Document) -> Iterator[Piece]:
        for piece in pieces:
            if piece["document"] == document.source:
                span = (int(str(piece["start"])), int(str(piece["end"])))
                yield Piece(document.source, span, document.text[slice(*span)])

    return cut


class Judge:
    """Retrieves for every question and compares with its spans."""

    def __init__(self, folder: Path) -> None:
        self.embedder = open_embedder(EmbedderOptions(model=EmbeddingSettings().model))
        cache = VectorCache(Path(tempfile.gettempdir()) / "retriever-benchmark-vectors")
        self._caching = CachingEmbedder(self.embedder, cache)
        self.documents = load_folder(folder / "corpora")
        self._texts = {document.source: document.text for document in self.documents}
        self._questions = list(read_questions(folder / "questions.jsonl"))
        self._queries = [self._caching.embed_query(one.text) for one in self._questions]
        self._counts: dict[Place, int] = {}

    def ours(self, corpora: Path, work: Path, options: dict[str, object]) -> tuple[int, Row]:
        """Through the front door; the count is that of the stored chunks."""
        settings = Settings.load(storage={"path": work / "state"}, retrieval=options)
        report = ingest([corpora], settings)
        answers: dict[str, list[Found]] = {}
        with Retriever.open(settings) as retriever:
            for key in KEYS:
                count = int(key[1:]) if key[0] == "@" else int(key[:-1]) // TOKENS_PER_CHUNK
                found = retriever.retrieve_many([one.text for one in self._questions], top_k=count)
                answers[key] = [
                    [(place_of(one), [place_of(part) for part in one.parts]) for one in passages]
                    for passages in found
                ]
        return report.chunks.total, self._measured(answers)

    def theirs(self, pieces: Sequence[Piece], mode: str) -> Row:
        """Pieces ranked by the default model alone, or fused with BM25 as ours are."""
        vectors = self._caching.embed_chunks([self._fitting(one.embedded_text) for one in pieces])
        with tempfile.TemporaryDirectory() as folder:
            words = LexicalIndex(Path(folder) / "words")
            words.put(
                LexicalEntry(str(place), one.document, "", (), one.embedded_text)
                for place, one in enumerate(pieces)
            )
            words.commit(1)
            rankings = []
            for question, query in zip(self._questions, self._queries, strict=True):
                scores = vectors @ query
                best = np.argsort(-scores, kind="stable")[:CANDIDATES]
                semantic = [
                    Candidate(str(place), "semantic", float(scores[place]), rank)
                    for rank, place in enumerate(best, start=1)
                ]
                lexical = words.rank(question.text, count=CANDIDATES) if mode == "hybrid" else []
                fused = fuse(semantic, lexical, word_count=words.count_words(question.text))
                rankings.append([pieces[int(one.chunk_id)] for one in fused])
            words.close()
        found: list[Found] = [
            [((one.document, one.span), []) for one in ranking] for ranking in rankings
        ]
        return self._measured(dict.fromkeys(KEYS, found))

    def _measured(self, answers: dict[str, list[Found]]) -> Row:
        row: Row = {}
        for key, found in answers.items():
            values = []
            for question, passages in zip(self._questions, found, strict=True):
                chosen = self._chosen(key, passages)
                spans = [span for document, span in chosen if document == question.document]
                total = sum(end - start for _, (start, end) in chosen)
                values.append(agreement(question.spans, spans, total))
            row[key] = tuple(np.mean(values, axis=0))
        return row

    def _chosen(self, key: str, passages: Found) -> list[Place]:
        if key[0] == "@":
            return [whole for whole, _ in passages[: int(key[1:])]]
        left, chosen = int(key[:-1]), []
        for whole, parts in passages:
            fits = self._count(whole) <= left
            for place in [whole] if fits or not parts else parts:
                if self._count(place) > left:
                    return chosen
                left -= self._count(place)
                chosen.append(place)
        return chosen

    def _count(self, place: Place) -> int:
        if place not in self._counts:
            text = self._texts[place[0]][slice(*place[1])]
            self._counts[place] = self.embedder.count_tokens([text])[0]
        return self._counts[place]

    def _fitting(self, text: str) -> str:
        """The beginning of a text that the model's window holds."""
        window = self.embedder.fingerprint.window_tokens
        low, high = 0, min(len(text), 40 * window)
        if self.embedder.count_tokens([text[:high]])[0] <= window:
            return text[:high]
        while high - low > 1:
            middle = (low + high) // 2
            fits = self.embedder.count_tokens([text[:middle]])[0] <= window
            low, high = (middle, high) if fits else (low, middle)
        return text[:low]


if __name__ == "__main__":
    sys.exit(main())
