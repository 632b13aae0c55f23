"""Where output goes: text for people on a console, JSON for programs on stdout.

File names and documents are hostile. What they hold is shown, never obeyed: no markup is
read in it, and characters that could steer a terminal are written as escapes.
"""

import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WIDE_COLUMNS = 160
"""Width of output that goes to a file or another program: lines are for tools there."""

_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, but for line feed and tab
    "\u2028\u2029"  # line and paragraph separators
    "\u202a-\u202e\u2066-\u2069"  # text that is shown in another order than it is stored in
    "\ud800-\udfff]"  # halves of characters, which no encoding can write
)


def printable(text: str) -> str:
    """The text with every character that could steer a terminal written as an escape.

    Line feeds and tabs stay, a carriage return before a line feed goes.
    """
    return _STEERING.sub(_escape, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """`printable`, with all white space as single spaces."""
    return " ".join(printable(text).split())


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode("ascii")


def prepare_streams() -> None:
    """Let output survive a terminal that cannot show every character: escapes stand for them.

    Output that the caller has closed (`>&-`), or never had, goes nowhere.
    """
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # open until the process ends


def console(*, stderr: bool = False) -> "Console":
    """A console that takes text literally: no markup, no emoji codes, no guessed colours."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=_width(stream), markup=False, emoji=False, highlight=False)


def _width(stream: TextIO) -> int | None:
    """Columns of a line; None where rich finds them out, also after a terminal was resized."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    if not stream.isatty():
        return WIDE_COLUMNS
    # Some programs set 0 for "unknown", which rich would take for a width.
    return shutil.get_terminal_size().columns if columns else None


def show(*lines: str) -> None:
    """Print lines to stdout, made harmless, and left to the terminal to wrap."""
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    sys.stdout.flush()


def show_styled(*parts: "RenderableType") -> None:
    """Print tables and styled text to stdout for people."""
    out = console()
    for part in parts:
        out.print(part)


def note(text: str) -> None:
    """Print one line to stderr."""
    sys.stderr.write(f"{one_line(text)}\n")
    sys.stderr.flush()


def show_json(value: object) -> None:
    """Print JSON to stdout: ASCII, so that it is the same in every terminal and pipe."""
    show(json.dumps(value, indent=2))


@contextmanager
def patience(text: str, *, after_s: float) -> Iterator[None]:
    """Say on stderr what takes so long, if it takes longer than `after_s`."""
    timer = threading.Timer(after_s, note, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
