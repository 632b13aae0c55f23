"""Readers beside a writer, in processes of their own: in a folder, and against a server."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from last_word_embedder import WIDTH

from retriever.ingestion import IngestOptions, ingest
from retriever.retrieval import Retriever
from retriever.settings import Settings

pytestmark = pytest.mark.slow

DOCUMENTS = int(os.environ.get("READERS_DOCUMENTS", "400"))
COMMITS = int(os.environ.get("READERS_COMMITS", "10"))
"""By hand, 2,000 documents in 50 commits."""
MODES = ("semantic", "lexical", "hybrid")
"""One reader for each."""

_READER = """
import json, os, sys
from retriever.retrieval import Retriever
from retriever.settings import Settings

settings, log, stop = Settings.load(**json.loads(sys.argv[1])), sys.argv[2], sys.argv[3]
mode = sys.argv[4]
retriever = Retriever.open(settings)
queries = 0


def committed():
    with open(stop + ".committed", encoding="utf-8") as file:
        return json.load(file)


with open(log, "w", encoding="utf-8") as file:
    while not os.path.exists(stop):
        present, gone = committed()
        # in turns the newest, which a stale reader lacks, and all others
        place = queries // 2 % len(present)
        word = present[-1 - place % min(40, len(present)) if queries % 2 else place]
        found = retriever.retrieve(f"red{word} green{word} blue{word}", top_k=3, mode=mode)
        first = found[0] if found else None
        if (first is None or not first.text.endswith(f"blue{word}.")) and word in committed()[0]:
            print("missed", word, first, file=file, flush=True)
        for one in found:
            if not one.source.endswith(f"/{one.text.split('blue')[1].rstrip('.')}.md"):
                print("wrong source", one.text, one.source, file=file, flush=True)
        for lost in gone:
            found = retriever.retrieve(f"red{lost} green{lost} blue{lost}", top_k=3, mode=mode)
            if any(one.source.endswith(f"/{lost}.md") for one in found):
                print("deleted", lost, file=file, flush=True)
        queries += 1
    print("queries", queries, file=file, flush=True)
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(params=["embedded", "server"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, object]]:
    """Settings of a store: a folder, or a Chroma server on a free port."""
    common: dict[str, object] = {"storage.path": str(tmp_path / "state")}
    if request.param == "embedded":
        yield common
        return
    port = _free_port()
    command = [
        str(Path(sys.executable).with_name("chroma")),
        *("run", "--path", str(tmp_path / "server"), "--host", "127.0.0.1", "--port", str(port)),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(port)
            yield common | {
                "storage.mode": "server",
                "storage.host": "127.0.0.1",
                "storage.port": port,
            }
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=20)


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("the Chroma server did not start")


def _options(storage: dict[str, object]) -> dict[str, object]:
    return storage | {
        "embedding.backend": "last_word_embedder:LastWordEmbedder",
        "embedding.model": "last-word",
        "embedding.dimension": WIDTH,
        "chunking.tokens": 64,
        "ingestion.commit_chunks": 64,
    }


def test_readers_see_every_commit_and_no_error_while_one_process_writes(
    storage: dict[str, object], tmp_path: Path
) -> None:
    """In each mode 0 errors, 0 deleted passages, 0 wrong sources, 0 that are not found."""
    options = _options(storage)
    settings = Settings.load(**options)
    corpus, stop = tmp_path / "corpus", tmp_path / "stop"
    corpus.mkdir()
    present: list[str] = []
    readers: list[subprocess.Popen[str]] = []
    try:
        for commit in range(COMMITS):
            added, gone = _change(corpus, present, commit)
            if present:
                _publish(stop, present, [])
            ingest(corpus, settings, options=IngestOptions(allow_delete=True))
            present.extend(added)
            _publish(stop, present, gone)
            if not readers:
                readers = [_start_reader(options, tmp_path, stop, mode) for mode in MODES]
                time.sleep(2)
    finally:
        time.sleep(1)
        stop.touch()
        codes = [reader.wait(timeout=60) for reader in readers]
    errors = [(tmp_path / f"{mode}.err").read_text("utf-8") for mode in MODES]
    assert (codes, errors) == ([0] * len(MODES), [""] * len(MODES))
    for mode in MODES:
        *complaints, last = (tmp_path / f"{mode}.log").read_text("utf-8").splitlines()
        assert complaints == []
        asked = int(last.removeprefix("queries "))
        sys.stdout.write(f"{mode}: {asked} queries\n")
        assert asked > 5


