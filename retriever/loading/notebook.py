"""Reader of notebooks: Markdown cells as they are, code and its text outputs in fences."""

import json
import re
from collections.abc import Iterator

from retriever.errors import LoadingError
from retriever.loading import headings
from retriever.loading.content import Content, FileBytes, LoadingOptions
from retriever.loading.decoding import decode, storable

MAX_OUTPUT_CHARACTERS = 2000
_CUT = "..."
_LEVELS = frozenset("123456")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}\Z")


def read(file: FileBytes, options: LoadingOptions) -> Content:
    """Read a notebook of format 3 or 4 as Markdown; pictures and HTML outputs are left out.

    Raises:
        LoadingError: it is not JSON, or holds no list of cells.
    """
    decoded = decode(file.data)
    try:
        notebook = json.loads(decoded.text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise LoadingError("damaged notebook: it is not JSON") from error
    cells = _cells(notebook)
    language = _language(notebook)
    blocks = (block.strip("\n") for cell in cells for block in _blocks(cell, language))
    text = storable("\n\n".join(block for block in blocks if block.strip()))
    found = headings.find_markdown(text)
    return Content(
        text,
        file.format,
        "markdown",
        title=headings.first_title(found),
        headings=found,
        warnings=decoded.warnings,
    )


def _cells(notebook: object) -> list[dict[str, object]]:
    if isinstance(notebook, dict):
        sheets = notebook.get("worksheets")
        holders = sheets if isinstance(sheets, list) and sheets else [notebook]  # format 3
        lists = [holder.get("cells") for holder in holders if isinstance(holder, dict)]
        if any(isinstance(cells, list) for cells in lists):
            found = (cell for cells in lists if isinstance(cells, list) for cell in cells)
            return [cell for cell in found if isinstance(cell, dict)]
    raise LoadingError("damaged notebook: it holds no cells")


def _language(notebook: object) -> str:
    metadata = notebook.get("metadata") if isinstance(notebook, dict) else None
    for section in ("language_info", "kernelspec"):
        part = metadata.get(section) if isinstance(metadata, dict) else None
        name = part.get("name" if section == "language_info" else "language") if isinstance(
            part, dict) else None  # fmt: skip
        if isinstance(name, str) and _LANGUAGE.match(name):
            return name
    return ""


def _blocks(cell: dict[str, object], language: str) -> Iterator[str]:
    kind = cell.get("cell_type")
    source = _joined(cell.get("source", cell.get("input")))
    if kind == "heading":
        level = str(cell.get("level", "1"))
        yield f"{'#' * (int(level) if level in _LEVELS else 1)} {source}"
    elif kind != "code":
        yield _closed(source)
    else:
        yield _fenced(source, language)
        outputs = cell.get("outputs")
        for output in outputs if isinstance(outputs, list) else []:
            if isinstance(output, dict):
                marked = _markdown(output)
                yield marked or _fenced(_output(output), "")


def _markdown(output: dict[str, object]) -> str:
    """What an output shows as Markdown: its plain text is only the name of a Python object."""
    data = output.get("data")
    return _closed(_shortened(_joined(data.get("text/markdown")))) if isinstance(data, dict) else ""


def _output(output: dict[str, object]) -> str:
    data = output.get("data", output)
    text = _joined(data.get("text/plain", data.get("text"))) if isinstance(data, dict) else ""
    if output.get("output_type") == "stream":
        text = _joined(output.get("text"))
    if output.get("output_type") in {"error", "pyerr"}:
        text = f"{output.get('ename')}: {output.get('evalue')}"
    return _shortened(_ANSI.sub("", text))


def _closed(markdown: str) -> str:
    """Markdown that leaves nothing open: a cell or an output is rendered by itself."""
    end = headings.closing(markdown)
    return f"{markdown}\n{end}" if end else markdown


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_OUTPUT_CHARACTERS else text[:MAX_OUTPUT_CHARACTERS] + _CUT


def _joined(source: object) -> str:
    if isinstance(source, list):
        return "".join(part for part in source if isinstance(part, str))
    return source if isinstance(source, str) else ""


def _fenced(code: str, language: str) -> str:
    """The code between fences longer than any run of backticks in it."""
    if not code.strip():
        return ""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code.strip(chr(10))}\n{fence}"
