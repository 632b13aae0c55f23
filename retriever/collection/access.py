"""How one client of Chroma is called: its errors become ours, and index files are locked.

Chroma opens the files of an index when a client first reads of it, if only a text or a count, and
makes them where there are none yet. A process that does so while another one rewrites them loads
half of each state, or undoes the rewriting. So the first read of every index is done under the
lock that every write is done under.
"""

import contextlib
import threading
from collections.abc import Iterator

from retriever.collection.client import StorageOptions, chroma_errors
from retriever.collection.locking import index_lock
from retriever.collection.marks import mark


class Access:
    """To the collections of one client. Threads may share it."""

    def __init__(self, options: StorageOptions) -> None:
        """Nothing is locked where no index is in files here: in memory, and beyond a network."""
        self._folder = options.path if options.mode == "embedded" else None
        self._place = options.place
        self._thread = threading.RLock()
        self._is_held = False
        self._opened: set[str] = set()

    def errors(self) -> contextlib.AbstractContextManager[None]:
        """Turn Chroma's errors into this package's."""
        return chroma_errors(self._place)

    @contextlib.contextmanager
    def hold(self, *, writing: str | None = None) -> Iterator[None]:
        """Hold the lock of the index files; a thread that holds it may do so again.

        Args:
            writing: the generation that is written to, as `locking.index_lock` has it.
        """
        if self._folder is None:
            yield
            return
        with self._thread:
            if self._is_held:
                with mark(self._folder, writing) if writing else contextlib.nullcontext():
                    yield
                return
            self._is_held = True
            try:
                with index_lock(self._folder, writing=writing):
                    yield
            finally:
                self._is_held = False

    @contextlib.contextmanager
    def reading(self, collection: object) -> Iterator[None]:
        """Entered around every read, with the id of Chroma's collection."""
        index = str(collection)
        with self.errors():
            if self._folder is None or index in self._opened:
                yield
                return
            with self.hold():
                yield
                self._opened.add(index)

    @contextlib.contextmanager
    def writing(self, generation: str) -> Iterator[None]:
        """Entered around every write to a generation."""
        with self.errors(), self.hold(writing=generation):
            yield

    def forget(self) -> None:
        """Hear that the client was closed: the next one has opened nothing."""
        self._opened.clear()
