"""One client's way to Chroma: who may touch index files, and when."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from retriever import assembly
from retriever.collection.access import Access
from retriever.collection.client import StorageOptions
from retriever.collection.locking import index_lock
from retriever.collection.physical import PhysicalCollection
from retriever.ingestion import ingest
from retriever.settings import Settings

SHORT_S = 0.3
LONG_S = 20.0


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return Access(StorageOptions(mode="embedded", path=tmp_path))


def runs_while_another_writes(folder: Path, work: Callable[[], object]) -> bool:
    """Whether work is done while somebody else holds the index files; it is done in the end."""
    done = threading.Event()

    def run() -> None:
        work()
        done.set()

    with index_lock(folder):
        thread = threading.Thread(target=run)
        thread.start()
        at_once = done.wait(SHORT_S)
    thread.join(LONG_S)
    assert done.is_set()
    return at_once


@pytest.mark.parametrize(
    "read",
    [
        PhysicalCollection.chunk_count,
        PhysicalCollection.all_vectors,
        lambda data: list(data.manifest()),
        lambda data: list(data.chunk_texts()),
        lambda data: data.matching_ids({"source": "corpus/pump.md"}),
    ],
    ids=["count", "vectors", "manifest", "texts", "ids"],
)
def test_an_index_is_opened_only_while_nobody_writes_and_then_read_beside_writers(
    settings: Settings, corpus: Path, read: Callable[[PhysicalCollection], object]
) -> None:
    """Whatever is read first, if only a text, makes Chroma open the index files."""
    ingest(corpus, settings)
    with assembly.open_store(settings) as store:
        data = store.physical(store.state("docs").live)
        assert not runs_while_another_writes(settings.storage.path, lambda: read(data))
        assert runs_while_another_writes(settings.storage.path, lambda: read(data))


def test_a_first_read_that_fails_is_not_the_first(access: Access, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), access.reading("index"):
        raise ZeroDivisionError

    def read() -> None:
        with access.reading("index"):
            pass

    assert not runs_while_another_writes(tmp_path, read)


def test_a_new_client_has_opened_nothing(access: Access, tmp_path: Path) -> None:
    def read() -> None:
        with access.reading("index"):
            pass

    read()
    assert runs_while_another_writes(tmp_path, read)
    access.forget()
    assert not runs_while_another_writes(tmp_path, read)


def test_who_holds_the_files_may_read_and_write_them(access: Access, tmp_path: Path) -> None:
    marks = []
    with access.hold():
        with access.reading("index"), access.writing("docs.1"):
            marks += tmp_path.glob("*.writing")
        marks.append(not list(tmp_path.glob("*.writing")))
    assert marks == [tmp_path / "docs.1.writing", True]
    with index_lock(tmp_path):
        pass


def test_threads_of_one_client_take_turns(access: Access) -> None:
    order: list[str] = []

    def hold() -> None:
        with access.hold():
            order.append("second")

    with access.hold():
        thread = threading.Thread(target=hold)
        thread.start()
        thread.join(SHORT_S)
        order.append("first")
    thread.join(LONG_S)
    assert order == ["first", "second"]


def test_nothing_is_locked_where_no_index_is_in_files(tmp_path: Path) -> None:
    access = Access(StorageOptions(mode="memory", path=tmp_path))
    with access.hold(writing="docs.1"), access.reading("index"), access.writing("docs.1"):
        assert list(tmp_path.iterdir()) == []
