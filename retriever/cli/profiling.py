"""Where the time of a command went: `--profile`."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from retriever.timing import stage_times

Profile = Annotated[
    bool, typer.Option("--profile", help="Say on stderr where the time went, stage by stage.")
]
_OF_AN_INGEST = ("read", "chunk", "write", "index words", "commit")
BESIDE = (*_OF_AN_INGEST, "rank words")
"""Stages that other threads are at while texts, or a query, are embedded."""
_START = "start"
_OTHER = "other"


@contextlib.contextmanager
def profiled(wanted: bool) -> Iterator[None]:
    """Print how long each stage of the block took, from the start of the process on."""
    if not wanted:
        yield
        return
    before_s = process_age_s()
    began_s = time.perf_counter()
    with stage_times() as times_s:
        yield
    took_s = time.perf_counter() - began_s
    lines = table({_START: before_s, **times_s}, before_s + took_s)
    sys.stderr.write("".join(f"{line}\n" for line in ("", *lines)))
    sys.stderr.flush()


def table(times_s: Mapping[str, float], whole_s: float) -> list[str]:
    """Stages in the order in which they began to be counted, their seconds and their share.

    What stages on other threads took is told apart: it is no part of the whole.
    """
    in_line = {name: seconds for name, seconds in times_s.items() if name not in BESIDE}
    in_line[_OTHER] = max(0.0, whole_s - sum(in_line.values()))
    lines = [f"{'stage':<18}{'seconds':>10}{'share':>8}"]
    lines += [_line(name, seconds, whole_s) for name, seconds in in_line.items()]
    lines.append(_line("total", whole_s, whole_s))
    beside = {name: times_s[name] for name in BESIDE if name in times_s}
    if beside:
        lines += ["", "beside it, on other threads"]
        lines += [_line(name, seconds, whole_s) for name, seconds in beside.items()]
    embedding_s = times_s.get("embed", 0.0)
    if embedding_s > 0 and not beside.keys().isdisjoint(_OF_AN_INGEST):
        work_s = whole_s - times_s.get(_START, 0.0)
        lines += ["", f"overlap: the run took {work_s / embedding_s:.2f} times its embedding"]
    return lines


def process_age_s(read: Callable[[], str] | None = None) -> float:
    """Seconds since this process was started, to a hundredth; 0.0 where nobody tells.

    Field 22 of /proc/self/stat counts ticks since the machine started, see proc(5).
    """
    try:
        told = (read or Path("/proc/self/stat").read_text)()
        ticks = int(told.rpartition(")")[2].split()[19])
        started_s = ticks / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_s)
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0


def _line(name: str, seconds: float, whole_s: float) -> str:
    return f"{name:<18}{seconds:>10.3f}{seconds / max(whole_s, 1e-9):>8.0%}"
