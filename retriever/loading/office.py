"""Reader of office files and e-books, by the optional package xberg."""

import asyncio
import re
from typing import Any

from retriever.errors import LoadingError
from retriever.loading import headings, metadata, zipped
from retriever.loading.content import BYTES_PER_MB, Content, FileBytes, LoadingOptions
from retriever.loading.decoding import storable
from retriever.records import PageSpan

_ZIPPED = frozenset({"docx", "xlsx", "odt", "ods", "epub"})
_PAGED = frozenset({"ppt", "xlsx", "xls", "ods"})
_MEDIA_TYPES = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "epub": "application/epub+zip",
    "rtf": "application/rtf",
    "doc": "application/msword",
    "ppt": "application/vnd.ms-powerpoint",
    "xls": "application/vnd.ms-excel",
}
"""Told to xberg, which else takes a file that it does not know for an archive and lists it."""
_PASSWORD = re.compile(r"(?i)encrypt|password")
_PICTURE = re.compile(r"!\[([^\[\]\n]*)\]\((?:[^()\n]|\([^()\n]*\))*\)")
_PICTURE_NAME = re.compile(r"(?i)\S*\.(?:png|jpe?g|gif|emf|wmf|svg|bmp|tiff?)\Z")
_NEEDLESS_ESCAPE = re.compile(r"\\([<>!])")
_BOLD_WITHIN_WORD = re.compile(r"(?<=[^\W\d_])\*\*(?=[^\W\d_])")
_MAX_TABLE_CELLS = 5_000_000


def read(file: FileBytes, options: LoadingOptions) -> Content:
    """An office file or e-book as Markdown; slides and sheets are its pages.

    Pictures, charts and comments are left out.

    Raises:
        LoadingError: it needs a password, is damaged, unpacks to too much, or the package that
            reads it is not installed.
    """
    if file.format in _ZIPPED:
        directory = zipped.read_directory(file.data)
        zipped.check_unpacked_size(directory, len(file.data), options.max_unpacked_mb)
    result = _extracted(file, options)
    text = _clean(result.content)
    found = headings.find_markdown(text)
    title = str(result.metadata.title or "").strip()
    authors = list(result.metadata.authors or ())
    kept, dropped = metadata.bounded(
        {
            "author": authors[0] if len(authors) == 1 else authors,
            "language": result.metadata.language,
        }
    )
    return Content(
        text,
        file.format,
        "markdown",
        title=storable(title)[:500] or headings.first_title(found),
        headings=found,
        pages=_pages(text, result.pages or ()) if file.format in _PAGED else (),
        metadata=kept,
        warnings=dropped,
    )


def _extracted(file: FileBytes, options: LoadingOptions) -> Any:
    try:
        import xberg
    except ImportError as error:
        raise LoadingError(
            "needs the extra 'office': pip install 'rag-retriever[office]'"
        ) from error
    most = int(options.max_unpacked_mb * BYTES_PER_MB)
    config = xberg.ExtractionConfig(
        use_cache=False,
        disable_ocr=True,
        output_format="markdown",
        escape_markdown=False,
        enable_quality_processing=False,
        pages=xberg.PageConfig(extract_pages=True),
        security_limits=xberg.SecurityLimits(
            max_archive_size=most, max_content_size=most, max_compression_ratio=zipped.MAX_RATIO,
            max_table_cells=_MAX_TABLE_CELLS,
        ),
    )  # fmt: skip
    # bytes, never a name that could be taken for an address; the name only carries the format
    source = xberg.ExtractInput(
        kind="bytes",
        bytes=file.data,
        filename=f"file.{file.format}",
        mime_type=_MEDIA_TYPES[file.format],
    )
    try:
        answer = asyncio.run(xberg.extract(source, config))
    except RuntimeError as error:
        raise _failure(str(error), file.format) from error
    if answer.errors or not answer.results:
        raise _failure("; ".join(str(each) for each in answer.errors), file.format)
    return answer.results[0]


def _failure(message: str, format: str) -> LoadingError:
    if _PASSWORD.search(message):
        return LoadingError(f"password-protected {format.upper()}")
    return LoadingError(f"damaged {format.upper()}")


def _clean(markdown: str) -> str:
    text = storable(markdown.replace("\r\n", "\n")).replace("\ufeff", "")
    text = _BOLD_WITHIN_WORD.sub("", _PICTURE.sub(_alternative, text))
    return re.sub(r"\n{3,}", "\n\n", _NEEDLESS_ESCAPE.sub(r"\1", text)).strip()


def _alternative(picture: re.Match[str]) -> str:
    """What a picture is said to show; a file name says nothing."""
    shown = picture.group(1).strip()
    return "" if _PICTURE_NAME.match(shown) else shown


def _pages(text: str, pages: Any) -> tuple[PageSpan, ...]:
    """Where each slide or sheet stands in the text; none unless all are found in their order."""
    starts: list[tuple[int, int]] = []
    position = 0
    for page in sorted(pages, key=lambda page: page.page_number):
        content = _clean(page.content)
        start = text.find(content, position)
        if start < 0:
            return ()
        starts.append((page.page_number, start))
        position = start + len(content)
    return _spans(text, starts) if starts else ()


def _spans(text: str, starts: list[tuple[int, int]]) -> tuple[PageSpan, ...]:
    """Pages from their first positions; the heading just above a sheet belongs to it."""
    begins: list[int] = []
    for _, start in starts:
        above = text.rfind("\n\n", 0, max(start - 2, 0)) + 2 if start >= 2 else 0
        above = 0 if above == 1 else above
        heading = text[above:start]
        begins.append(above if heading.startswith("#") and heading.count("\n") <= 2 else start)
    ends = [*begins[1:], len(text)]
    return tuple(
        PageSpan(number, begin, max(begin, end))
        for (number, _), begin, end in zip(starts, begins, ends, strict=True)
    )
