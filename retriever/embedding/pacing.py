"""When the next call to a provider may start: its limits kept, as they are set and as it says."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from retriever.embedding.metering import Meter
from retriever.embedding.rate_headers import LONGEST_RESET_S, RateLimits

LOOK_S = 0.1
"""How often a call that waits looks whether all was stopped."""
CALLS_PER_MINUTE = 20
"""A minute's tokens are asked for in no fewer calls, unless that is more calls than are allowed."""


class Stopped(Exception):
    """No error: the calls were stopped while this one waited for its turn."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A call that may start."""

    number: int
    tokens: int


class Pace:
    """Lets calls start one by one, never faster than the provider allows; threads share it.

    Until the first call has ended nothing is known of the provider, so that one goes alone.
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the limits given, if any, and what the provider's headers will say."""
        self._requests = Meter(requests_per_minute)
        self._tokens = Meter(tokens_per_minute)
        self._clock = clock
        self._turnstile = threading.Lock()
        self._changed = threading.Condition()
        self._number = 0
        self._heard = False
        self._held_until_s = -math.inf

    @property
    def knows(self) -> bool:
        """Whether a call has ended, so that what the provider says of its limits is known."""
        return self._heard

    @property
    def most_tokens(self) -> float:
        """Most tokens of one call, so that calls fit into a minute one after another."""
        with self._changed:
            tokens, requests = self._tokens.per_minute, self._requests.per_minute
        if tokens is None:
            return math.inf
        return tokens / max(1.0, min(CALLS_PER_MINUTE, requests or math.inf))

    def enter(self, tokens: int, stopped: threading.Event) -> Turn:
        """Wait until a call of so many tokens may start.

        Raises:
            Stopped: `stopped` was set meanwhile.
        """
        while not self._turnstile.acquire(timeout=LOOK_S):
            _look(stopped)
        try:
            with self._changed:
                while (wait_s := self._wait_s(tokens)) > 0:
                    _look(stopped)
                    self._changed.wait(min(wait_s, LOOK_S))
                _look(stopped)
                return self._start(tokens)
        finally:
            self._turnstile.release()

    def _wait_s(self, tokens: int) -> float:
        now_s = self._clock()
        if not self._heard and self._number:
            return math.inf
        return max(
            self._held_until_s - now_s,
            self._requests.wait_s(1, now_s),
            self._tokens.wait_s(tokens, now_s),
        )

    def _start(self, tokens: int) -> Turn:
        now_s = self._clock()
        self._number += 1
        self._requests.start(self._number, 1, now_s)
        self._tokens.start(self._number, tokens, now_s)
        return Turn(self._number, tokens)

    def leave(self, turn: Turn, *, charged: int, limits: RateLimits) -> None:
        """A call was answered: how many tokens it was charged, what its headers said."""
        with self._changed:
            self._end(turn, 1, charged, limits, refused=False)

    def fail(
        self, turn: Turn, *, limits: RateLimits, refused: bool, retry_after_s: float | None
    ) -> None:
        """A call failed.

        Args:
            turn: the call.
            limits: what its headers said.
            refused: whether it failed because it was over the limit.
            retry_after_s: the pause that the provider asks for: nobody starts before.
        """
        with self._changed:
            self._end(turn, None, None, limits, refused=refused)
            pause_s = min(retry_after_s or 0.0, LONGEST_RESET_S)
            self._held_until_s = max(self._held_until_s, self._clock() + pause_s)

    def _end(
        self,
        turn: Turn,
        requests: int | None,
        tokens: int | None,
        limits: RateLimits,
        *,
        refused: bool,
    ) -> None:
        now_s = self._clock()
        self._heard = True
        self._requests.end(
            turn.number, now_s, charged=requests, gauge=limits.requests, refused=refused
        )
        self._tokens.end(turn.number, now_s, charged=tokens, gauge=limits.tokens, refused=refused)
        self._changed.notify_all()


def _look(stopped: threading.Event) -> None:
    if stopped.is_set():
        raise Stopped
