"""The in-process line from bytes to content: detect, read, check. Pure but for imports."""

import re

from retriever.errors import LoadingError
from retriever.loading import formats, sniffing
from retriever.loading.content import BYTES_PER_MB, Content, FileBytes, LoadingOptions, Reader

NO_TEXT = "no text"
TOO_DEEP = "its parts are nested too deeply"
_LETTER = re.compile(r"[^\W_]")


def load_bytes(data: bytes, name: str, options: LoadingOptions) -> Content:
    """Read a file from its bytes, in this process and without limits of time or memory.

    Args:
        data: the whole file.
        name: its name, without the folder; it decides between formats without a signature.
        options: the bounds.

    Raises:
        LoadingError: it cannot be read; nothing else is ever raised.
    """
    row = sniffing.detect(data, name)
    return read_file_bytes(FileBytes(data, name, row.name), options)


def read_file_bytes(file: FileBytes, options: LoadingOptions) -> Content:
    """Read bytes of a known format.

    Raises:
        LoadingError: they cannot be read, or hold no text, or too much of it.
    """
    return checked(formats.reader_of(formats.by_name(file.format)), file, options)


def checked(reader: Reader, file: FileBytes, options: LoadingOptions) -> Content:
    """Let a reader read, and answer for it: content with letters, or a reason.

    Raises:
        LoadingError: the reader raised anything, or found no text, or too much of it.
    """
    try:
        content = reader(file, options)
    except LoadingError:
        raise
    except MemoryError as error:
        raise LoadingError(out_of_memory(options)) from error
    except RecursionError as error:
        raise LoadingError(TOO_DEEP) from error
    except Exception as error:
        raise LoadingError(f"damaged file: {type(error).__name__} in its parser") from error
    if not _LETTER.search(content.text, content.body_start):
        raise LoadingError(NO_TEXT)
    if len(content.text) > options.max_unpacked_mb * BYTES_PER_MB:
        raise LoadingError(f"holds more than {options.max_unpacked_mb:g} MB of text")
    return content


def out_of_memory(options: LoadingOptions) -> str:
    """The reason for a file whose parser came to the memory limit."""
    return f"its parser needed more than {options.memory_mb} MB"
