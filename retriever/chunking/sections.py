"""Where a document falls into parts: at its headings and at the starts of its pages."""

from collections.abc import Iterator
from typing import NamedTuple

from retriever.records import Document, Heading

_DEEPEST_PATH = 12
"""Headings that a path keeps: beyond the deepest nesting that a person writes."""
_HARD_LEVEL = 2
"""No chunk reaches across a heading of this level or above."""


class Section(NamedTuple):
    """A part of a document that begins at a heading or a page, up to the next one."""

    start: int
    end: int
    body_start: int
    """Where the heading ends; `start` where the section has none."""
    path: tuple[str, ...]
    """The headings above the text, the section's own included."""
    hard: bool
    """Whether no chunk may reach across its start."""

    @property
    def has_heading(self) -> bool:
        """Whether it begins with a heading."""
        return self.body_start > self.start


def sections(document: Document) -> Iterator[Section]:
    """The sections of a document's body, in order, without gaps."""
    headings = {heading.start: heading for heading in _usable_headings(document)}
    hard_level = max(_HARD_LEVEL, min((h.level for h in headings.values()), default=0))
    pages = {page.start for page in document.pages}
    inside = (at for at in pages if document.body_start < at < len(document.text))
    starts = sorted({document.body_start, *inside, *headings})
    path: list[Heading] = []
    covered = 0
    for start, end in zip(starts, [*starts[1:], len(document.text)], strict=True):
        heading = headings.get(start)
        if heading:
            while path and path[-1].level >= heading.level:
                path.pop()
            path.append(heading)
            covered = heading.end
        names = tuple(above.text for above in path[-_DEEPEST_PATH:])
        hard = heading is not None and heading.level <= hard_level
        yield Section(start, end, min(end, max(start, covered)), names, hard)


def _usable_headings(document: Document) -> Iterator[Heading]:
    """Headings of the body that lie in the text, in order and apart from one another."""
    end = document.body_start
    for heading in sorted(document.headings, key=lambda heading: heading.start):
        if end <= heading.start < heading.end <= len(document.text):
            yield heading
            end = heading.end
