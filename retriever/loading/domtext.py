"""An HTML tree as Markdown: all the text that a reader of the page would see."""

import re
from collections.abc import Collection, Iterator
from typing import Any

from retriever.loading.tables import grid


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NEVER_SHOWN = _words(
    "script style noscript template head iframe object embed svg canvas audio video select "
    "option input button textarea dialog math map datalist"
)
_PREFORMATTED = frozenset({"pre", "listing", "xmp"})
_BLOCKS = _words(
    "address article aside blockquote body center dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form header hgroup hr html legend li main menu nav ol p section "
    "summary ul caption tbody thead tfoot td th tr table"
)
_HIDDEN_STYLE = re.compile(
    r"(?:^|;|\*/)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\s*(?:$|[;!/])", re.I
)
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_MAX_DEPTH = 200
_MAX_SPAN = 100
_SPACES = re.compile(r"[ \t\r\n\f]+")
_BREAK = "\x0b"  # white space to `split`, and no parser leaves one in a text
_NEEDLESS_BREAK = re.compile(rf"(?<=\n){_BREAK}+|{_BREAK}+(?=\n)")
_NEEDED_BREAK = re.compile(f"{_BREAK}+")
_CELLS = frozenset({"td", "th"})
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang|highlight|brush)[-:_\s]+([\w+#.-]{1,20})")
_NO_LANGUAGE = frozenset({"source", "text", "none", "default", "notranslate"})


def to_markdown(root: Any, skip: frozenset[str] = frozenset()) -> str:
    """Write a tree's visible text as Markdown.

    Headings, lists, tables and code keep their form; links keep their text. Elements named in
    `skip`, scripts, and what is hidden by attribute or inline style are left out. Below 200
    levels only text is kept.
    """
    blocks = (block for block in _blocks(root, skip, 0) if block.strip())
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(block.strip("\n") for block in blocks))


def is_hidden(element: Any) -> bool:
    """Whether an element is not shown: by its nature, its attributes or its inline style."""
    if not isinstance(element.tag, str) or element.tag in _NEVER_SHOWN:
        return True
    attributes = element.attrib
    return (
        attributes.get("hidden", "until-found").strip().lower() != "until-found"
        or attributes.get("aria-hidden") == "true"
        or bool(_HIDDEN_STYLE.search(attributes.get("style", "")))
    )


def collapse_white_space(root: Any) -> None:
    """Make every run of white space in a tree one space, but for preformatted text."""
    pending = [root]
    while pending:
        element = pending.pop()
        if element.tag in _PREFORMATTED or element.tag in {"code", "textarea"}:
            continue
        element.text = _SPACES.sub(" ", element.text) if element.text else element.text
        for child in element:
            child.tail = _SPACES.sub(" ", child.tail) if child.tail else child.tail
            if isinstance(child.tag, str):
                pending.append(child)


def _blocks(element: Any, skip: frozenset[str], depth: int) -> Iterator[str]:
    """The element's text as a sequence of blocks."""
    if depth > _MAX_DEPTH:
        yield _one_line(_bare(element))
        return
    run = element.text or ""
    for child in element:
        if isinstance(child.tag, str) and child.tag not in skip and not is_hidden(child):
            if _is_block(child):
                yield _paragraph(run)
                run = ""
                yield from _block(child, skip, depth + 1)
            else:
                run += _inline(child, skip, depth + 1)
        elif child.tag in skip:
            run += _BREAK
        run += child.tail or ""
    yield _paragraph(run)


def _is_block(element: Any) -> bool:
    tag = element.tag
    if tag in _BLOCKS or tag in _PREFORMATTED or _level(tag):
        return True
    return tag != "br" and any(
        isinstance(each.tag, str)
        and (each.tag in _BLOCKS or each.tag in _PREFORMATTED or _level(each.tag))
        for each in element.iterdescendants()
    )


def _block(element: Any, skip: frozenset[str], depth: int) -> Iterator[str]:
    tag = element.tag
    if level := _level(tag):
        title = _one_line(_inline(element, skip, depth))
        yield f"{'#' * level} {title}" if title else ""
    elif tag in _PREFORMATTED:
        yield _code(element)
    elif tag == "table":
        yield from _table(element, skip, depth)
    elif tag in {"ul", "ol", "menu", "dir"}:
        yield _list(element, skip, depth)
    elif tag == "blockquote":
        inner = "\n\n".join(block for block in _blocks(element, skip, depth) if block.strip())
        yield "\n".join(f"> {line}".rstrip() for line in inner.split("\n"))
    else:
        yield from _blocks(element, skip, depth)


def _level(tag: str) -> int:
    return int(tag[1]) if len(tag) == 2 and tag[0] == "h" and tag[1] in "123456" else 0


def _inline(element: Any, skip: frozenset[str], depth: int) -> str:
    """The element's text in one run; `br` breaks the line, code keeps its ticks."""
    if element.tag == "br":
        return _BREAK
    if depth > _MAX_DEPTH:
        return _bare(element)
    parts = [element.text or ""]
    for child in element:
        if isinstance(child.tag, str) and child.tag not in skip and not is_hidden(child):
            parts.append(_inline(child, skip, depth + 1))
        parts.append(child.tail or "")
    text = "".join(parts)
    if element.tag in {"code", "kbd", "samp", "tt"} and text.strip() and "`" not in text:
        return f"`{' '.join(text.split())}`"
    return f" {text} " if element.tag in _BLOCKS else text


def _paragraph(text: str) -> str:
    """White space as a browser shows it: the line breaks that `br` made stay."""
    if _BREAK not in text:
        return " ".join(text.split())
    lines = (" ".join(line.split()) for line in text.split(_BREAK))
    return "\n".join(line for line in lines if line)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _bare(element: Any) -> str:
    """All shown text inside an element as it is written; `br` and blocks begin a line."""
    pieces: list[str] = []
    pending: list[Any] = [element]  # elements, and the text after them
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            pieces.append(one)
            continue
        border = _BREAK if one.tag in _BLOCKS or _level(one.tag) else ""
        pieces += ["\n" if one.tag == "br" else border, one.text or ""]
        pending.append(border)
        for child in reversed(one):
            pending.append(child.tail or "")
            if not is_hidden(child):
                pending.append(child)
    text = "".join(pieces)
    return _NEEDED_BREAK.sub("\n", _NEEDLESS_BREAK.sub("", text))


def _code(element: Any) -> str:
    code = _bare(element).replace("\r\n", "\n").strip("\n").rstrip()
    if not code.strip():
        return ""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{_language(element)}\n{code}\n{fence}"


def _language(element: Any) -> str:
    for each in (element, *element.iterchildren("code"), element.getparent()):
        match = _LANGUAGE.search(each.get("class", "")) if each is not None else None
        if match and match.group(1) not in _NO_LANGUAGE:
            return match.group(1)
    return ""


def _list(element: Any, skip: frozenset[str], depth: int) -> str:
    """A line or more for each item; text that stands between items has no mark."""
    lines = [_one_line(element.text or "")]
    count = 0
    for child in element:
        if isinstance(child.tag, str) and child.tag not in skip and not is_hidden(child):
            blocks = [block for block in _blocks(child, skip, depth + 1) if block.strip()]
            count += bool(blocks)
            mark = f"{count}." if element.tag == "ol" else "-"
            indent = " " * (len(mark) + 1)
            inner = "\n".join(block.strip("\n") for block in blocks)
            lines.append(f"{mark} {inner}".replace("\n", f"\n{indent}") if blocks else "")
        lines.append(_one_line(child.tail or ""))
    return "\n".join(filter(None, lines))


def _table(element: Any, skip: frozenset[str], depth: int) -> Iterator[str]:
    """A table of data as a Markdown table; one that only lays the page out as its blocks.

    What stands in a table but in none of its cells is written before it, as browsers show it.
    """
    is_layout = (
        element.get("role") in {"presentation", "none"}
        or any(True for _ in element.iterdescendants("table", *_HEADINGS))
        or any(next(cell.iterancestors("tr", "table")) is element for cell in element.iter(*_CELLS))
    )
    rows = [row for row in _outermost(element, {"tr"}) if not is_hidden(row)]
    cells = [list(_outermost(row, _CELLS)) for row in rows]
    if is_layout or max((len(row) for row in cells), default=0) < 2:
        yield from _blocks(element, skip, depth)
        return
    yield from _blocks(element, skip | _CELLS, depth)
    yield grid(_spread(cells, skip, depth))


def _outermost(element: Any, tags: Collection[str]) -> Iterator[Any]:
    """The elements of these names below an element, but for those in one another or in hidden."""
    pending = list(reversed(element))
    while pending:
        one = pending.pop()
        if one.tag in tags:
            yield one
        elif not is_hidden(one):
            pending.extend(reversed(one))


def _spread(rows: list[list[Any]], skip: frozenset[str], depth: int) -> list[list[str]]:
    """The rows' texts, a cell that spans rows or columns repeated in each of them."""
    spread: list[list[str]] = []
    hanging: dict[int, tuple[str, int]] = {}  # column -> text from above, rows that it still has
    for row in rows:
        texts: list[str] = []
        cells = iter(row)
        while True:
            column = len(texts)
            if column in hanging:
                text, left = hanging.pop(column)
                texts.append(text)
                if left > 1:
                    hanging[column] = (text, left - 1)
                continue
            cell = next(cells, None)
            if cell is None:
                break
            text = "" if is_hidden(cell) else _one_line(_inline(cell, skip, depth))
            down, across = _span(cell, "rowspan"), _span(cell, "colspan")
            for offset in range(across):
                texts.append(text if offset == 0 else "")
                if down > 1:
                    hanging[column + offset] = (texts[-1], down - 1)
        spread.append(texts)
    return spread


def _span(cell: Any, name: str) -> int:
    value = cell.get(name, "1").strip()
    usable = value.isascii() and value.isdigit() and len(value) < 6
    return min(max(int(value), 1), _MAX_SPAN) if usable else 1
