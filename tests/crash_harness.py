"""Runs that are killed with SIGKILL: a server that forks a child for each, and what they leave.

The server has imported everything and opened nothing, so a child starts in milliseconds. Each
child works on a real Chroma in a folder and ends by itself, or is killed at a named step of the
order of writes, after a time, or while Chroma rewrites its index files.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retriever import assembly, canary, compacting
from retriever.checking import inspecting
from retriever.checking.checks import check
from retriever.checking.isolation import examine_here
from retriever.collection import derived
from retriever.collection import store as store_room
from retriever.collection.physical import PhysicalCollection
from retriever.collection.segments import index_folder
from retriever.collection.state import CollectionState
from retriever.collection.store import Store
from retriever.compacting import compact
from retriever.embedding.cache import VectorCache
from retriever.errors import CollectionError
from retriever.indexing import find_lag
from retriever.ingestion import IngestOptions, ingest
from retriever.lexical import LexicalIndex
from retriever.protocols import Vectors
from retriever.settings import Settings
from retriever.swapping.returning import prune
from retriever.swapping.swaps import swap
from retriever.testing import HashingEmbedder

MODELS: Mapping[str, Mapping[str, object]] = {
    "first": {"embedding.model": "first", "embedding.dimension": 64},
    "second": {"embedding.model": "second", "embedding.dimension": 96},
}
INDEX_SYNC_ROWS = 24
"""Chroma's default is 1,000: with so few, a short run rewrites its index files many times."""
EMBEDDING_S_PER_TEXT = 0.001
LEXICAL_QUERIES = ("part", "document", "new", "valve", "t", "fan7s2")
HUNG_S = 60.0
POLL_S = 0.001


@dataclass(frozen=True, slots=True)
class Kill:
    """When a child is to die: at a step, after a time, or at a rewrite of an index file."""

    step: str = ""
    when: str = "before"
    call: int = 1
    """Which call of the step, from 1."""
    after_s: float = 0.0
    """Seconds after the operation began, or after the rewrite was seen."""
    index_writes: int = 0
    """Which rewrite that is seen, from 1; 0 for none."""
    tears: str = ""
    """An index file that is cut in half afterwards, as a kill within its rewrite leaves it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended."""

    how: str
    """done, killed, or what went wrong."""
    seconds: float
    result: Any = None


class RecordingEmbedder(HashingEmbedder):
    """Writes down each text that it has embedded, and takes a little time for it."""

    journal: Path

    def embed_chunks(self, texts: Sequence[str]) -> Vectors:
        time.sleep(EMBEDDING_S_PER_TEXT * len(texts))
        vectors = super().embed_chunks(texts)
        note("made", self.fingerprint.model, texts)
        return vectors


