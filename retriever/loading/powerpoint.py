"""Reader of PPTX files: slides in the order of the show, with tables and speaker notes."""

from collections.abc import Iterator
from typing import Any

from retriever.errors import LoadingError
from retriever.loading.content import Content, FileBytes, LoadingOptions
from retriever.loading.parts import Parts
from retriever.loading.slides import Slide, to_content
from retriever.loading.tables import grid

_DC = "{http://purl.org/dc/elements/1.1/}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_TITLES = frozenset({"title", "ctrTitle"})
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
            blocks += list(_shapeless(parts.tree(place)))
    for kind, place in relations:
        if kind == "notesSlide" and place in parts.names:
            notes = [block for block in _shown(parts.tree(place))[1] if block.strip()]
            blocks += ["Notes: " + "\n\n".join(notes)] if notes else []
    return Slide(" ".join(titles), blocks)


def _shown(root: Any) -> tuple[list[str], list[str]]:
    """The titles and the blocks of a slide, in the order of its shapes."""
    titles: list[str] = []
    blocks: list[str] = []
    pending = [root]
    while pending:
        element = pending.pop()
        tag = element.tag
        if not isinstance(tag, str) or tag == _FALLBACK:
            continue
        if _local(tag) == "sp" and (kind := _placeholder(element)):
            if kind in _REPEATED:
                continue
            if kind in _TITLES:
                titles += [line for line, _ in _paragraphs(element)]
                continue
        if _local(tag) == "txBody":
            blocks += _listed(_paragraphs(element))
        elif _local(tag) == "tbl":
            blocks.append(grid([[_cell(cell) for cell in _named(row, "tc")]
                                for row in _named(element, "tr")]))  # fmt: skip
        else:
            pending.extend(reversed(element))
    return titles, blocks


def _shapeless(root: Any) -> Iterator[str]:
    """Text of a diagram, which lists its points without places."""
    yield from _listed(_paragraphs(root))


def _placeholder(shape: Any) -> str:
    for properties in shape:
        if _local(properties.tag) == "nvSpPr":
            return next((each.get("type", "body") for each in _named(properties, "ph")), "")
    return ""


def _paragraphs(element: Any) -> Iterator[tuple[str, int]]:
    """Text and list level of each paragraph; -1 where it is no list item."""
    for paragraph in _named(element, "p"):
        parts = []
        level = -1
        for each in paragraph.iter():
            local = _local(each.tag)
            if local == "t":
                parts.append(each.text or "")
            elif local == "br":
                parts.append("\n")
            elif local in {"buChar", "buAutoNum", "buBlip"}:
                level = max(level, 0)
            elif local == "pPr" and each.get("lvl", "0").isdecimal():
                level = max(level, int(each.get("lvl", "0")[:1]) or -1)
        text = "\n".join(" ".join(line.split()) for line in "".join(parts).split("\n")).strip()
        if text:
            yield text, level


def _listed(paragraphs: Iterator[tuple[str, int]]) -> Iterator[str]:
    """Paragraphs as blocks; list items that follow one another are one block."""
    items: list[str] = []
    for text, level in paragraphs:
        if level >= 0:
            items.append(f"{'  ' * level}- {' '.join(text.split())}")
            continue
        if items:
            yield "\n".join(items)
            items = []
        yield text
    if items:
        yield "\n".join(items)


def _cell(cell: Any) -> str:
    return " ".join(text for text, _ in _paragraphs(cell))


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
