"""OpenAI's protocol through the official client, against a real server on this machine."""

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from provider_servers import DIMENSION, Fault, ProviderServer, provider_server
from pydantic import SecretStr

from retriever.embedding import retrying
from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.remote import RemoteEmbedder
from retriever.errors import (
    BudgetExceeded,
    EmbeddingError,
    EmbeddingRejected,
    EmbeddingUnavailable,
    SettingsError,
)
from retriever.protocols import Embedder
from retriever.testing import EmbedderContract, HashingEmbedder

KEY = "sk-test-0123456789abcdef"


@pytest.fixture(scope="module")
def running() -> Iterator[ProviderServer]:
    with provider_server() as server:
        yield server


@pytest.fixture
def server(running: ProviderServer) -> ProviderServer:
    running.faults.clear()
    running.requests.clear()
    running.shuffled, running.knows_base64, running.most_texts = False, True, 10**9
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
        "backend": "openai",
        "base_url": server.url,
        "api_key": SecretStr(KEY),
        "dimension": DIMENSION,
        "window_tokens": 500,
        "timeout_s": 10.0,
        "max_attempts": 3,
    }
    embedder = open_embedder(EmbedderOptions(**(values | changes)))
    assert isinstance(embedder, RemoteEmbedder)
    OPENED.append(embedder)
    return embedder


class TestOpenAIEmbedder(EmbedderContract):
    secret = KEY

    @pytest.fixture
    def embedder(self, server: ProviderServer) -> Embedder:
        return opened(server, query_prefix="query: ", chunk_prefix="passage: ")


def test_vectors_are_the_servers_at_unit_length(server: ProviderServer) -> None:
    texts = ["the cat sat", "invoices are due"]
    expected = HashingEmbedder(dimension=DIMENSION).embed_chunks(texts)
    np.testing.assert_allclose(opened(server).embed_chunks(texts), expected, atol=1e-6)
    assert server.requests[0].body["model"] == "served-model"
    assert server.requests[0].authorization == f"Bearer {KEY}"


def test_answers_out_of_order_are_put_in_order(server: ProviderServer) -> None:
    texts = ["one", "two words", "three more words"]
    straight = opened(server).embed_chunks(texts)
    server.shuffled = True
    np.testing.assert_array_equal(opened(server).embed_chunks(texts), straight)


def test_a_server_that_knows_no_base64_is_asked_for_numbers(server: ProviderServer) -> None:
    server.knows_base64 = False
    embedder = opened(server)
    embedder.embed_chunks(["cat"])
    embedder.embed_chunks(["dog"])
    formats = [request.body["encoding_format"] for request in server.requests]
    assert formats == ["base64", "float", "float"]


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(status=status) for status in (408, 409, 429, 500, 502, 503)),
        *(Fault(kind=kind) for kind in ("reset", "cut", "garbage", "fewer", "doubled")),
    ],
    ids=lambda fault: fault.kind or str(fault.status),
)
def test_a_transient_fault_is_tried_again_once(server: ProviderServer, fault: Fault) -> None:
    """Two requests in all: the client's own retries are off."""
    server.faults = [fault]
    vectors = opened(server).embed_chunks(["cat", "dog"])
    assert vectors.shape == (2, DIMENSION)
    assert len(server.requests) == 2


def test_a_fault_that_stays_is_raised_after_max_attempts(server: ProviderServer) -> None:
    server.faults = [Fault(status=503)] * 9
    with pytest.raises(EmbeddingUnavailable, match="503"):
        opened(server, max_attempts=3).embed_chunks(["cat"])
    assert len(server.requests) == 3


def test_a_server_that_does_not_answer_in_time_is_unavailable(server: ProviderServer) -> None:
    server.faults = [Fault(kind="slow")]
    with pytest.raises(EmbeddingUnavailable, match=r"within 0\.2 s"):
        opened(server, timeout_s=0.2, max_attempts=1).embed_chunks(["cat"])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_final_fault_is_raised_at_once(server: ProviderServer, status: int) -> None:
    server.faults = [Fault(status=status)]
    with pytest.raises(EmbeddingRejected, match=str(status)):
        opened(server).embed_chunks(["cat"])
    assert len(server.requests) == 1


def test_a_429_for_want_of_money_is_final(server: ProviderServer) -> None:
    body = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
    server.faults = [Fault(status=429, body=body)]
    with pytest.raises(EmbeddingRejected, match="billing"):
        opened(server).embed_chunks(["cat"])
    assert len(server.requests) == 1


@pytest.mark.parametrize("header", [{"Retry-After": "0.3"}, {"retry-after-ms": "300"}])
def test_the_pause_that_the_server_asks_for_is_kept(
    server: ProviderServer, header: dict[str, str]
) -> None:
    import time

    server.faults = [Fault(status=429, headers=header)]
    begun = time.perf_counter()
    opened(server).embed_chunks(["cat"])
    assert time.perf_counter() - begun >= 0.3


