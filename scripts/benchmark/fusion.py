"""Measure fusion: semantic, lexical, both by each rule, on judged questions in BEIR's layout.

    python scripts/benchmark/fusion.py DATA_FOLDER --cache FOLDER [--sets adi med] [--json]

DATA_FOLDER holds `retrieval/<set>` (or `retrieval/<set>/<language>`) with corpus.jsonl,
queries.jsonl and qrels.tsv. Documents are cut, embedded and indexed as `retriever ingest` does;
semantic candidates come from exact search. Each ranker names 100 chunks; a document counts by its
best chunk. Questions without a relevant document are left out.

The last table is the proof by leaving out: for each set the three constants of the default rule
are chosen anew on all other sets, from a coarse grid, and tried on it. What is chosen has the
highest mean over the sets, less what any quarter of a set's questions, the shortest to the longest,
loses against the better of both rankers there.
"""

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from quality import ndcg, read_jsonl, read_judgements, recall

from retriever import assembly, fusion
from retriever.embedding.cache import CachingEmbedder, VectorCache
from retriever.lexical import LexicalEntry, LexicalIndex
from retriever.protocols import BatchQueryEmbedder, Embedder, Vectors
from retriever.records import Candidate, Document
from retriever.settings import Settings

CANDIDATES = 100
RESAMPLES = 2_000
FIXED_WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.7)
WEIGHTS = np.linspace(0, 1, 21)
EVEN = (1.05, 1.2, 1.35, 1.5)
SUPPORT = (0.25, 0.3, 0.35, 0.4, 0.45)
PEAK = (0.55, 0.7, 0.85, 1.0, 1.15)
QUARTERS = 4
ENOUGH_QUESTIONS = 60
"""A set with fewer is not parted."""

Ranking = list[Candidate]
Rule = Callable[[Ranking, Ranking], list[str]]


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, its grades and what both rankers named."""

    grades: Mapping[str, int]
    semantic: Ranking
    lexical: Ranking
    term_count: int


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """A set's questions, answered, and the document of each chunk."""

    name: str
    chunk_count: int
    questions: list[Answered]
    documents: Mapping[str, str]

    def scores(self, rule: Rule) -> NDArray[np.float64]:
        """nDCG@10 and Recall@100 of each question: shape (questions, 2)."""
        rows = []
        for one in self.questions:
            chunks = rule(one.semantic, one.lexical)
            found = list(dict.fromkeys(self.documents[chunk] for chunk in chunks))
            rows.append((ndcg(found, one.grades, 10), recall(found, one.grades, 100)))
        return np.array(rows)


def fixed(weight: float) -> Rule:
    """A convex combination of fixed weights."""
    weights = {"semantic": weight, "lexical": 1 - weight}

    def rule(semantic: Ranking, lexical: Ranking) -> list[str]:
        least = {"lexical": 0.0} if len(lexical) < len(semantic) else {}
        return places(fusion.fuse_convex([semantic, lexical], weights=weights, least=least))

    return rule


def places(fused: Sequence[fusion.Fused]) -> list[str]:
    """Chunk ids, best first."""
    return [one.chunk_id for one in fused]


RULES: dict[str, Rule] = {
    "semantic": lambda semantic, _: [one.chunk_id for one in semantic],
    "lexical": lambda _, lexical: [one.chunk_id for one in lexical],
    "RRF": lambda semantic, lexical: places(fusion.fuse_reciprocal([semantic, lexical])),
    **{f"convex {weight}": fixed(weight) for weight in FIXED_WEIGHTS},
    "default": lambda semantic, lexical: places(fusion.fuse(semantic, lexical)),
}


