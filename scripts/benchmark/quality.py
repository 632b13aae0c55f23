"""nDCG@10 and Recall@100 of each way to search, on judged sets in BEIR's layout: a Markdown table.

    python scripts/benchmark/quality.py DATA --cache FOLDER [--sets adi med] [--questions 100]
        [--rerank] [--json]

DATA holds `retrieval/<set>` (or `retrieval/<set>/<language>`) with corpus.jsonl,
queries.jsonl and qrels.tsv. Each set is ingested once, as `retriever eval` does it, and asked by
meaning (semantic), by words (lexical), and by both: fused by reciprocal rank (RRF, constant 60)
and as the default does. The first three rank single chunks; a document counts by its best one.
Intervals are bootstrapped over questions, 95 of 100; `--questions` asks so many of each set,
drawn once for all. Vectors are kept in the cache, so that a
second run embeds nothing. With --json each set is an object on a line of its own.
"""

import argparse
import contextlib
import csv
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retriever.evaluation.asking import Answered, Depth, ask
from retriever.evaluation.beir import read_judged_set
from retriever.evaluation.measures import JudgedRanking, Values, judge, parse_measure
from retriever.evaluation.resampling import estimate
from retriever.evaluation.temporary import Built, built_from_set
from retriever.fusion import fuse_reciprocal
from retriever.settings import Settings

MEASURES = (parse_measure("nDCG@10"), parse_measure("Recall@100"))
DEPTH = Depth(units=100)


class Measured(NamedTuple):
    """What one set says of each way: way to measure to a value for each question."""

    documents: int
    chunks: int
    questions: int
    ways: Mapping[str, Mapping[str, Values]]


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


def judged_folders(data: Path, names: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Name and folder of each set, a set's languages one by one."""
    for folder in sorted((data / "retrieval").iterdir()):
        inner = [folder] if (folder / "corpus.jsonl").is_file() else sorted(folder.iterdir())
        for one in inner:
            name = folder.name if one is folder else f"{folder.name}-{one.name}"
            if not names or name in names or folder.name in names:
                yield name, one


def ways(built: Built, rerank: bool) -> dict[str, Settings]:
    """The settings of each way to search; RRF is made of the first two."""

    def changed(section: str, **values: object) -> Settings:
        part = getattr(built.settings, section).model_copy(update=values)
        return built.settings.model_copy(update={section: part})

    chunks = {"merge_neighbours": False, "duplicates": "none"}
    found = {
        "semantic": changed("retrieval", mode="semantic", **chunks),
        "lexical": changed("retrieval", mode="lexical", **chunks),
        "default": built.settings,
    }
    if rerank:
        found["default, late interaction"] = changed(
            "reranking", backend="late-interaction", timeout_s=600.0
        )
    return found


def reciprocal(semantic: Answered, lexical: Answered) -> list[str]:
    """Documents of both rankings of chunks by reciprocal rank, best first."""
    units = {
        passage.id: answered.unit_of(passage)
        for answered in (semantic, lexical)
        for passage in answered.passages
    }
    rankings = [
        [
            replace(passage.candidates[0], rank=rank)
            for rank, passage in enumerate(answered.passages, start=1)
        ]
        for answered in (semantic, lexical)
    ]
    return list(dict.fromkeys(units[one.chunk_id] for one in fuse_reciprocal(rankings)))


def measure(folder: Path, settings: Settings, *, rerank: bool, most: int | None) -> Measured:
    """Every way's measures on one set, of `most` of its questions."""
    questions = [one for one in read_judged_set(folder).questions if one.answers]
    if most is not None and most < len(questions):
        questions = random.Random(0).sample(questions, most)
    with contextlib.ExitStack() as stack:
        built = stack.enter_context(built_from_set(folder, settings))
        answers = {
            name: ask(one, questions, depth=DEPTH, ids=built.ids, timed=0)[0]
            for name, one in ways(built, rerank).items()
        }
    found = {
        name: [JudgedRanking(one.found, one.grades) for one in answered]
        for name, answered in answers.items()
    }
    pairs = zip(answers["semantic"], answers["lexical"], strict=True)
    found["RRF"] = [JudgedRanking(reciprocal(*pair), pair[0].grades) for pair in pairs]
    order = ["semantic", "lexical", "RRF", *list(found)[2:-1]]
    return Measured(
        documents=built.cost.documents,
        chunks=built.cost.chunks,
        questions=len(questions),
        ways={name: judge(found[name], MEASURES) for name in order},
    )


def cell(values: Values) -> str:
    """A mean with its interval."""
    one = estimate(values)
    return f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"


def rows(results: Mapping[str, Measured], measure_name: str) -> Iterator[list[str]]:
    """A row for each set, and the mean over the sets."""
    means: dict[str, list[float]] = {}
    for name, found in results.items():
        for way, values in found.ways.items():
            means.setdefault(way, []).append(float(np.mean(values[measure_name])))
        cells = [cell(values[measure_name]) for values in found.ways.values()]
        yield [f"{name} ({found.documents:,} / {found.questions:,})", *cells]
    yield ["mean of the sets", *(f"{np.mean(one):.3f}" for one in means.values())]


def print_tables(results: Mapping[str, Measured]) -> None:
    """A Markdown table for each measure."""
    for one in MEASURES:
        ways_shown = list(next(iter(results.values())).ways)
        lines = [[f"{one.name}: set (documents / questions)", *ways_shown]]
        lines += [["---"] * len(lines[0]), *rows(results, one.name)]
        print("\n".join(f"| {' | '.join(cells)} |" for cells in lines), end="\n\n")


def as_object(results: Mapping[str, Measured]) -> dict[str, object]:
    """Means and intervals, set by set."""

    def figures(values: Values) -> list[float]:
        one = estimate(values)
        return [round(number, 4) for number in (one.value, one.low, one.high)]

    return {
        name: found._asdict()
        | {
            "ways": {
                way: {measure_name: figures(values) for measure_name, values in one.items()}
                for way, one in found.ways.items()
            }
        }
        for name, found in results.items()
    }


def main() -> None:
    """Measure each set, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="Folder of the vectors.")
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("--rerank", action="store_true", help="With late interaction, too.")
    parser.add_argument("--questions", type=int, help="Of each set, so many at most.")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    settings = Settings.load(*arguments.config, embedding__cache_path=arguments.cache)
    results = {}
    for name, folder in judged_folders(arguments.data_folder, arguments.sets):
        results[name] = measure(folder, settings, rerank=arguments.rerank, most=arguments.questions)
        if arguments.json:
            print(json.dumps(as_object({name: results[name]})), flush=True)
    if not arguments.json:
        print_tables(results)


if __name__ == "__main__":
    main()
