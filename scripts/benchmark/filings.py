"""Whether the right document is among the first five passages: quarterly reports as PDF.

    python scripts/benchmark/filings.py DATA [--state FOLDER] [--json]

DATA holds `sec-10-q`: `docs` with files such as "2023 Q1 AAPL.pdf", queries.jsonl and qrels.tsv.
Year, quarter and company become metadata by a pattern for their paths. The questions are asked
without a filter, and with one on the company and the quarter that they name themselves: nothing
is taken from their answers.
"""

import argparse
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from quality import read_jsonl, read_judgements

from retriever import Settings, ingest
from retriever.evaluation.measures import parse_measure
from retriever.evaluation.questions import Answer, Question
from retriever.evaluation.report import table
from retriever.evaluation.runs import EvaluationOptions, judged
from retriever.evaluation.temporary import Built, cost_of

PATTERN = "{year} {quarter} {company}.pdf"
COMPANIES = {"Apple": "AAPL", "Amazon": "AMZN", "NVIDIA": "NVDA", "Intel": "INTC",
             "Microsoft": "MSFT"}  # fmt: skip
MEASURES = tuple(map(parse_measure, ("Success@5", "nDCG@10", "RR")))
_QUARTER = re.compile(r"\bQ([1-4])\b(?:\s+(20[0-9]{2}))?")
_YEAR_FIRST = re.compile(r"\b(20[0-9]{2})\s+Q([1-4])\b")
PASSAGES = 5


def questions(folder: Path) -> list[Question]:
    """The questions and the documents that answer them."""
    grades = read_judgements(folder / "qrels.tsv")
    return [
        Question(row["text"], tuple(Answer(f"docs/{name}") for name in grades[row["_id"]]))
        for row in read_jsonl(folder / "queries.jsonl")
        if row["_id"] in grades
    ]


def named(text: str) -> dict[str, object]:
    """A filter on what a question names: companies, quarters, years."""
    clauses: dict[str, object] = {}
    if companies := [code for name, code in COMPANIES.items() if name.lower() in text.lower()]:
        clauses["company"] = companies
    pairs = {(int(year), f"Q{quarter}") for year, quarter in _YEAR_FIRST.findall(text)}
    pairs |= {(int(year), f"Q{quarter}") for quarter, year in _QUARTER.findall(text) if year}
    if pairs:
        clauses["$or"] = [{"year": year, "quarter": quarter} for year, quarter in sorted(pairs)]
    elif quarters := sorted({f"Q{quarter}" for quarter, _ in _QUARTER.findall(text)}):
        clauses["quarter"] = quarters
    return clauses


def measure(folder: Path, state: Path) -> Iterator[dict[str, object]]:
    """Ingest, ask without and with a filter, judge."""
    settings = Settings.load(storage__path=state, loading={"path_metadata": [PATTERN]})
    ingest(folder / "docs", settings)
    built = Built(settings, cost_of(settings))
    plain = questions(folder)
    filtered = [replace(one, where=named(one.text) or None) for one in plain]
    options = EvaluationOptions(measures=MEASURES, passages=PASSAGES)
    for name, asked in (("no filter", plain), ("company and quarter named", filtered)):
        found = judged(asked, built, options, name=name)
        yield {
            "asked with": name,
            "questions": len(asked),
            "filtered": sum(one.where is not None for one in asked),
            **{
                measure_name: f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"
                for measure_name, one in found.estimates.items()
            },
        }


def main() -> None:
    """Print a row for each way to ask."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--state", type=Path, help="State folder to keep; a temporary one if not.")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        found = list(measure(arguments.data / "sec-10-q", arguments.state or Path(work)))
    if arguments.json:
        print(json.dumps(found, indent=1))
    else:
        print(table(list(found[0]), [[str(cell) for cell in row.values()] for row in found]))


if __name__ == "__main__":
    main()
