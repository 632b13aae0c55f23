"""Readers of mails and mailboxes: the text a person sees, the headers as metadata."""

import contextlib
import re
from codecs import BOM_UTF8
from collections import Counter
from dataclasses import replace
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import EmailMessage, MIMEPart
from email.utils import parsedate_to_datetime

from retriever.errors import LoadingError
from retriever.loading import metadata, webpage
from retriever.loading.content import BYTES_PER_MB, Content, FileBytes, LoadingOptions
from retriever.loading.decoding import NOT_TEXT, decode, storable
from retriever.records import Heading

MAX_PARTS = 1000
MAX_DEPTH = 350
MAX_MAILS = 10_000
MAX_NOTES = 10
_BODIES = frozenset({"text/plain", "text/html"})  # part of the mail's own text, also with a name
_UNSEEN = frozenset({"text/css", "text/javascript"})  # what saved pages carry along
_SEALED = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_PGP_MESSAGE = "-----BEGIN PGP MESSAGE-----"
_ENCRYPTED = "encrypted mail"
_SIGNED = "mail inside an S/MIME signature, not opened"
_TOO_DEEP = "damaged mail: parts are nested too deeply"
_FIELDS = ("from", "to", "cc", "date")
_MAILBOX_LINE = re.compile(rb"(?:\A|(?<=\n))From \S+ [^\n]*\d\d:\d\d[^\n]*(?:\n|\Z)")
_FAILURES = (MessageError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


def read_mail(file: FileBytes, options: LoadingOptions) -> Content:
    """One mail: subject as title, all parts that a person sees, attachments named, not opened.

    Of parts that say the same in several ways, the plain one is read.

    Raises:
        LoadingError: it has no headers of a mail, or its parts are nested too deeply, or all
            that it shows is encrypted.
    """
    body = _Body(options)
    content = _read(file, body)
    if body.sealed and not body.shown:
        raise LoadingError(body.sealed[0])
    return replace(content, warnings=(*body.warnings(), *content.warnings))


def _read(file: FileBytes, body: "_Body") -> Content:
    message = _parsed(file.data)
    subject, fields = _headers(message)
    if not (subject or fields):
        raise LoadingError("damaged mail: it has no headers")
    try:
        body.shown = shown = body.text(message).strip()
    except RecursionError as error:
        raise LoadingError(_TOO_DEEP) from error
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
    noted: Counter[str] = Counter()
    for start, end in zip(starts[:MAX_MAILS], ends, strict=False):
        try:
            body = _Body(options)
            one = _read_one(data[start:end], body)
            noted.update(body.warnings())
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
    warnings = tuple(
        f"{warning} ({count} mails)" for warning, count in noted.most_common(MAX_NOTES)
    )
    if damaged:
        warnings += (f"{damaged} mails could not be read: their text stays as it is written",)
    if len(starts) > MAX_MAILS:
        warnings += (f"only the first {MAX_MAILS} mails were read",)
    text = "\n\n".join(parts)
    return Content(text, file.format, "markdown", headings=tuple(found), warnings=warnings)


def _read_one(data: bytes, body: "_Body") -> Content:
    """One mail of a mailbox, without the line that stands before it."""
    mail = data.partition(b"\n")[2] if data.startswith(b"From ") else data
    return _read(FileBytes(mail, "", "eml"), body)


def _as_written(data: bytes) -> str:
    try:
        return decode(data).text.replace("\r\n", "\n").strip() if data.strip() else ""
    except LoadingError:
        return ""


def _parsed(data: bytes) -> EmailMessage:
    try:
        message = message_from_bytes(data.lstrip(b"\xef\xbb\xbf \t\r\n"), policy=policy.default)
    except RecursionError as error:
        raise LoadingError(_TOO_DEEP) from error
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
    """What a mail shows, gathered part by part, and what of it could not be read."""

    def __init__(self, options: LoadingOptions) -> None:
        self._options = options
        self._parts_left = MAX_PARTS
        self._is_cut = False
        self._notes: list[str] = []
        self.shown = ""
        self.attachments: list[str] = []
        self.sealed: list[str] = []
        """Why parts cannot be read without a key, or without opening a signature."""

    def warnings(self) -> tuple[str, ...]:
        """What was lost or guessed, each said once."""
        notes = [*self._notes, *(f"a part was not read: {reason}" for reason in self.sealed)]
        if self._is_cut:
            notes.append(f"only the first {MAX_PARTS} parts of a mail were read")
        return tuple(dict.fromkeys(notes))

    def text(self, part: MIMEPart, depth: int = 0) -> str:
        """The text that a part shows; attachments in it are named, not opened."""
        if not self._parts_left:
            self._is_cut = True
            return ""
        if depth > MAX_DEPTH:
            raise LoadingError(_TOO_DEEP)
        self._parts_left -= 1
        kind = part.get_content_type()
        is_attachment = part.get_content_disposition() == "attachment"
        if reason := _seal(part, kind):
            self.sealed.append(reason)
        if part.is_multipart() and not is_attachment:
            return self._texts(part, kind, depth)
        name = _filename(part)
        if is_attachment or (name and kind not in _BODIES):
            self.attachments.append(name or kind)
        elif kind.startswith(("text/", "multipart/")) and kind not in _UNSEEN:
            # a multipart without parts lacks its boundaries: its text stands there as it is
            return self._own_text(part, kind)
        return ""

    def _texts(self, part: MIMEPart, kind: str, depth: int) -> str:
        shown: list[tuple[str, str]] = []
        for each in part.iter_parts():  # no comprehension: it is a frame more for each level
            if (text := self.text(each, depth + 1)).strip():
                shown.append((each.get_content_type(), text))
        if kind == "multipart/alternative":
            # the last is the richest (RFC 2046, 5.1.4), yet plain text needs no guessing
            shown = sorted(shown, key=lambda each: _preference(each[0]))[-1:]
        return "\n\n".join(text for _, text in shown)

    def _own_text(self, part: MIMEPart, kind: str) -> str:
        data = _payload(part)
        if not data.strip():
            return ""
        try:
            if kind == "text/html":
                content = webpage.read(FileBytes(data, "", "html"), self._options)
                text, notes = content.text, content.warnings
            else:
                decoded = decode(data, declared=_charset(part))
                text, notes = decoded.text.replace("\r\n", "\n"), decoded.warnings
        except LoadingError as error:
            # a page without any text has none to lose
            self._notes += [f"a part was not read: {error.reason}"] * (error.reason == NOT_TEXT)
            return ""
        self._notes += notes
        if text.lstrip().startswith(_PGP_MESSAGE):
            self.sealed.append(_ENCRYPTED)
            return ""
        return text


def _seal(part: MIMEPart, kind: str) -> str:
    """Why a part cannot be read without a key, or without opening a signature; or nothing."""
    if kind in _SEALED:
        form = str(part.get_param("smime-type", "")).lower()
        return _SIGNED if form in {"signed-data", "compressed-data"} else _ENCRYPTED
    return _ENCRYPTED if kind == "multipart/encrypted" else ""


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


def _charset(part: MIMEPart) -> str:
    try:
        return str(part.get_content_charset() or "")
    except _FAILURES:
        return ""
