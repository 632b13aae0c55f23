"""Measure a query's time by stage, on made-up collections, and filters against Chroma's own.

    python scripts/benchmark/latency.py [--chunks 3000 20000 100000] [--queries 200]
        [--folder FOLDER] [--unfiltered] [--without-model] [--json]

Vectors and texts are made up (see `synthetic.py`); rows `with the model` are hybrid queries for
each of which the default model embeds a question of ten words, too: the whole that a user waits
for. Collections are kept in FOLDER, where it is given, and used again.
Exactness is the share of the ten nearest by exact search that an answer names, on 50 queries.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import synthetic

from retriever import assembly
from retriever.collection.filters import translate
from retriever.retrieval import Retriever
from retriever.retrieval.filling import read_vectors
from retriever.settings import Settings
from retriever.timing import stage_times

QUERY_WORDS = 7
JUDGED = 50
DEPTH = 10
WARMING = 20
FILTERS: Mapping[str, dict[str, object] | None] = {
    "no filter": None,
    "half": {"half": 1},
    "a tenth": {"tenth": 3},
    "a hundredth": {"hundredth": 42},
    "a range of years and a tag": {"year": {"$gte": 2020}, "tags": {"$contains": "t3"}},
}
Row = dict[str, object]


def percentiles_ms(seconds: Sequence[float]) -> tuple[float, float]:
    """p50 and p95, in milliseconds."""
    half, most = np.percentile(np.array(seconds) * 1e3, (50, 95))
    return round(float(half), 2), round(float(most), 2)


def timed(ask: Callable[[str], object], queries: Sequence[str]) -> Row:
    """p50 and p95 of the whole and p50 of each stage, in milliseconds."""
    whole: list[float] = []
    stages: dict[str, list[float]] = {}
    for query in queries:
        with stage_times() as times_s:
            began_s = time.perf_counter()
            ask(query)
            whole.append(time.perf_counter() - began_s)
        for name, seconds in times_s.items():
            stages.setdefault(name, []).append(seconds)
    half, most = percentiles_ms(whole)
    each = {name: percentiles_ms(seconds)[0] for name, seconds in sorted(stages.items())}
    return {"p50_ms": half, "p95_ms": most, "stages_p50_ms": each}


def with_model(folder: Path, queries: Sequence[str]) -> Row:
    """A hybrid query, embedding included."""
    settings = synthetic.settings(str(folder), embedder="ModelTimedEmbedder")
    with Retriever.open(settings) as retriever:
        for query in queries[:WARMING]:
            retriever.retrieve(query)
        return timed(retriever.retrieve, queries)


def measure(
    settings: Settings, queries: Sequence[str], *, filtered: bool
) -> Iterator[tuple[str, Row]]:
    """Each way to ask and what it takes."""
    with Retriever.open(settings) as retriever:
        for query in queries[:WARMING]:
            retriever.retrieve(query)
        for mode in ("hybrid", "semantic", "lexical"):
            yield (
                f"{mode}, no filter",
                timed(lambda query, mode=mode: retriever.retrieve(query, mode=mode), queries),
            )
        if not filtered:
            return
        began_s = time.perf_counter()
        first = [timed(ask(retriever, where), queries[:1])["p50_ms"] for where in FILTERS.values()]
        yield "hybrid, first query of each filter", dict(zip(FILTERS, first, strict=True))
        retriever._snapshots._filling.wait()
        yield "memory filled", {"s": round(time.perf_counter() - began_s, 1)}
        for name, where in list(FILTERS.items())[1:]:
            yield f"hybrid, {name}", timed(ask(retriever, where), queries)
        yield from exactness(retriever, settings, queries[:JUDGED])


def ask(retriever: Retriever, where: dict[str, object] | None) -> Callable[[str], object]:
    """A query with a filter."""
    return lambda query: retriever.retrieve(query, where=where)


def exactness(
    retriever: Retriever, settings: Settings, queries: Sequence[str]
) -> Iterator[tuple[str, Row]]:
    """Ours and Chroma's own filter against exact search: share of the nearest, and time."""
    embedder = assembly.open_configured_embedder(settings)
    vectors = np.stack([embedder.embed_query(query) for query in queries])
    with assembly.open_store(settings) as store:
        data = store.physical(store.state(settings.collection).live)
        table = read_vectors(data)
        data.rank(vectors[:1], count=1, where=None)
        for name, where in FILTERS.items():
            condition = translate(where)
            selected = table.select(data.matching_ids(condition))
            best = [
                {one.chunk_id for one in ranking}
                for ranking in table.rank(vectors, count=DEPTH, rows=selected.rows)
            ]
            ours = [
                {one.id for one in retriever.retrieve(query, where=where, mode="semantic",
                                                      top_k=DEPTH)}
                for query in queries
            ]  # fmt: skip
            chroma, seconds = [], []
            for vector in vectors:
                began_s = time.perf_counter()
                found = data.rank(vector[None], count=100, where=condition)[0][:DEPTH]
                seconds.append(time.perf_counter() - began_s)
                chroma.append({one.chunk_id for one in found})
            half, most = percentiles_ms(seconds)
            yield (
                f"exactness, {name}",
                {
                    "chunks": len(selected.ids),
                    "ours": shared(ours, best),
                    "chroma": shared(chroma, best),
                    "chroma_p50_ms": half,
                    "chroma_p95_ms": most,
                },
            )


def shared(found: Sequence[set[str]], best: Sequence[set[str]]) -> float:
    """Mean share of the best that was found."""
    shares = [len(one & other) / max(len(other), 1) for one, other in zip(found, best, strict=True)]
    return round(float(np.mean(shares)), 4)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, nargs="+", default=[3_000, 20_000, 100_000])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--unfiltered", action="store_true", help="leave filters out")
    parser.add_argument("--without-model", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    made = synthetic.texts(words=QUERY_WORDS, seed=1)
    queries = list(islice(made, arguments.queries))
    found: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as work:
        for chunks in arguments.chunks:
            folder = (arguments.folder or Path(work)) / str(chunks)
            for name, row in measured(folder, chunks, queries, arguments):
                found[f"{chunks} chunks: {name}"] = row
                if not arguments.json:
                    sys.stdout.write(f"{chunks} chunks: {name}: {json.dumps(row)}\n")
                    sys.stdout.flush()
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")


def measured(
    folder: Path, chunks: int, queries: Sequence[str], arguments: argparse.Namespace
) -> Iterator[tuple[str, Row]]:
    """The rows of one collection, which is made where it is not there."""
    settings = synthetic.settings(str(folder))
    if not folder.is_dir():
        synthetic.build(settings, chunks=chunks)
    if not arguments.without_model:
        yield "hybrid, with the model", with_model(folder, queries)
    yield from measure(settings, queries, filtered=not arguments.unfiltered)


if __name__ == "__main__":
    main()
