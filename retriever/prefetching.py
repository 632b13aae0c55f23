"""Work ahead: an iterator that a thread fills while its reader is busy elsewhere."""

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")
_POLL_S = 0.1


class _End(Exception):
    """Closes the queue; its cause is the error that ended the items early, if one did."""


class _Prefetch(Generic[T]):
    """A bounded queue between the thread that makes items and the one that takes them."""

    def __init__(self, items: Iterable[T], ahead: int) -> None:
        self._items = items
        self._waiting: queue.Queue[T | _End] = queue.Queue(maxsize=ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="retriever-prefetch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._waiting.get()
            if isinstance(item, _End):
                if item.__cause__ is not None:
                    raise item.__cause__
                return
            yield item

    def _fill(self) -> None:
        end = _End()
        try:
            for item in self._items:
                self._put(item)
                if self._stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  (raised again in the reader's thread)
            end.__cause__ = error
        self._put(end)

    def _put(self, item: T | _End) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                self._waiting.put(item, timeout=_POLL_S)
                return


@contextmanager
def prefetched(items: Iterable[T], *, ahead: int) -> Iterator[Iterator[T]]:
    """Iterate over `items` in a thread that is at most `ahead` items in front.

    Order is kept. An error in the thread is raised where the next item is asked for.
    Leaving the context stops the thread and waits for the item that it is working on.
    """
    prefetch = _Prefetch(items, ahead)
    prefetch.start()
    try:
        yield iter(prefetch)
    finally:
        prefetch.stop()
