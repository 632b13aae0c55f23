"""The headings of a text, by the marks of its markup.

Each finder jumps from one line that may be a heading to the next, so that the other lines cost
next to nothing: a text may have millions of them.
"""

import re
from collections.abc import Callable, Iterator
from itertools import islice

from retriever.records import Heading

MAX_HEADINGS = 100_000
MAX_LINE_CHARACTERS = 2000  # a longer line is no heading
_MAX_TITLE_CHARACTERS = 500
_CANDIDATE = re.compile(
    r"^(?=[ \t>#<=`~*+\d-])"  # most lines end here
    r"(?:(?P<fence>[ \t>]*+(?:[-*+][ \t]++|\d{1,9}[.)][ \t]++)?(?:`{3,}+|~{3,}+))"
    r"|[ ]{0,3}(?:(?P<atx>#{1,6})(?=[ \t\r\n]|\Z)|(?P<comment><!--)|(?P<html><h[1-6]\b)"
    r"|(?P<under>=++|-{2,}+)[ \t]*+\r?$))",
    re.M,
)
_HTML_HEADING = re.compile(r" {0,3}<h([1-6])\b[^<>]*>(.*?)</h\1>[ \t]*\Z", re.I)
_NO_PARAGRAPH = re.compile(r" {4}|\t| {0,3}(?:[-*+>|]|\d{1,9}[.)][ \t]|<)")
_ATTRIBUTES = re.compile(r"\{ {0,9}[#.:][^{}]*\}\Z")
_IMAGE_OR_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()\s]*(?:[ \t]+\"[^\"]*\")?\)|\[[^\[\]]*\])")
_EMPHASIS = re.compile(r"(\*{1,3}|`{1,3}|~~)(?=\S)([^*`~]+)(?<=\S)\1")
_UNDERSCORES = re.compile(r"(?<!\w)(_{1,3})(?=\S)([^_]+)(?<=\S)\1(?!\w)")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_RST_UNDERLINE = re.compile(r"^([!-/:-@\[-`{-~])\1+[ \t]*\r?$", re.M)
_MARKED: dict[str, tuple[re.Pattern[str], Callable[[str], int]]] = {
    "asciidoc": (re.compile(r"^(={1,6})[ \t]+(\S[^\r\n]*)", re.M), len),
    "org": (re.compile(r"^(\*{1,6})[ \t]+(\S[^\r\n]*)", re.M), len),
    "latex": (
        re.compile(
            r"^[ \t]*\\(part|chapter|section|subsection|subsubsection)\*?\{([^\r\n]+?)\}", re.M
        ),
        {"part": 1, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4}.__getitem__,
    ),
}


def find_markdown(text: str, start: int = 0) -> tuple[Heading, ...]:
    """The ATX, setext and one-line HTML headings of a Markdown text from `start` on.

    Headings inside fenced code, indented code and comments are none, nor are those beyond the
    first 100,000. Source: CommonMark 0.31, but an underlined paragraph is a heading only if it
    is one line long.
    """
    return tuple(islice(_markdown(text, start), MAX_HEADINGS))


def _markdown(text: str, start: int) -> Iterator[Heading]:
    fence = ""
    position = block_end = start  # where to go on; where the last heading, code or comment ended
    while match := _CANDIDATE.search(text, position):
        begin, end = match.start(), _line_end(text, match.start())
        position = min(end + 1, len(text)) if end > begin else end + 1
        line = text[begin:end] if end - begin <= MAX_LINE_CHARACTERS else ""
        heading = None
        if match["fence"]:
            fence = _after_fence(fence, match["fence"], text[match.end() : end])
            block_end = end
        elif fence:
            continue
        elif match["comment"]:
            closing = text.find("-->", begin)
            position = block_end = _line_end(text, closing) if closing >= 0 else len(text)
        elif match["under"]:
            heading = _underlined(text, begin, end, block_end, match["under"][0])
        else:
            heading = _one_line(line, begin, end)
        if heading:
            block_end = end
            yield heading
        if position > len(text):
            return


def closing(text: str) -> str:
    """What ends the fence or the comment that a Markdown text leaves open; empty for most."""
    fence, mark, passed = "", "", 0
    for match in _CANDIDATE.finditer(text):
        begin = match.start()
        if begin < passed:
            continue
        if match["fence"]:
            mark = mark if fence else match["fence"]
            fence = _after_fence(fence, match["fence"], text[match.end() : _line_end(text, begin)])
        elif match["comment"] and not fence:
            passed = text.find("-->", begin)
            if passed < 0:
                return "-->"
    return mark if fence else ""


