"""Evaluations for people: tables, and how far the work has come."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from retriever.cli.progress import LINE_EVERY_S, shown_progress
from retriever.cli.terminal import note, one_line, show, show_styled
from retriever.evaluation.report import all_estimates, facts, measure_rows
from retriever.evaluation.runs import Evaluation
from retriever.records import IngestProgress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table


@dataclass(slots=True)
class Work:
    """What an evaluation tells while it works."""

    ingested: Callable[[IngestProgress], None]
    last_s: float = field(default_factory=time.monotonic)

    def asked(self, done: int, total: int) -> None:
        """Say from time to time how many questions have been asked."""
        now_s = time.monotonic()
        if now_s - self.last_s > LINE_EVERY_S and done < total:
            self.last_s = now_s
            note(f"asked {done:,} of {total:,} questions")


@contextmanager
def shown_work() -> Iterator[Work]:
    """Show on stderr how far an evaluation has come."""
    with shown_progress() as progress:
        yield Work(progress)


def show_evaluation(found: Evaluation) -> None:
    """Print an evaluation for people."""
    rows = measure_rows(all_estimates(found))
    show_styled(figures(("measure", "mean", "95 % interval"), rows))
    show(*(one_line(fact) for fact in facts(found)))


def figures(head: "Sequence[str]", rows: "Sequence[Sequence[str]]") -> "Table":
    """A table of a name and figures."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, title in enumerate(head):
        table.add_column(title, justify="right" if place else "left", overflow="fold")
    for row in rows:
        table.add_row(*(one_line(cell) for cell in row))
    return table
