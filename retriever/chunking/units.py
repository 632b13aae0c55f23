"""A document becomes units: the largest stretches of it that fit a chunk."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from retriever.chunking.blocks import Block, Break, blocks, trim
from retriever.chunking.framing import Frame, Framing
from retriever.chunking.packing import Unit
from retriever.chunking.sections import sections
from retriever.chunking.sentences import SPLITTERS
from retriever.chunking.token_costs import CHARACTERS_PER_TOKEN, TokenCosts
from retriever.records import Document

_BATCH_PIECES = 512
_BATCH_CHARACTERS = 200_000


class Piece(NamedTuple):
    """A stretch of text that may still be too long."""

    block: Block
    frame: Frame
    is_heading: bool


def document_pieces(document: Document, framing: Framing) -> Iterator[Piece]:
    """The headings and blocks of a document, in order."""
    text = document.text
    empty_heading_depth = 0
    for section in sections(document):
        frame = framing.frame(section.path)
        depth = len(section.path)
        at = Break.HARD if section.hard else Break.SECTION
        if section.has_heading:
            if 0 < empty_heading_depth < depth:
                at = Break.LEAD
            if trimmed := trim(text, section.start, section.body_start):
                yield Piece(Block(*trimmed, at, by_lines=False), frame, is_heading=True)
            empty_heading_depth, at = depth, Break.LEAD
        body = blocks(text, section.body_start, section.end, document.markup, first=at)
        for block in body:
            empty_heading_depth = 0
            yield Piece(block, frame, is_heading=False)


class UnitReader:
    """Turns pieces of one text into units that fit, the later ones after the earlier."""

    def __init__(self, text: str, costs: TokenCosts) -> None:
        self._text = text
        self._costs = costs
        self._end = 0

    def units(self, pieces: Iterable[Piece], *, fineness: int = 0) -> Iterator[Unit]:
        """The pieces as units; one that does not fit is split, first by `SPLITTERS[fineness]`."""
        for batch in self._batches(pieces):
            for piece, cost in zip(batch, self._costs_of(batch), strict=True):
                if cost <= piece.frame.room or fineness == len(SPLITTERS):
                    yield self._unit(piece, cost)
                else:
                    yield from self._split(piece, fineness)

    def _costs_of(self, batch: list[Piece]) -> list[int]:
        """What each piece costs; one that is too long by its length alone is not read for that."""
        spans = [(piece.block.start, piece.block.end, piece.frame.room) for piece in batch]
        texts = [
            self._text[start:end] if end - start <= CHARACTERS_PER_TOKEN * room else ""
            for start, end, room in spans
        ]
        costs = self._costs.of(texts)
        if "" not in texts:
            return costs
        return [
            max(cost, (end - start) // CHARACTERS_PER_TOKEN + 1) if not text else cost
            for text, cost, (start, end, _) in zip(texts, costs, spans, strict=True)
        ]

    def _split(self, piece: Piece, fineness: int) -> Iterator[Unit]:
        finer = SPLITTERS[fineness](self._text, piece.block)
        pieces = (Piece(block, piece.frame, piece.is_heading) for block in finer)
        return self.units(pieces, fineness=fineness + 1)

    def _unit(self, piece: Piece, cost: int) -> Unit:
        block = piece.block
        gap_cost = self._costs.of_gap(self._text, self._end, block.start) if self._end else 0
        self._end = block.end
        return Unit(
            block.start, block.end, block.at, cost, gap_cost,
            piece.frame, piece.is_heading, block.by_lines,
        )  # fmt: skip

    def _batches(self, pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
        batch: list[Piece] = []
        characters = 0
        for piece in pieces:
            batch.append(piece)
            characters += piece.block.end - piece.block.start
            if len(batch) == _BATCH_PIECES or characters > _BATCH_CHARACTERS:
                yield batch
                batch, characters = [], 0
        if batch:
            yield batch
