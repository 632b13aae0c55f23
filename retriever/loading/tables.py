"""Rows of cells as a Markdown table."""

from collections.abc import Sequence


def grid(rows: Sequence[Sequence[str]]) -> str:
    """Write rows as a Markdown table, the first as its head; empty rows are left out.

    White space within a cell becomes single spaces, a `|` is escaped, short rows are filled up.
    Nothing is written for rows without any text.
    """
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    cells = [row for row in cells if any(row)]
    if not cells:
        return ""
    width = max(len(row) for row in cells)
    lines = [f"| {' | '.join(row + [''] * (width - len(row)))} |" for row in cells]
    return "\n".join([lines[0], f"|{' --- |' * width}", *lines[1:]])
