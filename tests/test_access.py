"""One client's way to Chroma: who may touch index files, and when."""

import errno
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from chromadb.errors import InternalError

from retriever import assembly
from retriever.collection.access import Access
from retriever.collection.client import StorageOptions, chroma_errors
from retriever.collection.locking import index_lock, presence, writer_lock
from retriever.collection.physical import PhysicalCollection
from retriever.errors import CollectionError
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


@pytest.mark.parametrize("lock", [presence, writer_lock, index_lock])
@pytest.mark.parametrize(
    ("code", "advice"),
    [(errno.EACCES, "let this user write to that folder"), (errno.ENOSPC, "Free some room")],
)
def test_a_state_folder_that_cannot_be_written_is_an_error_that_says_what_to_do(
    lock: Callable[[Path], AbstractContextManager[None]],
    code: int,
    advice: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(code, "as the system says")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CollectionError, match=f"as the system says.*{advice}"), lock(tmp_path):
        pass


@pytest.mark.parametrize(
    ("told", "advice"),
    [
        ("error returned from database: (code: 13) database or disk is full", "Free some room"),
        ("(code: 522) disk I/O error", "Free some room"),
        ("Error in compaction: Failed to apply logs to the metadata segment", "Free some room"),
        ("(code: 8) attempt to write a readonly database", "change their permissions"),
        ("(code: 14) unable to open database file", "change their permissions"),
    ],
)
def test_what_the_disk_refuses_chroma_is_an_error_that_says_what_to_do(
    told: str, advice: str
) -> None:
    with pytest.raises(CollectionError, match=advice) as caught, chroma_errors("some/place"):
        raise InternalError(told)
    assert str(caught.value).startswith(f"some/place: {told}. ")
