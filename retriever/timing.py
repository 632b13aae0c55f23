"""Where the time goes, by stage; costs next to nothing while nobody asks."""

import contextlib
import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar, copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_collected: ContextVar[dict[str, float] | None] = ContextVar("stage_times_s", default=None)
_inside_s: ContextVar[list[float] | None] = ContextVar("inside_s", default=None)
_adding = threading.Lock()


@contextlib.contextmanager
def stage_times() -> Iterator[dict[str, float]]:
    """Seconds by stage of what this context does, summed.

    A stage inside another counts for itself alone, so that the stages of one thread add up to
    no more than its time. Other threads' work is counted where it was `carried` to them, and
    that of an awaited `aretrieve`.

    Of a query: `freshness` (is there a newer commit), `embed`, `filter`, `semantic`, `lexical`
    (in mode hybrid the wait for what another thread did: `rank words`), `fuse`, `fetch` (texts
    and metadata of the passages), `rerank` and `expand` where they are asked for; of the first
    one also `load Chroma`, `open`, `open vectors`, `open words` and
    `load model`. Of an ingest: `look` (what changed),
    `compare` (what is stored), `load model`, `embed`, `wait for chunks`, `wait for writing`, and
    beside these, on other threads, `read`, `chunk`, `write`, `index words`, `commit`.
    """
    times_s: dict[str, float] = {}
    token = _collected.set(times_s)
    try:
        yield times_s
    finally:
        _collected.reset(token)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Count the time of the block for a stage. Nothing is to be yielded from inside it."""
    times_s = _collected.get()
    if times_s is None:
        yield
        return
    inside_s = [0.0]
    token = _inside_s.set(inside_s)
    began_s = time.perf_counter()
    try:
        yield
    finally:
        took_s = time.perf_counter() - began_s
        _inside_s.reset(token)
        around_s = _inside_s.get()
        if around_s is not None:
            around_s[0] += took_s
        with _adding:
            times_s[name] = times_s.get(name, 0.0) + took_s - inside_s[0]


def staged(name: str, items: Iterable[T]) -> Iterator[T]:
    """The items, with the time that each is waited for counted for a stage."""
    waiting = iter(items)
    while True:
        with stage(name):
            found = list(itertools.islice(waiting, 1))
        if not found:
            return
        yield found[0]


def carried(work: Callable[P, T]) -> Callable[P, T]:
    """The same work, for one call on another thread, counted for whoever asks here."""
    context = copy_context()
    context.run(_inside_s.set, None)
    return functools.partial(context.run, work)
