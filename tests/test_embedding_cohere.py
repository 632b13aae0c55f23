"""Cohere's protocol through the official client, against a real server on this machine."""

import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from provider_servers import DIMENSION, Fault, ProviderServer, provider_server
from pydantic import SecretStr

from retriever.embedding import retrying
from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.remote import RemoteEmbedder
from retriever.errors import EmbeddingError, EmbeddingRejected, EmbeddingUnavailable, SettingsError
from retriever.protocols import Embedder
from retriever.testing import EmbedderContract, HashingEmbedder

KEY = "co-test-0123456789abcdef"


@pytest.fixture(scope="module")
def running() -> Iterator[ProviderServer]:
    with provider_server() as server:
        yield server


@pytest.fixture
def server(running: ProviderServer) -> ProviderServer:
    running.faults.clear()
    running.requests.clear()
    return running


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 0.001)


OPENED: list[RemoteEmbedder] = []


@pytest.fixture(autouse=True)
def _closed_connections() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def opened(server: ProviderServer, **changes: Any) -> RemoteEmbedder:
    values: dict[str, Any] = {
        "model": "served-model",
        "backend": "cohere",
        "base_url": server.url.removesuffix("/v1"),
        "api_key": SecretStr(KEY),
        "dimension": DIMENSION,
        "window_tokens": 500,
        "max_attempts": 3,
    }
    embedder = open_embedder(EmbedderOptions(**(values | changes)))
    assert isinstance(embedder, RemoteEmbedder)
    OPENED.append(embedder)
    return embedder


class TestCohereEmbedder(EmbedderContract):
    secret = KEY

    @pytest.fixture
    def embedder(self, server: ProviderServer) -> Embedder:
        return opened(server)


def test_the_side_is_told_and_nothing_may_be_cut(server: ProviderServer) -> None:
    embedder = opened(server)
    embedder.embed_chunks(["a chunk"])
    embedder.embed_query("a query")
    sides = [(request.body["input_type"], request.body["truncate"]) for request in server.requests]
    assert sides == [("search_document", "NONE"), ("search_query", "NONE")]


def test_a_call_holds_at_most_96_texts(server: ProviderServer) -> None:
    texts = [f"text number {i}" for i in range(500)]
    vectors = opened(server, concurrency=2).embed_chunks(texts)
    expected = HashingEmbedder(dimension=DIMENSION).embed_chunks(texts)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert max(len(request.texts) for request in server.requests) == 96


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(status=status, body={"message": "no"}) for status in (429, 500, 503)),
        *(Fault(kind=kind) for kind in ("reset", "cut", "garbage", "deep", "fewer")),
        Fault(body={"embeddings": {"float": [[10**400]] * 2}}),
    ],
    ids=lambda fault: fault.kind or str(fault.status),
)
def test_a_transient_fault_is_tried_again_once(server: ProviderServer, fault: Fault) -> None:
    server.faults = [fault]
    assert opened(server).embed_chunks(["cat", "dog"]).shape == (2, DIMENSION)
    assert len(server.requests) == 2


def test_a_fault_that_stays_is_raised_after_max_attempts(server: ProviderServer) -> None:
    server.faults = [Fault(status=503, body={"message": "no"})] * 9
    with pytest.raises(EmbeddingUnavailable, match="503"):
        opened(server).embed_chunks(["cat"])
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 413])
def test_a_batch_that_is_too_large_is_halved(server: ProviderServer, status: int) -> None:
    server.faults = [Fault(status=status, body={"message": "too many tokens: limit exceeded"})]
    assert opened(server).embed_chunks(["cat", "dog"]).shape == (2, DIMENSION)
    assert [len(request.texts) for request in server.requests] == [2, 1, 1]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_final_fault_is_raised_at_once(server: ProviderServer, status: int) -> None:
    server.faults = [Fault(status=status, body={"message": "no"})]
    with pytest.raises(EmbeddingRejected, match=str(status)):
        opened(server).embed_chunks(["cat"])
    assert len(server.requests) == 1


def test_the_key_shows_in_no_error(server: ProviderServer) -> None:
    server.faults = [Fault(status=401, body={"message": f"invalid api token {KEY}"})]
    with pytest.raises(EmbeddingError) as caught:
        opened(server).embed_chunks(["cat"])
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("tokens", [-1000.0, float("inf")])
def test_a_charge_that_is_no_number_of_tokens_counts_as_what_was_counted(
    server: ProviderServer, tokens: float
) -> None:
    embedder = opened(server)
    server.faults = [Fault(body={"meta": {"billed_units": {"input_tokens": tokens}}})]
    embedder.embed_chunks(["one two three four"])
    assert embedder.budget.tokens == embedder.count_tokens(["one two three four"])[0]


def test_a_budget_that_no_known_price_could_keep_is_refused_before_a_call(
    server: ProviderServer,
) -> None:
    with pytest.raises(SettingsError, match=r"price of served-model is not known.*budget_usd"):
        opened(server, model="served-model", budget_usd=1.0)
    assert server.requests == []


def test_a_missing_key_is_refused_at_opening() -> None:
    with pytest.raises(SettingsError, match="CO_API_KEY"):
        open_embedder(EmbedderOptions(model="embed-english-v3.0"))
