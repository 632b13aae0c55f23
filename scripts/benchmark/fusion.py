"""Measure fusion: semantic, lexical, both by each rule, on judged questions in BEIR's layout.

    python scripts/benchmark/fusion.py DATA_FOLDER --cache FOLDER [--more FOLDER ...]
        [--sets adi med] [--json]

DATA_FOLDER holds `retrieval/<set>` (or `retrieval/<set>/<language>`) with corpus.jsonl,
queries.jsonl and qrels.tsv; `--more` names folders of further sets, such as those that
code_search.py makes, or one with a folder `docs` of files in place of corpus.jsonl. Documents are
cut, embedded and indexed as `retriever ingest` does; semantic
candidates come from exact search. Each ranker names 100 chunks; a document counts by its best
chunk. Questions without a relevant document are left out.

A second table shows every set again as a small collection: four draws of 60 documents. The last
one is the proof by leaving out, see fusion_choice.py.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import fusion_choice
import numpy as np
from numpy.typing import NDArray
from quality import ndcg, read_jsonl, read_judgements, recall

from retriever import assembly, fusion
from retriever.embedding.cache import VectorCache
from retriever.embedding.caching import CachingEmbedder
from retriever.ingestion.roots import resolve
from retriever.lexical import LexicalEntry, LexicalIndex
from retriever.loading.walking import walk
from retriever.protocols import BatchQueryEmbedder, Embedder, Vectors
from retriever.records import Candidate, Chunk, CorpusFile, Document
from retriever.settings import Settings

CANDIDATES = 100
RESAMPLES = 2_000
FIXED_WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.7)
DRAWS = 4
DRAWN_DOCUMENTS = 60
DRAWN_QUESTIONS = 30
MOST_RELEVANT = 12
"""Of a question's relevant documents, so many at most are drawn."""

Ranking = list[Candidate]
Rule = Callable[[Ranking, Ranking, int], list[str]]
"""Both rankings, and how many words were searched for, to chunk ids."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, its grades and what both rankers named."""

    grades: Mapping[str, int]
    semantic: Ranking
    lexical: Ranking
    word_count: int


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
            chunks = rule(one.semantic, one.lexical, one.word_count)
            found = list(dict.fromkeys(self.documents[chunk] for chunk in chunks))
            rows.append((ndcg(found, one.grades, 10), recall(found, one.grades, 100)))
        return np.array(rows)

    def worth(self, semantic_weight: float) -> NDArray[np.float64]:
        """nDCG@10 of each question with a fixed weight."""
        return self.scores(fixed(semantic_weight))[:, 0]


def fixed(weight: float) -> Rule:
    """A convex combination of fixed weights."""
    weights = {"semantic": weight, "lexical": 1 - weight}

    def rule(semantic: Ranking, lexical: Ranking, _: int) -> list[str]:
        least = {"lexical": 0.0} if len(lexical) < len(semantic) else {}
        return places(fusion.fuse_convex([semantic, lexical], weights=weights, least=least))

    return rule


def places(fused: Sequence[fusion.Fused]) -> list[str]:
    """Chunk ids, best first."""
    return [one.chunk_id for one in fused]


RULES: dict[str, Rule] = {
    "semantic": lambda semantic, _, __: [one.chunk_id for one in semantic],
    "lexical": lambda _, lexical, __: [one.chunk_id for one in lexical],
    "RRF": lambda semantic, lexical, _: places(fusion.fuse_reciprocal([semantic, lexical])),
    **{f"convex {weight}": fixed(weight) for weight in FIXED_WEIGHTS},
    "default": lambda semantic, lexical, word_count: places(
        fusion.fuse(semantic, lexical, word_count=word_count)
    ),
}


@dataclass(frozen=True, slots=True)
class Corpus:
    """A judged set, cut and embedded."""

    name: str
    chunks: list[Chunk]
    vectors: Vectors
    """Shape (chunks, dimension)."""
    questions: list[str]
    question_vectors: Vectors
    """Shape (questions, dimension)."""
    grades: list[dict[str, int]]
    """Of each question: document to grade."""

    def answered(
        self, documents: Collection[str] | None = None, asked: Sequence[int] | None = None
    ) -> JudgedSet:
        """What both rankers say of some questions, with some of the documents; all where None."""
        held = [
            place
            for place, chunk in enumerate(self.chunks)
            if documents is None or chunk.source in documents
        ]
        chunks, vectors = [self.chunks[place] for place in held], self.vectors[held]
        ids = [one.id for one in chunks]
        with tempfile.TemporaryDirectory() as state, LexicalIndex(Path(state) / "words") as index:
            index.put(
                LexicalEntry(one.id, one.source, one.title, one.heading_path, one.text)
                for one in chunks
            )
            index.commit(1)
            answered = [
                Answered(
                    {
                        document: grade
                        for document, grade in self.grades[number].items()
                        if documents is None or document in documents
                    },
                    nearest(vectors @ self.question_vectors[number], ids),
                    index.rank(self.questions[number], count=CANDIDATES),
                    index.count_words(self.questions[number]),
                )
                for number in (range(len(self.questions)) if asked is None else asked)
            ]
        return JudgedSet(self.name, len(chunks), answered, {one.id: one.source for one in chunks})

    def small(self) -> JudgedSet:
        """The questions of four draws of 60 documents each, those that answer them among them."""
        draws = [self.answered(*self._drawn(random.Random(seed))) for seed in range(DRAWS)]
        return JudgedSet(
            self.name,
            sum(one.chunk_count for one in draws) // DRAWS,
            [question for one in draws for question in one.questions],
            {chunk: document for one in draws for chunk, document in one.documents.items()},
        )

    def _drawn(self, generator: random.Random) -> tuple[set[str], list[int]]:
        """Documents, and the numbers of the questions that they answer."""
        known = list(dict.fromkeys(chunk.source for chunk in self.chunks))
        order = list(range(len(self.questions)))
        generator.shuffle(order)
        documents: set[str] = set()
        asked: list[int] = []
        for number in order:
            relevant = [each for each in known if self.grades[number].get(each, 0) > 0]
            chosen = generator.sample(relevant, min(len(relevant), MOST_RELEVANT))
            if chosen and len(documents | set(chosen)) <= DRAWN_DOCUMENTS * 0.6:
                documents |= set(chosen)
                asked.append(number)
            if len(asked) == DRAWN_QUESTIONS:
                break
        rest = [each for each in known if each not in documents]
        generator.shuffle(rest)
        return documents | set(rest[: DRAWN_DOCUMENTS - len(documents)]), asked


