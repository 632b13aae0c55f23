"""Files, the documents read from them, and the chunks that these are cut into.

Spans are character positions in `Document.text`, counted from 0, end exclusive.
Pages and lines are counted from 1. Hashes are lower-case hexadecimal SHA-256.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Markup = Literal["markdown", "plain", "code", "table"]
"""How a document's text is to be cut: by Markdown's blocks, by paragraphs, by lines of code
(blank lines and indentation first), or by rows (one a line, the first may be a header)."""

MetadataValue = str | int | float | bool | tuple[str, ...]
Metadata = Mapping[str, MetadataValue]


@dataclass(frozen=True, slots=True)
class Root:
    """A named folder of the corpus, and the part of it that a run covers."""

    name: str
    path: Path
    """Absolute path of the root itself."""
    within: str = ""
    """The part this run covers: a path inside the root with `/`, empty for all of it."""


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """A file that the walk found and that has yet to be read."""

    source: str
    """`<root name>/<path inside the root>`, always with `/`."""
    path: Path
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was found and not ingested, and why, in words that its owner understands."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading in a document's text."""

    level: int
    """1 is the highest."""
    text: str
    """Without markup."""
    start: int
    """Where the heading's line begins in the document's text."""
    end: int
    """Where it ends, before the line break that closes it."""


@dataclass(frozen=True, slots=True)
class PageSpan:
    """Where a physical page, slide or sheet stands in a document's text."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """The text of one file and where it came from."""

    source: str
    text: str
    content_hash: str
    """SHA-256 of the bytes that were read."""
    title: str
    """Empty where the file does not name one: a file name is no title."""
    format: str
    """The format that the bytes were read as: `markdown`, `pdf`, `docx`, ..."""
    markup: Markup
    body_start: int = 0
    """Where the text begins that is cut into chunks: after a front-matter block."""
    headings: tuple[Heading, ...] = ()
    pages: tuple[PageSpan, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    """What the file says about itself (front matter, PDF properties, mail headers)."""
    warnings: tuple[str, ...] = ()
    """What was lost or guessed while reading, for the report."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A contiguous span of a document: the unit that is embedded, stored and retrieved.

    `document.text[chunk.start:chunk.end] == chunk.text` holds for every chunk.
    """

    id: str
    """Hash of source, text and the occurrence number of that text in the source."""
    source: str
    text: str
    start: int
    end: int
    ordinal: int
    """Its place among the document's chunks, from 0."""
    title: str
    heading_path: tuple[str, ...]
    """The headings above it, the highest first."""
    page: int | None
    """The page on which it begins."""
    line_start: int
    line_end: int
    embedded_text: str
    """What the model reads: title, heading path and text, as the settings say; no prefix."""
    token_count: int
    """Tokens of `embedded_text` as the model counts them, prefix and special tokens included."""
    gap: str = ""
    """The whitespace between it and the chunk before it, where it is not line breaks alone: those
    are known from the lines. Empty where it is long, or there is none."""


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """What a collection remembers of one file: the row of the manifest."""

    source: str
    content_hash: str
    size_bytes: int
    mtime_ns: int
    """0 where the file had changed so recently that its time proves nothing."""
    status: Literal["complete", "skipped"]
    chunk_count: int
    token_count: int
    title: str
    format: str
    reason: str
    """Why it was skipped; empty for a complete document."""
    reading: str
    """Identity of the loaders and settings that read it."""
    ingested_at: str
    """ISO 8601, UTC."""
