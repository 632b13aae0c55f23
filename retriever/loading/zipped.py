"""What a zip file says that it holds, read from its directory without unpacking anything."""

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass

from retriever.errors import LoadingError
from retriever.loading.content import BYTES_PER_MB

DAMAGE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, NotImplementedError, OverflowError,
    struct.error, zlib.error,
)  # fmt: skip

MAX_RATIO = 200
SMALL_FILE_BYTES = 50_000  # files below it count as this large: a small one may well be dense
MAX_MEMBERS = 50_000
MAX_SNIFFED_BYTES = 1 << 20
_ENCRYPTED = 0x1
_MEMBER_SIGNATURE = b"PK\x01\x02"


@dataclass(frozen=True, slots=True)
class ZipDirectory:
    """The directory of a zip file."""

    names: tuple[str, ...]
    unpacked_bytes: int
    encrypted: bool
    """Whether a member needs a password of the zip format itself."""


def read_directory(data: bytes) -> ZipDirectory:
    """List a zip file.

    Raises:
        LoadingError: the directory is damaged or absurdly long.
    """
    if data.count(_MEMBER_SIGNATURE) > MAX_MEMBERS:  # before a list of them takes the memory
        raise LoadingError(f"holds more than {MAX_MEMBERS} files")
    with _opened(data) as archive:
        members = archive.infolist()
        return ZipDirectory(
            tuple(member.filename for member in members),
            sum(member.file_size for member in members),
            any(member.flag_bits & _ENCRYPTED for member in members),
        )


def check_unpacked_size(directory: ZipDirectory, packed_bytes: int, max_unpacked_mb: float) -> None:
    """Refuse a decompression bomb by the sizes that the directory states.

    Raises:
        LoadingError: it unpacks to more than `max_unpacked_mb`, or to 200 times its size.
    """
    if directory.unpacked_bytes > max_unpacked_mb * BYTES_PER_MB:
        raise LoadingError(f"decompresses to more than {max_unpacked_mb:g} MB")
    if directory.unpacked_bytes > MAX_RATIO * max(packed_bytes, SMALL_FILE_BYTES):
        raise LoadingError(f"decompresses to more than {MAX_RATIO} times its size")


def read_member(data: bytes, name: str) -> bytes:
    """The beginning of one member, at most 1 MiB; empty where it cannot be read."""
    try:
        with _opened(data) as archive, archive.open(name) as member:
            return member.read(MAX_SNIFFED_BYTES)
    except (KeyError, RuntimeError, LoadingError, OSError, EOFError, *DAMAGE):
        return b""


def _opened(data: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except DAMAGE as error:
        raise LoadingError("damaged zip file") from error
