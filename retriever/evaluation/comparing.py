"""Two or more configurations on the same questions: what differs, and whether it is luck."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from retriever.evaluation.configurations import group_notes, plan_contest, with_settings_of
from retriever.evaluation.plots import scatter
from retriever.evaluation.report import all_estimates, as_object
from retriever.evaluation.resampling import Difference, compare
from retriever.evaluation.runs import Evaluation, EvaluationOptions, judged
from retriever.settings import Settings

SURE = 0.05
"""A p-value below it is taken for more than luck."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Evaluations of the same questions; the first is what the others are compared with."""

    evaluations: tuple[Evaluation, ...]
    differences: Mapping[str, Mapping[str, Difference]]
    """By the other's name and by measure: the other minus the first."""
    notes: tuple[str, ...] = ()


def compare_configurations(
    questions: Path,
    configurations: Mapping[str, Settings],
    options: EvaluationOptions | None = None,
) -> Comparison:
    """Judge configurations by the same questions.

    Those that cut and embed alike share a collection. For the live collection's questions the
    others are built anew from its folders. Vectors come from one cache: none is paid for twice.

    Args:
        questions: as for `retriever.evaluation.runs.evaluate`.
        configurations: at least two, by name.
        options: what is measured.

    Raises:
        SettingsError: questions cannot be read, or a folder is needed that is not there.
        CollectionNotFound: the questions are for a collection that is not there.
    """
    options = options or EvaluationOptions()
    contest = plan_contest(questions, configurations, options)
    found: dict[str, Evaluation] = {}
    notes = contest.notes
    for group in contest.groups:
        with group.open() as built:
            notes += group_notes(built)
            for label, settings in zip(group.labels, group.settings, strict=True):
                asked = with_settings_of(settings, built)
                found[label] = judged(contest.questions, asked, options, name=label)
    first, *others = [found[label] for label in configurations]
    return Comparison(
        evaluations=(first, *others),
        differences={one.name: differences(first, one) for one in others},
        notes=tuple(dict.fromkeys(notes)),
    )


def differences(first: Evaluation, second: Evaluation) -> dict[str, Difference]:
    """Second minus first, by measure, over the questions that both were judged by."""
    found = {}
    for name, values in first.values.items():
        other = second.values[name]
        both = ~np.isnan(values) & ~np.isnan(other)
        found[name] = compare(values[both], other[both])
    return found


def verdict(first: str, second: str, measure: str, found: Difference) -> str:
    """What a difference says, in a sentence."""
    size = found.estimate
    figures = f"{size.value:+.3f} {measure} ({size.low:+.3f} to {size.high:+.3f}"
    figures += f", p = {found.p_value:.4f}; {found.wins} better, {found.losses} worse)"
    if found.p_value >= SURE:
        return f"{second} and {first} cannot be told apart: {figures}"
    return f"{second} is {'better' if size.value > 0 else 'worse'} than {first}: {figures}"


def verdicts(comparison: Comparison) -> list[str]:
    """A sentence for each configuration but the first, on the first measure."""
    first = comparison.evaluations[0].name
    return [
        verdict(first, second, measure, found[measure])
        for second, found in comparison.differences.items()
        for measure in list(found)[:1]
    ]


def comparison_object(comparison: Comparison) -> dict[str, object]:
    """What `compare --json` prints."""
    first = comparison.evaluations[0].name
    rows = [
        {"first": first, "second": second, "measure": measure}
        | {"difference": one.estimate.value, "low": one.estimate.low, "high": one.estimate.high}
        | {name: value for name, value in asdict(one).items() if name != "estimate"}
        for second, found in comparison.differences.items()
        for measure, one in found.items()
    ]
    return {
        "configurations": [as_object(one) for one in comparison.evaluations],
        "differences": rows,
        "verdicts": verdicts(comparison),
        "notes": list(comparison.notes),
    }


def comparison_rows(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a table: measures, then speed and cost, a column a configuration."""
    first, *others = comparison.evaluations
    head = ["measure", first.name]
    for one in others:
        head += [one.name, "difference", "p"]
    rows = [_measure_row(comparison, name) for name in all_estimates(first)]
    for title, texts in _beside(comparison.evaluations).items():
        rows.append([title, texts[0], *(cell for text in texts[1:] for cell in (text, "", ""))])
    return head, rows


def scatters(comparison: Comparison) -> list[str]:
    """For each configuration but the first: a plot of every question under both."""
    first, *others = comparison.evaluations
    if not first.values:
        return []
    measure = next(iter(first.values))
    plots = []
    for one in others:
        both = ~np.isnan(first.values[measure]) & ~np.isnan(one.values[measure])
        pairs = first.values[measure][both].tolist(), one.values[measure][both].tolist()
        plots.append(scatter(*pairs, (first.name, one.name)))
    return plots


def _measure_row(comparison: Comparison, measure: str) -> list[str]:
    first, *others = comparison.evaluations
    row = [measure, f"{all_estimates(first)[measure].value:.3f}"]
    for one in others:
        found = all_estimates(one).get(measure)
        row.append(f"{found.value:.3f}" if found else "-")
        difference = comparison.differences[one.name].get(measure)
        row += (
            [f"{difference.estimate.value:+.3f}", f"{difference.p_value:.4f}"]
            if difference
            else ["", ""]
        )
    return row


def _beside(evaluations: Sequence[Evaluation]) -> dict[str, list[str]]:
    return {
        "p50, ms": [f"{one.latency.p50_ms:.1f}" for one in evaluations],
        "p95, ms": [f"{one.latency.p95_ms:.1f}" for one in evaluations],
        "chunks": [f"{one.cost.chunks:,}" for one in evaluations],
        "tokens": [f"{one.cost.tokens:,}" for one in evaluations],
        "embedded now": [f"{one.cost.tokens_embedded:,}" for one in evaluations],
        "price, $": [f"{one.cost.price_usd:,.4f}" for one in evaluations],
        "built in, s": [f"{one.cost.seconds:.1f}" for one in evaluations],
    }
