"""What an ingest does when the provider of its vectors goes wrong, one fault at a time.

    python scripts/benchmark/faults.py [--json]

A server on this machine speaks OpenAI's protocol and charges tokens. Each fault strikes the third
request of an ingest of 200 documents; the last one kills the process that ingests. A run that
stops is followed by another, without a fault.
`paid` are the tokens of all runs, `useless` those of answers that came too late, cut or wrong;
paid twice is what remains beyond the price of a run without a fault.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from provider_faults import Outcome, outcomes

HEADINGS = (
    "fault",
    "first run",
    "requests",
    "paid",
    "useless",
    "paid twice",
    "chunks",
    "as without",
)


def row(one: Outcome, clean: Outcome) -> tuple[object, ...]:
    """The cells of a row."""
    twice = one.tokens - one.useless_tokens - clean.tokens
    same = "yes" if one.as_without else "NO"
    cells = (one.fault, one.first_run, one.requests, f"{one.tokens:,}")
    return (*cells, f"{one.useless_tokens:,}", f"{twice:,}", one.chunks, same)


def main() -> None:
    """Run every fault and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    as_json = parser.parse_args().json
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        found = list(outcomes(Path(folder)))
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=2))
        return
    print("| " + " | ".join(HEADINGS) + " |")
    print("|" + " --- |" * len(HEADINGS))
    for one in found:
        print("| " + " | ".join(str(cell) for cell in row(one, found[0])) + " |")


if __name__ == "__main__":
    main()
