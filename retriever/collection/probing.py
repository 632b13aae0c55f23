"""Reading what is left of a damaged index: Chroma refuses a page for one lost vector in it."""

from collections.abc import Callable, Sequence

from retriever.collection.physical import Vectors
from retriever.errors import CollectionDamaged

_PARTS = 8
"""Into how many a refused page is split: few calls where one vector is lost, and few more calls
than vectors where all are."""

Read = Callable[[Sequence[str]], dict[str, Vectors]]


def readable_vectors(read: Read, ids: Sequence[str]) -> dict[str, Vectors]:
    """The vectors that the index still holds, by id.

    Args:
        read: answers with the vectors of ids, or raises `CollectionDamaged` if one is lost.
        ids: what to read.
    """
    if not ids:
        return {}
    try:
        return read(ids)
    except CollectionDamaged:
        if len(ids) == 1:
            return {}
    step = -(-len(ids) // _PARTS)
    found: dict[str, Vectors] = {}
    for start in range(0, len(ids), step):
        found.update(readable_vectors(read, ids[start : start + step]))
    return found