def answered_set(folder: Path, name: str, embedder: Embedder, cache: VectorCache) -> JudgedSet:
    """Cut, embed and index a set, and ask both rankers its questions."""
    chunker = assembly.open_chunker(Settings.load(), embedder)
    chunks = [
        chunk
        for row in read_jsonl(folder / "corpus.jsonl")
        for chunk in chunker.chunk(
            Document(row["_id"], row["text"], "", row.get("title") or "", "text", "plain")
        )
    ]
    judged = read_judgements(folder / "qrels.tsv")
    queries = [
        row
        for row in read_jsonl(folder / "queries.jsonl")
        if any(grade > 0 for grade in judged.get(row["_id"], {}).values())
    ]
    vectors = CachingEmbedder(embedder, cache).embed_chunks([one.embedded_text for one in chunks])
    asked = query_vectors([row["text"] for row in queries], embedder, cache)
    ids = [one.id for one in chunks]
    with tempfile.TemporaryDirectory() as state, LexicalIndex(Path(state) / "lexical") as index:
        index.put(
            LexicalEntry(one.id, one.source, one.title, one.heading_path, one.text)
            for one in chunks
        )
        index.commit(1)
        questions = [
            Answered(
                judged[row["_id"]],
                nearest(vectors @ vector, ids),
                index.rank(row["text"], count=CANDIDATES),
                len(index.term_counts(row["text"])),
            )
            for row, vector in zip(queries, asked, strict=True)
        ]
    return JudgedSet(name, len(chunks), questions, {one.id: one.source for one in chunks})


def query_vectors(texts: list[str], embedder: Embedder, cache: VectorCache) -> Vectors:
    """Vectors of questions, kept beside those of chunks under a name of their own."""
    key = replace(embedder.fingerprint, backend=f"{embedder.fingerprint.backend} queries")
    held = cache.get_many(key, texts)
    missing = [text for text in dict.fromkeys(texts) if text not in held]
    if missing and isinstance(embedder, BatchQueryEmbedder):
        made = dict(zip(missing, embedder.embed_queries(missing), strict=True))
        cache.put_many(key, made)
        held |= made
    return np.stack([held[text] for text in texts])


def nearest(scores: Vectors, ids: Sequence[str]) -> Ranking:
    """The candidates of exact search."""
    order = np.argsort(-scores, kind="stable")[:CANDIDATES]
    return [
        Candidate(ids[place], "semantic", float(scores[place]), rank)
        for rank, place in enumerate(order, start=1)
    ]


