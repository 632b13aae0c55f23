"""Scores to probabilities: a logistic curve of two numbers, learned from judged questions.

Platt 1999, "Probabilistic Outputs for Support Vector Machines", fitted by Newton's method as in
Lin, Lin and Weng 2007, "A Note on Platt's Probabilistic Outputs". A curve belongs to the scores
that it was learned from: another model, mode or reranker needs another one.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from retriever.errors import SettingsError

VERSION = 1
MOST_FILE_BYTES = 100_000
_STEPS = 100
_TOLERANCE = 1e-9
_RIDGE = 1e-9
"""Keeps the Newton step defined where all scores are the same."""
_ADVICE = "Learn it anew: retriever eval QUESTIONS --calibrate FILE"


@dataclass(frozen=True, slots=True)
class Calibration:
    """A curve, and the scores that it is for."""

    slope: float
    intercept: float
    scores: str
    """What made the scores: mode, weights and reranker, in words."""
    model: str
    """The model that embedded the collection."""
    questions: int
    passages: int
    """Judged passages that it was learned from."""

    def probability(self, score: float) -> float:
        """How likely a passage of that score answers its query: from 0 to 1."""
        return _logistic(self.slope * score + self.intercept)


def fit(scores: Sequence[float], answers: Sequence[bool]) -> tuple[float, float]:
    """Slope and intercept of the curve that makes the judgements most likely.

    Targets are smoothed as Platt does, (N+ + 1) / (N+ + 2) and 1 / (N- + 2), so that no curve
    claims certainty.

    Args:
        scores: of judged passages.
        answers: whether each of them answers its question.

    Raises:
        SettingsError: no passage answers or all do, or higher scores do not answer more often.
    """
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(answers, dtype=bool)
    right, wrong = int(y.sum()), int((~y).sum())
    if not right or not wrong:
        raise SettingsError(
            f"A probability cannot be learned from {right} passages that answer and {wrong} that "
            "do not: both kinds are needed. Judge more questions."
        )
    target = np.where(y, (right + 1) / (right + 2), 1 / (wrong + 2))
    a, b = 0.0, math.log((right + 1) / (wrong + 1))
    loss = _loss(a, b, x, target)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(a * x + b, -500, 500)))
        gradient = np.array([((p - target) * x).sum(), (p - target).sum()])
        if np.abs(gradient).max() < _TOLERANCE:
            break
        weight = p * (1 - p)
        cross = (weight * x).sum()
        hessian = np.array([[(weight * x * x).sum(), cross], [cross, weight.sum()]])
        step = np.linalg.solve(hessian + _RIDGE * np.eye(2), gradient)
        a, b, better = _shortened(a, b, step, x, target, loss)
        if loss - better < _TOLERANCE:
            break
        loss = better
    if a <= 0:
        raise SettingsError(
            "Passages with higher scores do not answer more often, so no probability can be "
            "learned from these scores. Try another mode or model."
        )
    return float(a), float(b)


def write_calibration(path: Path, found: Calibration) -> None:
    """Write a curve as JSON.

    Raises:
        OSError: the file cannot be written.
    """
    text = json.dumps({"version": VERSION} | asdict(found), indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def read_calibration(path: Path) -> Calibration:
    """Read a curve.

    Raises:
        SettingsError: the file is not there, or is no calibration.
    """
    try:
        with path.open("rb") as file:
            said: Any = json.loads(file.read(MOST_FILE_BYTES))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}. {_ADVICE}") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is no calibration: {error}. {_ADVICE}") from error
    if not _is_calibration(said):
        raise SettingsError(f"{path} is no calibration of version {VERSION}. {_ADVICE}")
    return Calibration(**{one.name: said[one.name] for one in fields(Calibration)})


def _is_calibration(said: object) -> bool:
    return (
        isinstance(said, Mapping)
        and said.get("version") == VERSION
        and all(_is_number(said.get(name)) for name in ("slope", "intercept"))
        and all(isinstance(said.get(name), str) for name in ("scores", "model"))
        and all(isinstance(said.get(name), int) for name in ("questions", "passages"))
        and said["slope"] > 0
    )


def _is_number(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(float(str(value)))


def _loss(a: float, b: float, x: Any, target: Any) -> float:
    z = a * x + b
    return float((np.logaddexp(0, z) - target * z).sum())


def _shortened(  # two numbers, their step, and what judges it
    a: float, b: float, step: Any, x: Any, target: Any, loss: float
) -> tuple[float, float, float]:
    """The step, halved until it helps."""
    length = 1.0
    while length > _TOLERANCE:
        tried = a - length * float(step[0]), b - length * float(step[1])
        better = _loss(*tried, x, target)
        if better < loss:
            return *tried, better
        length /= 2
    return a, b, loss


def _logistic(value: float) -> float:
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    return math.exp(value) / (1 + math.exp(value))
