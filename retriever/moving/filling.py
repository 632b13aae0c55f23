"""An empty generation, filled in one pass: rows to Chroma and their words to the lexical index.

No thread would help: Chroma lets no other one of Python run while it writes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np

from retriever.collection import rows
from retriever.collection.physical import PhysicalCollection
from retriever.indexing import Upkeep
from retriever.lexical import LexicalEntry
from retriever.moving.believing import Refusal
from retriever.moving.exports import End, ExportedChunk, ExportedDocument, Line
from retriever.timing import stage, staged

_ROWS_AT_ONCE = 5_000
"""Written together: Chroma takes a third less time for them than for 500."""
_BYTES_AT_ONCE = 256 << 20


class Words:
    """Indexes the words of chunks, source by source: the whole of one tells its language."""

    def __init__(self, lexical: Upkeep) -> None:
        """Nothing is indexed yet."""
        self._lexical = lexical
        self._run: list[tuple[int, LexicalEntry]] = []
        self._seen: set[str] = set()
        self.are_scattered = False
        """Whether a source came again: then the index is not what it should be."""

    def put(self, chunk: ExportedChunk) -> None:
        """Take a chunk; it is indexed when those of the same source that follow were taken."""
        entry = _entry(chunk)
        if self._run and self._run[0][1].source != entry.source:
            self.flush()
        self._run.append((int(chunk.row["ordinal"]), entry))

    def flush(self) -> None:
        """Index what was taken."""
        run, self._run = sorted(self._run, key=itemgetter(0)), []
        self.are_scattered |= bool(run) and run[0][1].source in self._seen
        if run and not self.are_scattered:
            self._seen.add(run[0][1].source)
            with stage("index words"):
                self._lexical.put([entry for _, entry in run])


def fill(
    target: PhysicalCollection, lexical: Upkeep, lines: Iterator[tuple[Line, int]]
) -> tuple[End, Words]:
    """Write what the lines say: how much that was, as the last of them confirms, and its words.

    Args:
        target: an empty generation.
        lexical: its index.
        lines: each with the bytes that were read for it.

    Raises:
        Refusal: a chunk or document comes twice, or the end is missing or says otherwise.
    """
    chunks = documents = 0
    words, batch = Words(lexical), _Batch()
    for one, size_bytes in staged("read", lines):
        batch.size_bytes += size_bytes
        if isinstance(one, ExportedChunk):
            batch.chunks.append(one)
            words.put(one)
            chunks += 1
        elif isinstance(one, ExportedDocument):
            batch.documents.append(one)
            documents += 1
        if isinstance(one, End) or batch.is_full():
            batch.write(target)
            batch = _Batch()
        if isinstance(one, End):
            words.flush()
            if one != End(chunks, documents) or next(lines, None) is not None:
                raise Refusal("its last line does not agree with what it holds")
            return one, words
    raise Refusal("it ends too early: the rest of it is missing")


def _entry(chunk: ExportedChunk) -> LexicalEntry:
    return LexicalEntry(
        chunk_id=chunk.id,
        source=chunk.row["source"],
        title=str(chunk.row.get("title", "")),
        heading_path=rows.heading_path(chunk.row),
        text=chunk.text,
    )


@dataclass(slots=True)
class _Batch:
    """Rows that are written together."""

    chunks: list[ExportedChunk] = field(default_factory=list)
    documents: list[ExportedDocument] = field(default_factory=list)
    size_bytes: int = 0

    def is_full(self) -> bool:
        """Whether it is to be written."""
        count = len(self.chunks) + len(self.documents)
        return count >= _ROWS_AT_ONCE or self.size_bytes > _BYTES_AT_ONCE

    def write(self, target: PhysicalCollection) -> None:
        """Put all rows.

        Raises:
            Refusal: one comes twice: Chroma would refuse all.
        """
        ids = {one.id for one in self.chunks} | {one.record.source for one in self.documents}
        if len(ids) < len(self.chunks) + len(self.documents):
            raise Refusal("what it holds is not unique: a chunk or document comes twice")
        with stage("write"):
            if self.chunks:
                target.put_chunks(
                    [one.id for one in self.chunks],
                    [one.text for one in self.chunks],
                    np.stack([one.vector for one in self.chunks]),
                    [one.row for one in self.chunks],
                )
            if self.documents:
                target.put_documents(
                    [one.record for one in self.documents],
                    np.stack([one.vector for one in self.documents]),
                )
