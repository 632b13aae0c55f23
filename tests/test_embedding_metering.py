"""Limits of a provider, kept: against servers that count in different ways, in made-up time."""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rate_limiters import Bucket, FixedWindow, Limiter, SlidingWindow

from retriever.embedding.metering import Meter
from retriever.embedding.rate_headers import Gauge

LATENCY_S = 0.05


@dataclass
class Ran:
    used: float = 0.0
    over: int = 0


def run(
    meter: Meter,
    limiter: Limiter,
    *,
    seconds: float,
    amount: Callable[[int], float] = lambda _: 1.0,
    charged: float = 1.0,
    workers: int = 8,
    tells: bool = True,
) -> Ran:
    """Calls by `workers`, each as soon as the meter lets it; times are the server's arrivals."""
    now_s, number, heard, ran = 0.0, 0, False, Ran()
    ends: list[tuple[float, int, bool, Gauge, float]] = []
    while now_s < seconds:
        wanted = amount(number)
        alone = number > 0 and not heard
        wait_s = math.inf if len(ends) == workers or alone else meter.wait_s(wanted, now_s)
        end_s = ends[0][0] if ends else math.inf
        if wait_s <= 0:
            number += 1
            meter.start(number, wanted, now_s)
            allowed, gauge = limiter.take(wanted * charged, now_s + LATENCY_S / 2)
            ran.over += not allowed
            ran.used += wanted * charged if allowed else 0.0
            heapq.heappush(ends, (now_s + LATENCY_S, number, allowed, gauge, wanted * charged))
        elif end_s <= now_s + wait_s:
            now_s, ended, allowed, gauge, cost = heapq.heappop(ends)
            heard = True
            meter.end(
                ended,
                now_s,
                charged=cost if allowed else None,
                gauge=gauge if tells else None,
                refused=not allowed,
            )
        else:
            assert wait_s < math.inf
            now_s += wait_s
    return ran


LIMITERS: dict[str, Callable[[float], Limiter]] = {
    "bucket of a minute": lambda limit: Bucket(limit, limit, limit / 60),
    "window, oldest ends first": lambda limit: SlidingWindow(limit),
    "window, whole when the newest ends": lambda limit: SlidingWindow(limit, oldest_first=False),
    "clock minutes": lambda limit: FixedWindow(limit),
}


@pytest.mark.parametrize("kind", LIMITERS)
@pytest.mark.parametrize("limit", [60, 600, 3000])
def test_what_the_headers_tell_is_used_up_and_never_exceeded(kind: str, limit: float) -> None:
    """At least 90 % of the rate, and nothing over it."""
    limiter = LIMITERS[kind](limit)
    ran = run(Meter(), limiter, seconds=200)
    assert ran.over == 0
    late = kind == "window, whole when the newest ends" and limit == 3000
    assert ran.used >= (0.8 if late else 0.9) * limit * 200 / 60


def test_a_bucket_is_used_up_with_all_that_flows_into_it() -> None:
    """The headers show that it refills all the time: nobody waits until it is full again."""
    ran = run(Meter(), Bucket(600, 600, 10), seconds=60)
    assert ran.over == 0
    assert ran.used >= 0.9 * (600 + 60 * 10)


@pytest.mark.parametrize("kind", LIMITERS)
@pytest.mark.parametrize("limit", [3, 60, 1200])
def test_a_limit_that_is_set_is_kept_without_a_word_from_the_server(
    kind: str, limit: float
) -> None:
    """At least 90 % of the rate, and nothing over it."""
    ran = run(Meter(limit), LIMITERS[kind](limit), seconds=240, tells=False)
    assert ran.over == 0
    assert ran.used >= 0.9 * limit * 4


def test_a_limit_that_is_set_is_kept_evenly() -> None:
    """A server that lets a second's calls through at once, and no more, refuses none."""
    ran = run(Meter(600), Bucket(600, 10, 10), seconds=120, tells=False)
    assert ran.over == 0
    assert ran.used >= 0.9 * 1200


@given(
    per_s=st.integers(2, 60),
    stalls_s=st.lists(st.floats(0.0, 0.4), min_size=1, max_size=40),
)
def test_what_makes_up_for_a_stall_stays_within_a_seconds_share(
    per_s: int, stalls_s: list[float]
) -> None:
    """However late calls start, those that follow are no rush; of short delays none is lost."""
    meter, now_s = Meter(per_s * 60), 0.0
    limiter = SlidingWindow(per_s, period_s=1.0)
    for number in range(per_s * 12):
        now_s += meter.wait_s(1, now_s) + 1e-6
        now_s += stalls_s[number // per_s % len(stalls_s)] if number % per_s == 0 else 0.0
        meter.start(number, 1, now_s)
        allowed, _ = limiter.take(1, now_s)
        assert allowed
        meter.end(number, now_s + 1e-9, charged=1)
    if max(stalls_s) < 0.1:
        assert now_s <= 12 / 0.9 + 0.3 + 1 / per_s  # the last call may be one late


@pytest.mark.parametrize("kind", LIMITERS)
@pytest.mark.parametrize("charged", [1.0, 0.5])
@pytest.mark.parametrize("tells", [True, False])
def test_tokens_are_kept_like_requests_and_what_was_counted_too_high_is_given_back(
    kind: str, charged: float, tells: bool
) -> None:
    limit = 100_000.0
    limiter = LIMITERS[kind](limit)
    ran = run(
        Meter(None if tells else limit),
        limiter,
        seconds=240,
        amount=lambda number: 1000 + number * 997 % 3000,
        charged=charged,
        tells=tells,
    )
    assert ran.over == 0
    assert ran.used >= 0.9 * limit * 4


@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(1, 2000),
    kind=st.sampled_from(sorted(LIMITERS)),
    workers=st.integers(1, 16),
    part=st.floats(0.01, 1.0),
    tells=st.booleans(),
)
def test_no_limit_is_ever_exceeded(
    limit: int, kind: str, workers: int, part: float, tells: bool
) -> None:
    meter = Meter(None if tells else limit)
    ran = run(
        meter,
        LIMITERS[kind](limit),
        seconds=130,
        amount=lambda number: max(1.0, limit * part * (0.2 + number * 7 % 9 / 11)) % limit or 1.0,
        workers=workers,
        tells=tells,
    )
    assert ran.over == 0
    assert ran.used > 0


def test_after_a_refusal_in_spite_of_the_headers_calls_come_evenly() -> None:
    """A server that tells of a minute and counts seconds refuses the first rush alone."""

    class Quantised(Bucket):
        def take(self, amount: float, now_s: float) -> tuple[bool, Gauge]:
            allowed, _ = super().take(amount, now_s)
            return allowed, Gauge(600, 600 if allowed else 599, 0.1)

    ran = run(Meter(), Quantised(600, 10, 10), seconds=120)
    assert ran.over <= 16
    assert ran.used >= 0.9 * 1200
