"""What a reader is given and what it makes of it: the socket of the formats.

A reader is a function from the bytes of one file to its text with structure. To add a format,
write one (`FileBytes` and `LoadingOptions` in, `Content` out) and add its row to
`retriever.loading.formats.FORMATS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from retriever.records import Heading, Markup, MetadataValue, PageSpan

BYTES_PER_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class LoadingOptions:
    """Which files are read, and how much a file may cost."""

    include: tuple[str, ...]
    """Only files that match one of these gitignore-style patterns; all where empty."""
    exclude: tuple[str, ...]
    """No file that matches one of these patterns."""
    use_ignore_files: bool
    """Honour `.gitignore` and `.retrieverignore`."""
    max_file_mb: float
    """Larger files are skipped; 1 MB is 2**20 bytes here and below."""
    max_unpacked_mb: float
    """Files that unpack to more are skipped; also the most text that a file may yield."""
    timeout_s: float
    """A file that takes its parser longer is skipped."""
    memory_mb: int
    """Memory that a parser may take."""
    path_metadata: tuple[str, ...] = ()
    """Patterns of what paths say about their files, see `retriever.loading.pathnames`."""


@dataclass(frozen=True, slots=True)
class FileBytes:
    """The bytes of one file, and what is known of them."""

    data: bytes
    name: str
    """The file's name without its folder."""
    format: str
    """Name of the format that the bytes were found to be."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a reader made of a file; the fields are those of `retriever.records.Document`."""

    text: str
    format: str
    markup: Markup
    title: str = ""
    body_start: int = 0
    headings: tuple[Heading, ...] = ()
    pages: tuple[PageSpan, ...] = ()
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Reader(Protocol):
    """Turns the bytes of one file into its text with structure, and opens nothing else."""

    def __call__(self, file: FileBytes, options: LoadingOptions) -> Content:
        """Read one file.

        The result depends on the arguments alone: no other file is opened, nothing is fetched.
        Spans lie inside the text, headings in their order, and metadata within the bounds of
        `retriever.loading.metadata`. `retriever.loading.reading` turns whatever escapes into a
        `LoadingError` and checks that there is text.

        Raises:
            LoadingError: the file cannot be read; the reason is one its owner understands.
        """
        ...
