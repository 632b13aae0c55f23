"""One limit of a provider, kept: how long to wait before the next call may start.

A limit that the user names is kept evenly. One that the provider's headers tell of is used as
far as they say, all at once if it is there. Times are given, never read: seconds of any clock.
"""

import math
from collections import deque
from dataclasses import dataclass, field

from retriever.embedding.rate_headers import Gauge

MINUTE_S = 60.0
SHARE = 0.95
"""Part of a limit that even calls use: calls that the network bunches together stay below it."""
WINDOW_S = 61.0
"""In no such time more than a minute's limit: a second for what the network delays."""
SLACK_S = 0.25
"""A call that starts this much late does not delay those after it."""
SECOND_S = 1.0
"""What makes up for a delay stays within a second's share: some count by the second."""
REORDER_S = 0.1
"""Calls that start this close together may arrive in another order."""
KEPT_S = 2.0
"""For so long after its end a call may still be one that an answer does not count."""
LEAST_WAIT_S = 0.001
"""Shorter waits are lost in the rounding of times."""
RESET_MARGIN = 1.02
"""Times until a reset may be rounded down."""
LEAST_USED = 10.0
LEAST_USED_SHARE = 0.02
"""Less use than both says nothing about how a limit refills."""
SAME = 0.15
"""Relative difference below which two times are taken for the same."""


@dataclass(slots=True, eq=False)
class _Call:
    started_s: float
    amount: float
    even: bool
    """Whether the even pace was reckoned with it."""
    ended: bool = False
    heard: bool = False
    """Whether its headers said what was left."""


@dataclass(slots=True)
class _Told:
    """What the headers of a call said, and what they could not know of."""

    gauge: Gauge
    started_s: float
    """When the call started whose headers these are."""
    at_s: float
    reset_at_s: float
    uncounted: dict[int, _Call] = field(default_factory=dict)


