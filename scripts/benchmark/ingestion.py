"""What an ingest costs: the first, one with nothing changed, one file changed, one removed.

    python scripts/benchmark/ingestion.py FOLDER [--config FILE] [--repeat 3] [--json]

Each row is a whole `retriever ingest --json` command: wall time, peak memory, counts. The
folder is copied first. Nothing-changed runs are repeated, and their median is shown.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("retriever"))


def run(corpus: Path, state: Path, config: str | None) -> dict[str, object]:
    """One command, measured from outside."""
    command = [COMMAND, "ingest", str(corpus), "--json", *(["--config", config] if config else [])]
    environment = os.environ | {"RETRIEVER_STORAGE__PATH": str(state)}
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    report = json.loads(output)
    return {
        "seconds": round(seconds, 2),
        "peak_mb": usage.ru_maxrss // 1024,
        **{key: report[key] for key in ("added", "updated", "unchanged", "deleted")},
        "skipped": len(report["skipped"]),
        **{f"chunks_{key}": value for key, value in report["chunks"].items()},
        "tokens": report["tokens"],
        "tokens_cut": report["tokens_cut"],
    }


def measure(folder: Path, config: str | None, repeat: int) -> list[dict[str, object]]:
    """The four kinds of run, in order."""
    with tempfile.TemporaryDirectory() as work:
        corpus, state = Path(work) / folder.name, Path(work) / "state"
        shutil.copytree(folder, corpus)
        rows = [{"run": "first", **run(corpus, state, config)}]
        again = [run(corpus, state, config) for _ in range(repeat)]
        median = statistics.median(float(str(one["seconds"])) for one in again)
        rows.append({"run": "nothing changed", **again[0], "seconds": median})
        files = sorted(path for path in corpus.rglob("*") if path.is_file() and path.suffix)
        with files[len(files) // 2].open("a", encoding="utf-8") as file:
            file.write("\n\nOne more paragraph at the end of this file.\n")
        rows.append({"run": "one file changed", **run(corpus, state, config)})
        files[len(files) // 3].unlink()
        rows.append({"run": "one file removed", **run(corpus, state, config)})
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = measure(arguments.folder, arguments.config, arguments.repeat)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


if __name__ == "__main__":
    main()
