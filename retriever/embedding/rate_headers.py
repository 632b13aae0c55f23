"""What a provider's headers say of its limits: how much is left, when it is whole again."""

import email.utils
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

LONGEST_RESET_S = 120.0
"""A provider that names a longer time is asked again after this long."""
LONGEST_VALUE = 64
"""Characters of a header that are read."""

_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"\d+(?:\.\d+)?"
_DURATION = re.compile(rf"(?:{_NUMBER}(?:ms|[dhms]))+", re.ASCII)
_PART = re.compile(rf"({_NUMBER})(ms|[dhms])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Gauge:
    """What a provider says of one limit."""

    limit: float
    """How much it allows, mostly in a minute."""
    remaining: float
    """How much of it is left now."""
    reset_s: float
    """Seconds after which all of it is there again."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What a provider says of its limits; None where it does not say."""

    requests: Gauge | None = None
    tokens: Gauge | None = None


NOT_TOLD = RateLimits()


def read_limits(headers: Mapping[str, str]) -> RateLimits:
    """The headers `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, as OpenAI sends them.

    A limit whose three headers are not all there, or not readable, is as if it was not named.
    """
    return RateLimits(_gauge(headers, "requests"), _gauge(headers, "tokens"))


def _gauge(headers: Mapping[str, str], quantity: str) -> Gauge | None:
    limit = _number(headers.get(f"x-ratelimit-limit-{quantity}"))
    remaining = _number(headers.get(f"x-ratelimit-remaining-{quantity}"))
    reset_s = _duration_s(headers.get(f"x-ratelimit-reset-{quantity}"))
    if not limit or remaining is None or reset_s is None:
        return None
    return Gauge(limit, min(remaining, limit), min(reset_s, LONGEST_RESET_S))


def _number(value: str | None) -> float | None:
    if value is None or len(value) > LONGEST_VALUE:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _duration_s(value: str | None) -> float | None:
    """`6m0s`, `20ms`, `1.5s`, or a bare number of seconds."""
    if value is None or len(value) > LONGEST_VALUE:
        return None
    if not _DURATION.fullmatch(value):
        return _number(value)
    return sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(value))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The pause that a provider asks for, in seconds; a date is counted from now.

    Where it asks for none, the time until the limit of which least is left is whole again.
    """
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit_s
        except ValueError:
            seconds = _until_s(value)
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    limits = read_limits(headers)
    gauges = [gauge for gauge in (limits.requests, limits.tokens) if gauge is not None]
    shortest = min(gauges, key=lambda gauge: gauge.remaining / gauge.limit, default=None)
    return shortest.reset_s if shortest else None


def _until_s(date: str) -> float:
    """Seconds from now to a date of a header; not a number where it is none."""
    try:
        parsed = email.utils.parsedate_tz(date)
        return email.utils.mktime_tz(parsed) - time.time() if parsed else math.nan
    except (ValueError, OverflowError):  # a year that no calendar reaches
        return math.nan
