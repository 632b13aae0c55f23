"""What goes into a lexical index and what it tells of a query's terms."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LexicalEntry:
    """A chunk as the lexical index reads it."""

    chunk_id: str
    source: str
    """Chunks of one source that are put together are taken to be of one language."""
    title: str
    heading_path: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class TermCount:
    """A term of a query and how common it is."""

    term: str
    chunk_count: int
    """Chunks that hold it; 0 where none does."""
