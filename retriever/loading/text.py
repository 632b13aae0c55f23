"""Readers of the formats that are text already: the document's text is the file's."""

import re

from retriever.loading import frontmatter, headings, metadata
from retriever.loading.content import Content, FileBytes, LoadingOptions
from retriever.loading.decoding import Decoded, decode, storable
from retriever.records import Heading, Markup

_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]{1,40})", re.M)
_VIM_OR_EMACS_LINES = 2


def read_markdown(file: FileBytes, options: LoadingOptions) -> Content:
    """Markdown: front matter becomes metadata, headings are ATX, setext or HTML."""
    decoded = decode(file.data)
    front = frontmatter.split(decoded.text)
    found = headings.find_markdown(decoded.text, front.body_start)
    fields = dict(front.fields)
    title = next((str(fields.pop(key)) for key in tuple(fields)
                  if str(key).lower() == "title" and isinstance(fields[key], str)), "")  # fmt: skip
    kept, dropped = metadata.bounded(fields)
    return Content(
        decoded.text,
        file.format,
        "markdown",
        title=storable(title).strip() or headings.first_title(found),
        body_start=front.body_start,
        headings=found,
        metadata=kept,
        warnings=decoded.warnings + front.warnings + dropped,
    )


def read_plain(file: FileBytes, options: LoadingOptions) -> Content:
    """Plain text, as it is."""
    return _as_it_is(file, decode(file.data), "plain")


def read_restructured(file: FileBytes, options: LoadingOptions) -> Content:
    """reStructuredText, with its underlined headings."""
    decoded = decode(file.data)
    return _as_it_is(file, decoded, "plain", headings.find_restructured(decoded.text))


def read_marked(file: FileBytes, options: LoadingOptions) -> Content:
    """AsciiDoc, Org and LaTeX as text, with their headings."""
    decoded = decode(file.data)
    return _as_it_is(file, decoded, "plain", headings.find_marked(decoded.text, file.format))


def read_rows(file: FileBytes, options: LoadingOptions) -> Content:
    """CSV, TSV and JSON lines: one row a line, as it is."""
    return _as_it_is(file, decode(file.data), "table")


def read_code(file: FileBytes, options: LoadingOptions) -> Content:
    """Source code, configuration and JSON, as it is; a coding line is honoured."""
    top = b"\n".join(file.data[:1000].split(b"\n")[:_VIM_OR_EMACS_LINES])
    declared = _CODING.search(top)
    name = declared.group(1).decode("ascii") if declared else ""
    return _as_it_is(file, decode(file.data, declared=name), "code")


def _as_it_is(
    file: FileBytes, decoded: Decoded, markup: Markup, found: tuple[Heading, ...] = ()
) -> Content:
    return Content(
        decoded.text,
        file.format,
        markup,
        title=headings.first_title(found),
        headings=found,
        warnings=decoded.warnings,
    )
