"""Reading all of a collection as one commit left it, while nobody holds a lock."""

import contextlib
from collections.abc import Iterator
from datetime import datetime

from retriever import assembly
from retriever.collection.locking import find_writer
from retriever.collection.state import CollectionState
from retriever.collection.store import Store
from retriever.errors import CollectionError, CollectionLocked
from retriever.settings import Settings


@contextlib.contextmanager
def observe(settings: Settings) -> Iterator[tuple[Store, CollectionState]]:
    """A store and a collection's state, which hold still until the context is left.

    Writers are not kept out: what was read beside one is given up instead of being half true.

    Raises:
        CollectionNotFound: nothing has been ingested under that name.
        CollectionLocked: a writer is at work, or was meanwhile.
    """
    with assembly.open_store(settings) as store:
        _refuse_writer(store)
        before = store.state(settings.collection)
        error: CollectionError | None = None
        try:
            yield store, before
        except CollectionError as caught:  # a writer may be why
            error = caught
        now = store.find(settings.collection)
        if now != before:
            _refuse_writer(store)
            run = now.run if now else None
            since = datetime.fromisoformat(run.started_at) if run else None
            raise CollectionLocked(
                store.options.place, pid=run.pid if run else None, since=since
            ) from error
        if error is not None:
            raise error


def _refuse_writer(store: Store) -> None:
    if store.options.mode == "memory":
        return
    writer = find_writer(store.options.path)
    if writer is not None:
        pid, since = writer
        raise CollectionLocked(store.options.place, pid=pid, since=since)
