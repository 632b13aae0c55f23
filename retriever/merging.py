"""Neighbours become one passage: chunks that follow one another, joined over the exact span.

A joined passage is a slice of its document as every chunk is. Chunks are stored without the
whitespace between them; it is known where it is line breaks alone, since lines are counted, and
where the later chunk remembers it. Where it is not known, or long, nothing is joined: spans and
lines of an imported collection are what a file said.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile

from retriever.records import Passage

LONGEST_GAP_CHARACTERS = 1_000
"""Chunks that stand farther apart are not joined: no layout of a text needs as many blank lines."""


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk with its place in the order of its document's chunks."""

    passage: Passage
    ordinal: int
    """Its place among the document's chunks, from 0."""
    version: str
    """Of the document that it was cut from: parts of two versions are never joined."""
    gap: str = ""
    """The whitespace before it, where that is remembered."""


def merge_neighbours(ranking: Sequence[Part], around: Iterable[Part] = ()) -> list[Passage]:
    """Join the chunks of a ranking that follow one another in their document.

    A joined passage stands where its best chunk stood, with its id, score, candidates and
    metadata. Its headings are those that all of its chunks are under; its duplicates are
    those of all of them; its parts are the ranked ones.

    Args:
        ranking: chunks, best first.
        around: further chunks that stand beside them, of no rank of their own: each becomes
            part of the passage that it reaches without a break, or is left out.

    Returns:
        Passages, best first, not yet ranked anew; their spans do not overlap, unless the
        whitespace between them is not known.
    """
    place: dict[str, int] = {}
    parts: dict[str, Part] = {}
    for number, part in enumerate(ranking):
        place.setdefault(part.passage.id, number)
        parts.setdefault(part.passage.id, part)
    for part in around:
        parts.setdefault(part.passage.id, part)
    joined: list[tuple[int, Passage]] = []
    for run in _runs(parts.values()):
        ranked = [place[part.passage.id] for part in run if part.passage.id in place]
        if ranked:
            best = min(ranked)
            ordered = [parts[ranking[number].passage.id].passage for number in sorted(ranked)]
            joined.append((best, _joined(run, ordered)))
    return [passage for _, passage in sorted(joined, key=lambda one: one[0])]


def whitespace_between(before: Part, after: Part) -> str | None:
    """What is between two chunks: empty where they touch or overlap, None if long or not known."""
    first, second = before.passage, after.passage
    length = second.start - first.end
    if length <= 0:
        shared = first.text[second.start - first.start :] if second.start >= first.start else None
        return "" if shared is not None and second.text.startswith(shared) else None
    if length > LONGEST_GAP_CHARACTERS:
        return None
    line_breaks = second.line_start - first.line_end
    if len(after.gap) == length and after.gap.isspace() and after.gap.count("\n") == line_breaks:
        return after.gap
    return "\n" * length if length == line_breaks else None


def _runs(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Chunks that follow one another without a break, in the order of their documents."""
    run: list[Part] = []
    for part in sorted(parts, key=lambda one: (one.passage.source, one.version, one.ordinal)):
        if run and not _follows(run[-1], part):
            yield run
            run = []
        run.append(part)
    if run:
        yield run


def _follows(before: Part, after: Part) -> bool:
    same = (before.passage.source, before.version) == (after.passage.source, after.version)
    in_order = after.ordinal == before.ordinal + 1 and after.passage.end > before.passage.end
    return same and in_order and whitespace_between(before, after) is not None


def _joined(run: Sequence[Part], ranked: Sequence[Passage]) -> Passage:
    if len(run) == 1:
        return ranked[0]
    text = run[0].passage.text
    for before, after in pairwise(run):
        overlap = max(0, before.passage.end - after.passage.start)
        text += (whitespace_between(before, after) or "") + after.passage.text[overlap:]
    paths = [part.passage.heading_path for part in run]
    duplicates = {one.id: one for part in run for one in part.passage.duplicates}
    inside = {part.passage.id for part in run}
    return replace(
        ranked[0],
        text=text,
        start=run[0].passage.start,
        end=run[-1].passage.end,
        page=run[0].passage.page,
        line_start=run[0].passage.line_start,
        line_end=run[-1].passage.line_end,
        heading_path=_shared(paths),
        duplicates=tuple(one for chunk_id, one in duplicates.items() if chunk_id not in inside),
        parts=tuple(ranked),
    )


def _shared(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The headings, from the top, that are the same in all paths."""
    same = takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))
    return tuple(names[0] for names in same)
