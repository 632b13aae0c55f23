"""Chroma's approximate index by its settings: recall, time of a query, speed of writing, disk.

    python scripts/benchmark/hnsw.py FOLDER... [--chunks 20000 100000] [--queries 300]

The vectors are the default model's, of sentences and their neighbours from the files in FOLDER
(repeated with the words of two files mixed where there are too few); queries are runs of words.
What is exact is computed beside. This is how `retriever/collection/index.py` was chosen.
"""

import argparse
import itertools
import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retriever import assembly
from retriever.collection.index import INDEX
from retriever.protocols import Embedder
from retriever.settings import Settings

Vectors = NDArray[np.float32]

SEED = 20_261_123
GRID = [(100, 16), (200, 16), (400, 16), (200, 24), (200, 32)]
"""`ef_construction` and `max_neighbors`."""
WIDTHS = (100, 200, 400)
"""`ef_search`."""
DEPTHS = (10, 100)
ROWS_A_WRITE = 1_024


def passages(folders: Sequence[Path], count: int, embedder: Embedder) -> list[str]:
    """So many different passages of at most 60 words."""
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    texts = [path.read_text(encoding="utf-8", errors="replace").split() for path in files]
    if not texts:
        raise SystemExit(f"There is no file in {', '.join(map(str, folders))}.")
    chance = random.Random(SEED)
    found: dict[str, None] = {}
    for words in texts:
        for start in range(0, len(words), 60):
            found[" ".join(words[start : start + 60])] = None
    while len(found) < 1.1 * count:
        parts = []
        for words in chance.choices(texts, k=2):
            start = chance.randrange(max(1, len(words) - 30))
            parts += words[start : start + 30]
        found[" ".join(parts)] = None
    chosen = list(found)
    chance.shuffle(chosen)
    counts = embedder.count_tokens(chosen)
    window = embedder.fingerprint.window_tokens
    return [text for text, tokens in zip(chosen, counts, strict=True) if tokens <= window][:count]


def questions(texts: Sequence[str], count: int) -> list[str]:
    """Runs of 4 to 10 words from passages."""
    chance = random.Random(SEED + 1)
    found = []
    for text in itertools.cycle(texts):
        words = re.findall(r"\w+", text)
        if len(words) > 12:
            start = chance.randrange(len(words) - 10)
            found.append(" ".join(words[start : start + chance.randint(4, 10)]))
        if len(found) == count:
            break
    return found


def measure(vectors: Vectors, queries: Vectors, construction: int, neighbors: int) -> Iterator[str]:
    """A row of the table for each width of the search."""
    import chromadb

    folder = tempfile.mkdtemp()
    quiet = chromadb.config.Settings(anonymized_telemetry=False)
    settings = dict(INDEX["hnsw"]) | {"ef_construction": construction, "max_neighbors": neighbors}
    client = chromadb.PersistentClient(folder, settings=quiet)
    made = client.create_collection(
        "vectors", embedding_function=None, configuration={"hnsw": settings}
    )
    began = time.perf_counter()
    for start in range(0, len(vectors), ROWS_A_WRITE):
        part = vectors[start : start + ROWS_A_WRITE]
        made.add(ids=[str(start + place) for place in range(len(part))], embeddings=part)
    rate = len(vectors) / (time.perf_counter() - began)
    size_mb = sum(one.stat().st_size for one in Path(folder).rglob("*") if one.is_file()) / 1e6
    exact = [np.argsort(-(vectors @ query), kind="stable")[: max(DEPTHS)] for query in queries]
    for width in WIDTHS:
        made.modify(configuration={"hnsw": {"ef_search": width}})
        client.close()
        client = chromadb.PersistentClient(folder, settings=quiet)
        made = client.get_collection("vectors", embedding_function=None)
        recalls, times_ms = ask(made, queries, exact)
        yield (
            f"| {len(vectors):,} | {construction} | {neighbors} | {width} | "
            + " | ".join(f"{recall:.4f}" for recall in recalls)
            + f" | {np.median(times_ms):.2f} ms | {rate:,.0f} rows/s | {size_mb:,.0f} MB |"
        )
    client.close()
    shutil.rmtree(folder)


def ask(
    made: object, queries: Vectors, exact: Sequence[NDArray[np.intp]]
) -> tuple[list[float], list[float]]:
    """Mean recall at each depth, and the time of each query in milliseconds."""
    right, times_ms = [0.0 for _ in DEPTHS], []
    for query, nearest in zip(queries, exact, strict=True):
        began = time.perf_counter()
        answer = made.query(  # type: ignore[attr-defined]
            query_embeddings=query[None], n_results=max(DEPTHS), include=["distances"]
        )
        times_ms.append((time.perf_counter() - began) * 1e3)
        found = [int(one) for one in answer["ids"][0]]
        for place, depth in enumerate(DEPTHS):
            right[place] += len(set(found[:depth]) & set(nearest[:depth].tolist())) / depth
    return [total / len(queries) for total in right], times_ms


def main() -> None:
    """Embed, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--chunks", type=int, nargs="+", default=[20_000])
    parser.add_argument("--queries", type=int, default=300)
    arguments = parser.parse_args()
    embedder = assembly.open_configured_embedder(Settings.load())
    texts = passages(arguments.folders, max(arguments.chunks), embedder)
    vectors = embedder.embed_chunks(texts)
    asked = np.stack([embedder.embed_query(one) for one in questions(texts, arguments.queries)])
    print("| chunks | ef_construction | max_neighbors | ef_search |", end="")
    print("".join(f" recall@{depth} |" for depth in DEPTHS), "query p50 | writing | disk |")
    print("|" + "---|" * (7 + len(DEPTHS)))
    for count in arguments.chunks:
        for construction, neighbors in GRID:
            for row in measure(vectors[:count], asked, construction, neighbors):
                print(row, flush=True)


if __name__ == "__main__":
    main()
