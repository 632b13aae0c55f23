"""How servers limit what comes in a minute, and what their headers say of it.

Times are given, never read. Each `take` says whether a call is let through, and what is left.
"""

from collections import deque
from dataclasses import dataclass, field

from retriever.embedding.rate_headers import Gauge


@dataclass
class Bucket:
    """Refills all the time, up to its size."""

    limit: float
    size: float
    per_s: float
    level: float = field(init=False)
    last_s: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.size

    def take(self, amount: float, now_s: float) -> tuple[bool, Gauge]:
        self.level = min(self.size, self.level + (now_s - self.last_s) * self.per_s)
        self.last_s = now_s
        allowed = self.level >= amount - 1e-6
        if allowed:
            self.level -= amount
        return allowed, Gauge(
            self.size, max(0.0, self.level), (self.size - self.level) / self.per_s
        )

    def allowance(self, seconds: float) -> float:
        return self.size + self.per_s * seconds


@dataclass
class SlidingWindow:
    """Counts what came in the last minute."""

    limit: float
    period_s: float = 60.0
    oldest_first: bool = True
    held: deque[tuple[float, float]] = field(default_factory=deque)
    used: float = 0.0

    def take(self, amount: float, now_s: float) -> tuple[bool, Gauge]:
        while self.held and self.held[0][0] <= now_s - self.period_s:
            self.used -= self.held.popleft()[1]
        allowed = self.used + amount <= self.limit + 1e-6
        if allowed:
            self.held.append((now_s, amount))
            self.used += amount
        end = self.held[0 if self.oldest_first else -1][0] + self.period_s if self.held else now_s
        return allowed, Gauge(self.limit, max(0.0, self.limit - self.used), end - now_s)

    def allowance(self, seconds: float) -> float:
        return self.limit * (1 + seconds // self.period_s)


@dataclass
class FixedWindow:
    """Counts from one full minute to the next."""

    limit: float
    began_s: float = -45.0
    used: float = 0.0

    def take(self, amount: float, now_s: float) -> tuple[bool, Gauge]:
        while now_s >= self.began_s + 60.0:
            self.began_s, self.used = self.began_s + 60.0, 0.0
        allowed = self.used + amount <= self.limit + 1e-6
        self.used += amount if allowed else 0.0
        return allowed, Gauge(self.limit, self.limit - self.used, self.began_s + 60.0 - now_s)

    def allowance(self, seconds: float) -> float:
        return self.limit * (1 + (seconds + 45.0) // 60.0)


Limiter = Bucket | SlidingWindow | FixedWindow
