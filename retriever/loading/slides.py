"""Slides as one Markdown text: what the readers of presentations have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

from retriever.loading import headings, metadata
from retriever.loading.content import Content
from retriever.loading.decoding import storable
from retriever.records import PageSpan

_BETWEEN = "\n\n"
_NO_TITLES = frozenset({"", "powerpoint presentation", "powerpoint-präsentation", "untitled"})


@dataclass(frozen=True, slots=True)
class Slide:
    """What a slide shows."""

    title: str
    blocks: Sequence[str]
    """Paragraphs, lists and tables in Markdown, in the order of the file."""


def to_content(slides: Sequence[Slide], format: str, *, title: str, author: str) -> Content:
    """Write slides under one another, each a page, its title a heading of the second level."""
    texts: list[str] = []
    pages: list[PageSpan] = []
    position = 0
    for number, slide in enumerate(slides, 1):
        heading = " ".join(slide.title.split())
        blocks = [block.strip("\n") for block in slide.blocks if block.strip()]
        if blocks and not heading:
            heading = f"Slide {number}"  # or it would stand under the title of the one before
        text = storable(_BETWEEN.join([f"## {heading}"] * bool(heading) + blocks))
        pages.append(PageSpan(number, position, position + len(text)))
        texts.append(text)
        position += len(text) + len(_BETWEEN)
    whole = _BETWEEN.join(texts)
    kept, dropped = metadata.bounded({"author": author})
    name = " ".join(storable(title).split())
    return Content(
        whole,
        format,
        "markdown",
        title="" if name.lower() in _NO_TITLES else name[:500],
        headings=headings.find_markdown(whole),
        pages=tuple(pages),
        metadata=kept,
        warnings=dropped,
    )
