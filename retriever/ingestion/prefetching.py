"""Work ahead: an iterator that a thread fills while its reader is busy elsewhere."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from retriever.timing import carried

T = TypeVar("T")


class _End(Exception):
    """Closes the queue; its cause is the error that ended the items early, if one did."""


class _Prefetch(Generic[T]):
    """A queue, bounded in items and weight, from the thread that makes items to its reader."""

    def __init__(
        self, items: Iterable[T], ahead: int, weigh: Callable[[T], int], most_weight: int
    ) -> None:
        self._items = items
        self._ahead = ahead
        self._weigh = weigh
        self._most_weight = most_weight
        self._waiting: deque[tuple[T | _End, int]] = deque()
        self._weight = 0
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(
            target=carried(self._fill), name="retriever-prefetch", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._take()
            if isinstance(item, _End):
                if item.__cause__ is not None:
                    raise item.__cause__
                return
            yield item

    def _take(self) -> T | _End:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            item, weight = self._waiting.popleft()
            self._weight -= weight
            self._changed.notify_all()
            return item

    def _fill(self) -> None:
        end = _End()
        try:
            for item in self._items:
                if not self._put(item, self._weigh(item)):
                    return
        except BaseException as error:  # noqa: BLE001  (raised again in the reader's thread)
            end.__cause__ = error
        self._put(end, 0)

    def _put(self, item: T | _End, weight: int) -> bool:
        """Wait for room, which a single item always has, and put; False once stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._has_room(weight))
            if self._stopped:
                return False
            self._waiting.append((item, weight))
            self._weight += weight
            self._changed.notify_all()
            return True

    def _has_room(self, weight: int) -> bool:
        fits = self._weight + weight <= self._most_weight
        return not self._waiting or (len(self._waiting) < self._ahead and fits)


@contextmanager
def prefetched(
    items: Iterable[T], *, ahead: int, weigh: Callable[[T], int], most_weight: int
) -> Iterator[Iterator[T]]:
    """Iterate over `items` in a thread that is a bounded way in front.

    At most `ahead` items wait, and no second one where together they would weigh more than
    `most_weight`. Order is kept. An error in the thread is raised where the next item is asked
    for. Leaving the context stops the thread and waits for the item that it is working on.
    """
    prefetch = _Prefetch(items, ahead, weigh, most_weight)
    prefetch.start()
    try:
        yield iter(prefetch)
    finally:
        prefetch.stop()
