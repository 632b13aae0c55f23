"""nDCG@10 and Recall@100 of the whole line on judged questions in BEIR's layout.

    python scripts/benchmark/quality.py FOLDER/cranfield FOLDER/med [--config FILE] [--json]

Each document becomes a Markdown file headed by its title, is ingested as any folder is, and
every question is answered by `Retriever`. A document's score is that of its best passage.
"""

import argparse
import csv
import json
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from retriever import Retriever, Settings, ingest

PASSAGES = 300
"""Passages asked for, so that about 100 different documents are among them."""


def read_jsonl(path: Path) -> Iterator[dict[str, str]]:
    """The objects of a JSONL file; only line feeds end a line."""
    with path.open(encoding="utf-8", newline="\n") as file:
        yield from (json.loads(line) for line in file if line.strip())


def read_judgements(path: Path) -> dict[str, dict[str, int]]:
    """Query id to document id to grade."""
    judged: dict[str, dict[str, int]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            query, document, grade = (value.strip() for value in row.values())
            judged.setdefault(query, {})[document] = int(grade)
    return judged


def ndcg(ranking: Sequence[str], grades: Mapping[str, int], depth: int) -> float:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002), linear gains."""
    gains = [grades.get(document, 0) for document in ranking[:depth]]
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:depth]
    best = sum(gain / math.log2(rank) for rank, gain in enumerate(ideal, start=2))
    found = sum(max(gain, 0) / math.log2(rank) for rank, gain in enumerate(gains, start=2))
    return found / best if best else 0.0


def recall(ranking: Sequence[str], grades: Mapping[str, int], depth: int) -> float:
    """The share of the relevant documents among the first `depth`."""
    relevant = {document for document, grade in grades.items() if grade > 0}
    return len(relevant & set(ranking[:depth])) / len(relevant) if relevant else 0.0


def measure(folder: Path, config: str | None, work: Path) -> dict[str, object]:
    """Ingest one set and answer its questions."""
    corpus = work / folder.name
    corpus.mkdir()
    documents = {}
    for number, document in enumerate(read_jsonl(folder / "corpus.jsonl")):
        name = f"{number:06d}.md"
        title = " ".join(document.get("title", "").split())
        text = f"# {title}\n\n{document['text']}" if title else document["text"]
        (corpus / name).write_text(text, encoding="utf-8")
        documents[f"{folder.name}/{name}"] = document["_id"]
    settings = Settings.load(
        *([config] if config else []), collection=folder.name, storage={"path": work / "state"}
    )
    report = ingest(corpus, settings)
    judged = read_judgements(folder / "qrels.tsv")
    queries = [one for one in read_jsonl(folder / "queries.jsonl") if one["_id"] in judged]
    with Retriever.open(settings) as retriever:
        started = time.perf_counter()
        answers = retriever.retrieve_many([one["text"] for one in queries], top_k=PASSAGES)
        seconds = time.perf_counter() - started
    rankings = [list(dict.fromkeys(documents[p.source] for p in found)) for found in answers]
    grades = [judged[one["_id"]] for one in queries]
    pairs = list(zip(rankings, grades, strict=True))
    return {
        "set": folder.name,
        "documents": len(documents),
        "chunks": report.chunks.total,
        "questions": len(queries),
        "tokens_cut": report.tokens_cut,
        "nDCG@10": round(sum(ndcg(r, g, 10) for r, g in pairs) / len(pairs), 4),
        "Recall@100": round(sum(recall(r, g, 100) for r, g in pairs) / len(pairs), 4),
        "ingest_s": report.seconds,
        "ms_per_question": round(1000 * seconds / len(queries), 1),
    }


def main() -> None:
    """Print one row for each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--config")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for folder in arguments.folders:
        with tempfile.TemporaryDirectory() as work:
            rows.append(measure(folder, arguments.config, Path(work)))
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


if __name__ == "__main__":
    main()
