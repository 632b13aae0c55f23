"""An evaluation as one JSON object and as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from retriever.evaluation.resampling import Estimate
from retriever.evaluation.runs import AREA, Evaluation

Row = tuple[str, str, str]


def as_object(evaluation: Evaluation) -> dict[str, object]:
    """What `eval --json` prints: means and intervals by measure, and what stands beside them."""
    shown = all_estimates(evaluation)
    return {
        "name": evaluation.name,
        "model": evaluation.settings.embedding.model,
        "mode": evaluation.settings.retrieval.mode,
        "questions": {
            "answerable": len(evaluation.answered),
            "unanswerable": len(evaluation.unanswerable),
            "judged_by_page": sum(one.unit == "page" for one in evaluation.answered),
        },
        "measures": {name: round(one.value, 6) for name, one in shown.items()},
        "intervals": {name: [round(one.low, 6), round(one.high, 6)] for name, one in shown.items()},
        "abstention": _abstention(evaluation),
        "calibration": asdict(evaluation.learned) if evaluation.learned else None,
        "latency_ms": {
            "p50": evaluation.latency.p50_ms,
            "p95": evaluation.latency.p95_ms,
            "timed": evaluation.latency.timed,
        },
        "cost": asdict(evaluation.cost),
        "notes": list(evaluation.notes),
    }


def all_estimates(evaluation: Evaluation) -> dict[str, Estimate]:
    """Every measure's mean and interval, the AUC among them."""
    found = dict(evaluation.estimates)
    if evaluation.abstention is not None:
        found[AREA] = evaluation.abstention.area
    return found


def measure_rows(estimates: Mapping[str, Estimate]) -> list[Row]:
    """Name, mean and interval of each measure, as text."""
    return [
        (name, f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}")
        for name, one in estimates.items()
    ]


def facts(evaluation: Evaluation) -> list[str]:
    """What stands beside the measures, in sentences."""
    cost, latency = evaluation.cost, evaluation.latency
    answerable = len(evaluation.answered)
    asked = f"{answerable:,} {'question' if answerable == 1 else 'questions'}"
    if evaluation.unanswerable:
        asked += f", and {len(evaluation.unanswerable):,} that nothing answers"
    lines = [
        f"{asked}, of {cost.documents:,} documents in {cost.chunks:,} chunks",
        f"one answer takes {latency.p50_ms:.1f} ms (p50), {latency.p95_ms:.1f} ms (p95), "
        f"timed on {latency.timed:,} questions",
        f"the collection's {cost.tokens:,} tokens cost ${cost.price_usd:,.4f} to embed; "
        f"{cost.tokens_embedded:,} of them were embedded now",
    ]
    if (found := evaluation.abstention) is not None:
        lines.append(
            f"a min_score of {found.best_threshold:.3f} would refuse "
            f"{found.best_refused_unanswerable:.0%} of the unanswerable and "
            f"{found.best_refused_answerable:.0%} of the answerable questions"
        )
        if found.min_score is not None:
            lines.append(
                f"the one in force, {found.min_score:.3f}, refuses "
                f"{found.refused_unanswerable:.0%} and {found.refused_answerable:.0%}"
            )
    return lines + list(evaluation.notes)


def as_markdown(evaluation: Evaluation) -> str:
    """A Markdown table of the measures, and what stands beside them as a list."""
    rows = measure_rows(all_estimates(evaluation))
    lines = [table(("measure", "mean", "95 % interval"), rows), ""]
    return "\n".join([*lines, *(f"- {markdown_text(fact)}" for fact in facts(evaluation))])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; whatever the cells hold stays in its cell."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(markdown_text, cells))} |" for cells in lines)


def markdown_text(text: str) -> str:
    """Text on one line that Markdown shows as it is."""
    escaped = "".join(f"\\{letter}" if letter in "\\|`*_[]<>" else letter for letter in text)
    return " ".join(escaped.split())


def _abstention(evaluation: Evaluation) -> dict[str, object] | None:
    found = evaluation.abstention
    if found is None:
        return None
    return {name: value for name, value in asdict(found).items() if name != "area"}
