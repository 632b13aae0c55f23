"""Measures of a ranking, by ir-measures: which there are, what they are called, their values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retriever.errors import MissingDependencyError, SettingsError

DEFAULT_MEASURES = ("nDCG@10", "Recall@100", "RR", "AP", "Success@1", "Success@5", "Success@10")
MOST_DEPTH = 1_000
DEPTH_OF_THE_WHOLE = 100
"""How deep a ranking is looked at for a measure without a depth of its own."""
_NAMES = {
    "ndcg": ("nDCG", "nDCG"),
    "recall": ("Recall", "R"),
    "r": ("Recall", "R"),
    "rr": ("RR", "RR"),
    "mrr": ("RR", "RR"),
    "ap": ("AP", "AP"),
    "map": ("AP", "AP"),
    "success": ("Success", "Success"),
    "hit": ("Success", "Success"),
    "p": ("P", "P"),
    "precision": ("P", "P"),
}
"""What people write, in lower case, to our name and ir-measures' name."""
_NEEDS_DEPTH = frozenset({"Recall", "Success", "P"})
_FORM = re.compile(r"([A-Za-z]+)(?:@([0-9]{1,4}))?")
KNOWN = "nDCG@k, Recall@k, RR (also RR@k), AP (also AP@k), Success@k, P@k"

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure of one ranking, from 0 to 1, higher is better."""

    name: str
    """As it is reported: `nDCG@10`."""
    formula: str
    """As ir-measures calls it: `R@100` for Recall@100."""
    depth: int
    """How many of a ranking's first it looks at."""


@dataclass(frozen=True, slots=True)
class JudgedRanking:
    """What was found for a question, best first, and what should have been."""

    found: Sequence[str]
    grades: Mapping[str, int]


def parse_measure(text: str) -> Measure:
    """A measure by its name.

    Raises:
        SettingsError: there is no such measure; the message names those that there are.
    """
    match = _FORM.fullmatch(text.strip())
    name, formula = _NAMES.get(match[1].lower(), ("", "")) if match else ("", "")
    depth = int(match[2]) if match and match[2] else 0
    if not match or not name or (name in _NEEDS_DEPTH and not match[2]):
        raise SettingsError(f"There is no measure {text!r}. Known: {KNOWN}.")
    if match[2] and not 1 <= depth <= MOST_DEPTH:
        raise SettingsError(f"{text!r} looks too deep: k is from 1 to {MOST_DEPTH}.")
    suffix = f"@{depth}" if depth else ""
    return Measure(name + suffix, formula + suffix, depth or DEPTH_OF_THE_WHOLE)


def judge(rankings: Sequence[JudgedRanking], measures: Sequence[Measure]) -> dict[str, Values]:
    """Each measure's value for each ranking: float64, shape (number of rankings,), by name.

    The engine is trec_eval (pytrec_eval): gains are linear, the discount is log2(1 + rank).
    Ids are numbered before it sees them, and scores fall by rank, so that neither odd ids nor
    ties have a say.

    Raises:
        MissingDependencyError: ir-measures is not installed.
    """
    try:
        import ir_measures
    except ImportError as error:
        raise MissingDependencyError("ir-measures", "eval", "Measuring") from error
    qrels, run = _numbered(rankings)
    wanted = {ir_measures.parse_measure(one.formula): one.name for one in measures}
    values = {one.name: np.zeros(len(rankings)) for one in measures}
    for result in ir_measures.iter_calc(list(wanted), qrels, run):
        values[wanted[result.measure]][int(result.query_id)] = result.value
    return values


def _numbered(
    rankings: Sequence[JudgedRanking],
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Judgements and rankings as ir-measures takes them, under numbers for names."""
    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    for place, one in enumerate(rankings):
        numbers: dict[str, str] = {}
        for identifier in (*one.grades, *one.found):
            numbers.setdefault(identifier, f"d{len(numbers)}")
        relevant = {numbers[key]: grade for key, grade in one.grades.items() if grade > 0}
        qrels[str(place)] = relevant or {"nothing": 1}
        unique = list(dict.fromkeys(one.found))
        run[str(place)] = {
            numbers[key]: float(len(unique) - rank) for rank, key in enumerate(unique)
        }
    return qrels, run
