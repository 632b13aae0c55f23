"""What a query has done beside its own thread: its words are ranked while it is embedded."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Generic, TypeVar

from retriever.timing import carried, stage

T = TypeVar("T")

MOST_THREADS = 4


class Begun(Generic[T]):
    """Work that was begun on another thread, if one was free."""

    def __init__(self, work: Callable[[], T], future: Future[T] | None) -> None:
        """Know the work and, where a thread was asked to do it, what becomes of it."""
        self._work = work
        self._future = future

    def result(self) -> T:
        """What the work returned, or raised; done here where no thread has taken it up yet."""
        if self._future is None or self._future.cancel():
            return self._work()
        return self._future.result()

    def end(self) -> None:
        """See that no thread is at it any more."""
        if self._future is not None and not self._future.cancel():
            wait([self._future])


class Beside:
    """A few threads that queries share. Nothing ever waits for one of them to be free."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self._pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="retriever-beside")

    @contextmanager
    def begun(self, name: str, work: Callable[[], T]) -> Iterator[Begun[T]]:
        """Have work done while the block goes on; when the block is left, it has ended.

        Args:
            name: the stage that its time is counted for where another thread does it.
            work: what is to be done.
        """

        def counted() -> T:
            with stage(name):
                return work()

        try:
            future = self._pool.submit(carried(counted))
        except RuntimeError:  # closed, or Python is ending
            future = None
        begun = Begun(work, future)
        try:
            yield begun
        finally:
            begun.end()

    def close(self) -> None:
        """Let the threads end. Safe to repeat; what is begun afterwards is done by its caller."""
        self._pool.shutdown(wait=False)
