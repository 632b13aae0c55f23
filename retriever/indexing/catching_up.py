"""A lexical index, brought into step with the chunks of its generation."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from retriever.collection import rows
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState
from retriever.lexical import (
    IndexDamaged,
    IndexUnwritable,
    LexicalEntry,
    LexicalIndex,
    framing_hash,
)

_SOURCES_AT_ONCE = 64
UNSETTLED = "unsettled"
"""Stands for a commit that is none: what was indexed while another wrote is looked at again."""


def is_in_step(lexical: LexicalIndex, state: CollectionState) -> bool:
    """Whether the index is of this very commit of its collection."""
    return (lexical.revision, lexical.token) == (state.revision, state.commit)


def catch_up(
    lexical: LexicalIndex,
    data: PhysicalCollection,
    state: CollectionState,
    *,
    is_settled: Callable[[], bool] = lambda: True,
) -> None:
    """Index what changed since the index was last in step, by comparing it with every chunk.

    Chunks are read in pages; the documents of those that the index lacks, or holds under
    another title or heading, are indexed again as a whole. An index that is lost or damaged is
    made anew.

    Args:
        lexical: the index; nobody else writes to it meanwhile.
        data: the generation that it is of.
        state: the commit that the index then says it is of.
        is_settled: whether nobody has written to the collection meanwhile, asked when the rest
            is done; otherwise the next to open the index compares again.

    Raises:
        IndexUnwritable: its folder cannot be written.
    """
    if lexical.revision is None or not lexical.is_intact():
        lexical.discard()
    try:
        _bring_in_step(lexical, data)
        lexical.commit(state.revision, token=state.commit if is_settled() else UNSETTLED)
    except (IndexDamaged, IndexUnwritable):
        lexical.discard()
        _bring_in_step(lexical, data)
        lexical.commit(state.revision, token=state.commit if is_settled() else UNSETTLED)


def entries(data: PhysicalCollection, sources: Iterable[str]) -> Iterator[list[LexicalEntry]]:
    """All chunks of each source, in order, as the lexical index reads them."""
    rest = iter(sources)
    while group := list(itertools.islice(rest, _SOURCES_AT_ONCE)):
        stored = data.stored_chunks(group)
        passages = data.passages({one: 0.0 for chunks in stored.values() for one in chunks})
        for chunks in stored.values():
            ours = (one for one in chunks.values() if one.id in passages)
            ordered = sorted(ours, key=lambda one: int(one.row["ordinal"]))
            yield [
                LexicalEntry(
                    chunk_id=one.id,
                    source=passages[one.id].source,
                    title=passages[one.id].title,
                    heading_path=passages[one.id].heading_path,
                    text=passages[one.id].text,
                )
                for one in ordered
            ]


@dataclass(slots=True)
class Difference:
    """What an index and the chunks of its generation disagree in."""

    sources: dict[str, None] = field(default_factory=dict)
    """Documents that have to be indexed again, in order."""
    lacking: int = 0
    """Chunks that the index lacks, or holds under another title or heading."""
    surplus: int = 0
    """Chunks that it holds and the collection does not."""


def compare(lexical: LexicalIndex, data: PhysicalCollection) -> Difference:
    """Compare ids, titles and headings of every chunk, page by page.

    Raises:
        IndexDamaged: the index broke while it was read.
    """
    found = Difference()
    known = 0
    for page in data.chunk_pages(with_vectors=False):
        held = lexical.framing_hashes(page.ids)
        for chunk_id, row, text in zip(page.ids, page.rows, page.texts, strict=True):
            if not rows.is_chunk_row(row, text):
                continue
            known += chunk_id in held
            title, headings = str(row.get("title", "")), rows.heading_path(row)
            if held.get(chunk_id) != framing_hash(title, headings):
                found.sources[row["source"]] = None
                found.lacking += 1
    found.surplus = max(0, lexical.chunk_count - known)
    return found


def _bring_in_step(lexical: LexicalIndex, data: PhysicalCollection) -> None:
    difference = compare(lexical, data)
    if difference.surplus:
        _delete_gone(lexical, data)
    for one in entries(data, difference.sources):
        lexical.put(one)


def _delete_gone(lexical: LexicalIndex, data: PhysicalCollection) -> None:
    for ids in lexical.id_pages():
        there = data.passages(dict.fromkeys(ids, 0.0))
        lexical.delete([one for one in ids if one not in there])
