"""What a provider's server cannot make its client do."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import numpy as np
import pytest
from provider_servers import DIMENSION, Fault, ProviderServer, provider_server
from pydantic import SecretStr

from retriever.embedding import retrying
from retriever.embedding.background import done_within
from retriever.embedding.calls import Calls
from retriever.embedding.guarding import BYTES_PER_NUMBER, SPARE_BYTES, prepare, read_bounded
from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.provider import Answer, Limits, Side
from retriever.embedding.remote import RemoteEmbedder
from retriever.embedding.spending import Budget
from retriever.errors import EmbeddingRejected, EmbeddingUnavailable
from retriever.testing import HashingEmbedder

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


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_answer_is_read_no_further_than_vectors_can_reach(
    server: ProviderServer, backend: str
) -> None:
    """A small body that unpacks to a large one costs what its reader lets it cost."""
    server.faults = [Fault(packed=SPARE_BYTES + 2048 * DIMENSION * BYTES_PER_NUMBER)]
    with pytest.raises(EmbeddingUnavailable, match=r"more than [\d,]+ bytes"):
        opened(server, backend, max_attempts=1).embed_chunks(["cat"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_packed_answer_is_read_as_the_one_in_it(server: ProviderServer, backend: str) -> None:
    plain = opened(server, backend).embed_chunks(["cat", "dog"])
    server.faults = [Fault(packed=1000)]
    np.testing.assert_array_equal(opened(server, backend).embed_chunks(["cat", "dog"]), plain)


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd"])
def test_only_packings_that_were_asked_for_are_unpacked(encoding: str) -> None:
    """Others, and one within another, grow without measure."""
    url = httpx.URL("http://127.0.0.1:9")
    request = httpx.Request("POST", url, headers={"Accept-Encoding": "gzip, br, zstd"})
    prepare(request)
    assert request.headers["Accept-Encoding"] == "gzip, deflate"
    answer = httpx.Response(
        200,
        headers={"Content-Encoding": encoding},
        stream=httpx.ByteStream(b"x"),
        request=request,
    )
    with pytest.raises(EmbeddingUnavailable, match="was not asked for"):
        read_bounded(answer, most_bytes=100)


class LateProvider:
    """Answers its first call when it is told to, or at last after five seconds."""

    def __init__(self) -> None:
        self.told = threading.Event()
        self.calls = 0

    def call(self, texts: Sequence[str], side: Side) -> Answer:
        self.calls += 1
        if self.calls == 1:
            self.told.wait(5.0)
        return Answer(np.ones((len(texts), DIMENSION)), tokens=1)

    def close(self) -> None:
        """Nothing is open."""


def late_calls(provider: LateProvider, *, max_attempts: int) -> Calls:
    return Calls(
        provider,
        HashingEmbedder(dimension=DIMENSION).fingerprint,
        EmbedderOptions(model="m", timeout_s=0.25, max_attempts=max_attempts),
        limits=Limits(texts=10, tokens=1000),
        budget=Budget(None, 0.0),
    )


@pytest.fixture
def provider() -> Iterator[LateProvider]:
    provider = LateProvider()
    yield provider
    provider.told.set()


def test_a_call_that_is_never_silent_and_never_done_ends_at_four_times_the_limit(
    provider: LateProvider,
) -> None:
    with pytest.raises(EmbeddingUnavailable, match=r"after 1 s, 4 times embedding\.timeout_s"):
        late_calls(provider, max_attempts=1).embed(["cat"], [1], "chunk", lambda *_: None)


def test_a_call_that_was_given_up_is_tried_again(provider: LateProvider) -> None:
    vectors = late_calls(provider, max_attempts=2).embed(["cat"], [1], "chunk", lambda *_: None)
    assert vectors.shape == (1, DIMENSION)
    assert provider.calls == 2


def test_an_error_of_the_work_itself_is_raised_as_it_is() -> None:
    def fail() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        done_within(fail, 60.0, late="late")
