"""Which format a file has: its bytes first, then its name."""

import re

from retriever.errors import LoadingError
from retriever.loading import formats, ole, zipped
from retriever.loading.decoding import NOT_TEXT, decode
from retriever.loading.formats import ARCHIVES, TEXT_NAMES, UNREADABLE, Format

HEAD_BYTES = 1024
_ARCHIVE_SIGNATURES = (
    b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"MSCF\x00",
    b"\x28\xb5\x2f\xfd", b"!<arch>\n", b"\x04\x22\x4d\x18", b"\xed\xab\xee\xdb",
)  # fmt: skip
_BINARY_SIGNATURES = (
    b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*", b"\x7fELF",
    b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"SQLite format 3\x00", b"PAR1", b"\x00asm",
    b"OggS\x00", b"ID3\x03", b"ID3\x04", b"fLaC", b"\x1aE\xdf\xa3", b"wOFF", b"wOF2",
    b"8BPS\x00", b"AT&TFORM", b"\x93NUMPY", b"\x89HDF\r\n", b"%!PS", b"BLENDER", b"\x80\x04\x95",
)  # fmt: skip
_LETTERS = re.compile(rb"[\t\n\r -~]{4}")
_OPEN_DOCUMENT = {
    b"application/vnd.oasis.opendocument.text": "odt",
    b"application/vnd.oasis.opendocument.presentation": "odp",
    b"application/vnd.oasis.opendocument.spreadsheet": "ods",
    b"application/epub+zip": "epub",
}
_OFFICE_OPEN = {b"wordprocessingml": "docx", b"presentationml": "pptx", b"spreadsheetml": "xlsx",
                b"ms-word": "docx", b"ms-powerpoint": "pptx", b"ms-excel": "xlsx"}  # fmt: skip
_OLE_FORMATS = frozenset({"doc", "ppt", "xls"})
_HTML = re.compile(
    rb"(?:<!--(?:(?!-->).)*-->\s*|<\?xml[^>]*\?>\s*)*<(?:!doctype\s+html|html|head|body)\b",
    re.I | re.S,
)
_XML = re.compile(rb"<\?xml\s")
_SVG = re.compile(rb"(?:<!--(?:(?!-->).)*-->\s*|<(?:\?|!(?!--))[^>]*>\s*)*<svg\b", re.I | re.S)
_MAIL_FIELD = re.compile(
    rb"^(?:From|To|Subject|Date|Received|MIME-Version|Message-ID|Return-Path|Delivered-To|Cc"
    rb"|Reply-To|Content-Type|X-[A-Za-z-]+):", re.I | re.M)  # fmt: skip
_MAILBOX = re.compile(rb"From \S+ .*\d\d:\d\d.*\r?\n[A-Za-z-]+:")


def extension_of(name: str) -> str:
    """The extension in lower case without its dot; empty where there is none."""
    stem, dot, extension = name.rpartition(".")
    return extension.lower() if dot and stem else ""


def detect(data: bytes, name: str) -> Format:
    """Find the format of a file from its bytes and its name.

    Raises:
        LoadingError: it is of no format that is read: empty, an archive, a picture, protected
            by a password, or not what its name says.
    """
    if not data.strip(b"\x00 \t\r\n\xef\xbb\xbf\xfe\xff"):
        raise LoadingError("empty file" if not data else "no text")
    extension = extension_of(name)
    found = _by_signature(data, name, extension)
    if found:
        return formats.by_name(found)
    return _by_name_and_text(data, name, extension)


