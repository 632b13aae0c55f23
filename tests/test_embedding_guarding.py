"""What a provider's server cannot make its client do."""

from collections.abc import Iterator
from typing import Any

import pytest
from provider_servers import DIMENSION, Fault, ProviderServer, provider_server
from pydantic import SecretStr

from retriever.embedding import retrying
from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.remote import RemoteEmbedder
from retriever.errors import EmbeddingRejected

BACKENDS = ("openai", "cohere")


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with provider_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 0.001)


OPENED: list[RemoteEmbedder] = []


@pytest.fixture(autouse=True)
def _closed_connections() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def opened(server: ProviderServer, backend: str, **changes: Any) -> RemoteEmbedder:
    values: dict[str, Any] = {
        "model": "served-model",
        "backend": backend,
        "base_url": server.url if backend == "openai" else server.url.removesuffix("/v1"),
        "api_key": SecretStr("sk-test-0123456789abcdef"),
        "headers": {"api-key": SecretStr("azure-0123")} if backend == "openai" else {},
        "dimension": DIMENSION,
        "window_tokens": 500,
        "max_attempts": 3,
        "timeout_s": 10.0,
    }
    embedder = open_embedder(EmbedderOptions(**(values | changes)))
    assert isinstance(embedder, RemoteEmbedder)
    OPENED.append(embedder)
    return embedder


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_text_and_no_key_follows_a_redirect_to_another_server(
    server: ProviderServer, backend: str, status: int
) -> None:
    with provider_server() as other:
        server.faults = [Fault(status=status, headers={"Location": f"{other.url}/embed"})]
        with pytest.raises(EmbeddingRejected, match=r"redirects to another.*embedding\.base_url"):
            opened(server, backend).embed_chunks(["a secret of ours"])
        assert other.connections == 0
    assert len(server.requests) == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_redirect_within_the_same_server_is_followed(
    server: ProviderServer, backend: str
) -> None:
    server.faults = [Fault(status=307, headers={"Location": f"{server.url}/moved/embed"})]
    if backend == "openai":
        server.faults[0].headers["Location"] += "dings"
    assert opened(server, backend).embed_chunks(["cat"]).shape == (1, DIMENSION)
    assert len(server.requests) == 2
