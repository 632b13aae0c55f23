"""Work that goes on while nobody waits for it: what is promised, and parts begun ahead of need."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from retriever.protocols import Pending

P = TypeVar("P")
V = TypeVar("V")


Begun = Pending[NDArray[np.floating]]
"""A part that somebody works on; its vectors as a model makes them, of any length."""


def _nothing() -> None:
    """Where nothing has to be stopped."""


class Later(Generic[V]):
    """Vectors that are made, or put together, when they are asked for."""

    def __init__(self, result: Callable[[], V], cancel: Callable[[], None] = _nothing) -> None:
        """Keep both; neither is called."""
        self.result = result
        self.cancel = cancel


class Ahead(Generic[P]):
    """Parts of a job, of which a bounded number is begun before the first is waited for."""

    def __init__(self, parts: Iterable[P], begin: Callable[[P], Begun], *, most: int) -> None:
        """Begin the first `most` parts; where one cannot be begun, none goes on."""
        self._parts = iter(parts)
        self._begin = begin
        self._most = most
        self._begun: deque[tuple[P, Begun]] = deque()
        try:
            self._begin_more()
        except BaseException:
            self.cancel()
            raise

    def __iter__(self) -> Iterator[tuple[P, NDArray[np.floating]]]:
        """Each part with its vectors, in order; the next ones are begun in its place."""
        while self._begun:
            part, begun = self._begun.popleft()
            try:
                vectors = begun.result()
            except BaseException:
                begun.cancel()
                raise
            self._begin_more()
            yield part, vectors

    def cancel(self) -> None:
        """Stop what was begun; no further part is."""
        self._parts = iter(())
        while self._begun:
            self._begun.popleft()[1].cancel()

    def _begin_more(self) -> None:
        for part in itertools.islice(self._parts, self._most - len(self._begun)):
            self._begun.append((part, self._begin(part)))