def _by_signature(data: bytes, name: str, extension: str) -> str:
    """The format that the bytes declare; empty where they declare none."""
    head = data[:HEAD_BYTES]
    if head.lstrip(b"\xef\xbb\xbf \t\r\n\x00").startswith(b"%PDF-") or (
        extension == "pdf" and b"%PDF-" in head
    ):
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK00PK\x03\x04")):
        return _zip_format(data, extension)
    if head.startswith(ole.SIGNATURE):
        return _ole_format(data, extension)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{\\rtf"):
        return "rtf"
    is_archive = head.startswith(_ARCHIVE_SIGNATURES) or head[257:262] == b"ustar"
    is_binary = head.startswith(_BINARY_SIGNATURES) or head[4:8] == b"ftyp" or _is_riff(head)
    if not (is_archive or is_binary) or _is_written_text(data, name, extension):
        return ""
    raise LoadingError("archive, not opened") if is_archive else _not_supported(extension)


def _is_written_text(data: bytes, name: str, extension: str) -> bool:
    """Whether a file is named as text and is: some signatures are words, such as `BLENDER`."""
    row = formats.by_extension(extension)
    is_named_so = name.lower() in TEXT_NAMES or (row is not None and not row.signed)
    if not is_named_so or not _LETTERS.match(data) or b"\x00" in data:
        return False
    try:
        decode(data)
    except LoadingError:
        return False
    return True


def _is_riff(head: bytes) -> bool:
    return head.startswith(b"RIFF") and head[8:12] in {b"WEBP", b"WAVE", b"AVI "}


def _zip_format(data: bytes, extension: str) -> str:
    row = formats.by_extension(extension)
    try:
        directory = zipped.read_directory(data)
    except LoadingError as error:
        kind = "file" if row and row.signed else "archive"
        raise LoadingError(f"damaged {kind}: {error.reason}") from error
    found = _zip_member_format(data, frozenset(directory.names))
    if directory.encrypted:
        raise LoadingError(f"password-protected {found.upper() if found else 'archive'}")
    if not found:
        raise LoadingError("archive, not opened")
    if found in {"odt", "odp", "ods"} and _is_encrypted_odf(data):
        raise LoadingError(f"password-protected {found.upper()}")
    return found


def _zip_member_format(data: bytes, names: frozenset[str]) -> str:
    if "mimetype" in names:
        mimetype = zipped.read_member(data, "mimetype").strip().removesuffix(b"-template")
        if mimetype in _OPEN_DOCUMENT:
            return _OPEN_DOCUMENT[mimetype]
    if "[Content_Types].xml" in names:
        types = zipped.read_member(data, "[Content_Types].xml")
        main = re.findall(rb"[\w./+-]*(?:\.main\+xml|main\+xml|macroEnabled[\w.+]*)", types)
        kinds = [kind for mark, kind in _OFFICE_OPEN.items() if any(mark in each for each in main)]
        folders = {"word/": "docx", "ppt/": "pptx", "xl/": "xlsx"}
        inside = [kind for folder, kind in folders.items()
                  if any(each.startswith(folder) for each in names)]  # fmt: skip
        return (kinds or inside or [""])[0]
    if "META-INF/container.xml" in names:
        return "epub"
    if "content.xml" in names:
        body = zipped.read_member(data, "content.xml")
        for mark, kind in ((b"<office:text", "odt"), (b"<office:presentation", "odp"),
                           (b"<office:spreadsheet", "ods")):  # fmt: skip
            if mark in body:
                return kind
    return ""


def _is_encrypted_odf(data: bytes) -> bool:
    return b"encryption-data" in zipped.read_member(data, "META-INF/manifest.xml")


def _ole_format(data: bytes, extension: str) -> str:
    kind = ole.kind_of(data)
    if ole.is_encrypted(data):
        row = formats.by_extension(extension)
        label = extension.upper() if row and row.signed else kind.upper() or "office file"
        raise LoadingError(f"password-protected {label}")
    if kind in _OLE_FORMATS:
        return kind
    raise _not_supported(extension or kind)


def _by_name_and_text(data: bytes, name: str, extension: str) -> Format:
    row = formats.by_extension(extension)
    markup = _markup_format(data)
    if row and not row.signed:
        return formats.by_name("html") if row.name == "xml" and markup == "html" else row
    if markup:
        return formats.by_name(markup)
    if row:
        raise LoadingError(f"not {row.label} although it is named so")
    if extension in ARCHIVES:
        raise LoadingError("not an archive although it is named so")
    if extension in UNREADABLE:
        raise _not_supported(extension)
    return _by_text(data, name, extension)


def _markup_format(data: bytes) -> str:
    """HTML or XML by how it begins; empty for anything else."""
    head = data[: 8 * HEAD_BYTES]
    if b"\x00" in head:
        head = head.replace(b"\x00", b"")  # good enough to see the marks of UTF-16
    head = head.lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n")
    if _HTML.match(head):
        return "html"
    if _SVG.match(head):
        return ""
    return "xml" if _XML.match(head) else ""


def _by_text(data: bytes, name: str, extension: str) -> Format:
    """A file whose name says nothing: read if it is text beyond doubt."""
    known = name.lower() in TEXT_NAMES or not extension
    try:
        decoded = decode(data)
    except LoadingError as error:
        raise (LoadingError(NOT_TEXT) if known else _not_supported(extension)) from error
    if decoded.warnings and not known:
        raise _not_supported(extension)
    head = data[: 4 * HEAD_BYTES]
    if _MAILBOX.match(head):
        return formats.by_name("mbox")
    fields = {match.group().lower() for match in _MAIL_FIELD.finditer(head.split(b"\n\n")[0])}
    if len(fields) >= 2 and _MAIL_FIELD.match(head):
        return formats.by_name("eml")
    is_code = head.startswith(b"#!") or name.lower() in {"makefile", "dockerfile"}
    return formats.by_name("code" if is_code else "text")


def _not_supported(extension: str) -> LoadingError:
    is_usual = extension.isascii() and extension.isalnum() and len(extension) <= 12
    return LoadingError(f"format not supported: {'.' + extension if is_usual else 'unknown data'}")
