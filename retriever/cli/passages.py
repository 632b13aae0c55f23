"""Passages and contexts, for people and for programs."""

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from retriever.cli.explanations import explanation_json, passage_lines, query_line
from retriever.cli.terminal import console, note, one_line, printable, show, show_styled
from retriever.records import Context, Passage

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

READABLE_COLUMNS = 108
"""Text that was wrapped at 100 columns in its file is not wrapped again."""
INDENT_COLUMNS = 3
_SHORTEST_TERM = 4
"""Letters of the shortest word of a query that is worth marking in a passage."""
_BLANK_LINES = re.compile(r"\n\s*\n\s*(?=\n)")


def passage_json(passage: Passage) -> dict[str, object]:
    """A passage as `search --json` prints it."""
    return {
        "rank": passage.rank,
        "score": passage.score,
        "text": passage.text,
        "source": passage.source,
        "start": passage.start,
        "end": passage.end,
        "page": passage.page,
        "heading": " > ".join(passage.heading_path) or None,
        "metadata": dict(passage.metadata),
        "candidates": {
            one.ranker: {"rank": one.rank, "score": one.score} for one in passage.candidates
        },
        "duplicates": [_place_json(one) for one in passage.duplicates],
        **({} if passage.probability is None else {"probability": passage.probability}),
        **({"collection": passage.collection} if passage.collection else {}),
        **({"explanation": explanation_json(told)} if (told := passage.explanation) else {}),
    }


def _place_json(passage: Passage) -> dict[str, object]:
    return {
        "source": passage.source,
        "start": passage.start,
        "end": passage.end,
        "page": passage.page,
        **({"collection": passage.collection} if passage.collection else {}),
    }


def context_json(context: Context) -> dict[str, object]:
    """A context as `search --context --json` prints it."""
    return {
        "text": context.text,
        "token_count": context.token_count,
        "citations": {
            number: {
                "source": citation.source,
                "start": citation.start,
                "end": citation.end,
                "page": citation.page,
                "lines": [citation.line_start, citation.line_end],
                "also": list(citation.also),
                **({"collection": citation.collection} if citation.collection else {}),
            }
            for number, citation in context.citations.items()
        },
        "left_out": len(context.left_out),
    }


def show_passages(passages: Sequence[Passage], query: str) -> None:
    """Print passages for people, best first, the query's words marked."""
    if not passages:
        show("Nothing found.")
    elif passages[0].explanation is not None and not passages[0].collection:
        show(query_line(passages[0].explanation), "")
    for passage in passages:
        above = [*_also(passage), *_explanation(passage), *_headings(passage)]
        show_styled(_header(passage), *above, *_body(passage, query), "")


def show_context(context: Context) -> None:
    """Print a context: exactly as it is into a pipe, harmless on a terminal."""
    text = printable(context.text) if sys.stdout.isatty() else context.text
    sys.stdout.write(text + "\n" * bool(text))
    sys.stdout.flush()
    left_out = f", {len(context.left_out)} left out" if context.left_out else ""
    count = len(context.citations)
    passages = f"{count} passage{'s' * (count != 1)}"
    note(f"{passages}, {context.token_count} tokens{left_out}")


def _header(passage: Passage) -> "RenderableType":
    from rich.text import Text

    return Text.assemble(
        (f"{passage.rank:<{INDENT_COLUMNS}}", "bold"),
        (f"{passage.score:.3f}  ", "cyan"),
        ("" if passage.probability is None else f"{passage.probability:.0%} likely  ", "cyan"),
        (one_line(passage.citation), "bold"),
        overflow="fold",
    )


def _also(passage: Passage) -> "list[RenderableType]":
    from rich.text import Text

    if not passage.duplicates:
        return []
    places = "; ".join(one_line(one.citation) for one in passage.duplicates)
    return _indented(Text(f"also {places}", style="dim"))


def _explanation(passage: Passage) -> "list[RenderableType]":
    from rich.text import Text

    lines = [printable(line) for line in passage_lines(passage)]
    return _indented(Text("\n".join(lines), style="dim")) if lines else []


def _headings(passage: Passage) -> "list[RenderableType]":
    from rich.text import Text

    path = one_line(" > ".join(passage.heading_path))
    return _indented(Text(path, style="dim")) if path else []


def _body(passage: Passage, query: str) -> "list[RenderableType]":
    from rich.text import Text

    text = Text(_BLANK_LINES.sub("\n", printable(passage.text)).strip("\n"))
    text.highlight_regex(_terms(query), "yellow")
    return _indented(text)


def _indented(text: "Text") -> "list[RenderableType]":
    """The lines of a text, wrapped for reading; rich's padding would fill them with spaces."""
    from rich.text import Text

    out = console()
    width = max(min(out.width, READABLE_COLUMNS) - INDENT_COLUMNS, 1)
    lines = text.wrap(out, width, overflow="fold")
    for line in lines:
        line.rstrip()
    return [Text(" " * INDENT_COLUMNS * bool(line)).append_text(line) for line in lines]


def _terms(query: str) -> str:
    """A pattern of the query's longer words; it matches nothing where there is none."""
    words = {word for word in re.findall(r"\w+", query) if len(word) >= _SHORTEST_TERM}
    if not words:
        return r"(?!)"
    return rf"(?i)\b(?:{'|'.join(map(re.escape, sorted(words)))})\b"
