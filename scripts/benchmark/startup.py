"""How long commands take from Enter to their end: help, import, a first search, an idle ingest.

    python scripts/benchmark/startup.py FOLDER [--config FILE] [--repeat 10] [--json]

FOLDER is ingested once. Then the commands take turns, each in a process of its own, and medians
are shown: with warm disk caches, and the model converted already where it runs through OpenVINO.
`bare` is a Python that does nothing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("retriever"))
QUERY = "how do I send a custom header with a request?"


def commands(folder: Path, config: str | None) -> dict[str, list[str]]:
    """What is timed, by name."""
    configured = ["--config", config] if config else []
    return {
        "bare": [sys.executable, "-c", "pass"],
        "import retriever": [sys.executable, "-c", "import retriever"],
        "--help": [COMMAND, "--help"],
        "search": [COMMAND, "search", QUERY, *configured],
        "search --mode lexical": [COMMAND, "search", QUERY, "--mode", "lexical", *configured],
        "ingest, nothing changed": [COMMAND, "ingest", str(folder), *configured],
    }


def timed_s(command: list[str], environment: dict[str, str]) -> float:
    """Wall time of one process."""
    began_s = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    took_s = time.perf_counter() - began_s
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr.decode()[-500:]}")
    return took_s


def measure(folder: Path, config: str | None, repeat: int) -> dict[str, object]:
    """Median, least and most of each command, and how many chunks there are."""
    with tempfile.TemporaryDirectory() as work:
        environment = os.environ | {"RETRIEVER_STORAGE__PATH": str(Path(work) / "state")}
        each = commands(folder, config)
        first = [*each["ingest, nothing changed"], "--json"]
        made = subprocess.run(first, env=environment, stdout=subprocess.PIPE, check=True)
        took_s: dict[str, list[float]] = {name: [] for name in each}
        for round_ in range(repeat + 1):
            for name, command in each.items():
                seconds = timed_s(command, environment)
                if round_:
                    took_s[name].append(seconds)
        rows = {
            name: {
                "median_s": round(statistics.median(found), 3),
                "least_s": round(min(found), 3),
                "most_s": round(max(found), 3),
            }
            for name, found in took_s.items()
        }
        return {"chunks": json.loads(made.stdout)["chunks"]["total"], "repeat": repeat, **rows}


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config")
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.folder.resolve(), arguments.config, arguments.repeat)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['chunks']} chunks, {found['repeat']} rounds")
    print("| command | median s | least s | most s |\n| --- | --- | --- | --- |")
    for name, row in found.items():
        if isinstance(row, dict):
            print(f"| {name} | {row['median_s']} | {row['least_s']} | {row['most_s']} |")


if __name__ == "__main__":
    main()
