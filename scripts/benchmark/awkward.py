"""Load real, difficult files and compare each outcome with the one that is right.

    python scripts/benchmark/awkward.py DATA_FOLDER [--json]

DATA_FOLDER holds `awkward/manifest.tsv` and the files that it names. The right outcome of a
file is `text`, `locked`, `empty`, `broken` or `any`; where a text is expected, the share of its
words that were found is shown (words are runs of letters and digits, compared without case).
Then `folders/curl-docs` and `sec-10-q/docs` are walked and loaded, for the time that it takes.
"""

import argparse
import csv
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from retriever.errors import LoadingError
from retriever.loading import DocumentLoader, LoadingOptions
from retriever.loading.walking import walk
from retriever.records import CorpusFile, Document, Root
from retriever.settings.tree import LoadingSettings

FOLDERS = ("folders/curl-docs", "sec-10-q/docs")
_WORD = re.compile(r"[^\W_]+")
_LOCKED = re.compile(r"^password-protected")
_EMPTY = re.compile(r"^(?:no text|empty file)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    file: str
    format: str
    expected: str
    ours: str
    reason: str
    word_recall: float | None
    seconds: float
    right: bool


def main() -> int:
    """Print the table; exit code 1 where an outcome is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    outcomes = list(_outcomes(arguments.data_folder / "awkward"))
    speeds = [_speed(arguments.data_folder / folder) for folder in FOLDERS]
    if arguments.json:
        result = {"files": [asdict(each) for each in outcomes], "folders": speeds}
        print(json.dumps(result, indent=1))
    else:
        _print_table(outcomes)
        for speed in speeds:
            print("{folder}: {files} files, {characters} characters in {seconds} s".format(**speed))
    return 0 if all(outcome.right for outcome in outcomes) else 1


def _outcomes(folder: Path) -> Iterator[Outcome]:
    options = LoadingOptions(**LoadingSettings().model_dump())
    with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    with DocumentLoader(options) as loader:
        for row in rows:
            yield _outcome(loader, folder, row)


def _outcome(loader: DocumentLoader, folder: Path, row: dict[str, str]) -> Outcome:
    path = folder / row["file"]
    status = path.stat()
    file = CorpusFile(row["file"], path, status.st_size, status.st_mtime_ns)
    begin = time.perf_counter()
    document: Document | None = None
    reason = ""
    try:
        document = loader.load(file)
    except LoadingError as error:
        reason = error.reason
    seconds = time.perf_counter() - begin
    ours = "text" if document else _kind(reason)
    recall = None
    expected_text = (row.get("expected_text") or "").strip()
    if expected_text:
        expected = (folder / expected_text).read_text(encoding="utf-8", errors="replace")
        recall = _word_recall(expected, document.text if document else "")
    return Outcome(
        row["file"],
        row["format"],
        row["expect"],
        ours,
        reason,
        recall,
        round(seconds, 3),
        row["expect"] in {"any", ours},
    )


def _speed(folder: Path) -> dict[str, str | int | float]:
    options = LoadingOptions(**LoadingSettings().model_dump())
    files = characters = 0
    begin = time.perf_counter()
    with DocumentLoader(options) as loader:
        for found in walk([Root(folder.name, folder.resolve())], options):
            if isinstance(found, CorpusFile):
                characters += len(loader.load(found).text)
                files += 1
    seconds = round(time.perf_counter() - begin, 2)
    name = str(folder.relative_to(folder.parents[1]))
    return {"folder": name, "files": files, "characters": characters, "seconds": seconds}


def _kind(reason: str) -> str:
    if _LOCKED.match(reason):
        return "locked"
    return "empty" if _EMPTY.match(reason) else "broken"


def _word_recall(expected: str, found: str) -> float | None:
    """Share of the expected words, each as often as it is expected, that were found."""
    wanted = Counter(_WORD.findall(expected.lower()))
    got = Counter(_WORD.findall(found.lower()))
    total = sum(wanted.values())
    return round(sum((wanted & got).values()) / total, 3) if total else None


def _print_table(outcomes: list[Outcome]) -> None:
    print(f"{'file':58} {'expected':8} {'ours':7} {'recall':>6} {'s':>6}  reason")
    for each in outcomes:
        recall = "" if each.word_recall is None else f"{each.word_recall:.3f}"
        mark = "" if each.right else "   <-- wrong"
        print(
            f"{each.file[:58]:58} {each.expected:8} {each.ours:7} {recall:>6} "
            f"{each.seconds:6.2f}  {each.reason}{mark}"
        )
    recalls = [each.word_recall for each in outcomes if each.word_recall is not None]
    right = sum(each.right for each in outcomes)
    kinds = Counter(each.ours for each in outcomes)
    print(
        f"\n{right} of {len(outcomes)} outcomes right; "
        + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        + f"; mean word recall {sum(recalls) / len(recalls):.3f} over {len(recalls)} files; "
        f"{sum(each.seconds for each in outcomes):.1f} s in all"
    )


if __name__ == "__main__":
    sys.exit(main())
