"""Where a stretch of text may be cut when it is too long: sentences, lines, words, characters."""

import re
from collections.abc import Callable, Iterator

from retriever.chunking.blocks import Block, Break, trim

_CLOSERS = r"[\"'”’»)\]】」』）]{0,4}"
_SENTENCE_END = re.compile(
    rf"[.!?…؟۔։]{{1,8}}{_CLOSERS}(?=\s)"  # scripts that put a blank after a full stop
    rf"|[。！？｡．।॥።။]{{1,8}}{_CLOSERS}"  # scripts that need none
)
_ABBREVIATED = """
    e.g i.e etc vs cf al dr mr mrs ms prof sr jr st no nr vol fig eq sec ch pp approx inc ltd co
    corp dept est u.s u.k a.m p.m z.b d.h u.a bzw ca usw vgl evtl abs art bd hrsg p.ex
"""
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
_LAST_WORD_CHARACTERS = 12
_LEAST_CHARACTERS = 6
_MARKS = (
    "[\u0300-\u036f\u200d\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]{0,8}"  # never parted from a letter
)
_LINE = re.compile(r"[^\n]+")
_WORDS = re.compile(r"\S++(?:\s++\S++){0,7}")
_WORD = re.compile(r"\S+")
_CHARACTERS = re.compile(rf"\S{{1,32}}{_MARKS}")
_FEW_CHARACTERS = re.compile(rf"\S{{1,4}}{_MARKS}")
_CHARACTER = re.compile(r"\S")

Splitter = Callable[[str, Block], Iterator[Block]]


def sentences(text: str, block: Block) -> Iterator[Block]:
    """The sentences of a block; the first keeps the block's own cut."""
    start, at = block.start, block.at
    for stop in _SENTENCE_END.finditer(text, block.start, block.end):
        if stop.end() - start < _LEAST_CHARACTERS or _is_abbreviation(text, block.start, stop):
            continue
        if trimmed := trim(text, start, stop.end()):
            yield Block(*trimmed, at, block.by_lines)
            start, at = stop.end(), Break.SENTENCE
    if trimmed := trim(text, start, block.end):
        yield Block(*trimmed, at, block.by_lines)


def lines(text: str, block: Block) -> Iterator[Block]:
    """The lines of a block. In code and tables a blank line is the better cut."""
    at, end = block.at, block.start
    for line in _LINE.finditer(text, block.start, block.end):
        if trimmed := trim(text, line.start(), line.end()):
            if trimmed[0] > block.start:
                at = _break_before_line(text, end, line.start(), block.by_lines)
            yield Block(*trimmed, at, block.by_lines)
            end = line.end()


def _break_before_line(text: str, end: int, start: int, by_lines: bool) -> Break:
    if not by_lines:
        return Break.LINE
    return Break.ITEM if start - end > 1 and text.count("\n", end, start) > 1 else Break.SENTENCE


def _is_abbreviation(text: str, start: int, stop: re.Match[str]) -> bool:
    """Whether a full stop ends no sentence: `e.g.`, an initial, or a small letter after it."""
    if stop[0][0] != "." or stop[0][1:2] in (".", "!", "?", "…"):
        return False
    following = text[stop.end() : stop.end() + 2].strip()
    if following[:1].islower():
        return True
    before = text[max(start, stop.start() - _LAST_WORD_CHARACTERS) : stop.start()]
    word = before.split()[-1].lstrip("(\"'“").lower() if before.strip() else ""
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isascii() and word.isalpha())


def _by(pattern: re.Pattern[str], at: Break) -> Splitter:
    def split(text: str, block: Block) -> Iterator[Block]:
        for found in pattern.finditer(text, block.start, block.end):
            place = block.at if found.start() == block.start else at
            yield Block(found.start(), found.end(), place, block.by_lines)

    return split


SPLITTERS: tuple[Splitter, ...] = (
    lambda text, block: (lines if block.by_lines else sentences)(text, block),
    lines,
    _by(_WORDS, Break.WORD),
    _by(_WORD, Break.WORD),
    _by(_CHARACTERS, Break.CHARACTER),
    _by(_FEW_CHARACTERS, Break.CHARACTER),
    _by(_CHARACTER, Break.CHARACTER),
)
"""From coarse to fine: each is used on what the one before it left too long."""
