"""Readers of mails and mailboxes: the text a person sees, the headers as metadata."""

import contextlib
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

from retriever.errors import LoadingError
from retriever.loading import metadata, webpage
from retriever.loading.content import BYTES_PER_MB, Content, FileBytes, LoadingOptions
from retriever.loading.decoding import decode, storable
from retriever.records import Heading

MAX_PARTS = 1000
MAX_MAILS = 10_000
_FIELDS = ("from", "to", "cc", "date")
_MAILBOX_LINE = re.compile(rb"(?:\A|(?<=\n))From [^\n]*\n")
_FAILURES = (MessageError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


def read_mail(file: FileBytes, options: LoadingOptions) -> Content:
    """One mail: subject as title, plain part before HTML part, attachments named, not opened.

    Raises:
        LoadingError: it has no headers of a mail, or its body is encrypted.
    """
    message = _parsed(file.data)
    subject, fields = _headers(message)
    if not (subject or fields):
        raise LoadingError("damaged mail: it has no headers")
    body, attachments = _body(message, options)
    named = f"\n\nAttachments: {', '.join(attachments)}" if attachments else ""
    kept, dropped = metadata.bounded(fields)
    title = f"# {subject}\n\n" if subject else ""
    text = storable(f"{title}{body.strip()}{named}".strip())
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

    Raises:
        LoadingError: it holds no mail.
    """
    starts = [match.start() for match in _MAILBOX_LINE.finditer(file.data)][: MAX_MAILS + 1]
    ends = [*starts[1:], len(file.data)]
    text = ""
    parts: list[str] = []
    found: list[Heading] = []
    position = 0
    for start, end in zip(starts[:MAX_MAILS], ends, strict=False):
        one = read_mail(FileBytes(_without_first_line(file.data[start:end]), "", "eml"), options)
        parts.append(one.text)
        found.extend(
            Heading(each.level, each.text, each.start + position, each.end + position)
            for each in one.headings
        )
        position += len(one.text) + 2
        if position > options.max_unpacked_mb * BYTES_PER_MB:
            raise LoadingError(f"holds more than {options.max_unpacked_mb:.0f} MB of text")
    text = "\n\n".join(parts)
    lost = (f"only the first {MAX_MAILS} mails were read",) if len(starts) > MAX_MAILS else ()
    return Content(text, file.format, "markdown", headings=tuple(found), warnings=lost)


def _without_first_line(data: bytes) -> bytes:
    return data.partition(b"\n")[2]


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


def _body(message: EmailMessage, options: LoadingOptions) -> tuple[str, list[str]]:
    plain: list[str] = []
    rich: list[str] = []
    attachments: list[str] = []
    for part in _parts(message):
        kind = part.get_content_type()
        name = _filename(part)
        if name or part.get_content_disposition() == "attachment":
            attachments.append(name or kind)
        elif kind == "text/html":
            rich.append(_html(_payload(part), options))
        elif kind.startswith("text/"):
            plain.append(_text(part))
    text = "\n\n".join(plain)
    return (text if text.strip() else "\n\n".join(rich)), attachments


def _parts(message: EmailMessage) -> Iterator[EmailMessage]:
    try:
        for number, part in enumerate(message.walk()):
            if number >= MAX_PARTS:
                return
            if not part.is_multipart():
                yield part
    except RecursionError as error:
        raise LoadingError("damaged mail: parts are nested too deeply") from error


def _filename(part: EmailMessage) -> str:
    try:
        return _on_one_line(part.get_filename() or "")[:200]
    except _FAILURES:
        return "unnamed"


def _payload(part: EmailMessage) -> bytes:
    try:
        payload = part.get_payload(decode=True)
    except _FAILURES:
        payload = None
    return payload if isinstance(payload, bytes) else b""


def _text(part: EmailMessage) -> str:
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
