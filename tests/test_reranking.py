"""Rerankers through their kit; a service over a real socket, with its faults."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tiny_models import write_pipeline, write_tokenizer

from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.errors import RerankingError, RerankingUnavailable, SettingsError
from retriever.protocols import Embedder, Reranker
from retriever.reranking.cross_encoder import CrossEncoderReranker
from retriever.reranking.late_interaction import LateInteractionReranker, max_sim
from retriever.reranking.opening import open_reranker
from retriever.reranking.options import RerankerOptions
from retriever.reranking.service import ServiceReranker, read_scores
from retriever.testing import HashingEmbedder, OverlapReranker, RerankerContract
from retriever.testing.reranker_contract import QUERY, TEXTS

KEY = "sk-very-secret"


class RerankServer(ThreadingHTTPServer):
    """Speaks Cohere's rerank protocol; scores by the words in common."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RerankHandler)
        self.answer: Callable[[dict[str, Any]], tuple[int, bytes]] = good_answer
        self.fault = ""
        self.requests: list[tuple[str, dict[str, Any], str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v2"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that gave up are no news."""


class RerankHandler(BaseHTTPRequestHandler):
    server: RerankServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, body, self.headers.get("Authorization", "")))
        if self.server.fault == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
            return
        if self.server.fault == "slow":
            threading.Event().wait(0.6)
        status, content = self.server.answer(body)
        missing = 50 if self.server.fault == "cut" else 0
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) + missing))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = bool(missing)


def scored(body: dict[str, Any]) -> list[dict[str, Any]]:
    scores = OverlapReranker().rerank(body["query"], body["documents"])
    rows = [{"index": i, "relevance_score": float(score)} for i, score in enumerate(scores)]
    return sorted(rows, key=lambda row: -row["relevance_score"])


def good_answer(body: dict[str, Any]) -> tuple[int, bytes]:
    return 200, json.dumps({"id": "1", "results": scored(body)}).encode()


@contextmanager
def rerank_server() -> Iterator[RerankServer]:
    server = RerankServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server() -> Iterator[RerankServer]:
    with rerank_server() as running:
        yield running


MakeService = Callable[..., ServiceReranker]


@pytest.fixture
def service(server: RerankServer) -> Iterator[MakeService]:
    """Makes rerankers that call the server, and closes them."""
    made: list[ServiceReranker] = []

    def make(**fields: Any) -> ServiceReranker:
        defaults: dict[str, Any] = {
            "backend": "service",
            "model": "rerank-v3.5",
            "base_url": server.url,
            "api_key": SecretStr(KEY),
            "timeout_s": 0.3,
        }
        made.append(ServiceReranker(RerankerOptions(**(defaults | fields))))
        return made[-1]

    yield make
    for one in made:
        one.close()


class TestOverlapReranker(RerankerContract):
    @pytest.fixture
    def reranker(self) -> Reranker:
        return OverlapReranker()


class TestServiceReranker(RerankerContract):
    @pytest.fixture
    def reranker(self, service: MakeService) -> Reranker:
        return service(timeout_s=20.0)


@pytest.fixture(scope="session")
def cross_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cross_encoder(tmp_path_factory.mktemp("cross-encoder"), outputs=1)


def write_cross_encoder(folder: Path, *, outputs: int) -> Path:
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    write_tokenizer(folder)
    torch.manual_seed(5)
    config = AutoConfig.for_model(
        "bert",
        vocab_size=512,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=98,
        initializer_range=0.3,
        pad_token_id=0,
        num_labels=outputs,
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.slow
class TestCrossEncoderReranker(RerankerContract):
    @pytest.fixture
    def reranker(self, cross_encoder_folder: Path) -> Reranker:
        return CrossEncoderReranker(
            RerankerOptions(
                backend="cross-encoder", model=str(cross_encoder_folder), window_tokens=64
            )
        )


@pytest.mark.slow
def test_a_cross_encoder_scores_as_its_transformer_does(cross_encoder_folder: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(cross_encoder_folder)
    model = AutoModelForSequenceClassification.from_pretrained(cross_encoder_folder).eval()
    pairs = tokenizer([QUERY] * 2, list(TEXTS[:2]), padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**pairs).logits[:, 0].numpy()
    options = RerankerOptions(backend="cross-encoder", model=str(cross_encoder_folder))
    scores = CrossEncoderReranker(options).rerank(QUERY, TEXTS[:2])
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), atol=1e-5)


