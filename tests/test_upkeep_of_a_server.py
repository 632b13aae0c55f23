"""Check, repair, compact, export and import against a Chroma server, and beside its readers."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from damaged_collections import (
    CHUNKS,
    behind_its_back,
    contents,
    drop_documents,
    kinds,
    same,
    state_of,
    write_corpus,
)

from retriever import assembly, indexing
from retriever.checking.checks import check
from retriever.compacting import compact
from retriever.ingestion import ingest
from retriever.moving.moves import export, import_
from retriever.repairing.repairs import repair
from retriever.retrieval import Retriever
from retriever.settings import Settings

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a Chroma server of the test's own."""
    number = free_port()
    command = [
        str(Path(sys.executable).with_name("chroma")),
        *("run", "--path", str(tmp_path / "server"), "--host", "127.0.0.1", "--port", str(number)),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", number)) == 0:
                        break
                time.sleep(0.1)
            yield number
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=20)


@pytest.fixture
def served(port: int, tmp_path: Path) -> Settings:
    """A collection on the server."""
    settings = Settings.load(
        **{
            "storage.mode": "server",
            "storage.host": "127.0.0.1",
            "storage.port": port,
            "storage.path": tmp_path / "state",
            "embedding.backend": "retriever.testing:HashingEmbedder",
            "embedding.model": "hashing",
            "chunking.tokens": 64,
        }
    )
    ingest(write_corpus(tmp_path / "corpus"), settings)
    return settings


def test_a_collection_on_a_server_is_checked_and_repaired(served: Settings) -> None:
    assert check(served).findings == ()
    before = contents(served)
    one = next(iter(before[0]))
    behind_its_back(served, lambda chunks, *_: chunks.delete(ids=[one]))
    assert list(kinds(check(served).findings)) == ["record"]
    assert list(kinds(repair(served).left)) == ["unread"]
    drop_documents(served)
    assert "documents" in kinds(check(served).findings)
    repair(served)
    assert ingest(state_of(served).roots["corpus"], served).chunks.embedded == 0
    assert check(served).findings == ()
    assert same(contents(served), before)


def words_in_step(settings: Settings) -> bool:
    """Whether this machine's lexical index is of the last commit and holds every chunk."""
    with assembly.open_store(settings) as store:
        state = store.state("docs")
        data = store.physical(state.live)
        lag = indexing.find_lag(settings, store, state, data)
        return not lag and not indexing.find_fault(settings, store, data, contents=True)


def test_two_machines_each_have_a_lexical_index_in_step_with_one_server(
    served: Settings, tmp_path: Path
) -> None:
    """What one ingests the other finds by its next query, and reads again only what changed."""
    second = served.model_copy(
        update={"storage": served.storage.model_copy(update={"path": tmp_path / "second"})}
    )
    assert [one.kind for one in check(second).findings] == []
    with Retriever.open(served) as first_reader, Retriever.open(second) as reader:
        gone = "turbine"
        for turn, name in enumerate(("ampere", "voltage", "current")):
            text = f"# The fuse\n\n## Serial number\n\nIt reads {name} on it.\n"
            (tmp_path / "corpus" / "fuse.md").write_text(text, encoding="utf-8")
            ingest(tmp_path / "corpus", (served, second)[turn % 2])
            for one in (reader, first_reader):
                found = one.retrieve(name, top_k=1, mode="lexical")
                assert [name in passage.text for passage in found] == [True]
                left = one.retrieve(gone, mode="lexical")
                assert not [passage for passage in left if passage.source == "corpus/fuse.md"]
            gone = name
    assert words_in_step(served)
    assert words_in_step(second)


def test_a_collection_moves_from_a_server_to_a_folder_and_back(
    served: Settings, tmp_path: Path, port: int
) -> None:
    export(served, tmp_path / "x.jsonl.gz")
    storage = served.storage.model_copy(update={"mode": "embedded", "path": tmp_path / "here"})
    here = served.model_copy(update={"storage": storage})
    assert import_(here, tmp_path / "x.jsonl.gz").chunks == CHUNKS
    assert same(contents(here), contents(served))
    export(here, tmp_path / "y.jsonl")
    back = served.model_copy(update={"collection": "back"})
    import_(back, tmp_path / "y.jsonl")
    assert check(back).findings == ()
    assert same(contents(back), contents(served))


def test_lists_of_a_collection_that_was_deleted_come_back_nowhere(
    served: Settings, tmp_path: Path
) -> None:
    (tmp_path / "tagged").mkdir()
    for number in range(12):
        text = f"---\ncrew: [Ada, Bo]\n---\nNothing much about {number}.\n"
        (tmp_path / "tagged" / f"{number}.md").write_text(text, encoding="utf-8")
    before = contents(served)
    ingest(tmp_path / "tagged", served.model_copy(update={"collection": "gone"}))
    vectors = [[1.0, 0.0]] * 40
    with assembly.open_writing_store(served) as store:
        store.drop(store.state("gone"))
        other = store._client.create_collection("other", embedding_function=None)
        other.add(
            ids=[f"{number}" for number in range(40)],
            embeddings=vectors,
            metadatas=[{"number": number, "tags": ["theirs"]} for number in range(40)],
        )
        assert {key for row in other.get()["metadatas"] for key in row} == {"number", "tags"}
        store._client.delete_collection("other")
    compact(served)
    assert same(contents(served), before)


def test_readers_of_a_server_go_on_while_it_is_compacted_again_and_again(served: Settings) -> None:
    """Generations are dropped under their queries: none fails, none comes back short."""
    answers: list[int] = []
    errors: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        with Retriever.open(served) as retriever:
            while not done.is_set():
                try:
                    answers.append(len(retriever.retrieve("cleaning of the pump", top_k=5)))
                except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
                    errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(8):
        report = compact(served)
    done.set()
    for reader in readers:
        reader.join()
    assert report.live == "docs.9"
    assert report.bytes_before is None
    assert errors == []
    assert set(answers) == {5}
