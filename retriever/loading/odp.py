"""Reader of ODP files: the slides, without the templates that stand in the same file."""

from collections.abc import Iterator
from typing import Any

from retriever.errors import LoadingError
from retriever.loading.content import Content, FileBytes, LoadingOptions
from retriever.loading.parts import Parts
from retriever.loading.slides import Slide, to_content
from retriever.loading.tables import grid

_NAMESPACE = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
_TEXT, _TABLE, _DRAW, _SHOW, _STYLE = (
    _NAMESPACE % name for name in ("text", "table", "drawing", "presentation", "style")
)
_PARAGRAPHS = (f"{_TEXT}p", f"{_TEXT}h")
_MAX_LEVEL = 9
_DC = "{http://purl.org/dc/elements/1.1/}"
_MAX_REPEATED = 50
_MAX_SPACES = 20
_REPEATED = frozenset({"date-time", "footer", "page-number", "header"})


def read(file: FileBytes, options: LoadingOptions) -> Content:
    """The text of the slides as Markdown, each slide a page; notes stand after their slide.

    Raises:
        LoadingError: the file is damaged or unpacks to too much.
    """
    parts = Parts(file, options)
    root = parts.tree("content.xml")
    numbered = frozenset(
        style.get(f"{_STYLE}name", "")
        for style in root.iter(f"{_TEXT}list-style")
        if (level := style.find(f"{_TEXT}list-level-style-number")) is not None
        and level.get(f"{_STYLE}num-format")
    )
    slides = [_Page(numbered).read(page) for page in root.iter(f"{_DRAW}page")]
    if not slides:
        raise LoadingError("no text: a presentation without slides")
    title = author = ""
    if "meta.xml" in parts.names:
        meta = parts.tree("meta.xml")
        title, author = (
            next((each.text or "" for each in meta.iter(f"{_DC}{name}")), "")
            for name in ("title", "creator")
        )
    return to_content(slides, file.format, title=title, author=author)


class _Page:
    """Reads one slide."""

    def __init__(self, numbered: frozenset[str]) -> None:
        self._numbered = numbered
        """Names of the list styles that count."""

    def read(self, page: Any) -> Slide:
        """The slide's titles, then its shapes in the order of the file, then its notes."""
        titles: list[str] = []
        blocks: list[str] = []
        notes: list[str] = []
        for shape in page:
            kind = shape.get(f"{_SHOW}class", "")
            if shape.tag == f"{_SHOW}notes":
                notes += [block for block in self._blocks(shape) if block.strip()]
            elif kind == "title":
                titles += [block for block in self._blocks(shape) if block.strip()]
            elif kind not in _REPEATED:
                blocks += self._blocks(shape)
        if notes:
            blocks.append("Notes: " + "\n\n".join(notes))
        return Slide(" ".join(titles), blocks)

    def _blocks(self, element: Any) -> Iterator[str]:
        """Paragraphs, lists and tables within an element, in their order."""
        tag = element.tag
        if tag in _PARAGRAPHS:
            yield _inline(element)
        elif tag == f"{_TEXT}list":
            yield "\n".join(self._items(element, 0))
        elif tag == f"{_TABLE}table":
            yield grid([list(_cells(row)) for row in element.iter(f"{_TABLE}table-row")])
        elif tag != f"{_DRAW}image":
            for child in element:
                yield from self._blocks(child)

    def _items(self, element: Any, level: int) -> Iterator[str]:
        is_numbered = element.get(f"{_TEXT}style-name", "") in self._numbered and level == 0
        for number, item in enumerate(element, 1):
            for child in item:
                if child.tag == f"{_TEXT}list":
                    yield from self._items(child, level + 1)
                elif text := " ".join(_inline(child).split()):
                    mark = f"{number}." if is_numbered else "-"
                    yield f"{'  ' * min(level, _MAX_LEVEL)}{mark} {text}"


def _cells(row: Any) -> Iterator[str]:
    for cell in row:
        if isinstance(cell.tag, str) and cell.tag.endswith("table-cell"):
            text = " ".join(_inline(each) for each in cell.iter(*_PARAGRAPHS))
            repeated = cell.get(f"{_TABLE}number-columns-repeated", "1")
            yield from [text] * _number(repeated, _MAX_REPEATED)


def _inline(element: Any) -> str:
    """The text of a paragraph; spaces, tabs and line breaks are elements of their own."""
    parts = [element.text or ""]
    for child in element:
        if child.tag == f"{_TEXT}s":
            parts.append(" " * _number(child.get(f"{_TEXT}c", "1"), _MAX_SPACES))
        elif child.tag in {f"{_TEXT}tab", f"{_TEXT}line-break"}:
            parts.append("\t" if child.tag.endswith("tab") else "\n")
        elif isinstance(child.tag, str):
            parts.append(_inline(child))
        parts.append(child.tail or "")
    return "".join(parts).strip()


def _number(text: str, most: int) -> int:
    return min(int(text), most) if text.isdecimal() and len(text) < 9 else 1
