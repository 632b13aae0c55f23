"""A cosine matrix as a heat map in a file: a page for a browser, or a picture."""

import html
from pathlib import Path

from retriever.analysis.comparing import Comparison
from retriever.analysis.drawing import import_pillow, png, refuse_unwritable, write_whole
from retriever.errors import QueryError

MOST_TEXTS = 200
"""More would be cells that nobody can read."""
_LONGEST_LABEL = 120
_SMALLEST_NUMBERED_CELL = 36
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Cosines</title><style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #1b1b1b; background: #fff; }}
td, th {{ padding: 6px 9px; font-variant-numeric: tabular-nums; text-align: center; }}
th.text {{ text-align: left; font-weight: normal; max-width: 36em; }}
</style></head><body><h1>{heading}</h1><table>
<tr><th></th><th></th>{numbers}</tr>
{rows}
</table></body></html>
"""


def write_heat_map(found: Comparison, path: Path) -> None:
    """Write a heat map, white for a cosine of 0 or less and red for 1.

    An existing file is replaced.

    Raises:
        QueryError: the file has another ending, its folder is not there, or there are more than
            200 texts.
        MissingDependencyError: a picture needs Pillow.
    """
    refuse_unwritable(path, overwrite=True)
    if len(found.texts) > MOST_TEXTS:
        raise QueryError(
            f"A heat map of {len(found.texts):,} texts could not be read; {MOST_TEXTS} at most "
            "are drawn. --json has all of them."
        )
    content = _picture(found) if path.suffix.lower() == ".png" else _page(found).encode("utf-8")
    write_whole(path, content)


def warmth(score: float) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255 each, of a cosine."""
    part = min(max(score, 0.0), 1.0) ** 1.5
    return round(255 - 35 * part), round(255 - 195 * part), round(255 - 195 * part)


def _page(found: Comparison) -> str:
    subject = f"{found.word!r} as read" if found.word else "Texts"
    numbers = "".join(f"<th>{number}</th>" for number in range(1, len(found.texts) + 1))
    rows = []
    for number, (text, scores) in enumerate(zip(found.texts, found.cosines, strict=True), start=1):
        cells = "".join(
            f'<td style="background:rgb{warmth(float(score))}">{score:.3f}</td>' for score in scores
        )
        label = html.escape(_label(text))
        rows.append(f'<tr><th>{number}</th><th class="text">{label}</th>{cells}</tr>')
    heading = html.escape(_label(f"{subject} by {found.model}: cosines"))
    return _PAGE.format(heading=heading, numbers=numbers, rows="\n".join(rows))


def _label(text: str) -> str:
    line = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    return line if len(line) <= _LONGEST_LABEL else f"{line[: _LONGEST_LABEL - 3]}..."


def _picture(found: Comparison) -> bytes:
    image_of, draw_on, fonts = import_pillow()
    count = len(found.texts)
    cell = max(6, min(90, 1400 // count))
    font = fonts.load_default(14)
    labels = [f"{number}  {_label(text)}" for number, text in enumerate(found.texts, start=1)]
    left = 20 + round(max(font.getlength(label) for label in labels)) if cell >= 16 else 20
    image = image_of.new("RGB", (left + 20 + count * cell, 40 + count * cell), "white")
    canvas = draw_on.Draw(image)
    for row, scores in enumerate(found.cosines.tolist()):
        top = 20 + row * cell
        if cell >= 16:
            canvas.text((10, top + cell / 2), labels[row], "black", font=font, anchor="lm")
        for column, score in enumerate(scores):
            x = left + 10 + column * cell
            canvas.rectangle((x, top, x + cell - 1, top + cell - 1), fill=warmth(score))
            if cell >= _SMALLEST_NUMBERED_CELL:
                middle = (x + cell / 2, top + cell / 2)
                canvas.text(middle, f"{score:.2f}", "black", font=font, anchor="mm")
    return png(image)
