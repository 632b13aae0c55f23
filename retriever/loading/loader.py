"""Corpus files -> documents."""

import hashlib
import importlib.metadata
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from retriever.errors import LoadingError
from retriever.loading import sniffing
from retriever.loading.content import BYTES_PER_MB, Content, FileBytes, LoadingOptions
from retriever.loading.pathnames import PathPatterns
from retriever.loading.reading import read_file_bytes
from retriever.loading.supervision import ParserProcess
from retriever.records import CorpusFile, Document

READING_VERSION = 2
"""Grows with every change that makes a reader yield another text."""
_PARSERS = ("charset-normalizer", "lxml", "pypdfium2", "trafilatura", "xberg")
_HASHED_AT_ONCE_BYTES = 1 << 20
_MAX_BYTES_READ_HERE = 8 << 20  # a larger text goes to the worker, whose time is limited


class DocumentLoader:
    """Reads corpus files; a context manager that owns the worker process of risky formats.

    The process is started with the first file that needs it. Files may be loaded from several
    threads; risky ones wait for one another.
    """

    def __init__(self, options: LoadingOptions) -> None:
        self._options = options
        self._paths = PathPatterns(options.path_metadata)
        self._parser = ParserProcess(options)
        self.reading = _reading(options)
        """Identity of what reads: another one may read the same bytes as another text."""

    def __enter__(self) -> Self:
        """Hand out the loader itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the worker process."""
        self.close()

    def close(self) -> None:
        """End the worker process; loading another file starts it again."""
        self._parser.close()

    def load(self, file: CorpusFile) -> Document:
        """Read one file.

        Raises:
            LoadingError: it cannot be read; `reason` and `source` say what and why. No other
                error is raised, whatever the file holds.
        """
        try:
            data = _read_bytes(file.path, self._options.max_file_mb)
            content = self._content(data, file.path.name)
        except LoadingError as error:
            raise LoadingError(error.reason, source=file.source) from error
        return Document(
            source=file.source,
            text=content.text,
            content_hash=hashlib.sha256(data).hexdigest(),
            title=content.title,
            format=content.format,
            markup=content.markup,
            body_start=content.body_start,
            headings=content.headings,
            pages=content.pages,
            metadata={**self._paths.read(file.source), **content.metadata},
            warnings=content.warnings,
        )

    def _content(self, data: bytes, name: str) -> Content:
        row = sniffing.detect(data, name)
        file = FileBytes(data, name, row.name)
        if row.risky or len(data) > _MAX_BYTES_READ_HERE:
            return self._parser.read(file)
        return read_file_bytes(file, self._options)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, lower-case hexadecimal; the file is never held as a whole.

    Raises:
        LoadingError: the file cannot be opened or read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(_HASHED_AT_ONCE_BYTES):
                digest.update(block)
    except OSError as error:
        raise LoadingError(unreadable(error)) from error
    return digest.hexdigest()


def unreadable(error: OSError) -> str:
    """The reason for something that the operating system does not let us read."""
    return f"cannot be read: {(error.strerror or type(error).__name__).lower()}"


def _read_bytes(path: Path, max_file_mb: float) -> bytes:
    """The whole file, in one reading: what is hashed is what is parsed."""
    most = int(max_file_mb * BYTES_PER_MB)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise LoadingError("not a regular file")
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise LoadingError(unreadable(error)) from error
    if len(data) > most:
        raise LoadingError(f"larger than {max_file_mb:g} MB")
    return data


def _reading(options: LoadingOptions) -> str:
    parts = [str(READING_VERSION), *(f"{name} {_version(name)}" for name in _PARSERS)]
    parts += [str(options.max_unpacked_mb), str(options.timeout_s), str(options.memory_mb)]
    parts += options.path_metadata
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "-"