@pytest.mark.slow
def test_a_model_that_tells_classes_apart_is_refused(tmp_path: Path) -> None:
    folder = write_cross_encoder(tmp_path, outputs=3)
    options = RerankerOptions(backend="cross-encoder", model=str(folder))
    with pytest.raises(RerankingError, match="gives 3 numbers"):
        CrossEncoderReranker(options).load()


@pytest.mark.slow
def test_a_folder_without_a_model_is_an_error_that_names_it(tmp_path: Path) -> None:
    options = RerankerOptions(backend="cross-encoder", model=str(tmp_path))
    with pytest.raises(RerankingError, match="cannot be loaded"):
        CrossEncoderReranker(options).rerank("a", ["b"])


def test_a_folder_that_is_not_there_is_not_looked_for_on_a_hub(tmp_path: Path) -> None:
    options = RerankerOptions(backend="cross-encoder", model=str(tmp_path / "nope"))
    with pytest.raises(RerankingError, match="There is no folder"):
        CrossEncoderReranker(options).load()


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pipeline(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture
def late_interaction(pipeline_folder: Path) -> Reranker:
    options = EmbedderOptions(model="tiny", path=pipeline_folder, runtime="torch", device="cpu")
    found = open_reranker(
        RerankerOptions(backend="late-interaction"), lambda: open_embedder(options)
    )
    assert isinstance(found, LateInteractionReranker)
    return found


class TestLateInteractionReranker(RerankerContract):
    @pytest.fixture
    def reranker(self) -> Reranker:
        found = open_reranker(RerankerOptions(backend="late-interaction"), HashingEmbedder)
        assert found is not None
        return found


@pytest.mark.slow
class TestLateInteractionOfALocalModel(RerankerContract):
    @pytest.fixture
    def reranker(self, late_interaction: Reranker) -> Reranker:
        return late_interaction


@pytest.mark.slow
def test_late_interaction_gives_a_text_that_is_the_query_the_best_score(
    late_interaction: Reranker,
) -> None:
    scores = late_interaction.rerank("the cat sat", ["quarterly revenue", "the cat sat", ""])
    assert scores.argmax() == 1
    assert scores[1] == pytest.approx(1.0, abs=1e-4)
    assert scores[2] == 0.0


@given(seed=st.integers(0, 99), queries=st.integers(1, 5), texts=st.integers(1, 7))
def test_max_sim_is_the_mean_of_each_query_tokens_best_cosine(
    seed: int, queries: int, texts: int
) -> None:
    rows = np.random.default_rng(seed).normal(size=(queries + texts, 6)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    query, text = rows[:queries], rows[queries:]
    best = [max(float(np.dot(one, other)) for other in text) for one in query]
    assert max_sim(query, text) == pytest.approx(sum(best) / len(best), abs=1e-5)
    assert max_sim(query, query) == pytest.approx(1.0, abs=1e-5)


def test_a_service_is_asked_once_with_model_query_and_documents(
    server: RerankServer, service: MakeService
) -> None:
    service().rerank("reset", ["a", "b"])
    path, body, authorization = server.requests[0]
    assert len(server.requests) == 1
    assert (path, authorization) == ("/v2/rerank", f"Bearer {KEY}")
    assert body == {"model": "rerank-v3.5", "query": "reset", "documents": ["a", "b"]}


def test_a_service_that_names_its_list_data_is_understood(
    server: RerankServer, service: MakeService
) -> None:
    server.answer = lambda body: (200, json.dumps({"data": scored(body)}).encode())
    assert service().rerank("a b", ["b", "x", "a b"]).tolist() == [0.5, 0.0, 1.0]


@pytest.mark.parametrize("fault", ["reset", "slow", "cut"])
def test_a_broken_connection_is_a_transient_failure(
    server: RerankServer, service: MakeService, fault: str
) -> None:
    server.fault = fault
    with pytest.raises(RerankingUnavailable, match="failed"):
        service().rerank("a", ["b"])


@pytest.mark.parametrize(
    ("status", "kind"), [(429, True), (500, True), (503, True), (400, False), (401, False)]
)
def test_a_refusal_is_final_unless_it_may_pass_and_never_shows_the_key(
    server: RerankServer, service: MakeService, status: int, kind: bool
) -> None:
    server.answer = lambda body: (status, f'{{"message": "no, {KEY}"}}'.encode())
    with pytest.raises(RerankingError, match=str(status)) as caught:
        service().rerank("a", ["b"])
    assert isinstance(caught.value, RerankingUnavailable) == kind
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "results",
    [
        [],
        [{"index": 0, "relevance_score": 0.5}],
        [{"index": 0, "relevance_score": 0.5}, {"index": 0, "relevance_score": 0.4}],
        [{"index": 0, "relevance_score": 0.5}, {"index": 7, "relevance_score": 0.4}],
        [{"index": 0, "relevance_score": 0.5}, {"index": -1, "relevance_score": 0.4}],
        [{"index": 0, "relevance_score": 0.5}, {"index": "1", "relevance_score": 0.4}],
        [{"index": 0, "relevance_score": 0.5}, {"index": 1, "relevance_score": float("nan")}],
        [{"index": 0, "relevance_score": 0.5}, {"index": 1}],
        [7, 8],
        "garbage",
    ],
)
def test_an_answer_that_does_not_score_each_text_once_is_not_believed(
    server: RerankServer, service: MakeService, results: object
) -> None:
    server.answer = lambda body: (200, json.dumps({"results": results}).encode())
    with pytest.raises(RerankingUnavailable, match="could not be read"):
        service().rerank("a", ["b", "c"])


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"null", b"[" * 100_000])
def test_an_answer_that_is_no_object_is_not_believed(
    server: RerankServer, service: MakeService, content: bytes
) -> None:
    server.answer = lambda body: (200, content)
    with pytest.raises(RerankingUnavailable, match="could not be read"):
        service(timeout_s=5.0).rerank("a", ["b"])


