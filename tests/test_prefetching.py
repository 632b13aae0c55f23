"""An iterator that a thread fills ahead of its reader."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.ingestion.batching import Prepared, batches
from retriever.ingestion.prefetching import prefetched


def one(_: object) -> int:
    return 1


@given(items=st.lists(st.integers(0, 9)), ahead=st.integers(1, 4), most=st.integers(1, 12))
def test_every_item_comes_once_and_in_order(items: list[int], ahead: int, most: int) -> None:
    with prefetched(items, ahead=ahead, weigh=lambda item: item, most_weight=most) as found:
        assert list(found) == items


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise KeyError("lost")

    with prefetched(failing(), ahead=3, weigh=one, most_weight=9) as found:
        assert next(found) == 1
        with pytest.raises(KeyError, match="lost"):
            next(found)


@pytest.mark.parametrize(("ahead", "weight", "most"), [(2, 1, 100), (100, 5, 10)])
def test_no_more_than_allowed_is_made_ahead(ahead: int, weight: int, most: int) -> None:
    made: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            made.append(1)
            yield 1

    with prefetched(endless(), ahead=ahead, weigh=lambda _: weight, most_weight=most) as found:
        next(found)
        time.sleep(0.1)
        assert len(made) <= 4  # one taken, two waiting, one in hand


def test_an_item_that_is_too_heavy_passes_alone() -> None:
    with prefetched([50, 50], ahead=5, weigh=lambda item: item, most_weight=10) as found:
        assert list(found) == [50, 50]


def test_leaving_early_stops_the_thread() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    with prefetched(endless(), ahead=2, weigh=one, most_weight=9) as found:
        next(found)
    assert not [thread for thread in threading.enumerate() if "prefetch" in thread.name]


def document(chunks: int) -> Prepared:
    some: Any = range(chunks)
    file: Any = None
    return Prepared(file=file, document=None, chunks=some)


def test_the_model_has_work_early_and_later_batches_are_large() -> None:
    """The first batch is small, each one twice the one before it, up to the setting."""
    documents = [document(10)] * 500
    sizes = [batch.chunk_count for batch in batches(documents, most_chunks=1_000)]
    assert sizes == [130, 260, 520, 1_000, 1_000, 1_000, 1_000, 90]
    assert [batch.chunk_count for batch in batches(documents[:6], most_chunks=20)] == [20, 20, 20]


@given(
    st.lists(st.integers(0, 40), max_size=900), st.integers(1, 1_500), st.none() | st.just("told")
)
def test_batches_hold_every_document_once_in_order(
    sizes: list[int], most: int, told: str | None
) -> None:
    documents = [document(size) for size in sizes]
    files = len(documents) if told else None
    made = list(batches(documents, most_chunks=most, files=files))
    assert [one for batch in made for one in batch.prepared] == documents
    largest = max(sizes, default=0)
    assert all(batch.chunk_count < most + max(largest, 1) for batch in made)


def test_the_last_batches_are_small_where_the_number_of_files_is_known() -> None:
    documents = [document(10) for _ in range(600)]
    sizes = [
        batch.chunk_count for batch in batches(documents, most_chunks=1_000, files=len(documents))
    ]
    assert sizes[:4] == [130, 260, 520, 1_000]
    assert sizes[-4:] == sorted(sizes[-4:], reverse=True)
    assert sizes[-1] <= 130