class Meter:
    """Keeps one limit: of requests, or of tokens. Not for several threads."""

    def __init__(self, per_minute: float | None = None) -> None:
        """Keep `per_minute`, or only what the provider will say."""
        self._per_minute = per_minute
        self._even_at_s = -math.inf
        self._window: deque[_Call] = deque()
        self._window_sum = 0.0
        self._second: deque[tuple[float, _Call]] = deque()
        self._recent: dict[int, _Call] = {}
        self._told: _Told | None = None
        self._least: Gauge | None = None
        self._least_ends_s = -math.inf
        self._refill_per_s = 0.0
        self._refused = False

    @property
    def per_minute(self) -> float | None:
        """The limit as far as it is known: the user's, else the provider's."""
        told = self._told.gauge.limit if self._told else None
        known = [limit for limit in (self._per_minute, told) if limit is not None]
        return min(known, default=None)

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until `amount` may start; 0 for at once, infinite until a call has ended."""
        wait_s = max(self._even_wait_s(amount, now_s), self._told_wait_s(amount, now_s))
        return max(wait_s, LEAST_WAIT_S) if wait_s > 0 else 0.0

    def start(self, number: int, amount: float, now_s: float) -> None:
        """A call starts; its number is higher than those before."""
        call = _Call(now_s, amount, even=self._per_minute is not None)
        self._recent[number] = call
        if self._told is not None:
            self._told.uncounted[number] = call
        if call.even:
            self._window.append(call)
            self._second.append((now_s, call))
            self._window_sum += amount
            begun_s = max(self._even_at_s, now_s - SLACK_S)
            self._even_at_s = begun_s + amount / self._even_per_s

    def end(
        self,
        number: int,
        now_s: float,
        *,
        charged: float | None = None,
        gauge: Gauge | None = None,
        refused: bool = False,
    ) -> None:
        """A call has ended.

        Args:
            number: the one that it started with.
            now_s: when it ended.
            charged: what an answer was charged; None for a failure.
            gauge: what the headers said.
            refused: whether it failed because it was over the limit.
        """
        call = self._recent[number]
        call.ended = True
        if charged is not None:
            self._settle(call, charged)
        if gauge is not None:
            self._hear(call, gauge, now_s, refused=refused)
        elif self._told is not None and now_s >= self._told.reset_at_s:
            self._hear_nothing(number, failed=charged is None)
        # It may have been counted as late as now.
        call.started_s = now_s

    def _settle(self, call: _Call, charged: float) -> None:
        if call.even:
            self._even_at_s += (charged - call.amount) / self._even_per_s
            self._window_sum += charged - call.amount
        call.amount = charged

    @property
    def _even_per_s(self) -> float:
        return (self._per_minute or math.inf) * SHARE / MINUTE_S

    def _even_wait_s(self, amount: float, now_s: float) -> float:
        self._forget(now_s)
        if self._per_minute is None:
            return 0.0
        wait_s = max(0.0, self._even_at_s - now_s, self._second_wait_s(now_s))
        excess = self._window_sum + min(amount, self._per_minute) - self._per_minute
        for call in self._window:
            if excess <= 0:
                break
            if not call.ended:
                return math.inf
            wait_s = max(wait_s, call.started_s + WINDOW_S - now_s)
            excess -= call.amount
        return wait_s

    def _second_wait_s(self, now_s: float) -> float:
        """Seconds until less than a second's share started in the last one."""
        while self._second and self._second[0][0] <= now_s - SECOND_S:
            self._second.popleft()
        excess = sum(call.amount for _, call in self._second)
        excess -= (self._per_minute or math.inf) / MINUTE_S * SECOND_S
        wait_s = 0.0
        for started_s, call in self._second:
            if excess < 0:
                break
            wait_s = started_s + SECOND_S - now_s
            excess -= call.amount
        return wait_s

    def _forget(self, now_s: float) -> None:
        """Drop calls that no longer count."""
        while self._window and _is_past(self._window[0], now_s - WINDOW_S):
            self._window_sum -= self._window.popleft().amount
        for number, call in list(self._recent.items()):
            if not _is_past(call, now_s - KEPT_S):
                break
            del self._recent[number]

    def _told_wait_s(self, amount: float, now_s: float) -> float:
        told = self._told
        if told is None:
            return 0.0
        limit = told.gauge.limit
        refilled = told.gauge.remaining + self._refill_per_s * (now_s - told.at_s)
        unknown = sum(call.amount for call in told.uncounted.values())
        missing = min(amount, limit) - (min(refilled, limit) - unknown)
        if missing <= 0:
            return 0.0
        if self._refill_per_s:
            return missing / self._refill_per_s
        if now_s < told.reset_at_s:
            return told.reset_at_s - now_s
        # The limit should be whole again: one call finds out.
        asked = any(call.started_s >= told.reset_at_s for call in told.uncounted.values())
        return math.inf if asked else 0.0

    def _hear(self, call: _Call, gauge: Gauge, now_s: float, *, refused: bool) -> None:
        if refused and not self._refused:
            self._refused = True
            self._per_minute = self.per_minute or gauge.limit
        call.heard = True
        # What started before this call was counted before it, unless the network mixed them up.
        since_s = call.started_s - REORDER_S
        before = self._told
        if before is not None and before.started_s > call.started_s + REORDER_S:
            return
        uncounted = {
            number: other
            for number, other in self._recent.items()
            if other is not call
            and other.started_s > since_s
            and (self._refill_per_s or not other.heard)
        }
        if before is not None and before.started_s > since_s and self._is_lower(before, gauge):
            # Of two that came together, what was left after both is the lower.
            before.uncounted = uncounted
            return
        reset_at_s = now_s + gauge.reset_s * RESET_MARGIN
        self._told = _Told(gauge, call.started_s, now_s, reset_at_s, uncounted)
        self._watch_refill(gauge, now_s)

    def _is_lower(self, before: _Told, gauge: Gauge) -> bool:
        """Whether less was left at the call that was heard before, with nothing flowing in."""
        same = before.gauge.limit == gauge.limit and not self._refill_per_s
        return same and before.gauge.remaining < gauge.remaining

    def _hear_nothing(self, number: int, *, failed: bool) -> None:
        """The call that was to find out how much is left did not."""
        if self._told is not None and failed:
            self._told.uncounted.pop(number, None)
        else:
            self._told = None

    def _watch_refill(self, gauge: Gauge, now_s: float) -> None:
        """See whether the limit refills all the time, as a bucket does, and how fast.

        Then the time until it is whole grows with every use, in proportion to what is used; the
        time until a window ends does not.
        """
        least = self._least
        if least is None or now_s >= self._least_ends_s or gauge.remaining >= least.remaining:
            self._least, self._least_ends_s = gauge, now_s + gauge.reset_s
            return
        more = least.remaining - gauge.remaining
        if more < max(LEAST_USED, gauge.limit * LEAST_USED_SHARE):
            return
        slope = (gauge.reset_s - least.reset_s) / more
        used = gauge.limit - gauge.remaining
        grows = slope > 0 and abs(gauge.reset_s - slope * used) <= SAME * gauge.reset_s
        self._refill_per_s = SHARE / slope if grows and not self._refused else 0.0


def _is_past(call: _Call, since_s: float) -> bool:
    return call.ended and call.started_s < since_s
