"""Judged sets in BEIR's layout: corpus.jsonl, queries.jsonl and qrels.tsv (or qrels/test.tsv).

Thakur et al. 2021, "BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information
Retrieval Models". Ids are whatever their makers chose: they are compared, shown and nothing
else. A document's file is named by its number.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retriever.errors import SettingsError
from retriever.evaluation.questions import Answer, Question, read_rows

ROOT = "documents"
"""Name of the root that a set's documents are written to."""
_JUDGEMENTS = ("qrels.tsv", "qrels/test.tsv", "qrels/dev.tsv", "qrels/train.tsv")
_COLUMNS = 3
_MOST_GRADE = 1_000
"""Judges give a handful of grades; the measures' engine miscounts numbers of machine size."""
_MOST_TITLE_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """A set as it was read. Answers name documents by their ids."""

    name: str
    folder: Path
    questions: tuple[Question, ...]
    """Those that were judged, the unanswerable ones included."""
    unjudged: int
    """Queries of which nothing is said: they are not asked."""
    missing: int
    """Judged documents that the corpus lacks."""


def is_judged_set(path: Path) -> bool:
    """Whether a path is a folder, and so has to be a set in this layout."""
    return path.is_dir()


def read_judged_set(folder: Path) -> JudgedSet:
    """Read a set's questions and judgements.

    A query is unanswerable if it was judged and no document is relevant, or if its line says
    `"answerable": false` (also in its `metadata`).

    Raises:
        SettingsError: a file is missing, or a line is not what the layout asks for.
    """
    for name in ("corpus.jsonl", "queries.jsonl"):
        if not (folder / name).is_file():
            raise SettingsError(
                f"{folder} is no set of judged questions: it has no {name}. A folder needs "
                "corpus.jsonl, queries.jsonl and qrels.tsv (or qrels/test.tsv)."
            )
    grades = _grades(_judgements(folder))
    known = {identifier for identifier, _ in _documents(folder)}
    questions, unjudged, asked = [], 0, set()
    for number, row in read_rows(folder / "queries.jsonl"):
        identifier = _field(row, "_id", folder / "queries.jsonl", number)
        text = _field(row, "text", folder / "queries.jsonl", number)
        asked.add(identifier)
        judged = grades.get(identifier)
        if not text.strip() or (judged is None and _answerable(row)):
            unjudged += 1
            continue
        answers = tuple(Answer(source=one, grade=g) for one, g in (judged or {}).items() if g > 0)
        questions.append(Question(text=text, answers=answers, id=identifier))
    if not questions:
        raise SettingsError(
            f"No query of {folder} was judged: the ids in queries.jsonl and in "
            f"{_judgements(folder).relative_to(folder)} have none in common."
        )
    missing = {one for one in asked & grades.keys() for one in grades[one]} - known
    return JudgedSet(folder.name, folder, tuple(questions), unjudged, len(missing))


def write_corpus(folder: Path, target: Path) -> dict[str, str]:
    """Write a set's documents as files below `target`: the source of each file to its id.

    A document with a title is Markdown whose front matter names it; one without is plain text.
    """
    target.mkdir(parents=True, exist_ok=True)
    ids: dict[str, str] = {}
    for number, (identifier, row) in enumerate(_documents(folder)):
        title, text = _title(row), str(row.get("text") or "")
        name = f"{number:07d}.{'md' if title else 'txt'}"
        head = f"---\ntitle: {json.dumps(title, ensure_ascii=False)}\n---\n\n" if title else ""
        path = target / name
        data = (head + text).encode("utf-8", "replace")
        if not path.is_file() or path.read_bytes() != data:
            path.write_bytes(data)
        ids[f"{ROOT}/{name}"] = identifier
    return ids


def _title(row: Any) -> str:
    """A document's title on one line, as YAML can hold it."""
    words = " ".join(str(row.get("title") or "").split())
    shown = "".join(letter for letter in words if letter.isprintable())
    return shown.encode("utf-8", "replace").decode("utf-8")[:_MOST_TITLE_CHARACTERS].strip()


def _documents(folder: Path) -> Iterator[tuple[str, Any]]:
    path, seen = folder / "corpus.jsonl", set()
    for number, row in read_rows(path):
        identifier = _field(row, "_id", path, number)
        if identifier in seen:
            raise SettingsError(f"{path}, line {number}: the id {identifier!r} was there before.")
        seen.add(identifier)
        yield identifier, row


def _field(row: Any, name: str, path: Path, number: int) -> str:
    if not isinstance(row, dict) or not isinstance(row.get(name), str | int):
        raise SettingsError(f'{path}, line {number}: an object with "{name}" was expected.')
    return str(row[name])


def _answerable(row: Any) -> bool:
    """Whether nothing says that a query has no answer."""
    said = row.get("metadata")
    return row.get("answerable") is not False and not (
        isinstance(said, dict) and said.get("answerable") is False
    )


def _judgements(folder: Path) -> Path:
    for name in _JUDGEMENTS:
        if (folder / name).is_file():
            return folder / name
    raise SettingsError(
        f"{folder} has no judgements: qrels.tsv or qrels/test.tsv is missing. Each of its lines "
        "is: query id, document id, grade, with tabs between them."
    )


def _grades(path: Path) -> dict[str, dict[str, int]]:
    """Query id to document id to grade, from lines of three columns, or TREC's four."""
    grades: dict[str, dict[str, int]] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from error
    for number, line in enumerate(lines, start=1):
        cells = line.removesuffix("\r").split("\t")
        if len(cells) < _COLUMNS and not line.strip():
            continue
        if len(cells) == _COLUMNS + 1:
            del cells[1]  # TREC's iteration, which nobody uses
        try:
            query, document, grade = (cell.strip() for cell in cells)
            value = float(grade)
        except ValueError as error:
            if number == 1:  # names of the columns
                continue
            raise SettingsError(
                f"{path}, line {number}: {line[:80]!r} is no judgement. Expected query id, "
                "document id and grade, with tabs between them."
            ) from error
        if not abs(value) <= _MOST_GRADE:  # NaN included
            raise SettingsError(
                f"{path}, line {number}: {grade[:80]!r} is no grade. Expected a number from "
                f"-{_MOST_GRADE:,} to {_MOST_GRADE:,}, such as 0 for what does not answer and 1 "
                "for what does."
            )
        grades.setdefault(query, {})[document] = round(value)
    return grades
