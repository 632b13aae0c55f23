"""How far a run has come: a bar on a terminal, a plain line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from retriever.cli.terminal import console, note, patience
from retriever.records import IngestProgress

Tell = Callable[[IngestProgress], None]
Clock = Callable[[], float]

LINE_EVERY_S = 5.0
FIRST_NOTE_AFTER_S = 5.0
_FIRST_NOTE = "Looking at the folders, and loading the model if there is something to embed ..."


@contextmanager
def shown_progress() -> Iterator[Tell]:
    """Show the progress of one run on stderr; yields what the run calls with it."""
    if sys.stderr.isatty():
        with _bar() as tell:
            yield tell
    else:
        with patience(_FIRST_NOTE, after_s=FIRST_NOTE_AFTER_S):
            yield PlainProgress(note)


@dataclass(slots=True)
class Pace:
    """Rates and the time left, from the reports of one run."""

    clock: Clock = time.monotonic
    started_s: float = field(init=False)
    first: tuple[float, IngestProgress] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Start the clock."""
        self.started_s = self.clock()

    def describe(self, now: IngestProgress) -> str:
        """Chunks, rates and time left, in words.

        Rates count from the first report on, so that loading a model does not lower them.
        """
        at_s = self.clock()
        since_s, before = self.first or (self.started_s, _NOTHING)
        if self.first is None:
            self.first = (at_s, now)
        elapsed_s = at_s - since_s
        words = [f"{now.chunks_done:,} chunks"]
        if elapsed_s > 0:
            words += _rate(now.chunks_done - before.chunks_done, elapsed_s, "chunks/s")
            words += _rate(now.tokens_done - before.tokens_done, elapsed_s, "tokens/s")
            files = now.files_done - before.files_done
            left = now.files_total - now.files_done
            if files > 0 and left > 0:
                words.append(f"{duration(elapsed_s / files * left)} left")
        return ", ".join(words)


class PlainProgress:
    """Prints a line when the last one is some seconds old."""

    def __init__(self, out: Callable[[str], None], *, clock: Clock = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._pace = Pace(clock)
        self._last_s = clock()

    def __call__(self, now: IngestProgress) -> None:
        """Take a report; most are passed over."""
        pace = self._pace.describe(now)
        if self._clock() - self._last_s < LINE_EVERY_S:
            return
        self._last_s = self._clock()
        self._out(f"{now.files_done:,} of {now.files_total:,} files, {pace}")


def duration(seconds: float) -> str:
    """Seconds in words that are read at a glance: `0.4 s`, `12 s`, `3 min`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


_NOTHING = IngestProgress(files_done=0, files_total=0, chunks_done=0, tokens_done=0, source="")


def _rate(count: int, seconds: float, unit: str) -> list[str]:
    return [f"{count / seconds:,.0f} {unit}"] if count > 0 else []


@contextmanager
def _bar() -> Iterator[Tell]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    columns = (
        SpinnerColumn("line"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}", markup=False),
    )
    pace = Pace()
    with Progress(*columns, console=console(stderr=True), transient=True) as bars:
        task = bars.add_task("Looking at files", total=None, pace="")

        def tell(now: IngestProgress) -> None:
            bars.update(
                task,
                description="Ingesting",
                total=now.files_total,
                completed=now.files_done,
                pace=pace.describe(now),
            )

        yield tell