@pytest.mark.parametrize(
    ("kind", "words"), [("nan", "finite"), ("zero", "zeros"), ("narrow", "63")]
)
def test_an_answer_that_is_no_vector_is_refused(
    server: ProviderServer, kind: str, words: str
) -> None:
    server.faults = [Fault(kind=kind)]
    with pytest.raises(EmbeddingRejected, match=words):
        opened(server).embed_chunks(["cat", "dog"])


def test_a_batch_that_is_too_large_is_halved_until_it_passes(server: ProviderServer) -> None:
    server.most_texts = 5
    texts = [f"text number {i}" for i in range(20)]
    expected = HashingEmbedder(dimension=DIMENSION).embed_chunks(texts)
    np.testing.assert_allclose(opened(server).embed_chunks(texts), expected, atol=1e-6)
    passed = [len(request.texts) for request in server.requests if len(request.texts) <= 5]
    assert sum(passed) == 20


def test_a_text_that_is_too_large_alone_is_refused(server: ProviderServer) -> None:
    server.most_texts = 0
    with pytest.raises(EmbeddingRejected, match=r"chunking\.tokens"):
        opened(server).embed_chunks(["cat"])


def test_calls_are_spread_and_every_text_is_sent_once(server: ProviderServer) -> None:
    texts = [f"text number {i % 300}" for i in range(400)]
    vectors = opened(server, concurrency=4).embed_chunks(texts)
    expected = HashingEmbedder(dimension=DIMENSION).embed_chunks(texts)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    sent = [text for request in server.requests for text in request.texts]
    assert sorted(sent) == sorted(set(texts))
    assert len(server.requests) == 5


def test_a_call_stays_within_the_tokens_of_one_request(server: ProviderServer) -> None:
    texts = [f"{i} " + "x" * 90_000 for i in range(5)]
    opened(server, window_tokens=100_000).embed_chunks(texts)
    assert sorted(len(request.texts) for request in server.requests) == [2, 3]


def test_one_failure_stops_the_rest(server: ProviderServer) -> None:
    server.faults = [Fault(status=401)] * 100
    long_texts = [f"{i} " + "x" * 200_000 for i in range(5)]
    with pytest.raises(EmbeddingRejected):
        opened(server, concurrency=1, window_tokens=300_000).embed_chunks(long_texts)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=401, body={"error": {"message": f"Incorrect API key provided: {KEY}"}}),
        Fault(status=500, body={"error": {"message": f"crashed while serving {KEY}"}}),
        Fault(kind="garbage"),
    ],
    ids=["401", "500", "garbage"],
)
def test_the_key_shows_in_no_error(server: ProviderServer, fault: Fault) -> None:
    server.faults = [fault]
    with pytest.raises(EmbeddingError) as caught:
        opened(server, max_attempts=1).embed_chunks(["cat"])
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_the_password_in_an_address_shows_in_no_error() -> None:
    embedder = open_embedder(
        EmbedderOptions(
            model="m",
            backend="openai",
            base_url="http://user:hunter2@127.0.0.1:9/v1",
            dimension=8,
            window_tokens=100,
            max_attempts=1,
            timeout_s=2.0,
        )
    )
    assert isinstance(embedder, RemoteEmbedder)
    OPENED.append(embedder)
    with pytest.raises(EmbeddingUnavailable) as caught:
        embedder.embed_query("cat")
    assert "hunter2" not in str(caught.value)


def test_shorter_vectors_are_asked_for_by_name(server: ProviderServer) -> None:
    embedder = opened(server, model="text-embedding-3-small", dimension=32, window_tokens=None)
    assert embedder.embed_chunks(["one two three four five six"]).shape == (1, 32)
    assert server.requests[0].body["dimensions"] == 32


def test_who_counts_without_a_vocabulary_is_told_so_once(
    server: ProviderServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    embedder = opened(server, model="text-embedding-3-small", dimension=None, window_tokens=None)
    with pytest.warns(UserWarning, match="upper bound"):
        first = embedder.count_tokens(["some text"])
    assert embedder.count_tokens(["some text"]) == first


def test_the_budget_stops_a_run_before_the_call_that_would_exceed_it(
    server: ProviderServer,
) -> None:
    budget_usd = 100 * 0.02 / 1_000_000
    embedder = opened(
        server,
        model="text-embedding-3-small",
        dimension=DIMENSION,
        window_tokens=None,
        budget_usd=budget_usd,
    )
    embedder.embed_chunks(["one two three four"])
    assert 0 < embedder.budget.spent_usd < budget_usd
    with pytest.raises(BudgetExceeded):
        embedder.embed_chunks(["many words " * 50])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "text-embedding-3-small"}, "OPENAI_API_KEY"),
        ({"model": "unknown", "backend": "openai"}, "embedding.dimension"),
        ({"model": "text-embedding-ada-002", "dimension": 256}, "always gives 1536"),
        (
            {
                "model": "unknown",
                "backend": "openai",
                "dimension": 8,
                "window_tokens": 9,
                "budget_usd": 1.0,
                "api_key": SecretStr(KEY),
            },
            "price",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_at_opening(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        open_embedder(EmbedderOptions(**changes))
