"""Evaluations for people: tables, and how far the work has come."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from retriever.cli.progress import LINE_EVERY_S, shown_progress
from retriever.cli.terminal import note, one_line, show, show_styled
from retriever.evaluation.comparing import Comparison, comparison_rows, verdicts
from retriever.evaluation.report import all_estimates, facts, measure_rows
from retriever.evaluation.runs import Evaluation
from retriever.evaluation.tuning import Tuning, label_of, toml_lines, verdict_of
from retriever.records import IngestProgress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table


BEST_SHOWN = 8
"""Combinations that a person reads; `--json` has them all."""


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


def show_comparison(found: Comparison) -> None:
    """Print a comparison for people."""
    show_styled(figures(*comparison_rows(found)))
    show(*(one_line(line) for line in (*verdicts(found), *found.notes)))


def show_tuning(found: Tuning) -> None:
    """Print what tuning found, and the lines of a config file that follow from it."""
    best = sorted(found.trials, key=lambda one: -one.score)[:BEST_SHOWN]
    rows = [[label_of(one.changes), f"{one.score:.4f}"] for one in best]
    show_styled(figures(("settings", f"{found.measure} on the half that chooses"), rows))
    show(f"{len(found.trials)} combinations tried, {found.left_out} left out", verdict_of(found))
    if found.chosen.changes:
        show("", *toml_lines(found.chosen.changes))


def tuning_object(found: Tuning) -> dict[str, object]:
    """What `tune --json` prints."""
    difference = found.difference
    return {
        "measure": found.measure,
        "trials": [{"changes": dict(one.changes), "score": one.score} for one in found.trials],
        "chosen": dict(found.chosen.changes),
        "held_out_questions": found.held_out,
        "held_out_before": found.before,
        "held_out_after": found.after,
        "difference": None if difference is None else asdict(difference),
        "is_better": found.is_better,
        "left_out": found.left_out,
        "verdict": verdict_of(found),
        "toml": toml_lines(found.chosen.changes),
    }


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
