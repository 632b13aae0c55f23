"""Trying a provider's call again while its failure is transient."""

import random
import threading
from collections.abc import Callable
from typing import TypeVar

import tenacity

from retriever.embedding.provider import OverLimit
from retriever.embedding.rate_headers import LONGEST_RESET_S
from retriever.errors import EmbeddingUnavailable

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
OVER_LIMIT_FACTOR = 8
"""A limit counts a minute: who is over it, and is not told for how long, waits longer."""

T = TypeVar("T")


def call_until_answered(call: Callable[[], T], *, max_attempts: int, stopped: threading.Event) -> T:
    """The answer of `call`, tried again on EmbeddingUnavailable and on nothing else.

    Waits grow from half a second to half a minute, each shortened at random by up to a half so
    that callers that failed together do not return together ("equal jitter", Brooker 2015,
    Exponential Backoff And Jitter). A longer pause that the provider asked for is kept; a call
    over a limit that is told nothing begins with four seconds.

    Args:
        call: one try.
        max_attempts: tries in all.
        stopped: ends the waiting at once, and with it the trying.

    Raises:
        EmbeddingUnavailable: the last try's failure.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(EmbeddingUnavailable),
        stop=tenacity.stop_any(
            tenacity.stop_after_attempt(max_attempts), tenacity.stop_when_event_set(stopped)
        ),
        wait=_wait_s,
        sleep=tenacity.sleep_using_event(stopped),
        reraise=True,
    )
    return retrying(call)


def _wait_s(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.retry_after_s if isinstance(error, EmbeddingUnavailable) else None
    lost = isinstance(error, OverLimit) and asked_s is None
    first_s = FIRST_WAIT_S * (OVER_LIMIT_FACTOR if lost else 1)
    grown_s = min(LONGEST_WAIT_S, first_s * 2.0 ** (state.attempt_number - 1))
    jittered_s = grown_s * (0.5 + random.random() / 2)  # noqa: S311
    return max(jittered_s, min(asked_s or 0.0, LONGEST_RESET_S))
