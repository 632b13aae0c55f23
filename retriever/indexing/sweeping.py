"""Indexes of generations that are there no more: killed processes and other machines leave them."""

import contextlib
from pathlib import Path

from retriever.collection import derived
from retriever.collection.state import CollectionState
from retriever.collection.store import Store
from retriever.errors import CollectionError


def sweep(store: Store, state: CollectionState, root: Path | None = None) -> None:
    """Delete them; `root` is where indexes are kept, by default that of the store."""
    with contextlib.suppress(CollectionError):  # another machine is deleting one: the next time
        ids = {name: store.remains(name).id for name in store.generations(state)}
        derived.sweep(root or derived.lexical_root(store.options), state.name, ids)