def _after_fence(fence: str, mark: str, rest: str) -> str:
    """The fence that is open after a line with a fence's mark, its indentation before it."""
    run = mark.lstrip(" \t>-*+.)0123456789")
    indented = " " * (len(mark) - len(run)) + run
    if not fence:
        return "" if run[0] == "`" and "`" in rest else indented
    indent = len(fence) - len(fence.lstrip())
    closes = run.startswith(fence.lstrip()) and len(mark) - len(run) <= indent + 3
    return "" if closes and not rest.strip() else fence


def _one_line(line: str, start: int, end: int) -> Heading | None:
    bare = line.strip()
    level = len(bare) - len(bare.lstrip("#"))
    if level:
        title = bare[level:].strip()
        unclosed = title.rstrip("#")
        if not unclosed or unclosed[-1] in " \t":
            title = unclosed
        return _heading(level, title, start, end)
    match = _HTML_HEADING.match(line)
    return _heading(int(match[1]), match[2], start, end) if match else None


def _underlined(text: str, begin: int, end: int, block_end: int, mark: str) -> Heading | None:
    """The heading that a line of `=` or `-` makes of the line above it, if that stands alone."""
    above = _line_above(text, begin, block_end)
    if above is None:
        return None
    start, title = above
    over = _line_above(text, start, block_end)
    if not title.strip() or _NO_PARAGRAPH.match(title) or (over and over[1].strip()):
        return None
    return _heading(1 if mark == "=" else 2, title, start, end)


def _line_above(text: str, begin: int, floor: int) -> tuple[int, str] | None:
    """Start and text of the line above the one at `begin`; None below `floor` or if too long."""
    if begin <= max(floor, 0) or text[begin - 1 : begin] != "\n" or begin - 1 < floor:
        return None
    start = text.rfind("\n", max(floor, begin - MAX_LINE_CHARACTERS - 1), begin - 1) + 1
    if start == 0 and begin > MAX_LINE_CHARACTERS:
        return None
    start = max(start, floor)
    if start == floor and floor > 0 and text[start : start + 1] == "\n":
        return None  # the rest of the line in which the last block ended
    return start, text[start : begin - 1].removesuffix("\r")


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    return end - 1 if end > position and text[end - 1] == "\r" else end


def _heading(level: int, title: str, start: int, end: int) -> Heading | None:
    text = plain(title)
    return Heading(level, text, start, end) if text else None


def plain(markup: str) -> str:
    """A line of Markdown as its reader sees it: no links, emphasis, tags, attributes, escapes."""
    text = _ATTRIBUTES.sub("", markup[:_MAX_TITLE_CHARACTERS].strip())
    text = _TAG.sub("", _IMAGE_OR_LINK.sub(r"\1", text))
    for _ in range(3):
        text = _UNDERSCORES.sub(r"\2", _EMPHASIS.sub(r"\2", text))
    return " ".join(_ESCAPE.sub(r"\1", text).split())


def find_restructured(text: str) -> tuple[Heading, ...]:
    """The underlined headings of a reStructuredText; levels by the order in which marks appear."""
    return tuple(islice(_restructured(text), MAX_HEADINGS))


def _restructured(text: str) -> Iterator[Heading]:
    styles: list[str] = []
    for match in _RST_UNDERLINE.finditer(text):
        above = _line_above(text, match.start(), 0)
        if above is None or not _is_rst_title(above[1], match.group()):
            continue
        over = _line_above(text, above[0], 0)
        over_text = over[1].rstrip() if over else ""
        has_over = over is not None and over_text == match.group().rstrip()
        if over_text and not has_over:
            continue  # the last line of a paragraph or a table is no title
        style = match[1] * (2 if has_over else 1)
        if style not in styles:
            styles.append(style)
        level = min(styles.index(style) + 1, 6)
        start = over[0] if over and has_over else above[0]
        end = match.end() - match.group().endswith("\r")
        yield Heading(level, above[1].strip(), start, end)


def _is_rst_title(title: str, underline: str) -> bool:
    length = len(title.rstrip())
    if not title.strip() or _RST_UNDERLINE.match(title) or length > _MAX_TITLE_CHARACTERS:
        return False
    return len(underline.rstrip()) >= min(length, 4)


def find_marked(text: str, format: str) -> tuple[Heading, ...]:
    """The headings of AsciiDoc, Org or LaTeX; none for any other format."""
    if format not in _MARKED:
        return ()
    pattern, level = _MARKED[format]
    found = (
        _heading(level(match[1]), match[2].rstrip("= \t"), match.start(), match.end())
        for match in pattern.finditer(text)
    )
    return tuple(islice((heading for heading in found if heading), MAX_HEADINGS))


def first_title(headings: tuple[Heading, ...]) -> str:
    """The text of the first heading of the highest level, 1, or nothing."""
    return next((heading.text for heading in headings if heading.level == 1), "")