def _change(corpus: Path, present: list[str], commit: int) -> tuple[list[str], list[str]]:
    """Write some documents and remove some: their names. A removed name never returns.

    `present` loses the removed names: nothing may be expected of them until the commit.
    """
    size = DOCUMENTS // COMMITS
    draw = random.Random(commit)
    added = [f"w{number}x" for number in range(commit * size, (commit + 1) * size)]
    for word in added:
        shared = " ".join(f"shared{draw.randrange(30)}" for _ in range(4))
        text = f"{shared} red{word} green{word} blue{word}.\n"
        (corpus / f"{word}.md").write_text(text, encoding="utf-8")
    gone = present[:2]
    for word in gone:
        (corpus / f"{word}.md").unlink()
        present.remove(word)
    return added, gone


def _publish(stop: Path, present: list[str], gone: list[str]) -> None:
    """Tell the readers what is committed, in one step."""
    pending = stop.with_name("pending")
    pending.write_text(json.dumps([present, gone]), encoding="utf-8")
    pending.replace(f"{stop}.committed")


def _start_reader(
    options: dict[str, object], folder: Path, stop: Path, mode: str
) -> "subprocess.Popen[str]":
    with (folder / f"{mode}.err").open("w", encoding="utf-8") as errors:
        return subprocess.Popen(
            [
                *(sys.executable, "-W", "ignore", "-c", _READER, json.dumps(options)),
                *(str(folder / f"{mode}.log"), str(stop), mode),
            ],
            stderr=errors,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
        )


def test_a_server_answers_what_a_folder_answers(tmp_path: Path, storage: dict[str, object]) -> None:
    """Every kind of store goes through the same line: add, change, delete, search."""
    hashing = {"embedding.backend": "retriever.testing:HashingEmbedder"}
    settings = Settings.load(**(_options(storage) | hashing))
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a.md").write_text("# Pump\n\nHold the red button.\n", encoding="utf-8")
    (corpus / "b.md").write_text("---\nyear: 2021\n---\n# Boiler\n\nIt heats.\n", encoding="utf-8")
    assert ingest(corpus, settings).added == 2
    assert ingest(corpus, settings).unchanged == 2
    with Retriever.open(settings) as retriever:
        assert retriever.retrieve("red button")[0].source == "corpus/a.md"
        assert [one.source for one in retriever.retrieve("x", where={"year": 2021})] == [
            "corpus/b.md"
        ]
        (corpus / "a.md").unlink()
        assert ingest(corpus, settings).deleted == 1
        assert [one.source for one in retriever.retrieve("red button")] == ["corpus/b.md"]


@pytest.mark.parametrize("mode", MODES)
def test_a_program_may_end_without_closing_its_retriever(tmp_path: Path, mode: str) -> None:
    """Its thread that reads rows beside the queries is not within Chroma by then."""
    options = _options({"storage.path": str(tmp_path / "state")})
    corpus, stop = tmp_path / "corpus", tmp_path / "stop"
    corpus.mkdir()
    added, _ = _change(corpus, [], 1)
    ingest(corpus, Settings.load(**options))
    _publish(stop, added, [])
    script = _READER.replace("while not os.path.exists(stop)", "while queries < 4")
    reader = [sys.executable, "-W", "ignore", "-c", script, json.dumps(options)]
    for _ in range(3):
        done = subprocess.run(
            [*reader, str(tmp_path / "log"), str(stop), mode],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_the_lock_of_a_writer_that_was_killed_is_free(tmp_path: Path) -> None:
    """The operating system releases it; nobody has to remove a file."""
    options = _options({"storage.path": str(tmp_path / "state")})
    script = (
        "import json, sys, time\n"
        "from retriever import assembly\n"
        "from retriever.settings import Settings\n"
        "with assembly.open_writing_store(Settings.load(**json.loads(sys.argv[1]))):\n"
        "    print('locked', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(options)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "locked\n"
        writer.kill()
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a.md").write_text("Text.\n", encoding="utf-8")
    assert ingest(corpus, Settings.load(**options)).added == 1