def read_corpus(folder: Path, name: str, embedder: Embedder, cache: VectorCache) -> Corpus:
    """Cut and embed a set in BEIR's layout, or with a folder of files."""
    chunker = assembly.open_chunker(Settings.load(), embedder)
    chunks = [chunk for one in read_documents(folder) for chunk in chunker.chunk(one)]
    judged = read_judgements(folder / "qrels.tsv")
    queries = [
        row
        for row in read_jsonl(folder / "queries.jsonl")
        if any(grade > 0 for grade in judged.get(row["_id"], {}).values())
    ]
    questions = [row["text"] for row in queries]
    return Corpus(
        name,
        chunks,
        CachingEmbedder(embedder, cache).embed_chunks([one.embedded_text for one in chunks]),
        questions,
        query_vectors(questions, embedder, cache),
        [judged[row["_id"]] for row in queries],
    )


def read_documents(folder: Path) -> Iterator[Document]:
    """The documents of a set; files are called by their names."""
    if not (folder / "docs").is_dir():
        for row in read_jsonl(folder / "corpus.jsonl"):
            title = row.get("title") or ""
            yield Document(row["_id"], row["text"], "", title, "text", "plain")
        return
    settings = Settings.load()
    roots, _ = resolve([folder / "docs"], {})
    with assembly.open_loader(settings) as loader:
        for found in walk(roots, assembly.loading_options(settings)):
            if isinstance(found, CorpusFile):
                yield replace(loader.load(found), source=Path(found.source).name)


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


def print_table(title: str, rows: Sequence[Mapping[str, object]], measure: str) -> None:
    """Markdown: a row for each set, a column for each rule."""
    print(f"\n| {title} | chunks | questions | {' | '.join(RULES)} |")
    print("|---|" + "---|" * (len(RULES) + 2))
    for row in rows:
        cells = [cell(row, name, measure) for name in RULES]
        print(f"| {row['set']} | {row['chunks']} | {row['questions']} | {' | '.join(cells)} |")
    means = [np.mean([float(str(row[f"{name} {measure}"])) for row in rows]) for name in RULES]
    print("| mean | | | " + " | ".join(f"{mean:.4f}" for mean in means) + " |")


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
    parser.add_argument("--more", nargs="*", type=Path, default=[], help="folders of further sets")
    parser.add_argument("--sets", nargs="*", help="names of the sets; all where left out")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    root = arguments.data_folder / "retrieval"
    folders = sorted(
        root.rglob("qrels.tsv"), key=lambda path: path.with_name("corpus.jsonl").stat().st_size
    )
    named = {str(path.parent.relative_to(root)): path.parent for path in folders}
    wanted = {name: named[name] for name in named if not arguments.sets or name in arguments.sets}
    wanted |= {folder.name: folder for folder in arguments.more}
    embedder = assembly.open_configured_embedder(Settings.load())
    cache = VectorCache(arguments.cache)
    sets, small = [], []
    for name, folder in wanted.items():
        corpus = read_corpus(folder, name, embedder, cache)
        sets.append(corpus.answered())
        small.append(corpus.small())
        print(f"{name}: {sets[-1].chunk_count} chunks", file=sys.stderr)
    rows, small_rows = [measured(one) for one in sets], [measured(one) for one in small]
    proof = fusion_choice.left_out(sets, small) if len(sets) > 1 else []
    if arguments.json:
        print(json.dumps({"sets": rows, "small": small_rows, "left_out": proof}, indent=1))
        return 0
    print_table("nDCG@10", rows, "nDCG@10")
    print_table("Recall@100", rows, "Recall@100")
    print_table(f"nDCG@10 of {DRAWN_DOCUMENTS} documents", small_rows, "nDCG@10")
    fusion_choice.print_proof(proof)
    return 0


if __name__ == "__main__":
    sys.exit(main())
