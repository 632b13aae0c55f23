"""What a killed writer may have torn, mended before it is opened again."""

import contextlib
from collections.abc import Iterator

from retriever import assembly
from retriever.checking.inspecting import inspect, strays
from retriever.collection.state import CollectionState, Run
from retriever.collection.store import Store
from retriever.errors import CollectionDamaged
from retriever.repairing.mending import Mending
from retriever.settings import Settings


@contextlib.contextmanager
def open_sound_store(settings: Settings, *, existing: bool = False) -> Iterator[Store]:
    """The only store to write to, once what a killed writer left behind is mended or gone.

    Raises:
        CollectionLocked: another process is writing.
        CollectionNotFound: only an `existing` store will do, and there is none.
        EmbeddingError: lost vectors are not in the cache and cannot be made again.
    """
    with assembly.open_writing_store(settings, existing=existing) as store:
        for name in store.torn():
            _recover(store, name, settings)
        state = store.find(settings.collection)
        for name in strays(store, state)[0] if state else ():
            store.drop_generation(name)
        yield store


def refuse_torn(store: Store, name: str) -> None:
    """See that a reader can open a generation. To be called with the store's guard held.

    Raises:
        CollectionDamaged: its index may be torn, or is cut short.
    """
    if name in store.torn():
        raise CollectionDamaged(
            f"{store.options.place}: the index files of {name} were cut short, or a writer was "
            "killed while it rewrote them. Nothing is lost: retriever repair mends it, and so does "
            "the next ingest. If a run was killed, run the same command again."
        )


def mend_live(
    store: Store, state: CollectionState, settings: Settings, *, run: Run | None = None
) -> None:
    """Mend the generation that is live in a state, and save the state when that is done.

    Args:
        store: the only one that writes.
        state: as it is, or as it is to be: readers see what is live in it once it is mended.
        settings: say where the cache is.
        run: what remains to be completed after it.

    Raises:
        CollectionDamaged: what is left of the generation cannot be read.
        EmbeddingError: lost vectors are not in the cache and cannot be made again.
    """
    inspection = inspect(store, state, settings, corpus=False)
    Mending(store, state, settings, run=run).mend(inspection)


def _recover(store: Store, name: str, settings: Settings) -> None:
    """Mend a generation that may be torn, if it is live; one that is being built is dropped."""
    collection = name.rpartition(".")[0]
    state = store.find(collection)
    if state is None or name not in store.generations(state):
        store.clear_torn(name)
    elif name == state.live:
        mend_live(store, state, settings.model_copy(update={"collection": collection}))
    elif name != state.previous:  # that one is mended before it is live again
        store.drop_generation(name)
