"""The way back: an earlier generation answers again, or what is no longer live is deleted."""

from dataclasses import dataclass, replace

from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState
from retriever.collection.store import Store
from retriever.errors import CollectionDamaged, CollectionError
from retriever.indexing import save_in_step, sweep
from retriever.repairing.recovering import mend_live, open_sound_store
from retriever.settings import Settings


@dataclass(frozen=True, slots=True)
class Difference:
    """What a generation holds otherwise than the one that answered before it."""

    missed: tuple[str, ...]
    """Sources that only the other holds, or holds in another version: not found now."""
    returned: tuple[str, ...]
    """Sources that the other does not hold: found now."""


@dataclass(frozen=True, slots=True)
class RollbackReport:
    """What a rollback did."""

    collection: str
    live: str
    previous: str
    difference: Difference | None
    """None where one of the generations cannot tell what it holds."""


def rollback(settings: Settings) -> RollbackReport:
    """Switch back to the generation that was live before the last swap.

    What was ingested since the swap is not in it: the report names it, and what was deleted since.
    Where its index is torn it is mended first, and readers are at the other one until then.

    Raises:
        CollectionLocked: another process is writing.
        CollectionError: there is none, or it cannot be mended. The live one was left as it is.
        EmbeddingError: lost vectors are not in the cache and cannot be made again.
    """
    with open_sound_store(settings, existing=True) as store:
        state = store.state(settings.collection)
        if state.previous is None:
            raise CollectionError(
                f"Collection {state.name!r} has no earlier generation to go back to."
            )
        switched = _switch(store, state, state.previous, settings)
        # after the switch: a generation that cannot tell must not be in the way of leaving it
        try:
            difference = _differences(store.physical(state.live), store.physical(switched.live))
        except CollectionError:
            difference = None
        return RollbackReport(
            collection=state.name,
            live=switched.live,
            previous=state.live,
            difference=difference,
        )


def _switch(
    store: Store, state: CollectionState, previous: str, settings: Settings
) -> CollectionState:
    """Let the generation before answer: the state that is saved, in which it may have a new name.

    Raises:
        CollectionDamaged: it is torn and cannot be mended.
    """
    back = store.physical(previous)
    is_swap = state.run is not None and state.run.kind == "swap"
    run, left = state.previous_run or state.run, None if is_swap else state.run
    if previous not in store.torn():
        switched = state.next(live=previous, previous=state.live, run=run, previous_run=left)
        return save_in_step(settings, store, switched, back)
    wanted = replace(state, live=previous, previous=state.live, previous_run=left)
    mend_live(store, wanted, settings, run=run)
    switched = store.state(state.name)
    if switched.live == state.live:
        raise CollectionDamaged(
            f"{previous} cannot be read and was not gone back to: {state.live} answers as before. "
            "Build it anew: retriever swap with the config of its model."
        )
    return switched


def prune(settings: Settings) -> list[str]:
    """Delete every generation that is not live: their names. There is no way back after it.

    A swap that was interrupted is given up with what it had built.
    """
    with open_sound_store(settings, existing=True) as store:
        state = store.state(settings.collection)
        gone = [name for name in store.generations(state) if name != state.live]
        is_swap = state.run is not None and state.run.kind == "swap"
        run = None if is_swap else state.run
        store.save(replace(state, previous=None, run=run, previous_run=None))
        for name in gone:
            store.drop_generation(name)
        sweep(store, state)
        return gone


def _differences(left: PhysicalCollection, back: PhysicalCollection) -> Difference:
    """What `back` holds otherwise than the generation that was left."""
    before, now = _versions(left), _versions(back)
    return Difference(
        missed=tuple(sorted(one for one, version in before.items() if now.get(one) != version)),
        returned=tuple(sorted(now.keys() - before.keys())),
    )


def _versions(data: PhysicalCollection) -> dict[str, str]:
    return {one.source: one.content_hash for one in data.manifest() if one.status == "complete"}
