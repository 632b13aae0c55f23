"""Readers of mails and mailboxes: the text a person sees, the headers as metadata."""

import contextlib
import re
from codecs import BOM_UTF8
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import EmailMessage, MIMEPart
from email.utils import parsedate_to_datetime

from retriever.errors import LoadingError
from retriever.loading import metadata, webpage
from retriever.loading.content import BYTES_PER_MB, Content, FileBytes, LoadingOptions
from retriever.loading.decoding import decode, storable
from retriever.records import Heading

MAX_PARTS = 1000
MAX_MAILS = 10_000
_BODIES = frozenset({"text/plain", "text/html"})  # part of the mail's own text, also with a name
_UNSEEN = frozenset({"text/css", "text/javascript"})  # what saved pages carry along
_FIELDS = ("from", "to", "cc", "date")
_MAILBOX_LINE = re.compile(rb"(?:\A|(?<=\n))From \S+ [^\n]*\d\d:\d\d[^\n]*(?:\n|\Z)")
_FAILURES = (MessageError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


def read_mail(file: FileBytes, options: LoadingOptions) -> Content:
    """One mail: subject as title, all parts that a person sees, attachments named, not opened.

    Of parts that say the same in several ways, the plain one is read.

    Raises:
        LoadingError: it has no headers of a mail, or its body is encrypted.
    """
    message = _parsed(file.data)
    subject, fields = _headers(message)
    if not (subject or fields):
        raise LoadingError("damaged mail: it has no headers")
    body = _Body(options)
    try:
        shown = body.text(message).strip()
    except RecursionError as error:
        raise LoadingError("damaged mail: parts are nested too deeply") from error
    named = f"\n\nAttachments: {', '.join(body.attachments)}" if body.attachments else ""
    kept, dropped = metadata.bounded(fields)
    title = f"# {subject}\n\n" if subject else ""
    text = storable(f"{title}{shown}{named}".strip())
    return Content(
        text,
        file.format,
        "markdown",
        title=subject,
        headings=(Heading(1, subject, 0, len(subject) + 2),) if subject else (),
        metadata=kept,
        warnings=dropped,
    )


def read_mailbox(file: FileBytes, options: LoadingOptions) -> Content:
    """Many mails in one file: each under its subject as a heading.

    A mail begins at a line of `From`, a sender and a time. One that is no mail by itself, such as
    one without headers, stays as it is written, with a warning.

    Raises:
        LoadingError: it holds more text than may be unpacked.
    """
    data = file.data.removeprefix(BOM_UTF8).lstrip()
    starts = sorted({0, *(match.start() for match in _MAILBOX_LINE.finditer(data))})
    ends = [*starts[1:], len(data)]
    parts: list[str] = []
    found: list[Heading] = []
    position = damaged = 0
    for start, end in zip(starts[:MAX_MAILS], ends, strict=False):
        try:
            one = _read_one(data[start:end], options)
        except (LoadingError, *_FAILURES):
            damaged += 1
            one = Content(_as_written(data[start:end]), "eml", "markdown")
        parts.append(one.text)
        found.extend(
            Heading(each.level, each.text, each.start + position, each.end + position)
            for each in one.headings
        )
        position += len(one.text) + 2
        if position > options.max_unpacked_mb * BYTES_PER_MB:
            raise LoadingError(f"holds more than {options.max_unpacked_mb:.0f} MB of text")
    warnings: tuple[str, ...] = ()
    if damaged:
        warnings = (f"{damaged} mails could not be read: their text stays as it is written",)
    if len(starts) > MAX_MAILS:
        warnings += (f"only the first {MAX_MAILS} mails were read",)
    text = "\n\n".join(parts)
    return Content(text, file.format, "markdown", headings=tuple(found), warnings=warnings)


def _read_one(data: bytes, options: LoadingOptions) -> Content:
    """One mail of a mailbox, without the line that stands before it."""
    mail = data.partition(b"\n")[2] if data.startswith(b"From ") else data
    return read_mail(FileBytes(mail, "", "eml"), options)


def _as_written(data: bytes) -> str:
    try:
        return decode(data).text.replace("\r\n", "\n").strip() if data.strip() else ""
    except LoadingError:
        return ""


def _parsed(data: bytes) -> EmailMessage:
    try:
        message = message_from_bytes(data.lstrip(b"\xef\xbb\xbf \t\r\n"), policy=policy.default)
    except _FAILURES as error:
        raise LoadingError("damaged mail") from error
    return message


def _headers(message: EmailMessage) -> tuple[str, dict[object, object]]:
    fields: dict[object, object] = {
        name: value for name in _FIELDS if (value := _header(message, name))
    }
    with contextlib.suppress(KeyError, ValueError, TypeError, OverflowError, IndexError):
        # a date that is none stays as it is written
        fields["date"] = parsedate_to_datetime(str(fields["date"])).isoformat()
    return _header(message, "subject")[:500], fields


def _header(message: EmailMessage, name: str) -> str:
    """A header as its reader sees it; hostile ones make the parser of the library fail."""
    try:
        value = str(message.get(name, ""))
    except _FAILURES:
        raw = next((value for key, value in message.raw_items() if key.lower() == name), "")
        value = str(raw)
    if any("\udc80" <= character <= "\udcff" for character in value):
        value = decode(value.encode("utf-8", "surrogateescape")).text
    return _on_one_line(value)


def _on_one_line(value: str) -> str:
    """A header's value on one line."""
    return " ".join(storable(value).split())


class _Body:
    """What a mail shows, gathered part by part."""

    def __init__(self, options: LoadingOptions) -> None:
        self._options = options
        self._parts_left = MAX_PARTS
        self.attachments: list[str] = []

    def text(self, part: MIMEPart) -> str:
        """The text that a part shows; attachments in it are named, not opened."""
        if not self._parts_left:
            return ""
        self._parts_left -= 1
        kind = part.get_content_type()
        is_attachment = part.get_content_disposition() == "attachment"
        if part.is_multipart() and not is_attachment:
            shown = [(each.get_content_type(), self.text(each)) for each in part.iter_parts()]
            shown = [(kind, text) for kind, text in shown if text.strip()]
            if kind == "multipart/alternative":
                # the last is the richest (RFC 2046, 5.1.4), yet plain text needs no guessing
                shown = sorted(shown, key=lambda each: _preference(each[0]))[-1:]
            return "\n\n".join(text for _, text in shown)
        name = _filename(part)
        if is_attachment or (name and kind not in _BODIES):
            self.attachments.append(name or kind)
        elif kind == "text/html":
            return _html(_payload(part), self._options)
        elif kind.startswith(("text/", "multipart/")) and kind not in _UNSEEN:
            # a multipart without parts lacks its boundaries: its text stands there as it is
            return _text(part)
        return ""


def _preference(kind: str) -> int:
    if kind == "text/plain":
        return 2
    return 1 if kind == "text/html" or kind.startswith("multipart/") else 0


def _filename(part: MIMEPart) -> str:
    try:
        return _on_one_line(part.get_filename() or "")[:200]
    except _FAILURES:
        return "unnamed"


def _payload(part: MIMEPart) -> bytes:
    try:
        payload = part.get_payload(decode=True)
    except _FAILURES:
        payload = None
    return payload if isinstance(payload, bytes) else b""


def _text(part: MIMEPart) -> str:
    data = _payload(part)
    try:
        declared = str(part.get_content_charset() or "")
    except _FAILURES:
        declared = ""
    try:
        return decode(data, declared=declared).text.replace("\r\n", "\n") if data else ""
    except LoadingError:
        return ""


def _html(data: bytes, options: LoadingOptions) -> str:
    if not data.strip():
        return ""
    try:
        return webpage.read(FileBytes(data, "", "html"), options).text
    except LoadingError:
        return ""
