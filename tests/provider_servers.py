"""Servers on this machine that speak the protocols of OpenAI and Cohere, faults included."""

import base64
import gzip
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rate_limiters import Limiter

from retriever.testing import HashingEmbedder

DIMENSION = 64


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next request."""

    status: int = 200
    body: dict[str, Any] | None = None
    """Of status 200, what takes the place of a part of the answer."""
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = ""
    """reset, slow, cut, garbage, deep, kill, fewer, doubled, nan, zero, narrow; empty: none."""
    packed: int = 0
    """Blanks around the answer, with which it is sent as gzip; 0 sends it as it is."""


@dataclass(slots=True)
class Recorded:
    """One request as it arrived."""

    path: str
    body: dict[str, Any]
    authorization: str
    headers: dict[str, str]
    """By name in lower case."""

    @property
    def texts(self) -> list[str]:
        found: list[str] = self.body.get("input") or self.body["texts"]
        return found


class ProviderServer(ThreadingHTTPServer):
    """Answers with the vectors of the hashing embedder; plays its faults first, in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: list[Fault] = []
        self.requests: list[Recorded] = []
        self.connections = 0
        self.shuffled = False
        self.knows_base64 = True
        self.most_texts = 10**9
        """More texts in one request are refused with a 400 that speaks of size."""
        self.latency_s = 0.0
        self.slow_s = 1.0
        self.kill_client: Callable[[], None] | None = None
        self.limiters: dict[str, Limiter] = {}
        """Of `requests` and of `tokens`."""
        self.tells_limits = True
        self.refused = 0
        """Requests that were over a limit."""
        self.tokens_charged = 0
        """By requests that were answered, wholly or in part."""
        self.lock = threading.Lock()
        self.embedder = HashingEmbedder(dimension=DIMENSION, window=10**6)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Counted before it is known what is asked."""
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that gave up are no news."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: ProviderServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    """Head and body leave in one piece: two would wait for each other's acknowledgement."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        held = {name.lower(): value for name, value in self.headers.items()}
        recorded = Recorded(self.path, body, self.headers.get("Authorization", ""), held)
        with self.server.lock:
            self.server.requests.append(recorded)
            fault = self.server.faults.pop(0) if self.server.faults else Fault()
        allowed, told = self._limits(recorded)
        if not allowed:
            self._send(429, {"error": {"message": "Rate limit reached"}}, told)
            return
        time.sleep(self.server.latency_s)
        if fault.kind in ("reset", "slow", "cut", "garbage", "deep", "kill"):
            self._misbehave(fault, recorded)
        elif fault.status != 200:
            self._send(fault.status, fault.body or {"error": {"message": "no"}}, fault.headers)
        elif len(recorded.texts) > self.server.most_texts:
            message = "This model's maximum context length is exceeded: too many tokens."
            self._send(400, {"error": {"message": message, "code": "x"}})
        elif body.get("encoding_format") == "base64" and not self.server.knows_base64:
            self._send(400, {"error": {"message": "encoding_format: base64 is not supported"}})
        else:
            self._charge(recorded)
            answer = self._cohere if self.path.endswith("/embed") else self._openai
            self._send(200, answer(recorded, fault) | (fault.body or {}), told, packed=fault.packed)

    def _limits(self, recorded: Recorded) -> tuple[bool, dict[str, str]]:
        """Whether a request is within the limits, and the headers that tell of them."""
        allowed, told, now_s = True, {}, time.monotonic()
        with self.server.lock:
            for quantity, limiter in self.server.limiters.items():
                amount = 1 if quantity == "requests" else self._tokens(recorded)
                passed, gauge = limiter.take(amount, now_s)
                allowed = allowed and passed
                told[f"x-ratelimit-limit-{quantity}"] = f"{gauge.limit:.0f}"
                told[f"x-ratelimit-remaining-{quantity}"] = f"{int(gauge.remaining)}"
                told[f"x-ratelimit-reset-{quantity}"] = f"{gauge.reset_s:.3f}s"
            self.server.refused += not allowed
        return allowed, told if self.server.tells_limits else {}

    def _tokens(self, recorded: Recorded) -> int:
        return sum(self.server.embedder.count_tokens(recorded.texts))

    def _charge(self, recorded: Recorded) -> None:
        with self.server.lock:
            self.server.tokens_charged += self._tokens(recorded)

    def _misbehave(self, fault: Fault, recorded: Recorded) -> None:
        if fault.kind == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        elif fault.kind == "slow":
            self._charge(recorded)
            time.sleep(self.server.slow_s)
        elif fault.kind == "kill" and self.server.kill_client is not None:
            self.server.kill_client()
        else:
            self._charge(recorded)
            content = b"[" * 100_000 if fault.kind == "deep" else b'{"data": [{"index": 0, "embed'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            missing = 100 if fault.kind == "cut" else 0
            self.send_header("Content-Length", str(len(content) + missing))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()
        self.close_connection = True

    def _vectors(self, recorded: Recorded, fault: Fault) -> list[list[float]]:
        width = recorded.body.get("dimensions", DIMENSION)
        # Longer than 1, as a provider's vectors may be.
        rows = (2 * self.server.embedder.embed_chunks(recorded.texts)[:, :width]).tolist()
        if fault.kind == "nan":
            rows[0][0] = float("nan")
        elif fault.kind == "zero":
            rows[0] = [0.0] * width
        elif fault.kind == "narrow":
            rows = [row[:-1] for row in rows]
        elif fault.kind == "fewer":
            rows = rows[:-1]
        return rows

    def _openai(self, recorded: Recorded, fault: Fault) -> dict[str, Any]:
        data = [
            {"object": "embedding", "index": index, "embedding": row}
            for index, row in enumerate(self._vectors(recorded, fault))
        ]
        if fault.kind == "doubled":
            data[-1]["index"] = 0
        if recorded.body.get("encoding_format") == "base64":
            for item in data:
                packed = struct.pack(f"<{len(item['embedding'])}f", *item["embedding"])
                item["embedding"] = base64.b64encode(packed).decode()
        if self.server.shuffled:
            data.reverse()
        tokens = sum(self.server.embedder.count_tokens(recorded.texts))
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "model": "m", "data": data, "usage": usage}

    def _cohere(self, recorded: Recorded, fault: Fault) -> dict[str, Any]:
        tokens = sum(self.server.embedder.count_tokens(recorded.texts))
        return {
            "id": "1",
            "response_type": "embeddings_by_type",
            "embeddings": {"float": self._vectors(recorded, fault)},
            "texts": recorded.texts,
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}},
        }

    def _send(
        self,
        status: int,
        body: dict[str, Any],
        headers: dict[str, str] | None = None,
        *,
        packed: int = 0,
    ) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        if packed:
            content = gzip.compress(b" " * packed + content)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def provider_server() -> Iterator[ProviderServer]:
    """A running server, stopped at the end."""
    server = ProviderServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
