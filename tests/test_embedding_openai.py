"""OpenAI's protocol through the official client, against a real server on this machine."""

import gc
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from provider_servers import DIMENSION, Fault, ProviderServer, provider_server
from pydantic import SecretStr
from rate_limiters import Bucket

from retriever.embedding import retrying
from retriever.embedding.cache import VectorCache
from retriever.embedding.caching import CachingEmbedder
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
    running.limiters.clear()
    running.latency_s, running.tells_limits, running.refused = 0.0, True, 0
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


def test_calls_side_by_side_learn_together_that_a_server_knows_no_base64(
    server: ProviderServer,
) -> None:
    server.knows_base64, server.latency_s = False, 0.2
    server.faults = [Fault(status=503)]  # so that the next calls start beside each other
    texts = [f"text number {i}" for i in range(300)]
    expected = HashingEmbedder(dimension=DIMENSION).embed_chunks(texts)
    np.testing.assert_allclose(opened(server).embed_chunks(texts), expected, atol=1e-6)


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(status=status) for status in (408, 409, 429, 500, 502, 503)),
        *(Fault(kind=kind) for kind in ("reset", "cut", "garbage", "deep", "fewer", "doubled")),
        *(
            Fault(status=429, headers={"Retry-After": f"Mon, 01 Jan {year} 00:00:00 GMT"})
            for year in ("99999999", "9" * 20)
        ),
        Fault(body={"data": [{"index": float("inf"), "embedding": [1.0]}] * 2}),
        Fault(body={"data": [{"index": i, "embedding": [10**400]} for i in range(2)]}),
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


def test_a_call_holds_at_most_2048_texts(server: ProviderServer) -> None:
    texts = [f"text number {i}" for i in range(4200)]
    opened(server, concurrency=1).embed_chunks(texts)
    assert sum(len(request.texts) for request in server.requests) == 4200
    assert max(len(request.texts) for request in server.requests) == 2048


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


UNLIKE_OPENAI: list[dict[str, Any]] = [
    {"error": "input is longer than the context length"},
    {"detail": [{"loc": ["body", "input"], "msg": "exceeds the maximum"}]},
    {"error": {"reason": "too many tokens"}},
]
"""How servers that only speak much of the protocol say that a call is too large."""


@pytest.mark.parametrize("body", UNLIKE_OPENAI)
def test_a_batch_is_halved_in_whatever_shape_a_server_says_that_it_is_too_large(
    server: ProviderServer, body: dict[str, Any]
) -> None:
    server.faults = [Fault(status=400, body=body)]
    assert opened(server).embed_chunks(["cat", "dog"]).shape == (2, DIMENSION)
    assert [len(request.texts) for request in server.requests] == [2, 1, 1]


def test_a_server_that_refuses_base64_as_a_validator_does_is_asked_for_numbers(
    server: ProviderServer,
) -> None:
    detail = [{"type": "literal_error", "loc": ["body", "encoding_format"], "input": "base64"}]
    server.faults = [Fault(status=422, body={"detail": detail})]
    opened(server).embed_chunks(["cat"])
    assert [one.body["encoding_format"] for one in server.requests] == ["base64", "float"]


@pytest.mark.parametrize("status", [400, 404, 422, 503])
@pytest.mark.parametrize("body", [{"detail": "no such model"}, {"error": "no such model"}])
def test_an_error_says_what_the_server_said_in_whatever_shape(
    server: ProviderServer, body: dict[str, Any], status: int
) -> None:
    server.faults = [Fault(status=status, body=body)]
    with pytest.raises(EmbeddingError, match="no such model"):
        opened(server, max_attempts=1).embed_chunks(["cat"])


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


