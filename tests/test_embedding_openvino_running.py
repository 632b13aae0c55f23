"""Calls of a compiled model, without OpenVINO: what is in line, given back, and cancelled."""

import gc
import weakref
from collections.abc import Sequence

import numpy as np
import pytest

from retriever.embedding.local import Batch
from retriever.embedding.openvino_running import FEW_TOKENS, OpenVINORunner
from retriever.protocols import Vectors


class Request:
    """Answers with the number of each row's first token, when it is let."""

    def __init__(self, compiled: "Compiled") -> None:
        self._compiled = compiled
        self.is_cancelled = False
        self.is_done = False
        self.begun = 0

    def start_async(self, given: Sequence[np.ndarray]) -> None:
        self.begun += 1
        self.is_cancelled = False
        self._vectors = given[0][:, :1].astype(np.float32)

    def wait(self) -> None:
        if self._compiled.fails:
            raise RuntimeError("out of memory")
        self.is_done = True

    def wait_for(self, timeout_ms: int) -> bool:
        if self.is_done and self.is_cancelled:
            raise RuntimeError("Infer Request was canceled")
        return self.is_done

    def cancel(self) -> None:
        self.is_cancelled = True

    def get_output_tensor(self, number: int) -> "Request":
        return self

    @property
    def data(self) -> Vectors:
        return self._vectors


class Compiled:
    def __init__(self) -> None:
        self.fails = False
        self.made: list[weakref.ref[Request]] = []

    def create_infer_request(self) -> Request:
        request = Request(self)
        self.made.append(weakref.ref(request))
        return request

    def get_property(self, name: str) -> int:
        return 2

    @property
    def alive(self) -> list[Request]:
        gc.collect()
        return [request for one in self.made if (request := one()) is not None]


@pytest.fixture
def lanes() -> Compiled:
    return Compiled()


@pytest.fixture
def runner(lanes: Compiled) -> OpenVINORunner:
    few = Compiled()
    return OpenVINORunner(lambda hint: lanes if hint == "THROUGHPUT" else few)


def batch(first: int, *, texts: int = 40) -> Batch:
    ids = tuple([first + number] * (FEW_TOKENS // 20 + number % 7) for number in range(texts))
    return Batch(("",) * texts, ids, "chunk", "")


def test_rows_come_back_in_the_order_of_the_texts(runner: OpenVINORunner) -> None:
    np.testing.assert_array_equal(runner.run(batch(100))[:, 0], np.arange(100, 140))


def test_a_request_is_used_again(runner: OpenVINORunner, lanes: Compiled) -> None:
    for first in (100, 200, 300):
        runner.run(batch(first))
    used = [request.begun for request in lanes.alive]
    assert set(used) == {3}


def test_what_is_cancelled_is_not_waited_for_and_dropped_once_it_is_done(
    runner: OpenVINORunner, lanes: Compiled
) -> None:
    """OpenVINO waits where a request that is in line is dropped: for all that is before it."""
    begun = runner.begin(batch(100))
    count = len(lanes.alive)
    begun.cancel()
    begun.cancel()
    del begun
    assert [request.is_cancelled for request in lanes.alive] == [True] * count
    np.testing.assert_array_equal(runner.run(batch(200))[:, 0], np.arange(200, 240))
    assert len(lanes.alive) == 2 * count
    for request in lanes.alive:
        request.is_done = True
    runner.run(batch(300))
    assert len(lanes.alive) == count


def test_what_was_waited_for_is_cancelled_no_more(runner: OpenVINORunner, lanes: Compiled) -> None:
    begun = runner.begin(batch(100))
    begun.result()
    other = runner.begin(batch(200))
    begun.cancel()
    assert not any(request.is_cancelled for request in lanes.alive)
    np.testing.assert_array_equal(other.result()[:, 0], np.arange(200, 240))


def test_a_call_that_fails_stops_the_others_of_its_batch(
    runner: OpenVINORunner, lanes: Compiled
) -> None:
    begun = runner.begin(batch(100))
    lanes.fails = True
    with pytest.raises(RuntimeError, match="out of memory"):
        begun.result()
    begun.cancel()
    assert all(request.is_cancelled for request in lanes.alive)
