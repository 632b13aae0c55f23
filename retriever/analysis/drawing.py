"""A map as a file: a page for a browser, or a picture."""

import base64
import hashlib
import html
import json
import os
import string
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from retriever.errors import MissingDependencyError, QueryError
from retriever.protocols import Vectors

ENDINGS = (".html", ".png")
PALETTE = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee7733", "#8866dd",
    "#009988", "#cc3311", "#997700", "#dd88cc", "#5566ee", "#99cc33", "#885533", "#ff9da7",
    "#44bb99", "#996688", "#c0a060", "#888888",
)  # fmt: skip
"""Colours that most eyes tell apart on a light and on a dark ground (after Paul Tol)."""
PLACES_UP_TO = 10_000
"""Places in a page are whole numbers up to this."""
_PICTURE = (1600, 1200)
_LEGEND_WIDTH = 420
_MARGIN = 40
_LETTERS = 17


@dataclass(frozen=True, slots=True)
class Drawing:
    """Points to draw: position i of each list is one point."""

    title: str
    places: Vectors
    """float32, (n, 2), 0 to 1."""
    method: str
    labels: Sequence[int]
    """Which group each is of."""
    groups: Sequence[str]
    names: Sequence[str]
    titles: Sequence[str]
    texts: Sequence[str]


def refuse_unwritable(path: Path, *, overwrite: bool) -> None:
    """See that a file can be written before any work is done for it.

    Raises:
        QueryError: another ending, no such folder, or the file is there and is to be kept.
        MissingDependencyError: a picture needs Pillow.
    """
    if path.suffix.lower() not in ENDINGS:
        raise QueryError(f"{path} ends in neither of {', '.join(ENDINGS)}: name it so.")
    if not path.absolute().parent.is_dir():
        raise QueryError(f"There is no folder {path.absolute().parent}. Make it first.")
    if path.exists() and not (overwrite and path.is_file()):
        raise QueryError(f"{path} is there already. Name another file, or --overwrite it.")
    if path.suffix.lower() == ".png":
        import_pillow()


def import_pillow() -> Any:
    """The parts of Pillow that draw: Image, ImageDraw, ImageFont.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise MissingDependencyError("pillow", "map", "A picture (.png)") from error
    return Image, ImageDraw, ImageFont


def write_drawing(drawing: Drawing, path: Path) -> None:
    """Write a page or a picture, whole or not at all."""
    if path.suffix.lower() == ".png":
        write_whole(path, picture(drawing))
    else:
        write_whole(path, page(drawing).encode("ascii"))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file such that nobody ever sees a part of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def page(drawing: Drawing) -> str:
    """A page of its own, in ASCII: data, style and script inside, nothing asked of any server.

    Texts are hostile: they are JSON that holds no `<`, and the script only ever shows them as
    text. The policy in the head lets this one script run, by its hash, and no connection be made.
    """
    parts = resources.files(__package__) / "page"
    script = (parts / "map.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = string.Template((parts / "map.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(drawing.title).encode("ascii", "xmlcharrefreplace").decode(),
        style=(parts / "map.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=digest,
        data=embedded_json(_data(drawing)),
    )


def _data(drawing: Drawing) -> dict[str, object]:
    places = np.rint(drawing.places * PLACES_UP_TO).astype(int)
    return {
        "method": drawing.method,
        "scale": PLACES_UP_TO,
        "x": places[:, 0].tolist(),
        "y": (PLACES_UP_TO - places[:, 1]).tolist(),
        "group": list(drawing.labels),
        "groups": [
            {"name": name, "colour": PALETTE[number % len(PALETTE)]}
            for number, name in enumerate(drawing.groups)
        ],
        "name": list(drawing.names),
        "title": list(drawing.titles),
        "text": list(drawing.texts),
    }


def embedded_json(value: object) -> str:
    """JSON that can stand inside a script element: ASCII, and nothing that could end it."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def picture(drawing: Drawing) -> bytes:
    """A PNG of 1600 by 1200 pixels: the points, and the names of the groups beside them.

    Raises:
        MissingDependencyError: Pillow is not installed.
    """
    image_of, draw_on, fonts = import_pillow()
    width, height = _PICTURE
    image = image_of.new("RGB", (2 * width, 2 * height), "white")  # halved below: smooth edges
    canvas = draw_on.Draw(image)
    side = min(width - _LEGEND_WIDTH, height) - 2 * _MARGIN
    radius = 2 * max(2.0, 6.0 - len(drawing.labels) / 2_500)
    for (x, y), label in zip(drawing.places.tolist(), drawing.labels, strict=True):
        left, top = 2 * (_MARGIN + x * side), 2 * (_MARGIN + (1 - y) * side)
        box = (left - radius, top - radius, left + radius, top + radius)
        canvas.ellipse(box, fill=PALETTE[label % len(PALETTE)])
    image = image.resize(_PICTURE, image_of.Resampling.LANCZOS)
    canvas, font = draw_on.Draw(image), fonts.load_default(_LETTERS)
    left = 2 * _MARGIN + side
    for number, name in enumerate([f"{drawing.title} ({drawing.method})", *drawing.groups]):
        top = _MARGIN + number * 2 * _LETTERS
        if number:
            colour = PALETTE[(number - 1) % len(PALETTE)]
            canvas.rectangle((left, top, left + _LETTERS, top + _LETTERS), fill=colour)
        shown = _fitting(name, font, _LEGEND_WIDTH - 2 * _LETTERS)
        canvas.text((left + 2 * _LETTERS * bool(number), top), shown, "black", font=font)
    return png(image)


def png(image: Any) -> bytes:
    """A picture's bytes."""
    import io

    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _fitting(text: str, font: Any, width: int) -> str:
    line = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(f"{line}...") > width:
        line = line[:-1]
    return f"{line}..."