@pytest.mark.parametrize("password", ["hunter2", "p@hunter2", "p@q@hunter2"])
def test_the_password_in_an_address_shows_in_no_error(password: str) -> None:
    embedder = open_embedder(
        EmbedderOptions(
            model="m",
            backend="openai",
            base_url=f"http://user:{password}@127.0.0.1:9/v1",
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


def test_azure_is_reached_by_its_address_and_headers(server: ProviderServer) -> None:
    """The query of the address stays, the header is sent, and no made-up key beside it."""
    embedder = opened(
        server,
        base_url=f"{server.url}/openai/deployments/small?api-version=2024-10-21",
        api_key=None,
        headers={"api-key": SecretStr("azure-0123")},
    )
    embedder.embed_chunks(["cat"])
    request = server.requests[0]
    assert request.path == "/v1/openai/deployments/small/embeddings?api-version=2024-10-21"
    assert request.headers["api-key"] == "azure-0123"
    assert request.authorization == ""


def test_a_header_of_ones_own_wins_over_the_key(server: ProviderServer) -> None:
    opened(server, headers={"authorization": SecretStr("Basic abc")}).embed_chunks(["cat"])
    assert server.requests[0].authorization == "Basic abc"


def test_the_value_of_a_header_shows_in_no_error(server: ProviderServer) -> None:
    server.faults = [Fault(status=401, body={"error": {"message": "bad api-key azure-0123"}})]
    embedder = opened(server, headers={"api-key": SecretStr("azure-0123")})
    with pytest.raises(EmbeddingRejected) as caught:
        embedder.embed_chunks(["cat"])
    assert "azure-0123" not in "".join(traceback.format_exception(caught.value))
    assert "azure-0123" not in repr(embedder)


@pytest.mark.parametrize(
    "headers", [{"api key": "x"}, {"api-key": "x\r\nevil: 1"}, {"api-key": "schl\u00fcssel"}]
)
def test_headers_that_http_cannot_carry_are_refused_at_opening(headers: dict[str, str]) -> None:
    secret = {name: SecretStr(value) for name, value in headers.items()}
    with pytest.raises(SettingsError, match=r"embedding\.headers") as caught:
        open_embedder(
            EmbedderOptions(
                model="m",
                backend="openai",
                base_url="http://127.0.0.1:9/v1",
                dimension=8,
                window_tokens=9,
                headers=secret,
            )
        )
    assert headers[next(iter(headers))] not in str(caught.value)


def test_a_limit_that_the_server_tells_of_is_never_exceeded(server: ProviderServer) -> None:
    """Five calls are let through at once and one every 50 ms from then on."""
    server.limiters["requests"] = Bucket(limit=5, size=5, per_s=20)
    server.latency_s = 0.01
    texts = [f"text number {i}" for i in range(64 * 12)]
    opened(server, concurrency=12).embed_chunks(texts)
    assert len(server.requests) == 12
    assert server.refused == 0


def test_a_limit_that_is_set_is_kept_with_a_server_that_says_nothing(
    server: ProviderServer,
) -> None:
    """The server lets half a second's worth of calls through at once."""
    server.limiters["requests"] = Bucket(limit=1, size=10, per_s=20)
    server.tells_limits = False
    texts = [f"text number {i}" for i in range(64 * 20)]
    opened(server, requests_per_minute=1200, concurrency=20).embed_chunks(texts)
    assert len(server.requests) == 20
    assert server.refused == 0


def test_calls_are_made_small_enough_for_the_tokens_of_a_minute(server: ProviderServer) -> None:
    texts = [f"{i} " + "x" * 50 for i in range(200)]
    embedder = opened(server, tokens_per_minute=60_000, requests_per_minute=60_000)
    embedder.embed_chunks(texts)
    assert max(sum(embedder.count_tokens(one.texts)) for one in server.requests) <= 3000


def test_a_call_beyond_the_tokens_of_a_minute_is_split(server: ProviderServer) -> None:
    """OpenAI answers it with 429, though it would never pass."""
    body = {"error": {"message": "Request too large for m on tokens per min (TPM): Limit 9"}}
    server.faults = [Fault(status=429, body=body)]
    assert opened(server).embed_chunks(["cat", "dog"]).shape == (2, DIMENSION)
    assert [len(request.texts) for request in server.requests] == [2, 1, 1]


def test_what_others_brought_is_kept_when_a_call_fails(
    server: ProviderServer, tmp_path: Path
) -> None:
    """The next run asks for what is missing, and for nothing else."""
    texts = [f"text number {i}" for i in range(400)]
    server.faults = [Fault(), Fault(), Fault(status=403)]
    server.latency_s = 0.02
    cache = VectorCache(tmp_path)
    with pytest.raises(EmbeddingRejected):
        CachingEmbedder(opened(server, concurrency=4), cache).embed_chunks(texts)
    refused = server.requests[2].texts
    paid = [text for one in server.requests if one.texts != refused for text in one.texts]
    server.requests.clear()
    CachingEmbedder(opened(server), cache).embed_chunks(texts)
    cache.close()
    again = [text for one in server.requests for text in one.texts]
    assert sorted(paid + again) == sorted(texts)


def test_texts_keep_their_cached_vectors_under_a_prefix(
    server: ProviderServer, tmp_path: Path
) -> None:
    cache = VectorCache(tmp_path)
    caching = CachingEmbedder(opened(server, chunk_prefix="passage: "), cache)
    first = caching.embed_chunks(["cat", "dog"])
    np.testing.assert_array_equal(caching.embed_chunks(["dog", "cat"]), first[::-1])
    cache.close()
    assert len(server.requests) == 1


def test_an_embedder_that_is_dropped_closes_its_connections(server: ProviderServer) -> None:
    embedder = opened(server)
    OPENED.remove(embedder)
    embedder.embed_chunks(["cat"])
    (client,) = [one for one in gc.get_objects() if _is_open_client_of(one, server)]
    del embedder
    gc.collect()
    assert client.is_closed()


def _is_open_client_of(found: object, server: ProviderServer) -> bool:
    ours = type(found) is openai.OpenAI and str(found.base_url).startswith(server.url)
    return ours and not found.is_closed()


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


def test_a_budget_that_no_known_price_could_keep_is_refused_before_a_call(
    server: ProviderServer,
) -> None:
    with pytest.raises(SettingsError, match=r"price of served-model is not known.*budget_usd"):
        opened(server, model="served-model", budget_usd=1.0)
    assert server.requests == []


@pytest.mark.parametrize("tokens", [-1000, float("nan"), float("inf"), float("-inf"), "many", []])
def test_a_charge_that_is_no_number_of_tokens_counts_as_what_was_counted(
    server: ProviderServer, tokens: object
) -> None:
    embedder = opened(server)
    server.faults = [Fault(body={"usage": {"prompt_tokens": 1, "total_tokens": tokens}})]
    embedder.embed_chunks(["one two three four"])
    assert embedder.budget.tokens == embedder.count_tokens(["one two three four"])[0]


def test_a_charge_out_of_all_proportion_neither_ends_the_budget_nor_holds_the_next_call(
    server: ProviderServer,
) -> None:
    embedder = opened(server, tokens_per_minute=1e6)
    server.faults = [Fault(body={"usage": {"prompt_tokens": 1, "total_tokens": 10**12}})]
    embedder.embed_chunks(["one two three four"])
    counted = embedder.count_tokens(["one two three four"])[0]
    assert embedder.budget.tokens == 10 * counted
    embedder.embed_chunks(["five six seven eight"])
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "text-embedding-3-small"}, "OPENAI_API_KEY"),
        ({"model": "unknown", "backend": "openai"}, "embedding.dimension"),
        ({"model": "text-embedding-ada-002", "dimension": 256}, "002 gives 1536. Leave"),
        ({"model": "text-embedding-3-small", "dimension": 1537}, "gives 1536 at most"),
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
