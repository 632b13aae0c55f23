"""Lists in metadata outlive their collection in Chroma: how they are kept out of other rows.

Chroma 1.5 keeps the values of a list in a table of its own (`embedding_metadata_array`), by the
number of a row. Deleting a collection leaves them there, and SQLite gives the numbers again: a
later row, of any collection of the same database, comes to hold lists that nobody wrote to it,
and filters find it by them (chroma-core/chroma#7594). Deleting rows does clear them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from retriever.collection.pages import parts
from retriever.collection.rows import Row

_PAGE_IDS = 50_000
_PAGE_ROWS = 2_000


def inherited(
    ids: Sequence[str], held: Sequence[Row | None], written: Mapping[str, Row]
) -> dict[str, Row]:
    """What to send, by id, for rows to hold no key that was not written: None for each."""
    surplus = {
        one: (row or {}).keys() - written[one].keys() for one, row in zip(ids, held, strict=True)
    }
    return {one: dict.fromkeys(keys) for one, keys in surplus.items() if keys}


def release(collection: Any) -> None:
    """Delete the rows of one of Chroma's collections that hold lists, before it is deleted.

    Never of one that answered until now: a query that is still at it would come back short, and
    its lists are left to whoever writes next.
    """
    for part in parts(list(_rows_with_lists(collection)), _PAGE_ROWS):
        collection.delete(ids=list(part))


def _rows_with_lists(collection: Any) -> Iterator[str]:
    for offset in range(0, collection.count(), _PAGE_IDS):
        ids = collection.get(limit=_PAGE_IDS, offset=offset, include=[])["ids"]
        for part in parts(ids, _PAGE_ROWS):
            page = collection.get(ids=list(part), include=["metadatas"])
            for one, row in zip(page["ids"], page["metadatas"], strict=True):
                if any(isinstance(value, list) for value in (row or {}).values()):
                    yield one
