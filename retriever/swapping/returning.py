"""The way back: an earlier generation answers again, or what is no longer live is deleted."""

from dataclasses import dataclass, replace

from retriever.collection.physical import PhysicalCollection
from retriever.errors import CollectionError
from retriever.indexing import save_in_step, sweep
from retriever.repairing.recovering import open_sound_store
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

    Raises:
        CollectionLocked: another process is writing.
        CollectionError: there is none.
    """
    with open_sound_store(settings, existing=True) as store:
        state = store.state(settings.collection)
        if state.previous is None:
            raise CollectionError(
                f"Collection {state.name!r} has no earlier generation to go back to."
            )
        back = store.physical(state.previous)
        switched = state.next(live=state.previous, previous=state.live)
        save_in_step(settings, store, switched, back)
        # after the switch: a generation that cannot tell must not be in the way of leaving it
        try:
            difference = _differences(store.physical(state.live), back)
        except CollectionError:
            difference = None
        return RollbackReport(
            collection=state.name,
            live=switched.live,
            previous=state.live,
            difference=difference,
        )


def prune(settings: Settings) -> list[str]:
    """Delete every generation that is not live: their names. There is no way back after it.

    A swap that was interrupted is given up with what it had built.
    """
    with open_sound_store(settings, existing=True) as store:
        state = store.state(settings.collection)
        gone = [name for name in store.generations(state) if name != state.live]
        is_swap = state.run is not None and state.run.kind == "swap"
        store.save(replace(state, previous=None, run=None if is_swap else state.run))
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
