"""How much of what a provider allows is used, and whether it is ever exceeded.

    python scripts/benchmark/throughput.py [--seconds 20] [--json]

A server on this machine answers each request after 50 ms and limits requests or tokens, as a
bucket that refills all the time or by counting what came in the last seconds. It tells of its
limits in headers, or says nothing, and then the same limit is set (`embedding.requests_per_minute`,
`tokens_per_minute`). `share` is what it let through, of all that it would have let through from
the first request to the last; `of the rate` leaves the rush out that a full bucket allows.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import SecretStr

from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.remote import RemoteEmbedder

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from provider_servers import DIMENSION, ProviderServer, provider_server
from rate_limiters import Bucket, Limiter, SlidingWindow

LATENCY_S = 0.05
TEXTS_PER_CALL = 8
"""Where requests are limited: the texts come from several threads, so few at a time."""
THREADS = 8
WORDS = 12
WINDOW_S = 5.0


@dataclass(frozen=True, slots=True)
class Case:
    """A limit, and who tells of it."""

    name: str
    quantity: str
    per_s: float
    limiter: Callable[[float], Limiter]
    told: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """What came through."""

    limit: str
    told: str
    seconds: float
    requests: int
    over: int
    share: float
    of_the_rate: float


def bucket(seconds: float) -> Callable[[float], Limiter]:
    """A bucket that holds so many seconds' worth."""
    return lambda per_s: Bucket(limit=per_s * 60, size=per_s * seconds, per_s=per_s)


def window(per_s: float) -> Limiter:
    """What came in the last seconds."""
    return SlidingWindow(limit=per_s * WINDOW_S, period_s=WINDOW_S)


CASES = (
    Case("600 requests/min, bucket", "requests", 10, bucket(5), told=True),
    Case("600 requests/min, bucket", "requests", 10, bucket(0.5), told=False),
    Case("2,400 requests/min, bucket", "requests", 40, bucket(5), told=True),
    Case("2,400 requests/min, bucket", "requests", 40, bucket(0.5), told=False),
    Case(f"50 requests in {WINDOW_S:g} s, sliding", "requests", 10, window, told=True),
    Case("600,000 tokens/min, bucket", "tokens", 10_000, bucket(5), told=True),
    Case("600,000 tokens/min, bucket", "tokens", 10_000, bucket(1), told=False),
)


def texts_for(case: Case, seconds: float, tokens_per_text: int) -> list[str]:
    """Texts that take about `seconds`."""
    allowance = case.limiter(case.per_s).allowance(seconds)
    per_text = tokens_per_text if case.quantity == "tokens" else 1 / TEXTS_PER_CALL
    return [sentence(number) for number in range(int(allowance / per_text))]


def batched(texts: Sequence[str]) -> list[Sequence[str]]:
    """As many at a time as make one call."""
    return [texts[at : at + TEXTS_PER_CALL] for at in range(0, len(texts), TEXTS_PER_CALL)]


def sentence(number: int) -> str:
    """A text of its own."""
    return " ".join(f"word{(number * 7 + place) % 997}" for place in range(WORDS)) + f" {number}"


def measure(server: ProviderServer, case: Case, seconds: float) -> Measured:
    """Embed until the texts are through."""
    server.requests.clear()
    server.refused = server.tokens_charged = 0
    limiter = case.limiter(case.per_s)
    server.limiters, server.tells_limits = {case.quantity: limiter}, case.told
    texts = texts_for(case, seconds, server.embedder.count_tokens([sentence(0)])[0])
    embedder = opened(server, case)
    began_s = time.perf_counter()
    if case.quantity == "tokens":
        embedder.embed_chunks(texts)
    else:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(embedder.embed_chunks, batched(texts)))
    took_s = time.perf_counter() - began_s - LATENCY_S
    embedder.close()
    used = server.tokens_charged if case.quantity == "tokens" else len(server.requests)
    return Measured(
        limit=case.name,
        told="headers" if case.told else "settings",
        seconds=round(took_s, 1),
        requests=len(server.requests),
        over=server.refused,
        share=round(used / limiter.allowance(took_s), 3),
        of_the_rate=round(used / (case.per_s * took_s), 3),
    )


def opened(server: ProviderServer, case: Case) -> RemoteEmbedder:
    """Our embedder for the server."""
    per_minute = None if case.told else case.per_s * 60
    requests = case.quantity == "requests"
    embedder = open_embedder(
        EmbedderOptions(
            model="served-model",
            backend="openai",
            base_url=server.url,
            api_key=SecretStr("sk-test"),
            dimension=DIMENSION,
            window_tokens=500,
            requests_per_minute=per_minute if requests else None,
            tokens_per_minute=None if requests else per_minute,
        )
    )
    if not isinstance(embedder, RemoteEmbedder):
        raise TypeError(f"{embedder!r} calls no provider")
    return embedder


def show(measured: Sequence[Measured]) -> None:
    """Print a Markdown table."""
    print("| limit | told by | seconds | requests | over the limit | share | of the rate |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for one in measured:
        counts = f"{one.seconds} | {one.requests} | {one.over}"
        print(f"| {one.limit} | {one.told} | {counts} | {one.share:.1%} | {one.of_the_rate:.1%} |")


def main() -> None:
    """Measure every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="about how long a case takes")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    arguments = parser.parse_args()
    with provider_server() as server:
        server.latency_s = LATENCY_S
        measured = [measure(server, case, arguments.seconds) for case in CASES]
    if arguments.json:
        print(json.dumps([asdict(one) for one in measured], indent=2))
    else:
        show(measured)


if __name__ == "__main__":
    main()
