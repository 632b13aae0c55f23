"""Packed chunks are counted as the model will read them; those that prove too long shrink."""

from collections.abc import Iterable, Iterator
from itertools import islice, takewhile
from typing import NamedTuple

from retriever.chunking.blocks import Block, Break
from retriever.chunking.embedded_text import ChunkingOptions, compose_embedded_text
from retriever.chunking.packing import Unit, cost_of, pack
from retriever.chunking.sentences import SPLITTERS, lines, sentences
from retriever.chunking.token_costs import CHARACTERS_PER_TOKEN, TokenCosts
from retriever.chunking.units import Piece, UnitReader
from retriever.errors import LoadingError

_BATCH_CHUNKS = 256


class Draft(NamedTuple):
    """A chunk whose size is known and that has no place and name yet."""

    start: int
    end: int
    title: str
    path: tuple[str, ...]
    embedded_text: str
    token_count: int


class Fitter:
    """Turns the groups of one text into drafts within the limit."""

    def __init__(
        self, text: str, *, options: ChunkingOptions, limit_tokens: int, costs: TokenCosts
    ) -> None:
        self._text = text
        self._options = options
        self._limit_tokens = limit_tokens
        self._costs = costs

    def drafts(self, groups: Iterable[list[Unit]]) -> Iterator[Draft]:
        """The groups as drafts, in order, with the overlap that is wanted.

        Raises:
            LoadingError: a single character takes more tokens than a chunk may have.
        """
        return self._counted(self._overlapping(groups))

    def _overlapping(self, groups: Iterable[list[Unit]]) -> Iterator[tuple[int, list[Unit]]]:
        before: list[Unit] = []
        for group in groups:
            start = group[0].start
            if self._options.overlap_tokens and before and group[0].at is not Break.HARD:
                start = self._overlap_start(before, group[0])
            yield start, group
            before = group

    def _overlap_start(self, before: list[Unit], first: Unit) -> int:
        """Where the last whole sentences or lines of a chunk begin that the overlap has room for.

        The start of the next chunk itself where not even one has.
        """
        most = min(self._options.overlap_tokens, first.room)
        end = before[-1].end
        start = max(before[0].start, end - CHARACTERS_PER_TOKEN * most)
        split = lines if before[-1].by_lines else sentences
        tail = Block(start, end, Break.BLOCK, before[-1].by_lines)
        spans = [(block.start, block.end) for block in split(self._text, tail)]
        if start > before[0].start:
            spans = spans[1:]  # the first one may have been cut by the look back
        begin, spent = first.start, 0
        costs = self._costs.of([self._text[start:end] for start, end in spans])
        for (start, _), cost in zip(reversed(spans), reversed(costs), strict=True):
            spent += cost
            if spent > most:
                break
            begin = start
        return begin

    def _counted(self, groups: Iterable[tuple[int, list[Unit]]]) -> Iterator[Draft]:
        groups = iter(groups)
        while batch := list(islice(groups, _BATCH_CHUNKS)):
            framed = [(group[0].frame.title, _path(group)) for _, group in batch]
            texts = [
                compose_embedded_text(title, path, self._text[start : group[-1].end], self._options)
                for (start, group), (title, path) in zip(batch, framed, strict=True)
            ]
            counts = self._costs.exact(texts)
            for (start, group), frame, text, count in zip(
                batch, framed, texts, counts, strict=True
            ):
                draft = Draft(start, group[-1].end, *frame, text, count)
                if count <= self._limit_tokens:
                    yield draft
                else:
                    shrunk = self._packed_smaller(draft, group)
                    yield from self._counted((group[0].start, group) for group in shrunk)

    def _packed_smaller(self, draft: Draft, group: list[Unit]) -> Iterator[list[Unit]]:
        """The group in smaller chunks, by what it really takes, without overlap.

        Each round leaves at most seven eighths of the room of the one before, so that rounds
        are few; the last one parts single characters and does without title and headings.
        """
        estimate = min(cost_of(group), group[0].room)
        room = min(estimate * self._limit_tokens // draft.token_count, estimate * 7 // 8)
        if room < 1 and draft.end - draft.start == 1 and not (draft.title or draft.path):
            raise LoadingError(
                f"the character {self._text[draft.start]!r} takes {draft.token_count} tokens, "
                f"more than the {self._limit_tokens} that a chunk may have"
            )
        pieces = (_smaller(unit, room) for unit in group)
        fineness = 0 if room else len(SPLITTERS) - 1
        units = UnitReader(self._text, self._costs).units(pieces, fineness=fineness)
        return pack(self._text, units)


def _smaller(unit: Unit, room: int) -> Piece:
    """The unit with less room; without title and headings where there is none at all."""
    frame = unit.frame._replace(
        room=min(unit.frame.room, room), heading_room=min(unit.frame.heading_room, room)
    )
    if not room:
        frame = frame._replace(title="", path=())
    return Piece(Block(unit.start, unit.end, unit.at, unit.by_lines), frame, unit.is_heading)


def _path(group: list[Unit]) -> tuple[str, ...]:
    """The headings that all of the text is under; or those of the first, where all are headings."""
    paths = {unit.frame.path for unit in group if not unit.is_heading}
    if not paths:
        return group[0].frame.path
    if len(paths) == 1:
        return paths.pop()
    same = takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))
    return tuple(names[0] for names in same)