def note(what: str, model: str, texts: Sequence[str]) -> None:
    """Append a line for each text in one write, which a kill cannot tear apart."""
    lines = [
        f"{what} {model} {hashlib.sha256(text.encode()).hexdigest()}\n"
        for text in texts
        if text != canary.TEXT  # embedded by each process that loads a model: that is its purpose
    ]
    handle = os.open(RecordingEmbedder.journal, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(handle, "".join(lines).encode())
    finally:
        os.close(handle)


def repeats(journal: Path) -> tuple[int, int]:
    """Texts embedded again though their vectors had been kept, and those that died in flight."""
    kept: set[str] = set()
    made: set[str] = set()
    paid_twice = in_flight = 0
    for line in journal.read_text("utf-8").splitlines() if journal.exists() else ():
        what, _, text = line.partition(" ")
        if what == "kept":
            kept.add(text)
            continue
        paid_twice += text in kept
        in_flight += text in made and text not in kept
        made.add(text)
    return paid_twice, in_flight


def settings(root: Path, model: str, *, state: str = "state") -> Settings:
    """Settings of the harness: small batches, the recording embedder, all below `root`."""
    return Settings.load(
        **{
            "storage.path": root / state,
            "embedding.backend": "crash_harness:RecordingEmbedder",
            "chunking.tokens": 40,
            "ingestion.commit_chunks": 16,
            **MODELS[model],
        }
    )


def contents(chosen: Settings) -> dict[str, Any]:
    """All that a collection holds, as JSON can: what must equal that of a clean run."""
    with assembly.open_store(chosen) as store:
        state = store.state(chosen.collection)
        data = store.physical(state.live)
        chunks = {
            chunk_id: [text, row, vector.tolist()]
            for page in data.chunk_pages(with_vectors=True)
            for chunk_id, text, row, vector in zip(
                page.ids, page.texts, page.rows, page.vectors, strict=True
            )
        }
        documents = {
            record.source: [asdict(record) | {"ingested_at": ""}, vector.tolist()]
            for page in data.document_pages()
            for record, vector in zip(page.records, page.vectors, strict=True)
        }
        return {
            "chunks": chunks,
            "documents": documents,
            "lexical": _lexical(chosen, store, state, data),
            "interrupted": state.run is not None,
            "leftovers": sorted(set(store.generations(state)) - {state.live, state.previous}),
        }


def _lexical(
    chosen: Settings, store: Store, state: CollectionState, data: PhysicalCollection
) -> dict[str, Any]:
    """What the lexical index holds and finds, as the last run left it: nobody catches up."""
    root = derived.lexical_root(store.options)
    folder = derived.generation_folder(root, data.name, data.id)
    generations = store.generations(state)
    with assembly.open_lexical(chosen, folder) as lexical:
        held = {
            one: lexical.framing_hashes([one])[one] for ids in lexical.id_pages() for one in ids
        }
        found = {
            word: sorted(one.chunk_id for one in lexical.rank(word, count=len(held) + 1))
            for word in LEXICAL_QUERIES
        }
    strays = [path.name for path in root.iterdir() if path.name.split("-")[0] not in generations]
    lag = find_lag(chosen, store, state, data)
    return {"lag": lag, "held": held, "found": found, "strays": strays}


def stored_ids(chosen: Settings) -> dict[str, list[str]] | None:
    """The ids of each source's chunks, without vectors; None where Chroma cannot tell them."""
    found: dict[str, list[str]] = {}
    try:
        with assembly.open_store(chosen) as store:
            state = store.find(chosen.collection)
            pages = store.physical(state.live).chunk_pages(with_vectors=False) if state else ()
            for page in pages:
                for chunk_id, row in zip(page.ids, page.rows, strict=True):
                    found.setdefault(row["source"], []).append(chunk_id)
    except CollectionError:
        return None
    return found


def _ingest(root: Path, chosen: Settings) -> object:
    report = ingest(root / "corpus", chosen, options=IngestOptions(allow_delete=True))
    return report.chunks.embedded


def _swap(root: Path, chosen: Settings) -> object:
    """A swap, and where a killed one had been switched already, an ingest that finds no work."""
    with assembly.open_store(chosen) as store:
        live = store.physical(store.state(chosen.collection).live)
        switched = live.fingerprint.embedding.model == chosen.embedding.model
    return _ingest(root, chosen) if switched else swap(chosen).chunks


def _check(_: Path, chosen: Settings) -> list[str]:
    """The findings; index files are read in this process, which nobody else depends on."""
    inspecting.examine_generation = examine_here
    return [str(finding) for finding in check(chosen).findings]


def _compact(_: Path, chosen: Settings) -> object:
    compacting.examine_generation = examine_here
    return compact(chosen).chunks


OPERATIONS: Mapping[str, Callable[[Path, Settings], object]] = {
    "ingest": _ingest,
    "swap": _swap,
    "prune": lambda _, chosen: prune(chosen),
    "compact": _compact,
    "check": _check,
    "contents": lambda _, chosen: contents(chosen),
    "stored_ids": lambda _, chosen: stored_ids(chosen),
}


def _steps() -> dict[str, tuple[Any, str]]:
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

    names = ("put_chunks", "update_rows", "touch_documents", "put_documents")
    names += ("delete_chunks", "delete_documents", "set_canary")
    return {
        **{name: (PhysicalCollection, name) for name in names},
        **{f"lexical {name}": (LexicalIndex, name) for name in ("put", "delete", "commit")},
        "cache put": (VectorCache, "put_many"),
        "save state": (Store, "save"),
        "make collection": (Store, "_make"),
        "drop generation": (Store, "drop_generation"),
        "drop collection": (Client, "delete_collection"),
        **{f"chroma {name}": (Collection, name) for name in ("upsert", "update", "delete")},
    }


def _instrument(kill: Kill, trace: Counter[str]) -> None:
    """Count the calls of every step, write down what the cache keeps, and die where asked."""
    for name, (owner, method) in _steps().items():
        setattr(owner, method, _wrapped(name, getattr(owner, method), kill, trace))


def _wrapped(
    name: str, original: Callable[..., Any], kill: Kill, trace: Counter[str]
) -> Callable[..., Any]:
    def step(*arguments: Any, **named: Any) -> Any:
        trace[name] += 1
        here = kill.step == name and kill.call == trace[name]
        if here and kill.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **named)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "cache put":
            note("kept", arguments[1].model, list(arguments[2]))
        return result

    return step


