"""What goes into a lexical index and what it tells of a query's terms."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass


def framing_hash(title: str, heading_path: Sequence[str]) -> str:
    """What shows whether a chunk still stands under the title and headings that were indexed.

    Its source and text need no hash: its id is made of them.
    """
    framing = json.dumps([title, "\n".join(heading_path)]).encode("ascii")
    return hashlib.blake2b(framing, digest_size=8).hexdigest()


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