def interval(scores: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of a mean, by resampling questions with replacement."""
    random = np.random.default_rng(0)
    picked = random.integers(0, len(scores), size=(RESAMPLES, len(scores)))
    low, high = np.quantile(scores[picked].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def left_out(sets: Sequence[JudgedSet]) -> Iterator[dict[str, object]]:
    """For each set: constants chosen on the others, and what they are worth on it."""
    grid = list(itertools.product(EVEN, SUPPORT, PEAK))
    tried = [on_grid(one, grid) for one in sets]
    alone = [
        np.array([one.scores(RULES[ranker])[:, 0] for ranker in ("semantic", "lexical")])
        for one in sets
    ]
    worth = np.array([scores.mean(1) for scores in tried]).T
    lost = np.array(list(map(losses, tried, alone, sets))).T
    for place, one in enumerate(sets):
        others = [other for other in range(len(sets)) if other != place]
        chosen = int(np.argmax(worth[:, others].mean(1) - lost[:, others].sum(1)))
        better = alone[place].mean(1).max()
        yield {
            "set": one.name,
            "constants": grid[chosen],
            "nDCG@10": round(float(worth[chosen, place]), 4),
            "to the better ranker": round(float(worth[chosen, place] - better), 4),
        }


def losses(
    tried: NDArray[np.float64], alone: NDArray[np.float64], judged: JudgedSet
) -> NDArray[np.float64]:
    """What each choice loses to the better ranker, the mean over quarters of the questions."""
    order = np.argsort([one.term_count for one in judged.questions], kind="stable")
    parts = np.array_split(order, QUARTERS if len(order) >= ENOUGH_QUESTIONS else 1)
    below = [alone[:, part].mean(1).max() - tried[:, part].mean(1) for part in parts]
    return np.maximum(0.0, below).mean(0)


def on_grid(judged: JudgedSet, grid: Sequence[tuple[float, float, float]]) -> NDArray[np.float64]:
    """nDCG@10 of each question for each choice of constants: shape (choices, questions).

    By interpolation between fixed weights.
    """
    by_weight = np.array([judged.scores(fixed(float(weight)))[:, 0] for weight in WEIGHTS])
    balances = [fusion.balance(one.semantic, one.lexical) for one in judged.questions]
    support = np.log(np.array([one.support for one in balances]) + fusion.LEAST_SUPPORT)
    peak = np.array([one.peak for one in balances])
    alone = np.array([not one.lexical for one in judged.questions])
    tried = []
    for even, by_support, by_peak in grid:
        weights = np.where(alone, 1.0, even + by_support * support - by_peak * peak)
        position = np.clip(weights, 0, 1) * (len(WEIGHTS) - 1)
        below = np.minimum(position.astype(int), len(WEIGHTS) - 2)
        part, column = position - below, np.arange(len(position))
        tried.append(by_weight[below, column] * (1 - part) + by_weight[below + 1, column] * part)
    return np.array(tried)


def measured(judged: JudgedSet) -> dict[str, object]:
    """One set's row: both measures of every rule, with intervals."""
    row: dict[str, object] = {
        "set": judged.name,
        "chunks": judged.chunk_count,
        "questions": len(judged.questions),
    }
    for name, rule in RULES.items():
        scores = judged.scores(rule)
        for column, measure in enumerate(("nDCG@10", "Recall@100")):
            row[f"{name} {measure}"] = round(float(scores[:, column].mean()), 4)
            row[f"{name} {measure} interval"] = interval(scores[:, column])
    return row


def print_tables(
    rows: Sequence[Mapping[str, object]], proof: Sequence[Mapping[str, object]]
) -> None:
    """Markdown: a table for each measure, and one for the sets that were left out."""
    for measure in ("nDCG@10", "Recall@100"):
        print(f"\n| {measure} | chunks | questions | {' | '.join(RULES)} |")
        print("|---|" + "---|" * (len(RULES) + 2))
        for row in rows:
            cells = [cell(row, name, measure) for name in RULES]
            print(f"| {row['set']} | {row['chunks']} | {row['questions']} | {' | '.join(cells)} |")
        means = [np.mean([float(str(row[f"{name} {measure}"])) for row in rows]) for name in RULES]
        print("| mean | | | " + " | ".join(f"{mean:.4f}" for mean in means) + " |")
    print("\n| left out | constants | nDCG@10 | to the better ranker |\n|---|---|---|---|")
    for row in proof:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    print(f"| mean | | {np.mean([float(str(row['nDCG@10'])) for row in proof]):.4f} | |")


def cell(row: Mapping[str, object], name: str, measure: str) -> str:
    """A mean; for all but the fixed weights with its interval."""
    text = f"{float(str(row[f'{name} {measure}'])):.3f}"
    bounds = row[f"{name} {measure} interval"]
    if name.startswith("convex") or not isinstance(bounds, tuple):
        return text
    return f"{text} ({bounds[0]:.3f} to {bounds[1]:.3f})"


def main() -> int:
    """Measure the sets, the smallest first, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="folder for vectors")
    parser.add_argument("--sets", nargs="*", help="names of the sets; all where left out")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    root = arguments.data_folder / "retrieval"
    folders = sorted(
        root.rglob("qrels.tsv"), key=lambda path: path.with_name("corpus.jsonl").stat().st_size
    )
    named = {str(path.parent.relative_to(root)): path.parent for path in folders}
    wanted = {name: named[name] for name in named if not arguments.sets or name in arguments.sets}
    embedder = assembly.open_configured_embedder(Settings.load())
    cache = VectorCache(arguments.cache)
    sets = []
    for name, folder in wanted.items():
        sets.append(answered_set(folder, name, embedder, cache))
        print(f"{name}: {sets[-1].chunk_count} chunks", file=sys.stderr)
    rows = [measured(one) for one in sets]
    proof = list(left_out(sets)) if len(sets) > 1 else []
    if arguments.json:
        print(json.dumps({"sets": rows, "left_out": proof}, indent=1))
    else:
        print_tables(rows, proof)
    return 0


if __name__ == "__main__":
    sys.exit(main())
