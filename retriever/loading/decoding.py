"""Bytes -> text: which encoding a file is in, judged by the whole of it."""

import codecs
import re
from dataclasses import dataclass, replace
from unicodedata import category

from retriever.errors import LoadingError
from retriever.loading.detection import detect_encoding

NOT_TEXT = "not a text file"

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its first half
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
_ISO_2022 = ("iso2022_jp_2", "iso2022_jp_ext", "iso2022_jp_2004")
_ISO_2022_ESCAPE = re.compile(rb"\x1b(?:\$[@-D]|\$[(-/][@-Z]|\([BIJ])")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]+")
_LONE_CR = re.compile(r"\r(?!\n)")
_IMPLAUSIBLE = re.compile(
    "[\x01-\x07\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef\ufffe\uffff]"
)
_IMPLAUSIBLE_SHARE = 0.02
_STRAY_NUL_SHARE = 0.01
_SAMPLE_CHARACTERS = 100_000
_BROKEN_UTF8_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Decoded:
    """A file's text and how it was found."""

    text: str
    """Without byte order mark, NULs and lone surrogates; line ends as they are in the file, but
    for one whose lines all end with CR alone: those end with LF."""
    encoding: str
    warnings: tuple[str, ...] = ()


def decode(data: bytes, *, declared: str = "") -> Decoded:
    """Decode a whole file.

    Tried in turn: the byte order mark; UTF-32 and UTF-16 without one, told by their NULs;
    ISO-2022, told by its escapes; UTF-8; the encoding that the file declares; detection.

    Raises:
        LoadingError: the bytes are no text in any encoding.
    """
    found = (
        _by_mark(data)
        or _wide(data)
        or _iso_2022(data)
        or _strict(data, "utf-8")
        or _declared(data, declared)
        or _damaged_utf8(data)
        or _detected(data)
    )
    if found is None or not is_plausible(found.text):
        raise LoadingError(NOT_TEXT)
    return replace(found, text=_with_line_feeds(found.text))


def _with_line_feeds(text: str) -> str:
    """A text whose lines end with CR alone, as on old Macs, with LF in their place."""
    body = text.rstrip("\r\n")
    return text if "\n" in body or "\r" not in body else _LONE_CR.sub("\n", text)


def is_plausible(text: str) -> bool:
    """Whether so few control characters stand in the text that a person could have written it."""
    strangers = sum(1 for _ in _IMPLAUSIBLE.finditer(text))
    return strangers <= _IMPLAUSIBLE_SHARE * len(text)


def storable(text: str) -> str:
    """The text without NULs and lone surrogates, which no store keeps; pairs become characters."""
    return _UNSTORABLE.sub(_joined, text)


def _joined(run: re.Match[str]) -> str:
    wide = run.group().encode("utf-16-le", errors="surrogatepass")
    return wide.decode("utf-16-le", errors="ignore").replace("\x00", "")


def _by_mark(data: bytes) -> Decoded | None:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strict(data[len(mark) :], encoding) or _replacing(data[len(mark) :], encoding)
    return None


def _strict(data: bytes, encoding: str) -> Decoded | None:
    try:
        return Decoded(storable(data.decode(encoding)), encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _replacing(data: bytes, encoding: str) -> Decoded:
    text = storable(data.decode(encoding, errors="replace"))
    broken = text.count("\ufffd")
    return Decoded(text, encoding, (f"{broken} characters could not be decoded as {encoding}",))


def _wide(data: bytes) -> Decoded | None:
    """UTF-32 and UTF-16 without a mark, told by their NULs; NULs that are strays are dropped."""
    nuls = data.count(0)
    if not nuls:
        return None
    if nuls < _STRAY_NUL_SHARE * len(data) and (data.isascii() or _strict(data, "utf-8")):
        return _strict(data, "utf-8")
    candidates = ["utf-32-le", "utf-32-be"] if len(data) % 4 == 0 else []
    if len(data) % 2 == 0:
        # the high bytes are those that vary less, in every script
        is_big = len(set(data[::2])) < len(set(data[1::2]))
        candidates.append("utf-16-be" if is_big else "utf-16-le")
    for encoding in candidates:
        found = _strict(data, encoding)
        if found and is_plausible(found.text) and _is_assigned(found.text):
            return found
    raise LoadingError(NOT_TEXT)


def _is_assigned(text: str) -> bool:
    """Whether nearly every character means something: guessed wrongly, many would not."""
    sample = text[:: max(1, len(text) // _SAMPLE_CHARACTERS)]
    nothing = sum(category(character) in {"Cn", "Co"} for character in sample)
    return nothing <= _IMPLAUSIBLE_SHARE * len(sample)


def _iso_2022(data: bytes) -> Decoded | None:
    if not _ISO_2022_ESCAPE.search(data) or not data.isascii():
        return None
    encodings = ("iso2022_kr",) if b"\x1b$)C" in data else _ISO_2022
    found = (_strict(data, encoding) for encoding in encodings)
    return next((each for each in found if each), None)


def _declared(data: bytes, declared: str) -> Decoded | None:
    try:
        name = codecs.lookup(declared).name if declared else ""
    except LookupError:
        return None
    if not name or name.startswith("utf") or not _is_text_codec(name):
        return None  # UTF-8 was tried, and UTF-16 would have shown its NULs
    found = _strict(data, "cp1252" if name == "iso8859-1" else name)  # as browsers do
    return found if found and is_plausible(found.text) else None


def _is_text_codec(name: str) -> bool:
    try:
        return isinstance(b"a".decode(name), str)
    except (LookupError, UnicodeDecodeError, TypeError, ValueError):
        return False


def _damaged_utf8(data: bytes) -> Decoded | None:
    """UTF-8 with a few broken bytes: a cut file, or one log with two writers."""
    text = data.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    sound = sum(1 for _ in re.finditer("[\x80-\ufffc\U00010000-\U0010ffff]", text))
    if sound > 3 * broken and broken <= max(1, _BROKEN_UTF8_SHARE * len(text)):
        return _replacing(data, "utf-8")
    return None


def _detected(data: bytes) -> Decoded | None:
    for encoding in detect_encoding(data):
        if found := _strict(data, encoding):
            return _guessed(found.text, encoding)
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    found = _strict(data, best.encoding) if best else None
    return found and _guessed(found.text, found.encoding)


def _guessed(text: str, encoding: str) -> Decoded:
    return Decoded(text, encoding, (f"encoding guessed: {encoding}",))
