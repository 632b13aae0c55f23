"""Reader of XML: the text of its elements, a block on a line of its own; nothing is fetched."""

import re
from typing import Any

from retriever.errors import LoadingError
from retriever.loading.content import Content, FileBytes, LoadingOptions
from retriever.loading.decoding import decode, storable

_DECLARED = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z][\w.-]{0,40})[\"']")
_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_TITLES = frozenset({"title", "article-title", "booktitle"})
_BLOCKS = frozenset({
    "article-title", "blockquote", "body", "br", "caption", "cell", "dd", "def", "def-item",
    "description", "div", "dl", "dt", "entry", "fig", "figure", "fn", "footnote", "formalpara",
    "head", "itemizedlist", "item", "l", "label", "lb", "lg", "li", "line", "list", "list-item",
    "listitem", "note", "ol", "orderedlist", "p", "para", "row", "sec", "section", "simpara",
    "table", "td", "th", "title", "tr", "ul", "variablelist", "varlistentry",
})  # fmt: skip
"""Blocks of XHTML, DocBook, JATS and TEI: words in them do not run on into those beside them."""
_MAX_TITLE_CHARACTERS = 500


def read(file: FileBytes, options: LoadingOptions) -> Content:
    """The text of an XML file, entities neither expanded nor fetched.

    An element that holds text of its own is one line with all that is inside it, words of
    paragraphs, items and the like apart from each other; attributes, comments and processing
    instructions are left out.

    Raises:
        LoadingError: there is no element in it.
    """
    declared = _DECLARED.search(file.data[:512])
    decoded = decode(file.data, declared=declared.group(1).decode() if declared else "")
    root, warnings = _parsed(_DECLARATION.sub("", decoded.text, count=1))
    lines = _lines(root)
    return Content(
        storable("\n".join(lines)),
        file.format,
        "plain",
        title=storable(_title(root)),
        warnings=decoded.warnings + warnings,
    )


def _parsed(text: str) -> tuple[Any, tuple[str, ...]]:
    from lxml import etree

    data = text.encode("utf-8", errors="replace")
    for recover in (False, True):
        parser = etree.XMLParser(
            encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False,
            recover=recover, remove_comments=True, remove_pis=True,
        )  # fmt: skip
        try:
            root = etree.fromstring(data, parser)
        except (etree.XMLSyntaxError, ValueError) as error:
            problem = error
            continue
        if root is not None:
            _drop_entities(root, etree.Entity)
            return root, (("XML is damaged; what could be read was kept",) if recover else ())
    raise LoadingError("damaged XML") from problem


def _lines(root: Any) -> list[str]:
    """One line for each outermost element with text of its own; found without recursion."""
    lines: list[str] = []
    pending = [root]
    while pending:
        element = pending.pop()
        if _holds_text(element):
            lines.append(" ".join(_text(element).split()))
        else:
            pending.extend(reversed(element))
    return [line for line in lines if line]


def _holds_text(element: Any) -> bool:
    return bool((element.text or "").strip()) or any(
        (child.tail or "").strip() for child in element
    )


def _text(element: Any) -> str:
    """All text inside an element; white space keeps blocks from what stands beside them."""
    from lxml import etree

    pieces: list[str] = []
    for event, one in etree.iterwalk(element, events=("start", "end")):
        border = " " if _name(one) in _BLOCKS else ""
        beside = one.text if event == "start" else one.tail if one is not element else ""
        pieces += [border, beside or ""]
    return "".join(pieces)


def _name(element: Any) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _drop_entities(root: Any, kind: Any) -> None:
    """Take out references to entities, which would be read as their names."""
    for entity in list(root.iter(kind)):
        before, parent = entity.getprevious(), entity.getparent()
        if before is not None:
            before.tail = (before.tail or "") + (entity.tail or "")
        else:
            parent.text = (parent.text or "") + (entity.tail or "")
        entity.tail = None
        parent.remove(entity)


def _title(root: Any) -> str:
    for element in root.iter():
        if _name(element) in _TITLES:
            return " ".join(_text(element).split())[:_MAX_TITLE_CHARACTERS]
    return ""
