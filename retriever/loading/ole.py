"""The old container of Office files (OLE): what it holds, and whether a password guards it.

Its streams are found by their names and first bytes, without following its tables of sectors,
which a hostile file could make endless.
"""

import struct

SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_STREAMS = (
    ("__properties_version1.0", "msg"),
    ("WordDocument", "doc"),
    ("PowerPoint Document", "ppt"),
    ("Workbook", "xls"),
    ("Book", "xls"),
)
_ENCRYPTED_STREAMS = ("EncryptedPackage", "EncryptedSummary")
_SECTOR_BYTES = 512
_WORD_HEAD = b"\xec\xa5"  # at the start of a Word document, hence of a sector
_WORD_ENCRYPTED = 0x0100
_WORKBOOK_HEAD = b"\x09\x08\x10\x00\x00\x06\x05\x00"  # the record that begins an Excel 97 workbook
_FILE_PASS = 0x002F  # the record that says how a workbook is encrypted, one of the first
_RECORDS_LOOKED_AT = 12
_SHOW_ENCRYPTED = b"\x14\x00\x00\x00\xdf\xc4\xd1\xf3"  # the current user of an encrypted show


def kind_of(data: bytes) -> str:
    """`doc`, `ppt`, `xls` or `msg` by the streams that the file names; else empty."""
    return next((kind for stream, kind in _STREAMS if _names(data, stream)), "")


def is_encrypted(data: bytes) -> bool:
    """Whether the file can be read with a password only.

    Sources: [MS-OFFCRYPTO] 2.3; [MS-DOC] 2.5.2 FibBase; [MS-XLS] 2.4.117 FilePass;
    [MS-PPT] 2.3.2 CurrentUserAtom.
    """
    return (
        any(_names(data, stream) for stream in _ENCRYPTED_STREAMS)
        or _SHOW_ENCRYPTED in data
        or _is_encrypted_word(data)
        or _is_encrypted_workbook(data)
    )


def _names(data: bytes, stream: str) -> bool:
    return stream.encode("utf-16-le") + b"\x00\x00" in data


def _is_encrypted_word(data: bytes) -> bool:
    place = data.find(_WORD_HEAD)
    while place >= 0:
        if place % _SECTOR_BYTES == 0 and place + 12 <= len(data):
            (flags,) = struct.unpack_from("<H", data, place + 10)
            return bool(flags & _WORD_ENCRYPTED)
        place = data.find(_WORD_HEAD, place + 1)
    return False


def _is_encrypted_workbook(data: bytes) -> bool:
    place = data.find(_WORKBOOK_HEAD)
    for _ in range(_RECORDS_LOOKED_AT):
        if place < 0 or place + 4 > len(data):
            return False
        kind, size = struct.unpack_from("<HH", data, place)
        if kind == _FILE_PASS:
            return True
        place += 4 + size
    return False
