"""Where a query's time goes, by stage; costs next to nothing while nobody asks."""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

_collected: ContextVar[dict[str, float] | None] = ContextVar("stage_times_s", default=None)


@contextlib.contextmanager
def stage_times() -> Iterator[dict[str, float]]:
    """Seconds by stage of every query that this context asks, summed.

    Stages: `freshness` (is there a newer commit), `embed`, `filter`, `semantic`, `lexical`,
    `fuse`, `fetch` (texts and metadata of the passages). Other threads' queries are not counted,
    an awaited `aretrieve` is.
    """
    times_s: dict[str, float] = {}
    token = _collected.set(times_s)
    try:
        yield times_s
    finally:
        _collected.reset(token)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Count the time of the block for a stage."""
    times_s = _collected.get()
    if times_s is None:
        yield
        return
    began_s = time.perf_counter()
    try:
        yield
    finally:
        times_s[name] = times_s.get(name, 0.0) + time.perf_counter() - began_s