def _child(request: Mapping[str, Any], began: int) -> None:
    """Do one operation in a forked process; the answer goes to a file."""
    root = Path(request["root"])
    RecordingEmbedder.journal = root / request["journal"]
    trace: Counter[str] = Counter()
    _instrument(Kill(**request["kill"]), trace)
    answer: dict[str, Any] = {}
    try:
        chosen = settings(root, request["model"], state=request["state"])
        os.write(began, b"b")
        answer["result"] = OPERATIONS[request["operation"]](root, chosen)
    except BaseException:  # noqa: BLE001  (told to the test, which fails by it)
        answer["error"] = traceback.format_exc()
    answer["trace"] = dict(trace)
    Path(request["answer"]).write_text(json.dumps(answer), encoding="utf-8")


def _fork(request: Mapping[str, Any]) -> dict[str, Any]:
    kill = Kill(**request["kill"])
    answer = Path(request["answer"])
    answer.unlink(missing_ok=True)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _child(request, writing)
        finally:
            os._exit(0)
    os.close(writing)
    os.read(reading, 1)
    started = time.monotonic()
    waiting = _moments(kill, Path(request["root"]) / request["state"] / "chroma")
    status, hung = _watch(pid, waiting, started)
    os.close(reading)
    seconds = time.monotonic() - started
    if hung:
        return {"how": "hung", "seconds": seconds}
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if kill.tears:
            _tear(Path(request["root"]) / request["state"], kill.tears)
        how = "killed" if number == signal.SIGKILL else signal.Signals(number).name
        return {"how": how, "seconds": seconds}
    told = json.loads(answer.read_text("utf-8"))
    return {"how": told.pop("error", "done"), "seconds": seconds, "result": told}


def _watch(pid: int, moments: Iterator[float], started: float) -> tuple[int, bool]:
    """Wait for the end of a child, and kill it when its moment has come."""
    hung = False
    for pause_s in moments:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status, False
        hung = time.monotonic() - started > HUNG_S
        if hung:
            break
        time.sleep(pause_s)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1], hung


def _moments(kill: Kill, chroma: Path) -> Iterator[float]:
    """Pauses until the moment of the kill; without end where the child ends by itself."""
    if kill.index_writes:
        before, seen = _index_files(chroma), 0
        while seen < kill.index_writes:
            yield POLL_S / 10
            now = _index_files(chroma)
            seen += now != before
            before = now
        time.sleep(kill.after_s)
        return
    end = time.monotonic() + kill.after_s if kill.after_s else float("inf")
    while (left := end - time.monotonic()) > 0:
        yield min(POLL_S, left)


def _index_files(chroma: Path) -> dict[str, tuple[int, int]]:
    found = {}
    with contextlib.suppress(OSError):
        for entry in chroma.glob("*/*.bin"):
            stat = entry.stat()
            found[str(entry)] = (stat.st_size, stat.st_mtime_ns)
    return found


def _tear(state_folder: Path, name: str) -> None:
    """Cut an index file of that name in half, in the generation that was being written to."""
    for mark in state_folder.glob("*.writing"):
        folders = [index_folder(state_folder, mark.stem + part) for part in ("", ".documents")]
        files = [folder / name for folder in folders if folder and (folder / name).exists()]
        for file in files[:1]:
            os.truncate(file, file.stat().st_size // 2)


def serve() -> None:
    """Answer requests, a line of JSON each, until there are no more."""
    import chromadb  # noqa: F401  (imported once, here, so that children start at once)
    import portalocker  # noqa: F401

    store_room.INDEX = {
        "hnsw": {
            **store_room.INDEX["hnsw"],
            "sync_threshold": INDEX_SYNC_ROWS,
            "batch_size": INDEX_SYNC_ROWS // 2,
        }
    }
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_fork(json.loads(line))) + "\n")
        sys.stdout.flush()


class ForkServer:
    """The server seen from the test. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._answer = folder / "answer.json"
        code = "import crash_harness; crash_harness.serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"},
            text=True,
        )

    def __enter__(self) -> "ForkServer":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(timeout=HUNG_S)

    def run(
        self,
        operation: str,
        root: Path,
        model: str,
        *,
        kill: Kill | None = None,
        state: str = "state",
        journal: str = "journal",
    ) -> Ending:
        """Run an operation in a child of its own and wait for its end."""
        request = {
            "operation": operation,
            "root": str(root),
            "model": model,
            "kill": asdict(kill or Kill()),
            "state": state,
            "journal": journal,
            "answer": str(self._answer),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Ending(**json.loads(self._process.stdout.readline()))
