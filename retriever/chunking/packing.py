"""Units become chunks: as full as their room allows, cut where the text itself parts."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from retriever.chunking.blocks import Break
from retriever.chunking.framing import Frame


class Unit(NamedTuple):
    """A stretch of text that is not cut any further, and what it costs in tokens."""

    start: int
    end: int
    at: Break
    """The cut before it."""
    cost: int
    gap_cost: int
    """What the whitespace before it costs, where it does not begin a chunk."""
    frame: Frame
    is_heading: bool
    by_lines: bool

    @property
    def room(self) -> int:
        """Tokens of text that a chunk may hold which begins here."""
        return self.frame.heading_room if self.is_heading else self.frame.room


_PENALTY = {
    Break.HARD: 0.0,
    Break.SECTION: 0.0,
    Break.BLOCK: 0.3,
    Break.ITEM: 0.4,
    Break.SENTENCE: 1.4,
    Break.LEAD: 1.55,
    Break.LINE: 1.55,
    Break.WORD: 1.9,
    Break.CHARACTER: 2.2,
}
"""What a cut costs, measured against the part of a chunk's room that it would leave unused."""
_CONTENT_WEIGHT = 0.8
"""How much the words before a cut decide on it, which makes cuts fall in the same places again
after something was inserted above."""
_LEAST_FILL = 0.3
"""The part of what has been gathered that a cut has to leave in the chunk before it."""
_SMALL_TAIL = 1 / 3
"""A last chunk that fills less of its room than this shares with the one before it."""


def pack(text: str, units: Iterable[Unit]) -> Iterator[list[Unit]]:
    """Group units into chunks that keep to the room of their first unit."""
    before: list[Unit] = []
    group: list[Unit] = []
    filled = 0
    for unit in units:
        if unit.at is Break.HARD:
            yield from _last_two(text, before, group)
            before, group, filled = [], [], 0
        while group and filled + unit.gap_cost + unit.cost > group[0].room:
            if before:
                yield before
            cut = _best_cut(text, [*group, unit], group[0].room)
            before, group = group[:cut], group[cut:]
            filled = cost_of(group)
        filled += unit.cost + (unit.gap_cost if group else 0)
        group.append(unit)
    yield from _last_two(text, before, group)


def cost_of(units: Sequence[Unit]) -> int:
    """Tokens of the units and of what lies between them."""
    return sum(unit.cost + unit.gap_cost for unit in units) - (units[0].gap_cost if units else 0)


def _best_cut(text: str, units: list[Unit], room: int) -> int:
    """Before which unit to cut, some way through all but the last one, which does not fit."""
    least = cost_of(units[:-1]) * _LEAST_FILL
    best, best_score, filled = 1, -9.0, 0
    room = max(room, 1)  # there is none where single characters are parted
    for place, unit in enumerate(units):
        if filled >= least and place:
            score = filled / room - _PENALTY[unit.at]
            score += _CONTENT_WEIGHT * _content(text, units[place - 1])
            if score >= best_score:
                best, best_score = place, score
        filled += unit.cost + (unit.gap_cost if place else 0)
    return best


def _content(text: str, unit: Unit) -> float:
    """A number from 0 to 1 that depends on the unit's last words alone."""
    words = text[max(unit.start, unit.end - 48) : unit.end]
    return zlib.crc32(words.encode("utf-8", "surrogatepass")) / 2**32


def _last_two(text: str, before: list[Unit], last: list[Unit]) -> Iterator[list[Unit]]:
    """The last chunks of a stretch, evened out where the very last one is small."""
    if before and last and cost_of(last) < _SMALL_TAIL * last[0].room:
        both = [*before, *last]
        if cost_of(both) <= both[0].room:
            before, last = [], both
        else:
            cut = _even_cut(both, len(before))
            before, last = both[:cut], both[cut:]
    if before:
        yield before
    if last:
        yield last


def _even_cut(units: list[Unit], cut: int) -> int:
    """Before which unit to cut so that both halves fit and are near to equal; `cut` does fit."""
    total, room = cost_of(units), units[0].room
    best, best_score, filled = cut, -9.0, 0
    for place, unit in enumerate(units):
        if place and filled <= room and total - filled <= unit.room:
            score = -abs(filled - total / 2) / room - _PENALTY[unit.at]
            if score > best_score:
                best, best_score = place, score
        filled += unit.cost + (unit.gap_cost if place else 0)
    return best
