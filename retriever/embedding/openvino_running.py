"""A model that OpenVINO compiled, at work: few texts at once, or many in calls side by side."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.ahead import Begun, Later
from retriever.embedding.local import Batch, batches, padded

FEW_TOKENS = 512
"""So few are one call on all cores."""
LENGTH_STEP = 8
"""Lengths of few tokens are padded to multiples of this: a shape that is new costs milliseconds."""
CALL_TOKENS = 2048
"""Larger calls take more memory and are slower on a CPU."""


class OpenVINORunner:
    """A compiled model; threads may share it.

    A few texts are one call on all cores. The calls of a batch run side by side, each on a core
    of its own: one that another thread or process is busy on holds up its own call alone, where
    one call on all cores would wait for the slowest at every step. All of them are begun at
    once, and they wait in line here: they go on while another thread holds the interpreter, as
    Chroma does while it writes.
    """

    def __init__(self, compiled: Callable[[str], Any]) -> None:
        """Compile for single calls by `compiled`, which takes a performance hint."""
        self._compiled = compiled
        self._on_all_cores = compiled("LATENCY").create_infer_request()
        self._lanes: Any = None
        self._requests: list[Any] = []
        self._stopping: list[Any] = []
        self._lock = threading.Lock()

    def run(self, batch: Batch) -> NDArray[np.floating]:
        """Vectors of one batch: float32, shape (texts, dimension)."""
        return self.begin(batch).result()

    def begin(self, batch: Batch) -> Begun:
        """Begin the calls of a batch, behind those that were begun before."""
        return self._begin(batch.ids)

    def embed(self, ids: Sequence[list[int]]) -> NDArray[np.floating]:
        """Vectors of token ids."""
        return self._begin(ids).result()

    def _begin(self, ids: Sequence[list[int]]) -> Begun:
        lengths = [len(each) for each in ids]
        if len(ids) * max(lengths) <= FEW_TOKENS:
            return Later(lambda: self._embed_few(ids))
        calls = _Calls(
            len(ids), self._take, give_back=self._requests.append, stop=self._stopping.append
        )
        try:
            for places in in_calls(lengths, lanes=self._lane_count()):
                calls.begin(places, padded([ids[place] for place in places], step=1))
        except BaseException:
            calls.cancel()
            raise
        return calls

    def _embed_few(self, ids: Sequence[list[int]]) -> NDArray[np.floating]:
        with self._lock:
            # The request writes its next answer into the same memory.
            given = [*padded(ids, step=LENGTH_STEP)]
            vectors: NDArray[np.float32] = self._on_all_cores.infer(given)[0].copy()
        return vectors

    def _lane_count(self) -> int:
        with self._lock:
            self._lanes = self._lanes or self._compiled("THROUGHPUT")
            # To drop one that is in line still would be to wait for all that is before it.
            self._stopping[:] = [one for one in self._stopping if not _is_done(one)]
        return int(self._lanes.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

    def _take(self) -> Any:
        with self._lock:
            return self._requests.pop() if self._requests else self._lanes.create_infer_request()


class _Calls:
    """The calls of one batch."""

    def __init__(
        self,
        texts: int,
        take: Callable[[], Any],
        *,
        give_back: Callable[[Any], None],
        stop: Callable[[Any], None],
    ) -> None:
        self._texts = texts
        self._take = take
        self._give_back = give_back
        self._stop = stop
        self._begun: deque[tuple[list[int], Any]] = deque()

    def begin(self, places: list[int], given: Sequence[NDArray[np.int64]]) -> None:
        request = self._take()
        self._begun.append((places, request))
        request.start_async([*given])

    def result(self) -> NDArray[np.floating]:
        vectors: NDArray[np.floating] | None = None
        while self._begun:
            places, request = self._begun[0]
            request.wait()
            made = request.get_output_tensor(0).data
            if vectors is None:
                vectors = np.empty((self._texts, made.shape[1]), dtype=made.dtype)
            vectors[places] = made
            # From here on it is another batch's, and not to be cancelled.
            self._give_back(self._begun.popleft()[1])
        if vectors is None:
            raise RuntimeError("a batch is asked for once")
        return vectors

    def cancel(self) -> None:
        while self._begun:
            request = self._begun.popleft()[1]
            request.cancel()
            self._stop(request)


def _is_done(request: Any) -> bool:
    try:
        return bool(request.wait_for(0))
    except RuntimeError:  # it was cancelled
        return True


def in_calls(lengths: Sequence[int], *, lanes: int) -> Iterator[list[int]]:
    """Places of texts by call: of about one length each, and work for every lane."""
    even = -(-sum(lengths) // lanes)
    return batches(lengths, min(CALL_TOKENS, even))
