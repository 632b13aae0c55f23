"""Peak memory of ingesting a corpus and one ten times as large, above the index's own.

    python scripts/benchmark/memory.py [--documents 300] [--json]

Text is generated, the embedder hashes words: what is measured is the line itself. The index's
own memory is what a process grows by when it opens the finished collection and asks once.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

OVERRIDES = {
    "embedding.backend": "retriever.testing:HashingEmbedder",
    "embedding.model": "hashing",
    "embedding.dimension": 384,
    "chunking.tokens": 128,
}

INGEST = """
import json, resource, sys
from retriever import Settings, ingest
settings = Settings.load(**json.loads(sys.argv[1]))
report = ingest(sys.argv[2], settings)
print(json.dumps([report.chunks.total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""

OPEN = """
import json, resource, sys
from retriever import Retriever, Settings, ingest
from retriever.testing import HashingEmbedder
import chromadb
def used():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024
before = used()
with Retriever.open(Settings.load(**json.loads(sys.argv[1]))) as retriever:
    retriever.retrieve("alpha beta")
    print(json.dumps(used() - before))
"""


def write_corpus(folder: Path, documents: int) -> None:
    """Documents of about 1,500 words."""
    draw = random.Random(documents)
    words = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "bdgklmnrst"]
    folder.mkdir()
    for number in range(documents):
        paragraphs = [" ".join(draw.choices(words, k=75)) + f" item{number}." for _ in range(20)]
        (folder / f"{number:06d}.txt").write_text("\n\n".join(paragraphs), encoding="utf-8")


def python(script: str, *arguments: str) -> object:
    """What a script printed, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def measure(documents: int) -> dict[str, float]:
    """Peak, index and the difference, in MB."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "corpus"
        write_corpus(folder, documents)
        overrides = json.dumps(OVERRIDES | {"storage.path": str(Path(work) / "state")})
        chunks, peak = python(INGEST, overrides, str(folder))
        index = python(OPEN, overrides)
    return {
        "documents": documents,
        "chunks": chunks,
        "peak_mb": round(peak / 1024, 1),
        "index_mb": round(index / 1024, 1),
        "above_index_mb": round((peak - index) / 1024, 1),
    }


def main() -> None:
    """Print both rows and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [measure(arguments.documents), measure(10 * arguments.documents)]
    ratio = round(rows[1]["above_index_mb"] / rows[0]["above_index_mb"], 3)
    if arguments.json:
        print(json.dumps({"rows": rows, "ratio": ratio}, indent=2))
        return
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    print(f"\nabove the index, ten times the corpus takes {ratio} times the memory")


if __name__ == "__main__":
    main()
