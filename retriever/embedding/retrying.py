"""Trying a provider's call again while its failure is transient."""

import random
import threading
from collections.abc import Callable
from typing import TypeVar

import tenacity

from retriever.errors import EmbeddingUnavailable

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
LONGEST_RETRY_AFTER_S = 120.0
"""A provider that asks for a longer pause is asked again after this long."""

T = TypeVar("T")


def call_until_answered(call: Callable[[], T], *, max_attempts: int, stopped: threading.Event) -> T:
    """The answer of `call`, tried again on EmbeddingUnavailable and on nothing else.

    Waits grow from half a second to half a minute, each shortened at random by up to a half so
    that callers that failed together do not return together ("equal jitter", Brooker 2015,
    Exponential Backoff And Jitter). A longer pause that the provider asked for is kept.

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
    grown = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (state.attempt_number - 1))
    jittered = grown * (0.5 + random.random() / 2)  # noqa: S311
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, EmbeddingUnavailable) else None
    return max(jittered, min(asked or 0.0, LONGEST_RETRY_AFTER_S))
