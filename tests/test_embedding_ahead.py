"""Work ahead: parts are begun before they are waited for, in order, within bounds, to the end."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.embedding.ahead import Ahead
from retriever.embedding.keeping import begin_keeping, embed_keeping, keep_nothing
from retriever.protocols import Vectors
from retriever.testing import HashingEmbedder


class Worker:
    """Notes what becomes of each part."""

    def __init__(self, *, refused: int = -1, failing: int = -1) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.cancelled: list[int] = []
        self.most = 0
        self._refused = refused
        self._failing = failing

    def begin(self, part: int) -> "Part":
        if part == self._refused:
            raise ValueError("refused")
        self.begun.append(part)
        self.most = max(self.most, len(self.begun) - len(self.ended))
        return Part(self, part, fails=part == self._failing)


class Part:
    def __init__(self, worker: Worker, number: int, *, fails: bool) -> None:
        self._worker = worker
        self._number = number
        self._fails = fails

    def result(self) -> Vectors:
        if self._fails:
            raise ValueError("failed")
        self._worker.ended.append(self._number)
        return np.full((1, 2), self._number, dtype=np.float32)

    def cancel(self) -> None:
        self._worker.cancelled.append(self._number)


@given(st.integers(0, 20), st.integers(1, 6))
def test_each_part_comes_once_in_order_and_few_are_begun_at_a_time(parts: int, most: int) -> None:
    worker = Worker()
    ahead = Ahead(range(parts), worker.begin, most=most)
    assert worker.begun == list(range(min(parts, most)))
    assert [(part, int(found[0, 0])) for part, found in ahead] == [(i, i) for i in range(parts)]
    assert worker.most == min(parts, most)
    ahead.cancel()
    assert worker.cancelled == []


def test_a_part_that_cannot_be_begun_stops_the_others() -> None:
    worker = Worker(refused=2)
    with pytest.raises(ValueError, match="refused"):
        Ahead(range(5), worker.begin, most=4)
    assert worker.cancelled == [0, 1]


def test_after_a_cancel_nothing_more_is_begun() -> None:
    worker = Worker()
    ahead = Ahead(range(9), worker.begin, most=3)
    results = iter(ahead)
    next(results)
    ahead.cancel()
    assert list(results) == []
    assert (worker.begun, worker.cancelled) == ([0, 1, 2, 3], [1, 2, 3])


def test_a_part_that_fails_is_stopped_and_leaves_the_rest_to_be_stopped() -> None:
    worker = Worker(failing=1)
    ahead = Ahead(range(9), worker.begin, most=3)
    with pytest.raises(ValueError, match="failed"):
        list(ahead)
    ahead.cancel()
    assert sorted(worker.cancelled) == [1, 2, 3]


class AheadHashing(HashingEmbedder):
    """Notes when it begins and when it is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []

    def begin_chunks(self, texts: Sequence[str], keep: object) -> "AheadHashing":
        self.log.append("begun")
        self._texts = texts
        return self

    def result(self) -> Vectors:
        self.log.append("waited for")
        return self.embed_chunks(self._texts)

    def cancel(self) -> None:
        self.log.append("cancelled")


def test_an_embedder_that_can_is_begun_at_once() -> None:
    embedder = AheadHashing()
    pending = begin_keeping(embedder, ["a", "b"], keep_nothing)
    assert embedder.log == ["begun"]
    expected = HashingEmbedder().embed_chunks(["a", "b"])
    np.testing.assert_array_equal(pending.result(), expected)
    np.testing.assert_array_equal(embed_keeping(embedder, ["a", "b"], keep_nothing), expected)


def test_an_embedder_that_cannot_is_asked_when_it_is_waited_for() -> None:
    asked: list[str] = []

    class Plain(HashingEmbedder):
        def embed_chunks(self, texts: Sequence[str]) -> Vectors:
            asked.extend(texts)
            return super().embed_chunks(texts)

    pending = begin_keeping(Plain(), ["a", "b"], keep_nothing)
    assert asked == []
    pending.cancel()
    assert pending.result().shape[0] == 2
    assert asked == ["a", "b"]


def test_no_texts_are_no_work() -> None:
    embedder = AheadHashing()
    assert begin_keeping(embedder, [], keep_nothing).result().shape[0] == 0
    assert embedder.log == []
