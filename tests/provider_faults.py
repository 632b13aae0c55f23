"""Ingests through a provider that goes wrong in one way at a time, beside one that does not."""

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
    "no answer in time": Fault(kind="slow"),
    "answer cut short": Fault(kind="cut"),
    OUT_OF_ORDER: Fault(),
    "connection reset": Fault(kind="reset"),
    "NaN in a vector": Fault(kind="nan"),
    "wrong width": Fault(kind="narrow"),
    "wrong count": Fault(kind="fewer"),
}
USELESS = {"no answer in time", "answer cut short", "NaN in a vector", "wrong width", "wrong count"}
"""Faults after which the provider has charged for an answer that is of no use."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one fault."""

    fault: str
    first_run: str
    """`completed`, or the error that it stopped with."""
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


def settings_for(server: ProviderServer, state: Path) -> Settings:
    """An ingest into `state`, embedded by the server."""
    return Settings.load(
        **{
            "storage.path": state,
            "embedding.backend": "openai",
            "embedding.model": "served-model",
            "embedding.base_url": server.url,
            "embedding.api_key": "sk-test",
            "embedding.dimension": DIMENSION,
            "embedding.window_tokens": 500,
            "embedding.timeout_s": 0.5,
            "embedding.concurrency": 2,
        }
    )


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
        clean = settings_for(server, folder / "clean")
        ingest(documents, clean)
        expected = held(clean)
        yield _outcome(server, "none", "completed", "", expected, expected)
        for number, (name, fault) in enumerate(FAULTS.items()):
            _forget(server)
            server.faults = [*BEFORE, fault]
            server.shuffled = name == OUT_OF_ORDER
            settings = settings_for(server, folder / f"state-{number}")
            first_run, message = "completed", ""
            try:
                ingest(documents, settings)
            except RetrieverError as error:
                first_run, message = type(error).__name__, str(error)
                ingest(documents, settings)
            yield _outcome(server, name, first_run, message, held(settings), expected)


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
