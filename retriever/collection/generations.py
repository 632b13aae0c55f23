"""Another generation beside the live one: filled, then switched to in one step, or dropped."""

import contextlib
from collections.abc import Iterator

from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import Canary, CollectionState
from retriever.collection.store import Store
from retriever.records import Fingerprint


@contextlib.contextmanager
def fresh_generation(
    store: Store, state: CollectionState, fingerprint: Fingerprint, canary: Canary | None
) -> Iterator[PhysicalCollection]:
    """An empty generation to fill, then `Store.settle`; it is dropped again where that fails."""
    name = store.add_generation(state, fingerprint)
    try:
        data = store.physical(name)
        if canary is not None:
            data.set_canary(canary)
        yield data
    except BaseException:
        store.drop_generation(name)
        raise


def copy(source: PhysicalCollection, target: PhysicalCollection) -> None:
    """Copy every chunk and document, vectors included, page by page.

    Raises:
        CollectionDamaged: the source lacks a vector.
    """
    for page in source.chunk_pages(with_vectors=True):
        target.put_chunks(page.ids, page.texts, page.vectors, page.rows)
    for group in source.document_pages():
        target.put_documents(group.records, group.vectors)
