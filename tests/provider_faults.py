"""Ingests through a provider that goes wrong in one way at a time, beside one that does not."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provider_servers import DIMENSION, Fault, ProviderServer, provider_server

from retriever import assembly
from retriever.errors import RetrieverError
from retriever.ingestion import ingest
from retriever.settings import Settings

DOCUMENTS = 200
BEFORE = (Fault(), Fault())
"""Two requests are answered before anything goes wrong: the canary's, and a first batch."""
LONG = "This model's maximum context length is exceeded."
OUT_OF_ORDER = "answers out of order"
TOO_LATE = "no answer in time"
KILLED = "kill -9 in the middle"
TIMEOUT_S = 2.0
SETTLING_S = 1.0
"""Before the process is killed, so that what was answered already is in its cache."""
INGEST = """
import json, sys
from retriever.ingestion import ingest
from retriever.settings import Settings
ingest(sys.argv[1], Settings.load(**json.loads(sys.argv[2])))
"""

FAULTS: dict[str, Fault] = {
    "400 for size": Fault(status=400, body={"error": {"message": LONG}}),
    "401": Fault(status=401),
    "403": Fault(status=403),
    "404": Fault(status=404),
    "408": Fault(status=408),
    "413": Fault(status=413),
    "429 with Retry-After": Fault(status=429, headers={"Retry-After": "1"}),
    "429 without": Fault(status=429),
    "500": Fault(status=500),
    "503": Fault(status=503),
    TOO_LATE: Fault(kind="slow"),
    "answer cut short": Fault(kind="cut"),
    OUT_OF_ORDER: Fault(),
    "connection reset": Fault(kind="reset"),
    "NaN in a vector": Fault(kind="nan"),
    "wrong width": Fault(kind="narrow"),
    "wrong count": Fault(kind="fewer"),
    KILLED: Fault(kind="kill"),
}
USELESS = {TOO_LATE, "answer cut short", "NaN in a vector", "wrong width", "wrong count"}
"""Faults after which the provider has charged for an answer that is of no use."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one fault."""

    fault: str
    first_run: str
    """`completed`, `killed`, or the error that it stopped with."""
    message: str
    requests: int
    """Of all runs."""
    tokens: int
    """Paid for in all runs."""
    useless_tokens: int
    """Paid for answers that could not be used."""
    chunks: int
    as_without: bool
    """Whether the collection at the end is what a run without a fault leaves."""


def write_documents(folder: Path) -> Path:
    """Short documents, one chunk each."""
    folder.mkdir()
    for number in range(DOCUMENTS):
        text = f"Shelf {number} holds {number % 7} boxes of part {number * 31 % 997}.\n"
        (folder / f"{number:03}.txt").write_text(text, encoding="utf-8")
    return folder


def values_for(server: ProviderServer, state: Path, *, timeout_s: float) -> dict[str, Any]:
    """The settings of an ingest into `state`, embedded by the server."""
    return {
        "storage.path": str(state),
        "embedding.backend": "openai",
        "embedding.model": "served-model",
        "embedding.base_url": server.url,
        "embedding.api_key": "sk-test",
        "embedding.dimension": DIMENSION,
        "embedding.window_tokens": 500,
        "embedding.timeout_s": timeout_s,
        "embedding.concurrency": 2,
    }


def held(settings: Settings) -> dict[str, tuple[Any, ...]]:
    """Text, metadata and vector of every chunk, by id."""
    found: dict[str, tuple[Any, ...]] = {}
    with assembly.open_store(settings) as store:
        data = store.physical(store.state(settings.collection).live)
        for page in data.chunk_pages(with_vectors=True):
            vectors = [vector.tolist() for vector in page.vectors]
            found |= dict(
                zip(page.ids, zip(page.texts, page.rows, vectors, strict=True), strict=True)
            )
    return found


def outcomes(folder: Path) -> Iterator[Outcome]:
    """The faultless run, named `none`, and then each fault with a collection of its own."""
    documents = write_documents(folder / "documents")
    with provider_server() as server:
        server.slow_s = 2 * TIMEOUT_S
        clean = Settings.load(**values_for(server, folder / "clean", timeout_s=60.0))
        ingest(documents, clean)
        expected = held(clean)
        yield _outcome(server, "none", "completed", "", expected, expected)
        for number, (name, fault) in enumerate(FAULTS.items()):
            _forget(server)
            server.faults = [*BEFORE, fault]
            server.shuffled = name == OUT_OF_ORDER
            timeout_s = TIMEOUT_S if name == TOO_LATE else 60.0
            values = values_for(server, folder / f"state-{number}", timeout_s=timeout_s)
            settings = Settings.load(**values)
            run = _killed_run if name == KILLED else _run
            first_run, message = run(server, documents, values)
            if first_run != "completed":
                ingest(documents, settings)
            yield _outcome(server, name, first_run, message, held(settings), expected)


def _run(server: ProviderServer, documents: Path, values: dict[str, Any]) -> tuple[str, str]:
    """How an ingest ended, and with which message."""
    try:
        ingest(documents, Settings.load(**values))
    except RetrieverError as error:
        return type(error).__name__, str(error)
    return "completed", ""


def _killed_run(server: ProviderServer, documents: Path, values: dict[str, Any]) -> tuple[str, str]:
    """The same in a process of its own, which the server kills."""
    process = subprocess.Popen([sys.executable, "-c", INGEST, documents, json.dumps(values)])

    def kill() -> None:
        time.sleep(SETTLING_S)
        process.kill()

    server.kill_client = kill
    return ("killed" if process.wait() < 0 else "completed"), ""


def _forget(server: ProviderServer) -> None:
    server.requests.clear()
    server.tokens_charged = 0
    server.shuffled = False


def _outcome(
    server: ProviderServer,
    name: str,
    first_run: str,
    message: str,
    found: dict[str, tuple[Any, ...]],
    expected: dict[str, tuple[Any, ...]],
) -> Outcome:
    struck = server.requests[len(BEFORE)].texts if name in USELESS else []
    return Outcome(
        fault=name,
        first_run=first_run,
        message=message,
        requests=len(server.requests),
        tokens=server.tokens_charged,
        useless_tokens=sum(server.embedder.count_tokens(struck)),
        chunks=len(found),
        as_without=found == expected,
    )
