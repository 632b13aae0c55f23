"""An evaluation, or a comparison, as one page of HTML that needs nothing else.

Questions, names and passages are hostile: all of it is escaped, and the page's own policy
allows no script and fetches nothing.
"""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from retriever.evaluation import plots
from retriever.evaluation.asking import Answered
from retriever.evaluation.comparing import Comparison, comparison_rows, scatters, verdicts
from retriever.evaluation.report import all_estimates, facts, measure_rows
from retriever.evaluation.runs import Evaluation
from retriever.records import Passage

WORST = 20
SHOWN_PASSAGES = 5
SHOWN_CHARACTERS = 400
SHOWN_ANSWERS = 5

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse } th, td { padding: .25rem .9rem .25rem 0; text-align: left }
td:not(:first-child), th:not(:first-child) { text-align: right; font-variant-numeric: tabular-nums }
th { border-bottom: 1px solid #8888 } svg { max-width: 100%; display: block; margin: .5rem 0 }
svg text { font: 12px system-ui, sans-serif; fill: currentColor }
details { border-top: 1px solid #8884; padding: .5rem 0 } summary { cursor: pointer }
ol { padding-left: 1.6rem } li { margin: .4rem 0 } pre { white-space: pre-wrap; margin: .2rem 0;
font: 13px/1.45 ui-monospace, monospace; opacity: .85; overflow-wrap: anywhere }
.right { color: #2f855a; font-weight: 600 } .dim { opacity: .7 }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def evaluation_page(evaluation: Evaluation) -> str:
    """The page of one evaluation: measures, plots, and the questions that went worst."""
    estimates = all_estimates(evaluation)
    name = evaluation.name
    parts = [
        f"<h1>How well {escape(name)} answers</h1>",
        listed(facts(evaluation)),
        table(("measure", "mean", "95 % interval"), measure_rows(estimates)),
        plots.intervals(estimates),
    ]
    if evaluation.values:
        leading = next(iter(evaluation.values))
        values = evaluation.values[leading]
        parts += [
            f"<h2>{escape(leading)}, question by question</h2>",
            plots.histogram({leading: values[~np.isnan(values)].tolist()}, f"Spread of {leading}"),
        ]
    if evaluation.abstention is not None:
        groups = {
            "answerable": _best_scores(evaluation.answered),
            "unanswerable": _best_scores(evaluation.unanswerable),
        }
        parts += ["<h2>Best score of each question</h2>", plots.histogram(groups, "Best scores")]
    parts += worst_questions(evaluation)
    return page(f"Evaluation of {name}", parts)


def comparison_page(comparison: Comparison) -> str:
    """The page of a comparison: figures side by side, scatter plots, what was lost most."""
    names = [one.name for one in comparison.evaluations]
    parts = [
        f"<h1>{escape(', '.join(names))} on the same questions</h1>",
        listed([*verdicts(comparison), *comparison.notes]),
        table(*comparison_rows(comparison)),
        *scatters(comparison),
    ]
    for one in comparison.evaluations:
        parts += [f"<h2>{escape(one.name)}</h2>", plots.intervals(all_estimates(one))]
    for one in comparison.evaluations[1:]:
        parts += _lost_most(comparison, one)
    return page(f"Comparison of {', '.join(names)}", parts)


def worst_questions(evaluation: Evaluation) -> list[str]:
    """The questions with the lowest values of the first measure, and what was found for them."""
    if not evaluation.values:
        return []
    leading, values = next(iter(evaluation.values.items()))
    order = [int(one) for one in np.argsort(values, kind="stable")][:WORST]
    heading = f"<h2>The {len(order)} questions that went worst by {escape(leading)}</h2>"
    return [heading, *(_asked(evaluation.answered[one], float(values[one])) for one in order)]


def _lost_most(comparison: Comparison, second: Evaluation) -> list[str]:
    first = comparison.evaluations[0]
    if not first.values:
        return []
    measure, before = next(iter(first.values.items()))
    after = second.values[measure]
    order = [int(one) for one in np.argsort(after - before, kind="stable")][:WORST]
    heading = f"<h2>Where {escape(second.name)} lost most against {escape(first.name)}</h2>"
    lost = [one for one in order if after[one] < before[one]]
    return [heading, *(_asked(second.answered[one], float(after[one])) for one in lost)]


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page around some parts, which are HTML already."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of text."""
    top = "".join(f"<th>{escape(one)}</th>" for one in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def listed(lines: Iterable[str]) -> str:
    """Lines of text as a list."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _asked(one: Answered, value: float) -> str:
    wanted = list(one.grades)
    more = f" and {len(wanted) - SHOWN_ANSWERS:,} more" if len(wanted) > SHOWN_ANSWERS else ""
    answers = ", ".join(escape(name) for name in wanted[:SHOWN_ANSWERS])
    places = [
        (one.found.index(name) + 1) if name in one.found else None
        for name in wanted[:SHOWN_ANSWERS]
    ]
    stand = ", ".join("not found" if place is None else f"at {place}" for place in places)
    passages = "".join(_passage(passage, one) for passage in one.passages[:SHOWN_PASSAGES])
    return (
        f"<details><summary>{value:.3f} &nbsp; {escape(one.question.text)}</summary>"
        f'<p>answered by {answers}{more} <span class="dim">({stand})</span></p>'
        f"<ol>{passages or '<p>Nothing was found.</p>'}</ol></details>"
    )


def _passage(passage: Passage, one: Answered) -> str:
    units = one.units_of(passage)
    answering = [unit for unit in units if unit in one.grades]
    shown = ", ".join((answering or units[:1])[:SHOWN_ANSWERS])
    right = ' <span class="right">answers</span>' if answering else ""
    text = passage.text[:SHOWN_CHARACTERS]
    ellipsis = "..." if len(passage.text) > SHOWN_CHARACTERS else ""
    return (
        f"<li>{passage.score:.3f} &nbsp; {escape(shown)}{right}"
        f"<pre>{escape(text)}{ellipsis}</pre></li>"
    )


def _best_scores(answered: Sequence[Answered]) -> list[float]:
    return [0.0 if one.best_score is None else one.best_score for one in answered]
