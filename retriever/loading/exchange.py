"""What passes between the loader and its worker: frames of JSON and bytes, checked when read."""

import json
import struct
from dataclasses import asdict
from typing import Any, BinaryIO, get_args

from retriever.errors import LoadingError
from retriever.loading.content import Content, FileBytes, LoadingOptions
from retriever.records import Heading, Markup, PageSpan

_HEADER = struct.Struct(">QQ")


class BrokenExchange(Exception):
    """The other side ended, or sent what is no frame."""


def write_frame(stream: BinaryIO, fields: dict[str, Any], body: bytes = b"") -> None:
    """Send one frame: two lengths, JSON, bytes."""
    head = json.dumps(fields).encode("ascii")
    stream.write(_HEADER.pack(len(head), len(body)))
    stream.write(head)
    stream.write(body)
    stream.flush()


def read_frame(stream: BinaryIO, max_bytes: int) -> tuple[dict[str, Any], bytes]:
    """Receive one frame.

    Raises:
        BrokenExchange: the stream ended, or the frame is longer than `max_bytes` or no JSON.
    """
    head_bytes, body_bytes = _HEADER.unpack(_exactly(stream, _HEADER.size))
    if head_bytes + body_bytes > max_bytes:
        raise BrokenExchange(f"a frame of {head_bytes + body_bytes} bytes")
    head, body = _exactly(stream, head_bytes), _exactly(stream, body_bytes)
    try:
        fields = json.loads(head)
    except (ValueError, RecursionError) as error:
        raise BrokenExchange("a frame without JSON") from error
    if not isinstance(fields, dict):
        raise BrokenExchange("a frame without fields")
    return fields, body


def _exactly(stream: BinaryIO, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = stream.read(min(size, 1 << 20))
        if not part:
            raise BrokenExchange("the stream ended")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def write_request(stream: BinaryIO, file: FileBytes, options: LoadingOptions) -> None:
    """Send a file to be read."""
    fields = {"name": file.name, "format": file.format, "options": asdict(options)}
    write_frame(stream, fields, file.data)


def parse_request(fields: dict[str, Any], data: bytes) -> tuple[FileBytes, LoadingOptions]:
    """The file and the options of a request."""
    return FileBytes(data, fields["name"], fields["format"]), LoadingOptions(**fields["options"])


def write_content(stream: BinaryIO, content: Content) -> None:
    """Send what was read."""
    fields = asdict(content)
    text = fields.pop("text").encode("utf-8")
    write_frame(stream, {"content": fields}, text)


def parse_content(fields: dict[str, Any], text: bytes) -> Content:
    """The content of an answer: every field is checked, for a parser may have been taken over.

    Raises:
        LoadingError: the worker answered with a reason.
        BrokenExchange: the answer is none.
    """
    if isinstance(fields.get("reason"), str):
        raise LoadingError(fields["reason"][:500])
    try:
        return _content(fields["content"], text.decode("utf-8"))
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenExchange("an answer without content") from error


def _content(fields: dict[str, Any], text: str) -> Content:
    markup: Markup = fields["markup"]
    headings = tuple(
        Heading(int(each["level"]), str(each["text"]), *_span(each, text))
        for each in fields["headings"]
    )
    pages = tuple(PageSpan(int(each["number"]), *_span(each, text)) for each in fields["pages"])
    if markup not in get_args(Markup) or not 0 <= fields["body_start"] <= len(text):
        raise ValueError(markup)
    return Content(
        text,
        str(fields["format"]),
        markup,
        str(fields["title"]),
        int(fields["body_start"]),
        headings,
        pages,
        {str(key): _value(value) for key, value in fields["metadata"].items()},
        tuple(str(each) for each in fields["warnings"]),
    )


def _span(fields: dict[str, Any], text: str) -> tuple[int, int]:
    start, end = int(fields["start"]), int(fields["end"])
    if not 0 <= start <= end <= len(text):
        raise ValueError(f"a span from {start} to {end}")
    return start, end


def _value(value: object) -> str | int | float | bool | tuple[str, ...]:
    if isinstance(value, list):
        return tuple(str(each) for each in value)
    if isinstance(value, (str, int, float)):
        return value
    raise TypeError(type(value).__name__)
