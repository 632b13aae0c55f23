"""A section's text becomes blocks: paragraphs, list items, code blocks, tables, rows."""

import re
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import NamedTuple

from retriever.records import Markup


class Break(IntEnum):
    """How good a place for a cut is, the best first."""

    HARD = 0
    SECTION = 1
    BLOCK = 2
    ITEM = 3
    SENTENCE = 4
    LEAD = 5
    """After a heading, a caption, or a line that announces what follows."""
    LINE = 6
    WORD = 7
    CHARACTER = 8


class Block(NamedTuple):
    """A stretch of text that reads as one: no whitespace at its ends."""

    start: int
    end: int
    at: Break
    """The cut before it."""
    by_lines: bool
    """Whether its lines mean something: code and tables, not wrapped prose."""


_FENCE, _ITEM = r"`{3,}|~{3,}", r"(?:[-*+•]|\d{1,9}[.)])[^\S\n]"
_WRAPPED = r"\S[^\n]{0,158}(?:\n|\Z)"
"""A line beyond this length is not wrapped: it is a paragraph of its own."""
_LINE = re.compile(
    rf"[^\S\n]*+(?:(?:(?P<fence>{_FENCE})|(?P<row>\|)|(?P<item>{_ITEM}))[^\n]*+\n?"
    rf"|(?P<wrapped>{_WRAPPED}(?:[^\S\n]*+(?!{_FENCE}|\||{_ITEM}){_WRAPPED})*+)"
    r"|(?P<long>\S)[^\n]*+\n?|\n(?:[^\S\n]*+\n)*+|)"
)
"""A line, or as many as can be told to belong together: wrapped ones, blank ones."""
_ROW = re.compile(r"[^\n]+")
_CAPTION_CHARACTERS = 80
_PROSE = ("wrapped", "long")
_ITEM_START = re.compile(_ITEM)
_CODE_BREAKS = {"line": Break.SENTENCE, "inner": Break.ITEM, "outer": Break.BLOCK}
_ANNOUNCES = (":", "：")
_CLOSES = (*".!?…。！？؟۔।,;", *_ANNOUNCES)


def blocks(text: str, start: int, end: int, markup: Markup, *, first: Break) -> Iterator[Block]:
    """The blocks of text[start:end], in order; together they hold all of it but whitespace.

    `first` is the cut before the first one, which what stands above decides.
    """
    waiting: Block | None = None
    for begin, stop, kind in _trimmed(text, start, end, markup):
        by_lines = markup in ("code", "table") or kind in ("fence", "row")
        at = _break_before(text, waiting, kind) if waiting else first
        if waiting:
            heads = at is Break.LEAD and kind in _PROSE and waiting.at is Break.BLOCK
            yield waiting._replace(at=Break.SECTION) if heads else waiting
        waiting = Block(begin, stop, at, by_lines)
    if waiting:
        yield waiting


def _trimmed(text: str, start: int, end: int, markup: Markup) -> Iterator[tuple[int, int, str]]:
    """Start, end and kind of each block."""
    openings = _OPENINGS[markup](text, start, end)
    opened, kind = next(openings, (start, "long"))
    if text[start:opened].strip():
        opened = start
    while opened < end:
        following, following_kind = next(openings, (end, "long"))
        if trimmed := trim(text, opened, following):
            yield *trimmed, kind
        opened, kind = following, following_kind


def trim(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The span without the whitespace at its ends, or None where nothing is left."""
    piece = text[start:end]
    lead = len(piece) - len(piece.lstrip())
    if lead == len(piece):
        return None
    return start + lead, start + len(piece.rstrip())


def _break_before(text: str, previous: Block, kind: str) -> Break:
    if kind in _CODE_BREAKS:
        return _CODE_BREAKS[kind]
    if kind == "item" and _ITEM_START.match(text, previous.start):
        return Break.ITEM
    last = text[max(previous.start, previous.end - _CAPTION_CHARACTERS) : previous.end]
    if kind in _PROSE:
        short = previous.end - previous.start < _CAPTION_CHARACTERS and "\n" not in last
        return Break.LEAD if short and not last.endswith(_CLOSES) else Break.BLOCK
    return Break.LEAD if last.endswith(_ANNOUNCES) else Break.BLOCK


def _prose_openings(
    text: str, start: int, end: int, *, markdown: bool
) -> Iterator[tuple[int, str]]:
    """Where blocks begin, and what they are: wrapped, long, item, row (a whole table) or fence."""
    current: str | None = None
    fence = ""
    for line in _LINE.finditer(text, start, end):
        kind = line.lastgroup
        if fence:
            if kind == "fence" and line["fence"].startswith(fence) and _ends_fence(line):
                fence, current = "", None
            continue
        goes_on = kind == current == "row" or (
            kind == "wrapped" and (current == "wrapped" or current == "item")
        )
        if kind and not goes_on:
            yield line.start(), kind
        if kind == "fence" and markdown:
            fence = line["fence"]
        current = kind


def _ends_fence(line: re.Match[str]) -> bool:
    return not line.string[line.end("fence") : line.end()].strip(" \t\r\n`~")


def _markdown_openings(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    return _prose_openings(text, start, end, markdown=True)


def _plain_openings(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    return _prose_openings(text, start, end, markdown=False)


def _code_openings(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """Runs of lines between blank ones; those that begin at the margin are the better cuts."""
    blank = True
    for line in _LINE.finditer(text, start, end):
        if blank and line.lastgroup:
            yield line.start(), "inner" if text[line.start()].isspace() else "outer"
        blank = line.lastgroup is None


def _row_openings(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """Every line that is not blank."""
    for line in _ROW.finditer(text, start, end):
        if not line[0].isspace():
            yield line.start(), "line"


_OPENINGS: dict[Markup, Callable[[str, int, int], Iterator[tuple[int, str]]]] = {
    "markdown": _markdown_openings,
    "plain": _plain_openings,
    "code": _code_openings,
    "table": _row_openings,
}
