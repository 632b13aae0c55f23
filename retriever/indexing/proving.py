"""Whether a lexical index is what it should be. Changes nothing."""

from dataclasses import dataclass
from pathlib import Path

from retriever import assembly
from retriever.collection import derived
from retriever.collection.physical import PhysicalCollection
from retriever.collection.segments import size_bytes
from retriever.collection.state import CollectionState
from retriever.collection.store import Store
from retriever.indexing.catching_up import compare, is_in_step
from retriever.lexical import IndexDamaged, LexicalIndex
from retriever.settings import Settings


@dataclass(frozen=True, slots=True)
class LexicalSummary:
    """A lexical index at a glance."""

    revision: int | None
    """The collection's revision that it is of; None where there is no usable index."""
    chunks: int
    size_bytes: int


def summarise(settings: Settings, store: Store, data: PhysicalCollection) -> LexicalSummary:
    """Look at the lexical index of a generation."""
    folder = _folder(store, data)
    with assembly.open_lexical(settings, folder) as lexical:
        return LexicalSummary(
            revision=lexical.revision, chunks=lexical.chunk_count, size_bytes=size_bytes(folder)
        )


def find_lag(
    settings: Settings, store: Store, state: CollectionState, data: PhysicalCollection
) -> str:
    """Why the index is not of the collection's last commit; empty where it is."""
    with assembly.open_lexical(settings, _folder(store, data)) as lexical:
        if lexical.revision is None:
            return "it is missing, cannot be read, or is of another language setting"
        if lexical.revision < 0:
            return "whoever wrote it died before it said of which revision it is"
        if not is_in_step(lexical, state):
            return f"it is of revision {lexical.revision}, the collection of {state.revision}"
    return ""


def find_fault(
    settings: Settings, store: Store, data: PhysicalCollection, *, contents: bool
) -> str:
    """What is wrong with what the index holds; empty where nothing is, or where there is none.

    Args:
        settings: name the language.
        store: holds the collection.
        data: the generation that it is of.
        contents: whether it is compared with every chunk, too.
    """
    with assembly.open_lexical(settings, _folder(store, data)) as lexical:
        if lexical.revision is None:
            return ""
        if not lexical.is_intact():
            return "its files are not as they were written"
        try:
            return _disagreement(lexical, data) if contents else ""
        except IndexDamaged as error:
            return str(error)


def _disagreement(lexical: LexicalIndex, data: PhysicalCollection) -> str:
    difference = compare(lexical, data)
    told = {"lacks": difference.lacking, "holds in excess": difference.surplus}
    return ", ".join(f"it {what} {count} chunks" for what, count in told.items() if count)


def _folder(store: Store, data: PhysicalCollection) -> Path:
    root = derived.lexical_root(store.options)
    return derived.generation_folder(root, data.name, data.id)
