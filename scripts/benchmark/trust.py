"""What trust costs: an ingest that finds nothing changed, and a reader's look for a new commit.

    python scripts/benchmark/trust.py [FOLDER] [--config FILE] [--repeat 5] [--queries 300] [--json]

Without FOLDER, 910 small files are made. The ingest is timed as a whole command, and a run of its
own says which heavy packages it imported. The look for a commit is timed alone, and as the
difference that it makes to queries, asked in turns with it and without.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from retriever.retrieval import Retriever
from retriever.retrieval.snapshots import Snapshot, Snapshots
from retriever.settings import Settings

FILES = 910
HEAVY = ("torch", "transformers", "sentence_transformers", "openvino", "onnxruntime")
_COMMAND = """
import json, sys
from retriever.cli import main
try:
    main()
finally:
    heavy = sorted(set(sys.modules) & set(%r))
    print("imported " + json.dumps(heavy), file=sys.stderr)
"""


def make_corpus(folder: Path) -> Path:
    """Small files of distinct words."""
    folder.mkdir()
    for number in range(FILES):
        text = f"# Note {number}\n\nPart {number} is kept on shelf {number * 7 % 101}.\n"
        (folder / f"{number:04}.md").write_text(text, encoding="utf-8")
    return folder


class Run(NamedTuple):
    """One whole command, seen from outside."""

    wall_s: float
    cpu_s: float
    unchanged: int


def ingest(corpus: Path, state: Path, config: str | None) -> Run:
    """Run the command: wall time, processor time, and files that it found unchanged."""
    command = [str(Path(sys.executable).with_name("retriever")), *_arguments(corpus, config)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        command, env=_environment(state), check=True, capture_output=True, text=True
    )
    wall_s = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall_s, cpu_s, json.loads(done.stdout)["unchanged"])


def imported(corpus: Path, state: Path, config: str | None) -> list[str]:
    """The heavy packages that a process holds at the end of the same command."""
    code = _COMMAND % (HEAVY,)
    command = [sys.executable, "-c", code, *_arguments(corpus, config)]
    done = subprocess.run(
        command, env=_environment(state), check=True, capture_output=True, text=True
    )
    line = next(one for one in done.stderr.splitlines() if one.startswith("imported "))
    names: list[str] = json.loads(line.removeprefix("imported "))
    return names


def _arguments(corpus: Path, config: str | None) -> list[str]:
    return ["ingest", str(corpus), "--json", *(["--config", config] if config else [])]


def _environment(state: Path) -> dict[str, str]:
    return os.environ | {"RETRIEVER_STORAGE__PATH": str(state)}


def time_queries(retriever: Retriever, queries: int) -> Iterator[tuple[float, float]]:
    """Milliseconds of a query with the look for a commit, and of one without."""
    unchecked = mock.patch.object(Snapshots, "_acquire", _acquire_unchecked)
    for number in range(queries):
        query = f"Where is part {number % FILES} kept?"
        checked_ms = _time_ms(retriever, query)
        with unchecked:
            yield checked_ms, _time_ms(retriever, query)


def _acquire_unchecked(snapshots: Snapshots) -> Snapshot:
    snapshots._current.users += 1
    return snapshots._current


def _time_ms(retriever: Retriever, query: str) -> float:
    started = time.perf_counter()
    retriever.retrieve(query)
    return (time.perf_counter() - started) * 1e3


def time_looks(retriever: Retriever, looks: int) -> Iterator[float]:
    """Milliseconds of the look for a commit alone."""
    for _ in range(looks):
        started = time.perf_counter()
        with retriever._snapshots.newest():
            yield (time.perf_counter() - started) * 1e3


def measure(arguments: argparse.Namespace, work: Path) -> dict[str, object]:
    """All figures, by what they are."""
    corpus = arguments.folder or make_corpus(work / "notes")
    state = work / "state"
    first = ingest(corpus, state, arguments.config)
    again = [ingest(corpus, state, arguments.config) for _ in range(arguments.repeat)]
    files = [arguments.config] if arguments.config else []
    settings = Settings.load(*files, **{"storage.path": state})
    with Retriever.open(settings) as retriever:
        retriever.retrieve("warm")
        pairs = list(time_queries(retriever, arguments.queries))
        looks = list(time_looks(retriever, arguments.queries))
    median = statistics.median
    return {
        "files unchanged": again[-1].unchanged,
        "first ingest, s": round(first.wall_s, 2),
        "nothing changed, s (median)": round(median(run.wall_s for run in again), 2),
        "nothing changed, s (fastest)": round(min(run.wall_s for run in again), 2),
        "nothing changed, processor s (median)": round(median(run.cpu_s for run in again), 2),
        "heavy packages imported": ", ".join(imported(corpus, state, arguments.config)) or "none",
        "query with the look, ms (median)": round(median(one for one, _ in pairs), 3),
        "query without, ms (median)": round(median(one for _, one in pairs), 3),
        "their difference, ms (median)": round(median(one - two for one, two in pairs), 3),
        "the look alone, ms (median)": round(median(looks), 3),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--config")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        figures = measure(arguments, Path(work))
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    print("| what | value |\n|---|---|")
    for what, value in figures.items():
        print(f"| {what} | {value} |")


if __name__ == "__main__":
    main()
