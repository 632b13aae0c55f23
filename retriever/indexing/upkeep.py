"""The lexical index in the hands of the collection's only writer.

An index that cannot be kept does not stop a run: all of it can be made again from the
collection, so that is told as a warning and left to whoever opens the index next.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from retriever import assembly
from retriever.collection import derived
from retriever.collection.locking import try_hold
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState
from retriever.collection.store import Store
from retriever.indexing.catching_up import catch_up, is_in_step
from retriever.indexing.sweeping import sweep
from retriever.lexical import IndexDamaged, IndexUnwritable, LexicalEntry, LexicalIndex
from retriever.settings import Settings

_PATIENCE_S = 60.0
"""How long a reader that is catching up is waited for."""
_POLL_S = 0.02
_MOST_STALE_SHARE = 0.1
"""Rows that were deleted and still count as chunks in BM25's statistics; beyond, all is made
anew, so that scores stay near those of an index without a past."""


class Upkeep:
    """Writes to the lexical index of one generation for as long as that works."""

    def __init__(self) -> None:
        """Nothing is open yet; `kept_in_step` makes one that is."""
        self.warnings: list[str] = []
        self._lexical: LexicalIndex | None = None
        self._held = contextlib.ExitStack()

    def open(self, lexical: LexicalIndex, lock: Path) -> None:
        """Take the index for oneself."""
        with self._failures_told():
            deadline_s = time.monotonic() + _PATIENCE_S
            while not self._held.enter_context(try_hold(lock)):
                if time.monotonic() > deadline_s:
                    raise IndexUnwritable(f"another process has been writing {lock.stem} for long")
                time.sleep(_POLL_S)
            self._lexical = self._held.enter_context(lexical)

    def begin(
        self, data: PhysicalCollection, state: CollectionState, *, interrupted: bool = False
    ) -> None:
        """Bring the index into step with what is there, if it is not, or a run may have died."""

        def bring(lexical: LexicalIndex) -> None:
            if lexical.stale_share() > _MOST_STALE_SHARE:
                lexical.discard()
            if interrupted or not is_in_step(lexical, state):
                catch_up(lexical, data, state)

        self._do(bring)

    def put(self, entries: Sequence[LexicalEntry]) -> None:
        """Add the chunks of one source, all of them and in order."""
        self._do(lambda lexical: lexical.put(entries))

    def delete(self, chunk_ids: Sequence[str]) -> None:
        """Remove chunks."""
        if chunk_ids:
            self._do(lambda lexical: lexical.delete(chunk_ids))

    def forget_deleted(self, data: PhysicalCollection, state: CollectionState) -> None:
        """Make the index anew after the last commit of a run, if many of its rows are deleted."""

        def forget(lexical: LexicalIndex) -> None:
            if lexical.stale_share() > _MOST_STALE_SHARE:
                lexical.discard()
                catch_up(lexical, data, state)

        self._do(forget)

    def remake(self, data: PhysicalCollection, state: CollectionState) -> None:
        """Forget all that was put, and commit what the generation holds by now."""

        def make(lexical: LexicalIndex) -> None:
            lexical.discard()
            catch_up(lexical, data, state)

        self._do(make)

    def commit(self, state: CollectionState) -> None:
        """Make the changes visible, as those of a commit that follows at once."""
        self._do(lambda lexical: lexical.commit(state.revision, token=state.commit))

    def close(self) -> None:
        """Let go of the index; what was not committed is dropped."""
        with self._failures_told():
            self._held.close()
        self._lexical = None

    def _do(self, work: Callable[[LexicalIndex], None]) -> None:
        if self._lexical is None:
            return
        try:
            work(self._lexical)
        except (IndexDamaged, IndexUnwritable, OSError) as error:
            self._tell(error)
            self.close()

    @contextlib.contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except (IndexUnwritable, OSError) as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        self.warnings.append(
            f"The lexical index was not kept in step: {error} The collection is whole; the next "
            "search or ingest brings the index up to date."
        )


@contextlib.contextmanager
def kept_in_step(
    settings: Settings, store: Store, state: CollectionState, data: PhysicalCollection
) -> Iterator[Upkeep]:
    """The lexical index of a generation, in step with `state`, for the writer to keep so.

    Args:
        settings: name the language.
        store: the only one that writes to the collection.
        state: the commit that the generation is of.
        data: the generation.

    Raises:
        SettingsError: the language is not known.
    """
    root = derived.lexical_root(store.options)
    folder = derived.generation_folder(root, data.name, data.id)
    lexical = assembly.open_lexical(settings, folder)
    upkeep = Upkeep()
    sweep(store, state, root)
    try:
        upkeep.open(lexical, derived.lock_file(folder))
        upkeep.begin(data, state, interrupted=state.run is not None)
        yield upkeep
    finally:
        upkeep.close()


def save_in_step(
    settings: Settings, store: Store, state: CollectionState, data: PhysicalCollection
) -> CollectionState:
    """Write a commit that changes what is live, or rows in a way that was not followed.

    The lexical index of `data`, which is live in `state`, is brought into step before, so that
    readers find it ready.
    """
    with kept_in_step(settings, store, state, data):
        return store.save(state)


def switch(
    settings: Settings,
    store: Store,
    state: CollectionState,
    target: PhysicalCollection,
    **changes: Any,
) -> CollectionState:
    """Let another generation answer, in one step, and drop the one that did.

    Readers see it by their next query. `changes` are further fields of the state.
    """
    saved = save_in_step(settings, store, state.next(live=target.name, **changes), target)
    store.drop_generation(state.live, answered=True)
    return saved
