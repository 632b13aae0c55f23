"""Reader of PPTX files: slides in the order of the show, with tables and speaker notes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from retriever.errors import LoadingError
from retriever.loading.content import Content, FileBytes, LoadingOptions
from retriever.loading.parts import Parts
from retriever.loading.slides import Slide, to_content
from retriever.loading.tables import grid

_DC = "{http://purl.org/dc/elements/1.1/}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_TITLES = frozenset({"title", "ctrTitle"})
_CONTENT = frozenset({"obj", "body"})
_TRUE = frozenset({"1", "true"})
_REPEATED = frozenset({"dt", "ftr", "sldNum", "sldImg", "hdr"})  # on every slide, or no text


def read(file: FileBytes, options: LoadingOptions) -> Content:
    """The text of the slides as Markdown, each slide a page; notes stand after their slide.

    Charts, pictures and what layouts repeat on every slide are left out.

    Raises:
        LoadingError: the file is damaged or unpacks to too much.
    """
    parts = Parts(file, options)
    main = next(
        (name for kind, name in parts.relations("").values() if kind == "officeDocument"),
        "ppt/presentation.xml",
    )
    root = parts.tree(main)
    relations = parts.relations(main)
    slides = [
        _slide(parts, relations[each][1])
        for each in (_relation_id(entry) for entry in _named(root, "sldId"))
        if each in relations
    ]
    if not slides:
        raise LoadingError("no text: a presentation without slides")
    title, author = _properties(parts)
    return to_content(slides, file.format, title=title, author=author)


def _slide(parts: Parts, name: str) -> Slide:
    root = parts.tree(name)
    titles, blocks = _shown(root)
    relations = parts.relations(name).values()
    for kind, place in relations:
        if kind == "diagramData" and place in parts.names:
            blocks += _listed(list(_paragraphs(parts.tree(place))))
    for kind, place in relations:
        if kind == "notesSlide" and place in parts.names:
            notes = [
                block for block in _shown(parts.tree(place), bulleted=False)[1] if block.strip()
            ]
            blocks += ["Notes: " + "\n\n".join(notes)] if notes else []
    return Slide(" ".join(titles), blocks)


def _shown(root: Any, *, bulleted: bool = True) -> tuple[list[str], list[str]]:
    """The titles and the blocks of a slide, in the order of its shapes.

    What stands in a placeholder for content gets its bullets from the layout, if `bulleted`.
    """
    titles: list[str] = []
    blocks: list[str] = []
    pending = [(root, False)]
    while pending:
        element, in_content = pending.pop()
        local = _local(element.tag)
        if not local or element.tag == _FALLBACK:
            continue
        if local == "sp" and (kind := _placeholder(element)):
            if kind in _REPEATED:
                continue
            if kind in _TITLES:
                titles += [paragraph.text for paragraph in _paragraphs(element)]
                continue
            in_content = bulleted and kind in _CONTENT
        if local == "txBody":
            blocks += _listed(list(_paragraphs(element, in_content=in_content)))
        elif local == "tbl":
            blocks.append(grid(_rows(element)))
        else:
            pending.extend((child, in_content) for child in reversed(element))
    return titles, blocks


def _placeholder(shape: Any) -> str:
    for properties in shape:
        if _local(properties.tag) == "nvSpPr":
            return next((each.get("type", "obj") for each in _named(properties, "ph")), "")
    return ""


@dataclass(frozen=True, slots=True)
class _Paragraph:
    text: str
    level: int
    """Of the list that it stands in, from 0; -1 where it is no list item."""
    numbered: bool


def _paragraphs(element: Any, *, in_content: bool = False) -> Iterator[_Paragraph]:
    for paragraph in _named(element, "p"):
        parts = []
        level, bullet = 0, ""
        for each in paragraph.iter():
            local = _local(each.tag)
            if local == "t":
                parts.append(each.text or "")
            elif local == "br":
                parts.append("\n")
            elif local in {"buNone", "buChar", "buAutoNum", "buBlip"}:
                bullet = local
            elif local == "pPr":
                level = int(each.get("lvl", "0")) if each.get("lvl", "0") in "012345678" else 0
        lines = (" ".join(line.split()) for line in "".join(parts).split("\n"))
        text = "\n".join(line for line in lines if line)
        is_item = bullet != "buNone" and (bool(bullet) or in_content or level > 0)
        if text:
            yield _Paragraph(text, level if is_item else -1, bullet == "buAutoNum")


def _listed(paragraphs: Sequence[_Paragraph]) -> Iterator[str]:
    """Paragraphs as blocks; list items that follow one another are one block."""
    if len(paragraphs) == 1:
        yield paragraphs[0].text
        return
    for is_list, group in groupby(paragraphs, key=lambda paragraph: paragraph.level >= 0):
        if is_list:
            yield "\n".join(_items(list(group)))
        else:
            yield from (paragraph.text for paragraph in group)


def _items(paragraphs: Sequence[_Paragraph]) -> Iterator[str]:
    number = 0
    for each in paragraphs:
        number = number + 1 if each.numbered and each.level == 0 else 0
        mark = f"{number}." if number else "-"
        yield f"{'  ' * each.level}{mark} {' '.join(each.text.split())}"


def _rows(table: Any) -> list[list[str]]:
    """The cells' texts; what spans rows is repeated in each of them."""
    rows: list[list[str]] = []
    for row in _named(table, "tr"):
        cells: list[str] = []
        for cell in _named(row, "tc"):
            text = " ".join(paragraph.text for paragraph in _paragraphs(cell))
            if cell.get("vMerge") in _TRUE and rows and len(cells) < len(rows[-1]):
                text = rows[-1][len(cells)]
            cells.append(text)
        rows.append(cells)
    return rows


def _properties(parts: Parts) -> tuple[str, str]:
    if "docProps/core.xml" not in parts.names:
        return "", ""
    root = parts.tree("docProps/core.xml")
    title, author = (root.findtext(f"{_DC}{name}") or "" for name in ("title", "creator"))
    return title, author


def _relation_id(element: Any) -> str:
    return next((value for key, value in element.attrib.items() if key.endswith("}id")), "")


def _named(element: Any, local: str) -> Iterator[Any]:
    """Descendants of that name in any namespace: the strict format has its own."""
    return (each for each in element.iter("{*}" + local) if each is not element)


def _local(tag: object) -> str:
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
