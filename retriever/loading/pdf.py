"""Reader of PDF files, page by page."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from retriever.errors import LoadingError
from retriever.loading import metadata
from retriever.loading.content import BYTES_PER_MB, Content, FileBytes, LoadingOptions
from retriever.loading.decoding import storable
from retriever.records import PageSpan

PAGE_BREAK = "\n\n"
_PAGES_LOOKED_AT = 5
_LINE_END_HYPHEN = re.compile("[\x02\ufffe](?:\r?\n)?")
_LIGATURES = str.maketrans(
    {
        "\ufb00": "ff",
        "\ufb01": "fi",
        "\ufb02": "fl",
        "\ufb03": "ffi",
        "\ufb04": "ffl",
        "\ufb06": "st",
    }
)
_CONTROL = re.compile("[\x01-\x08\x0b-\x1f\x7f\u00ad\ufeff\ufffe\uffff]")
_NO_TITLE = re.compile(
    r"(?i)untitled|microsoft \w+ - |.*\.(?:docx?|pdf|indd|qxd|pptx?|xlsx?|tex|dvi|rtf|odt|html?)$"
    r"|[\d\W_]+$|.{0,3}$"
)
_FIELDS = {"Author": "author", "Subject": "subject", "Keywords": "keywords"}


def read(file: FileBytes, options: LoadingOptions) -> Content:
    """The text layer of a PDF; pages are physical ones, counted from 1.

    A word that was broken at the end of a line, where PDFium marks it, is joined again.

    Raises:
        LoadingError: it needs a password, is damaged, or holds pictures of text only.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(file.data)
    except pypdfium2.PdfiumError as error:
        protected = "password" in str(error).lower() or "security" in str(error).lower()
        reason = "password-protected PDF" if protected else "damaged PDF"
        raise LoadingError(reason) from error
    try:
        return _content(document, pypdfium2.PdfiumError, file.format, options)
    finally:
        document.close()


def _content(
    document: Any, failure: type[Exception], format: str, options: LoadingOptions
) -> Content:
    texts: list[str] = []
    spans: list[PageSpan] = []
    damaged: list[str] = []
    position = 0
    for number in range(1, len(document) + 1):
        try:
            text = _page_text(document, number - 1)
        except failure:
            text = ""
            damaged.append(str(number))
        position += len(PAGE_BREAK) if texts else 0
        spans.append(PageSpan(number, position, position + len(text)))
        texts.append(text)
        position += len(text)
        if position > options.max_unpacked_mb * BYTES_PER_MB:
            raise LoadingError(f"holds more than {options.max_unpacked_mb:.0f} MB of text")
    _require_letters(document, texts, damaged)
    fields = {str(key): str(value) for key, value in document.get_metadata_dict().items() if value}
    kept, dropped = metadata.bounded(
        {ours: fields[theirs] for theirs, ours in _FIELDS.items() if theirs in fields}
    )
    lost = (f"pages that could not be read: {', '.join(damaged[:20])}",) if damaged else ()
    return Content(
        PAGE_BREAK.join(texts),
        format,
        "plain",
        title=_title(fields.get("Title", "")),
        pages=tuple(spans),
        metadata=kept,
        warnings=(*_textless(texts), *lost, *dropped),
    )


def _page_text(document: Any, index: int) -> str:
    page = document[index]
    try:
        text_page = page.get_textpage()
        try:
            return _clean(text_page.get_text_bounded())
        finally:
            text_page.close()
    finally:
        page.close()


def _clean(text: str) -> str:
    joined = _LINE_END_HYPHEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    spelt_out = _CONTROL.sub("", storable(joined)).translate(_LIGATURES)
    lines = (line.rstrip() for line in spelt_out.split("\n"))
    return "\n".join(lines).strip("\n")


def _require_letters(document: Any, texts: list[str], damaged: list[str]) -> None:
    if any(character.isalnum() for text in texts for character in text):
        return
    if not texts or len(damaged) == len(texts):
        raise LoadingError("damaged PDF: no page can be read")
    kind = "scanned" if _shows_anything(document) else "empty"
    raise LoadingError(f"no text: {len(texts)} {kind} page{'s' if len(texts) > 1 else ''}")


def _shows_anything(document: Any) -> bool:
    """Whether one of the first pages holds a picture or a drawing."""
    for index in range(min(len(document), _PAGES_LOOKED_AT)):
        with contextlib.suppress(RuntimeError):  # what PDFium raises for a damaged page
            if next(document[index].get_objects(max_depth=3), None) is not None:
                return True
    return False


def _textless(texts: list[str]) -> Iterator[str]:
    count = sum(not text.strip() for text in texts)
    if count:
        yield f"{count} of {len(texts)} pages hold no text"


def _title(title: str) -> str:
    """The PDF's own title, unless it is a file name or a number, as programs leave there."""
    plain = " ".join(_CONTROL.sub("", storable(title)).split())
    return "" if _NO_TITLE.match(plain) else plain[:500]
