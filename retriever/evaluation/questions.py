"""Judged questions: what was asked, and where the answers stand."""

import difflib
import json
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retriever.errors import SettingsError

EXPECTED = '{"question": "...", "answers": [{"source": "..."}]}'
MOST_LINE_CHARACTERS = 50_000_000
"""A longer line is cut, and then no JSON: memory stays bounded whatever file was named."""
QUESTION_KEYS = ("question", "answers", "id", "where")
ANSWER_KEYS = ("source", "page", "start", "end", "text")
LIKENESS_OF_A_MISTAKE = 0.75
"""Of two words, from 0 to 1: `pge` is one of `page`, `drafted_by` is none of any key."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A place that answers a question: a document, a page of it, or a span."""

    source: str
    page: int | None = None
    start: int | None = None
    """Characters of the document's text, end exclusive, as `Passage.start` counts them."""
    end: int | None = None
    text: str = ""
    """The answering words, exactly as they stand in the document."""
    grade: int = 1
    """How well it answers; at least 1."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question and where it is answered; nowhere, where it cannot be answered."""

    text: str
    answers: tuple[Answer, ...]
    id: str = ""
    where: Mapping[str, object] | None = None
    """The filter that it is asked with, see `retriever.collection.filters`."""

    @property
    def sources(self) -> frozenset[str]:
        """The documents that answer it."""
        return frozenset(answer.source for answer in self.answers)

    @property
    def is_judged_by_page(self) -> bool:
        """Whether pages are judged, not documents: every answer names one."""
        return bool(self.answers) and all(answer.page is not None for answer in self.answers)


def read_questions(path: Path) -> list[Question]:
    """Judged questions from a JSONL file; those without answers cannot be answered.

    A line is `{"question": "...", "answers": [{"source": "...", ...}, ...]}`; an answer may also
    say "page", "start" and "end", or "text", and the line a filter, "where".

    Raises:
        SettingsError: the file is not there, or a line is something else.
    """
    questions = []
    for number, row in read_rows(path):
        try:
            questions.append(_question(row, number))
        except (ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                f"{path}, line {number}: not a question with its answers ({_why(error)}). "
                f"Expected {EXPECTED}."
            ) from error
    return questions


def read_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Line numbers, from 1, and objects of a JSONL file; only a line feed ends a line.

    Raises:
        SettingsError: the file cannot be read, or a line is not JSON.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as lines:
            number = 0
            while line := lines.readline(MOST_LINE_CHARACTERS):
                number += 1
                if line.strip():
                    yield number, _parsed(line, path, number)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}. Name a file of JSON lines."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8: {error.reason}. Convert it.") from error


def warn_of_strangers(questions: Sequence[Question], known: Collection[str], name: str) -> None:
    """Warn of answers whose documents a collection does not hold: they can never be found."""
    strangers = sorted({source for one in questions for source in one.sources} - set(known))
    if strangers:
        affected = sum(bool(one.sources - set(known)) for one in questions)
        warnings.warn(
            f"{len(strangers)} of the sources that answer are not in collection {name!r} "
            f"({affected} questions name one), such as {strangers[0]!r}. They count as not found.",
            stacklevel=2,
        )


def warn_of_absent_pages(
    questions: Sequence[Question], pages: Mapping[str, Collection[int]], name: str
) -> None:
    """Warn of answering pages on which no passage begins: they can never be found.

    Args:
        questions: those that are judged by page matter.
        pages: source to the pages on which its passages begin; other sources are not looked at.
        name: that of the collection.
    """
    absent = [
        {
            (answer.source, answer.page)
            for answer in one.answers
            if answer.source in pages and answer.page not in pages[answer.source]
        }
        for one in questions
        if one.is_judged_by_page
    ]
    places = sorted(set().union(*absent))
    if places:
        source, page = places[0]
        warnings.warn(
            f"No passage of collection {name!r} begins on {len(places)} of the pages that answer "
            f"({sum(map(bool, absent))} questions name one), such as page {page} of {source!r}. "
            "They count as not found; without a page, an answer counts by its document.",
            stacklevel=2,
        )


def _parsed(line: str, path: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            f"{path}, line {number}: not a question with its answers ({_why(error)}). "
            f"Expected {EXPECTED}."
        ) from error


def _refuse_misspelt(row: Any, known: Collection[str]) -> None:
    """Other keys are somebody's notes; one that is nearly a known one, and in its place, is not."""
    if not isinstance(row, dict):
        raise TypeError("it is no object")
    absent = set(known) - set(row)
    for key in sorted(set(row) - set(known)):
        if near := difflib.get_close_matches(key, absent, n=1, cutoff=LIKENESS_OF_A_MISTAKE):
            raise ValueError(f"there is no {key!r}; did you mean {near[0]!r}?")


def _question(row: Any, number: int) -> Question:
    _refuse_misspelt(row, QUESTION_KEYS)
    text = row["question"]
    if not isinstance(text, str) or not text.strip():
        raise ValueError("the question is empty or no text")
    if not isinstance(row["answers"], list):
        raise TypeError("the answers are no list")
    answers = tuple(_answer(one) for one in row["answers"])
    where = row.get("where")
    if where is not None and not isinstance(where, Mapping):
        raise TypeError("the filter (where) is no object")
    return Question(text=text, answers=answers, id=str(row.get("id", number)), where=where)


def _answer(row: Any) -> Answer:
    _refuse_misspelt(row, ANSWER_KEYS)
    source = row["source"]
    if not isinstance(source, str) or not source:
        raise ValueError("a source is empty or no text")
    page, start, end = (_whole(row, key) for key in ("page", "start", "end"))
    if (start is None) != (end is None) or (start is not None and not 0 <= start < (end or 0)):
        raise ValueError("a span needs start and end, and has to hold a character")
    text = row.get("text") or ""
    if not isinstance(text, str):
        raise TypeError("the text of an answer is no text")
    return Answer(source=source, page=page, start=start, end=end, text=text)


def _whole(row: Any, key: str) -> int | None:
    value = row.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise TypeError(f"{key} is no whole number")
    return value


def _why(error: Exception) -> str:
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