def test_an_endless_answer_is_cut_off(
    server: RerankServer, service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retriever.reranking.service.LONGEST_ANSWER_BYTES", 1_000)
    server.answer = lambda body: (200, b"[" + b" " * 100_000)
    with pytest.raises(RerankingUnavailable, match="too long"):
        service(timeout_s=5.0).rerank("a", ["b"])


def test_logits_become_scores_in_the_same_order() -> None:
    rows = [{"index": i, "relevance_score": score} for i, score in enumerate([-4.0, 9.0, 0.0])]
    scores = read_scores({"results": rows}, 3)
    np.testing.assert_allclose(scores, [0.01799, 0.99988, 0.5], atol=1e-4)


def test_nobody_listening_is_a_transient_failure(service: MakeService) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RerankingUnavailable, match="ConnectError"):
            service(base_url=address).rerank("a", ["b"])


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"backend": "cross"}, "one of none, cross-encoder, service, late-interaction"),
        ({"backend": "cross-encoder"}, "reranking.model is not set"),
        ({"backend": "service"}, "reranking.model is not set"),
        ({"backend": "service", "model": "m"}, "needs a key"),
        ({"backend": "service", "model": "m", "base_url": "ftp://x"}, "begins with https"),
        ({"backend": "no.such:Thing"}, "could not be made"),
        ({"backend": "retriever.testing:Nothing"}, "could not be made"),
        ({"backend": "builtins:str"}, "no method rerank"),
    ],
)
def test_a_reranker_that_cannot_be_is_refused_when_it_is_opened(
    fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        open_reranker(RerankerOptions(**fields), HashingEmbedder)


def test_late_interaction_needs_an_embedder_with_token_vectors() -> None:
    class Pooled:
        fingerprint = HashingEmbedder().fingerprint

    with pytest.raises(SettingsError, match="gives no token vectors"):
        open_reranker(RerankerOptions(backend="late-interaction"), lambda: cast(Embedder, Pooled()))


def test_none_and_a_class_of_ones_own_can_be_chosen() -> None:
    assert open_reranker(RerankerOptions(backend="none"), HashingEmbedder) is None
    own = open_reranker(
        RerankerOptions(backend="retriever.testing:OverlapReranker"), HashingEmbedder
    )
    assert isinstance(own, OverlapReranker)


def test_a_key_is_in_no_repr(service: MakeService) -> None:
    assert KEY not in f"{service()!r} {service()._options!r}"
