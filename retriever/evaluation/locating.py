"""Where the words of an answer stand: its text, looked up in what the collection holds."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace

from retriever import assembly
from retriever.collection.physical import PhysicalCollection
from retriever.evaluation.questions import Answer, Question
from retriever.settings import Settings

MOST_WORDS = 2_000
"""Longer texts are looked up as they are, without allowing for other white space."""
MOST_BLANK_CHARACTERS = 1_000_000
"""Between a document's chunks, all in all: where they stand is what their rows say, and a row
that says something absurd must not take memory."""


def locate_answers(questions: Sequence[Question], settings: Settings) -> list[Question]:
    """The questions, with a span for each answer that gives only its text.

    A text is looked for as it is, then with white space of any kind between its words. What is
    not found is warned of and counts by its document or page.
    """
    wanted = {a.source for one in questions for a in one.answers if _is_open(a)}
    if not wanted:
        return list(questions)
    with assembly.open_store(settings) as store:
        data = store.physical(store.state(settings.collection).live)
        texts = {source: stored_text(data, source) for source in sorted(wanted)}
    located = [
        replace(one, answers=tuple(_located(a, texts.get(a.source, "")) for a in one.answers))
        for one in questions
    ]
    lost = [a for one in located for a in one.answers if _is_open(a) and texts.get(a.source)]
    if lost:
        warnings.warn(
            f"The text of {len(lost)} answers does not stand in their documents, such as "
            f"{lost[0].text[:60]!r} in {lost[0].source!r}. They count by document.",
            stacklevel=2,
        )
    return located


def stored_text(data: PhysicalCollection, source: str) -> str:
    """A document's text as its chunks hold it, in place; what no chunk holds is line feeds.

    It ends before a chunk that says it stands further off than line feeds may fill.
    """
    chunks = data.passages(dict.fromkeys(data.stored_chunks([source])[source], 0.0)).values()
    pieces: list[str] = []
    length, blanks = 0, MOST_BLANK_CHARACTERS
    for chunk in sorted(chunks, key=lambda one: one.start):
        gap = max(0, chunk.start - length)
        if gap > blanks:
            break
        text = chunk.text[max(0, length - chunk.start) :]
        pieces += ["\n" * gap, text]
        length, blanks = length + gap + len(text), blanks - gap
    return "".join(pieces)


def find_span(text: str, words: str) -> tuple[int, int] | None:
    """Start and end of `words` in `text`, allowing for other white space; None where absent."""
    start = text.find(words)
    if start >= 0:
        return start, start + len(words)
    parts = words.split()
    if not parts or len(parts) > MOST_WORDS:
        return None
    found = re.search(r"\s+".join(map(re.escape, parts)), text)
    return found.span() if found else None


def _is_open(answer: Answer) -> bool:
    return bool(answer.text.strip()) and answer.start is None


def _located(answer: Answer, text: str) -> Answer:
    span = find_span(text, answer.text) if _is_open(answer) else None
    return replace(answer, start=span[0], end=span[1]) if span else answer
