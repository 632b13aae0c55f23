"""Embed the chunks of a folder with each runtime: tokens a second, query time, agreement.

    python scripts/benchmark/embedding_runtimes.py FOLDER [--chunks 512] [--rounds 5] [--json]

The runtimes take turns, round by round, on the same chunks; figures are medians over the
rounds. Chunks are those of an ingest with default settings. `agreement` is the mean and the
lowest cosine to torch in float32.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from retriever.assembly import embedder_options, loading_options, open_chunker, open_loader
from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.loading.walking import walk
from retriever.protocols import Embedder, Vectors
from retriever.records import CorpusFile, Root
from retriever.settings import Settings

QUERY = "how do I send a custom header with a request?"
QUERIES_PER_ROUND = 20
RUNTIMES = {
    "torch float32": {"runtime": "torch", "precision": "float32"},
    "torch auto": {"runtime": "torch", "precision": "auto"},
    "openvino float32": {"runtime": "openvino", "precision": "float32"},
    "openvino auto": {"runtime": "openvino", "precision": "auto"},
}


@dataclass(slots=True)
class Timings:
    """What was measured for one runtime."""

    load_s: float
    seconds: list[float] = field(default_factory=list)
    query_ms: list[float] = field(default_factory=list)
    cosines: tuple[float, float] = (1.0, 1.0)


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=Settings().embedding.model)
    parser.add_argument("--chunks", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-tokens", type=int)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    settings = Settings.load(embedding__model=arguments.model)
    options = embedder_options(settings)
    if arguments.batch_tokens:
        options = replace(options, batch_tokens=arguments.batch_tokens)
    texts = list(islice(_chunks(settings, options, arguments.folder), arguments.chunks))
    embedders = {name: open_embedder(_with(options, name)) for name in RUNTIMES}
    tokens = sum(next(iter(embedders.values())).count_tokens(texts))
    measured = _measure(embedders, texts, arguments.rounds)
    if arguments.json:
        print(json.dumps({name: asdict(timing) for name, timing in measured.items()}, indent=1))
        return
    print(f"{len(texts)} chunks, {tokens} tokens, {arguments.rounds} rounds, {arguments.model}")
    print("| runtime | load s | tokens/s | chunks/s | query ms | agreement |")
    print("|---|---|---|---|---|---|")
    for name, timing in measured.items():
        seconds = statistics.median(timing.seconds)
        print(
            f"| {name} | {timing.load_s:.1f} | {tokens / seconds:.0f} | "
            f"{len(texts) / seconds:.0f} | {statistics.median(timing.query_ms):.1f} | "
            f"{timing.cosines[0]:.5f}, {timing.cosines[1]:.5f} |"
        )


def _with(options: EmbedderOptions, runtime: str) -> EmbedderOptions:
    return replace(options, **RUNTIMES[runtime])  # type: ignore[arg-type]


def _chunks(settings: Settings, options: EmbedderOptions, folder: Path) -> Iterator[str]:
    chunker = open_chunker(settings, open_embedder(options))
    root = Root(name=folder.name, path=folder.resolve())
    with open_loader(settings) as loader:
        for file in walk([root], loading_options(settings)):
            if isinstance(file, CorpusFile):
                yield from (chunk.embedded_text for chunk in chunker.chunk(loader.load(file)))


def _measure(embedders: dict[str, Embedder], texts: list[str], rounds: int) -> dict[str, Timings]:
    measured = {
        name: Timings(_timed(lambda e=embedder: e.embed_query(QUERY))[0])
        for name, embedder in embedders.items()
    }
    vectors: dict[str, Vectors] = {}
    for _ in range(rounds):
        for name, embedder in embedders.items():
            seconds, vectors[name] = _timed(lambda e=embedder: e.embed_chunks(texts))
            measured[name].seconds.append(seconds)
            for _ in range(QUERIES_PER_ROUND):
                seconds, _ = _timed(lambda e=embedder: e.embed_query(QUERY))
                measured[name].query_ms.append(seconds * 1000)
    exact = next(iter(vectors.values()))
    for name, timing in measured.items():
        cosines = np.sum(vectors[name] * exact, axis=1)
        timing.cosines = (float(cosines.mean()), float(cosines.min()))
    return measured


def _timed(work: Callable[[], Vectors]) -> tuple[float, Vectors]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


if __name__ == "__main__":
    main()
