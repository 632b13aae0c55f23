"""The store: which collections there are, their state, and the way to their data.

A logical collection `docs` is an empty Chroma collection whose metadata names the physical
one that answers: `docs.1` for the chunks and `docs.1.documents` for the manifest. Its
metadata changes in one atomic step, so a commit, or a change of what is live, is one too.
"""

import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from retriever.collection import client as chroma
from retriever.collection import derived, inheriting, marks, segments
from retriever.collection.access import Access
from retriever.collection.client import StorageOptions
from retriever.collection.index import DOCUMENTS, INDEX, Index, for_filling, once_filled
from retriever.collection.locking import presence, writer_lock
from retriever.collection.pages import NoDocuments
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState, CollectionSummary, build_metadata
from retriever.errors import CollectionDamaged, CollectionNotFound
from retriever.records import Fingerprint

_MOST_COLLECTIONS = 1_000
_UNKNOWN_BATCH_ROWS = 300
"""Chroma Cloud's quota, where a server does not tell its own."""


class Store:
    """An open connection to Chroma. Use it as a context manager.

    Raises:
        CollectionError: the folder cannot be opened or the server does not answer.
    """

    def __init__(self, options: StorageOptions) -> None:
        self.options = options
        self._batch_rows: int | None = None
        self._access = Access(options)
        with contextlib.ExitStack() as held:
            if options.mode == "embedded":
                held.enter_context(presence(options.path))
            self._client = chroma.connect(options)
            held.callback(self._disconnect)
            self._held = held.pop_all()

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def _disconnect(self) -> None:
        chroma.disconnect(self._client)
        self._access.forget()

    def close(self) -> None:
        """Close the connection and free what Chroma holds in memory. Safe to repeat."""
        self._held.close()

    def names(self) -> list[str]:
        """The logical collections, in order."""
        with self._errors():
            found = self._client.list_collections(limit=_MOST_COLLECTIONS)
        return sorted(one.name for one in found if "retriever_layout" in (one.metadata or {}))

    def find(self, name: str) -> CollectionState | None:
        """The state of a collection as it is now, or None; 0.3 ms in a folder.

        Raises:
            CollectionDamaged: its state cannot be read.
        """
        try:
            with self._errors():
                found = self._client.get_collection(name, embedding_function=None)
        except chroma.Absent:
            return None
        return CollectionState.parse(name, found.metadata)

    def state(self, name: str) -> CollectionState:
        """The state of a collection as it is now.

        Raises:
            CollectionNotFound: there is none of that name.
        """
        state = self.find(name)
        if state is None:
            raise CollectionNotFound(name, place=self.options.place, existing=self.names())
        return state

    def create(self, name: str, fingerprint: Fingerprint) -> CollectionState:
        """Make an empty collection; what an interrupted creation or deletion left is deleted."""
        state = CollectionState(name=name, live=f"{name}.1")
        for generation in self.generations(state):
            self.drop_generation(generation)
        self._make_generation(state.live, fingerprint, INDEX)
        with self._errors(), self.guard():
            self._make(name, INDEX, metadata=state.metadata())
        return state

    def _make(self, name: str, index: Index, *, metadata: Mapping[str, Any]) -> None:
        made = self._client.get_or_create_collection(
            name,
            embedding_function=None,
            metadata=dict(metadata),
            configuration=dict(index),
        )
        if made.metadata != metadata:
            made.modify(metadata=dict(metadata))

    def save(self, state: CollectionState) -> CollectionState:
        """Write a state: readers see it by their next query."""
        with self._errors(), self.guard():
            pointer = self._client.get_collection(state.name, embedding_function=None)
            pointer.modify(metadata=state.metadata())
        return state

    def generations(self, state: CollectionState) -> list[str]:
        """The physical collections of a logical one, live or not, oldest first."""
        with self._errors():
            found = {one.name for one in self._client.list_collections(limit=_MOST_COLLECTIONS)}
        pattern = re.compile(rf"{re.escape(state.name)}\.[0-9]+")
        return sorted(filter(pattern.fullmatch, found), key=_number)

    def add_generation(self, state: CollectionState, fingerprint: Fingerprint) -> str:
        """Make an empty physical collection to fill and `settle` beside the live one: its name."""
        newest = max([state.live, *self.generations(state)], key=_number)
        name = f"{state.name}.{_number(newest) + 1}"
        is_ours = self.options.mode == "embedded"
        self._make_generation(name, fingerprint, for_filling(INDEX) if is_ours else INDEX)
        return name

    def settle(self, name: str) -> PhysicalCollection:
        """Have Chroma write the index of a generation that was filled, and from now on as ever.

        The store is opened anew: physical collections that it gave out before are of no use.
        """
        if self.options.mode == "embedded":
            with self._errors(), self.guard(writing=name):
                with warnings.catch_warnings(action="ignore"):  # that we give no embedding function
                    for part in (name, name + DOCUMENTS):
                        self._part(part).modify(configuration=once_filled(INDEX))
                self._disconnect()  # an index that is open goes on as it was opened
                self._client = chroma.connect(self.options)
                for part in (name, name + DOCUMENTS):
                    self._part(part).get(limit=1)  # brings what is pending into the index
        return self.physical(name)

    def drop_generation(self, name: str, *, answered: bool = False) -> None:
        """Delete a physical collection that is not live; queries may be at one that `answered`."""
        with self._errors(), self.guard():
            for one in (name + DOCUMENTS, name):
                with contextlib.suppress(chroma.Absent), self._errors():
                    self._release_lists(one, answered=answered)
                    self._client.delete_collection(one)
            if self.options.mode == "embedded":
                segments.sweep(self.options.path)
            self.clear_torn(name)
        derived.drop(self.options, name)

    def _release_lists(self, name: str, *, answered: bool) -> None:
        """Where Chroma's tables are out of reach; in a folder `segments.sweep` clears them."""
        if self.options.mode in ("memory", "server") and not answered:
            found = self._client.get_collection(name, embedding_function=None)
            with contextlib.suppress(CollectionDamaged), self._errors():
                inheriting.release(found)

    def missing_parts(self, name: str) -> list[str]:
        """Those of a physical collection's two parts that are not there."""
        with self._errors():
            found = {one.name for one in self._client.list_collections(limit=_MOST_COLLECTIONS)}
        return [part for part in (name, name + DOCUMENTS) if part not in found]

    def make_documents(self, name: str) -> None:
        """Make the documents of a physical collection that has lost them: empty."""
        with self._errors(), self.guard():
            self._make(name + DOCUMENTS, INDEX, metadata={"of": name})

    def set_aside_index(self, name: str, part: Literal["chunks", "documents"]) -> None:
        """Take index files that cannot be read out of Chroma's sight; rows and texts stay.

        A torn generation stays one until it is cleared: without these files it does not look so.
        The store is opened anew: physical collections that it gave out before are of no use.
        """
        if self.options.mode != "embedded":
            return
        with self.guard():
            if name in self.torn():
                marks.distrust(self.options.path, name)
            self._disconnect()  # Chroma would go on writing to the files that it has open
            try:
                segments.set_aside(
                    self.options.path, name + DOCUMENTS if part == "documents" else name
                )
            finally:
                self._client = chroma.connect(self.options)

    def _make_generation(self, name: str, fingerprint: Fingerprint, index: Index) -> None:
        with self._errors(), self.guard():
            self._make(name, index, metadata=build_metadata(fingerprint, None))
            self._make(name + DOCUMENTS, index, metadata={"of": name})

    def drop(self, state: CollectionState) -> None:
        """Delete a collection and all its data: the pointer first, so that none dangles."""
        generations = self.generations(state)
        with self._errors(), self.guard():
            self._client.delete_collection(state.name)
        for name in generations:
            self.drop_generation(name)

    def physical(self, name: str) -> PhysicalCollection:
        """The data of a physical collection.

        Raises:
            CollectionDamaged: one of its two parts is not there.
        """
        with self._errors():
            if self._batch_rows is None:
                self._batch_rows = self._client.get_max_batch_size() or _UNKNOWN_BATCH_ROWS
            if self.options.mode == "cloud":
                self._batch_rows = min(self._batch_rows, _UNKNOWN_BATCH_ROWS)
            return PhysicalCollection(
                name,
                self._part(name),
                self._part(name + DOCUMENTS),
                access=self._access,
                batch_rows=self._batch_rows,
            )

    def remains(self, name: str) -> PhysicalCollection:
        """The data of a physical collection that has lost its documents: to read its chunks."""
        return PhysicalCollection(
            name,
            self._part(name),
            NoDocuments(),
            access=self._access,
            batch_rows=1,
        )

    def _part(self, name: str) -> Any:
        try:
            with self._errors():
                return self._client.get_collection(name, embedding_function=None)
        except chroma.Absent as error:
            raise CollectionDamaged(
                f"{self.options.place}: {name} is gone, which a collection needs. retriever check "
                "says what is left, retriever repair mends what can be mended."
            ) from error

    def summaries(self) -> Iterator[CollectionSummary]:
        """Every collection at a glance."""
        for name in self.names():
            state = self.state(name)
            data = self.physical(state.live)
            yield CollectionSummary(state, data.fingerprint, data.chunk_count())

    def guard(self, *, writing: str | None = None) -> contextlib.AbstractContextManager[None]:
        """Held around writes to index files, and while they are opened, where there are any.

        `writing` names the generation whose files are written.
        """
        return self._access.hold(writing=writing)

    def torn(self) -> list[str]:
        """The generations whose index files are not to be trusted.

        For the writer, or with the guard held.
        """
        return marks.find_torn(self.options.path) if self.options.mode == "embedded" else []

    def clear_torn(self, name: str) -> None:
        """Trust the index files of a generation again."""
        if self.options.mode == "embedded":
            marks.clear(self.options.path, name)

    def _errors(self) -> contextlib.AbstractContextManager[None]:
        return self._access.errors()


def _number(generation: str) -> int:
    return int(generation.rpartition(".")[2])


@contextlib.contextmanager
def open_for_writing(options: StorageOptions) -> Iterator[Store]:
    """Take the writer's lock, then open a store that has seen every earlier commit.

    Raises:
        CollectionLocked: another writer is at work.
        CollectionError: the folder cannot be opened or the server does not answer.
    """
    lock = contextlib.nullcontext() if options.mode == "memory" else writer_lock(options.path)
    with lock, Store(options) as store:
        if options.mode == "embedded":
            marks.clear_harmless(options.path)
        yield store
