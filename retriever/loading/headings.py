"""The headings of a text, by the marks of its markup."""

import re
from collections.abc import Callable, Iterator

from retriever.records import Heading

MAX_HEADING_CHARACTERS = 500
MAX_LINE_CHARACTERS = 2000  # a longer line is no heading; it keeps every pattern below cheap
_FENCE = re.compile(r"[ \t>]*(?:[-*+][ \t]+|\d{1,9}[.)][ \t]+)?(`{3,}|~{3,})([^\n]*)")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_HTML_HEADING = re.compile(r" {0,3}<h([1-6])\b[^<>]*>(.*?)</h\1>[ \t]*$", re.I)
_NO_PARAGRAPH = re.compile(r" {4}|\t| {0,3}(?:[-*+>|]|\d{1,9}[.)][ \t]|<)")
_COMMENT_OPENS = re.compile(r" {0,3}<!--")
_ATTRIBUTES = re.compile(r"[ \t]*\{[ \t]*[#.:][^{}]*\}[ \t]*$")
_IMAGE_OR_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()\s]*(?:[ \t]+\"[^\"]*\")?\)|\[[^\[\]]*\])")
_EMPHASIS = re.compile(r"(\*{1,3}|_{1,3}(?=\S)|`+|~~)(?=\S)(.+?)(?<=\S)\1")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_RST_LINE = re.compile(r"([!-/:-@\[-`{-~])\1+[ \t]*$")
_MARKS: dict[str, tuple[re.Pattern[str], Callable[[re.Match[str]], int]]] = {
    "asciidoc": (
        re.compile(r"(={1,6})[ \t]+(\S.*?)(?:[ \t]+=+)?[ \t]*$"),
        lambda match: len(match.group(1)),
    ),
    "org": (re.compile(r"(\*{1,6})[ \t]+(\S.*?)[ \t]*$"), lambda match: len(match.group(1))),
    "latex": (
        re.compile(r"[ \t]*\\(part|chapter|(?:sub){0,2}section)\*?\{(.+?)\}"),
        lambda match: {"part": 1, "chapter": 1}.get(
            match.group(1), 2 + match.group(1).count("sub")
        ),
    ),
}


def find_markdown(text: str, start: int = 0) -> tuple[Heading, ...]:
    """The ATX, setext and one-line HTML headings of a Markdown text from `start` on.

    Headings inside fenced code, indented code and comments are none. Source: CommonMark 0.31,
    but an underlined paragraph is a heading only if it is one line long.
    """
    return tuple(_markdown(text, start))


def _markdown(text: str, start: int) -> Iterator[Heading]:
    paragraph: tuple[int, str] | None = None  # the line above, if it begins a paragraph
    above_is_text = False
    for position, line in _outside_code(text, start):
        found = _one_line(line, position)
        if not found and paragraph and (match := _SETEXT.match(line)):
            begin, title = paragraph
            level = 1 if match.group(1)[0] == "=" else 2
            found = _heading(level, title, begin, position + len(line))
        if found:
            yield found
        is_text = bool(line.strip()) and found is None
        begins = is_text and not above_is_text and not _NO_PARAGRAPH.match(line)
        paragraph = (position, line) if begins else None
        above_is_text = is_text


def _one_line(line: str, position: int) -> Heading | None:
    if match := _ATX.match(line):
        return _heading(len(match.group(1)), match.group(2) or "", position, position + len(line))
    if match := _HTML_HEADING.match(line):
        return _heading(int(match.group(1)), match.group(2), position, position + len(line))
    return None


def _outside_code(text: str, start: int) -> Iterator[tuple[int, str]]:
    """Lines and their positions; a line of code or comment comes as an empty one."""
    fence, in_comment = "", False
    for position, line in _lines(text, start):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark.group(1).startswith(fence) and not mark.group(2).strip():
                fence = ""
        elif in_comment:
            in_comment = "-->" not in line
        elif mark and "`" not in mark.group(2):
            fence = mark.group(1)
        elif _COMMENT_OPENS.match(line):
            in_comment = "-->" not in line
        else:
            yield position, line
            continue
        yield position, ""


def _lines(text: str, start: int) -> Iterator[tuple[int, str]]:
    position = start
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        short = end - position <= MAX_LINE_CHARACTERS
        yield position, text[position:end].removesuffix("\r") if short else ""
        position = end + 1


def _heading(level: int, title: str, start: int, end: int) -> Heading | None:
    text = plain(title)
    return Heading(level, text, start, end) if text else None


def plain(markup: str) -> str:
    """A line of Markdown as its reader sees it: no links, emphasis, tags, attributes, escapes."""
    text = _ATTRIBUTES.sub("", markup[:MAX_HEADING_CHARACTERS])
    text = _TAG.sub("", _IMAGE_OR_LINK.sub(r"\1", text))
    for _ in range(3):
        text = _EMPHASIS.sub(r"\2", text)
    return " ".join(_ESCAPE.sub(r"\1", text).split())


def find_restructured(text: str) -> tuple[Heading, ...]:
    """The underlined headings of a reStructuredText; levels by the order in which marks appear."""
    styles: list[str] = []
    found: list[Heading] = []
    lines = list(_lines(text, 0))
    for number in range(1, len(lines)):
        position, title = lines[number - 1]
        after, underline = lines[number]
        if not _is_rst_title(title, underline):
            continue
        over = lines[number - 2] if number >= 2 else (0, "")
        has_over = over[1].rstrip() == underline.rstrip()
        if not has_over and over[1].strip():
            continue  # the last line of a paragraph or a table is no title
        style = underline[0] * (2 if has_over else 1)
        if style not in styles:
            styles.append(style)
        begin = over[0] if has_over else position
        level = min(styles.index(style) + 1, 6)
        found.append(Heading(level, title.strip(), begin, after + len(underline)))
    return tuple(found)


def _is_rst_title(title: str, underline: str) -> bool:
    if not title.strip() or _RST_LINE.match(title) or not _RST_LINE.match(underline):
        return False
    length = len(title.rstrip())
    return len(underline.rstrip()) >= min(length, 4) and length <= MAX_HEADING_CHARACTERS


def find_marked(text: str, format: str) -> tuple[Heading, ...]:
    """The headings of AsciiDoc, Org or LaTeX; none for any other format."""
    if format not in _MARKS:
        return ()
    pattern, level = _MARKS[format]
    matches = ((position, line, pattern.match(line)) for position, line in _lines(text, 0))
    return tuple(
        Heading(level(match), plain(match.group(2)), position, position + len(line))
        for position, line, match in matches
        if match and plain(match.group(2))
    )


def first_title(headings: tuple[Heading, ...]) -> str:
    """The text of the first heading of the highest level, 1, or nothing."""
    return next((heading.text for heading in headings if heading.level == 1), "")
