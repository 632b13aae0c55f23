"""The lexical index of what answers now, for those who read it."""

import time
from pathlib import Path

from retriever import assembly
from retriever.collection import derived
from retriever.collection.locking import try_hold
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState
from retriever.collection.store import Store
from retriever.indexing.catching_up import catch_up, is_in_step
from retriever.indexing.sweeping import sweep
from retriever.lexical import IndexUnwritable, LexicalIndex
from retriever.settings import Settings

_POLL_S = 0.05


def open_current(
    settings: Settings, store: Store, state: CollectionState, data: PhysicalCollection
) -> LexicalIndex:
    """The lexical index of a collection, not older than `state`; to be closed by the caller.

    Where it is in step, nothing but the index is opened. Where it lags, is lost, damaged or of
    another language setting, it catches up first, one process at a time. It may be newer than
    `state`: then it names chunks that were added since, and not those that are gone. Where the
    state folder cannot be written, the index lives and dies with this process.

    Args:
        settings: name the state folder and the language.
        store: holds the collection.
        state: of the collection, as the caller saw it.
        data: the generation that is live in `state`.

    Raises:
        SettingsError: the language is not known.
        CollectionError: the collection cannot be read, or is gone.
    """
    root = derived.lexical_root(store.options)
    try:
        return _opened(settings, store, state, data, root)
    except (IndexUnwritable, OSError):
        root = derived.temporary_root(store.options.path)
        return _opened(settings, store, state, data, root)


def _opened(
    settings: Settings, store: Store, state: CollectionState, data: PhysicalCollection, root: Path
) -> LexicalIndex:
    folder = derived.generation_folder(root, data.name, data.id)
    lexical = assembly.open_lexical(settings, folder)
    try:
        while not _answers(lexical, state):
            with try_hold(derived.lock_file(folder)) as held:
                state = _now(store, state)
                if held:
                    if not _answers(lexical, state):
                        _follow(lexical, store, state, data, folder)
                    return lexical
            time.sleep(_POLL_S)
    except BaseException:
        lexical.close()
        raise
    return lexical


def _answers(lexical: LexicalIndex, state: CollectionState) -> bool:
    """Whether the index can be used by who sees `state`: of that commit, or the one to come."""
    return is_in_step(lexical, state) or lexical.revision == state.revision + 1


def _follow(
    lexical: LexicalIndex,
    store: Store,
    state: CollectionState,
    data: PhysicalCollection,
    folder: Path,
) -> None:
    """Catch up; what another machine's writer may have moved meanwhile is not relied on."""
    if lexical.revision is None:
        sweep(store, state, folder.parent)
    catch_up(
        lexical,
        data,
        state,
        is_settled=lambda: state.run is None and store.find(state.name) == state,
    )
    lexical.close()


def _now(store: Store, state: CollectionState) -> CollectionState:
    """The state as it is by now, unless another generation is live since."""
    now = store.find(state.name)
    return now if now is not None and now.live == state.live else state
