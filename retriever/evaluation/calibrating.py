"""A calibration from an evaluation: which scores answered, and how well that holds up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from retriever import assembly
from retriever.calibration import Calibration, fit
from retriever.errors import SettingsError
from retriever.evaluation.asking import Answered
from retriever.evaluation.resampling import halves
from retriever.records import Passage
from retriever.settings import Settings

LEARNED_PASSAGES = 10
"""Of each question's best; those further down are never handed over."""
LEAST_QUESTIONS = 20

Pairs = list[tuple[float, bool]]


@dataclass(frozen=True, slots=True)
class Learned:
    """A curve, and what it is worth on questions that it was not learned from."""

    calibration: Calibration
    brier: float
    """Mean squared error of the probabilities (Brier 1950), by halves of the questions."""
    brier_of_base_rate: float
    """The same for saying of every passage how often passages answer."""


def learn(asked: Sequence[Answered], settings: Settings) -> Learned:
    """Learn how likely a passage answers, from questions and what was found for them.

    Args:
        asked: judged questions; unanswerable ones count: none of their passages answers.
        settings: those of the collection that was asked.

    Raises:
        SettingsError: there are too few questions, or their scores tell nothing.
    """
    if len(asked) < LEAST_QUESTIONS:
        raise SettingsError(
            f"{len(asked)} questions are too few to learn probabilities from: judge at least "
            f"{LEAST_QUESTIONS}."
        )
    pairs = [pairs_of(one) for one in asked]
    every = _flat(pairs)
    slope, intercept = fit(*_split(every))
    with assembly.open_store(settings) as store:
        data = store.physical(store.state(settings.collection).live)
        model = data.fingerprint.embedding.model
    calibration = Calibration(
        slope=round(slope, 6),
        intercept=round(intercept, 6),
        scores=assembly.describe_scores(settings, settings.retrieval.mode),
        model=model,
        questions=len(asked),
        passages=len(every),
    )
    return Learned(calibration, *_held_out(pairs))


def described(found: Learned) -> str:
    """What was learned, in a sentence."""
    curve = found.calibration
    even = -curve.intercept / curve.slope
    return (
        f"a passage that scores {even:.3f} answers as often as not; on questions that had no say "
        f"the mean squared error is {found.brier:.4f}, {found.brier_of_base_rate:.4f} without "
        "scores"
    )


def pairs_of(one: Answered) -> Pairs:
    """Score of each of a question's best passages, and whether it answers."""
    return [(passage.score, _answers(passage, one)) for passage in one.passages[:LEARNED_PASSAGES]]


def _answers(passage: Passage, one: Answered) -> bool:
    spans = [a for a in one.question.answers if a.start is not None and a.end is not None]
    if spans:
        return any(
            a.source == one.document_of(place)
            and place.start < (a.end or 0)
            and place.end > (a.start or 0)
            for a in spans
            for place in (passage, *passage.duplicates)
        )
    return any(unit in one.grades for unit in one.units_of(passage))


def _held_out(pairs: Sequence[Pairs]) -> tuple[float, float]:
    """The error of a curve from each half on the other, and of the other's base rate."""
    errors: list[float] = []
    plain: list[float] = []
    first, second = halves(len(pairs))
    for learning, proving in ((first, second), (second, first)):
        scores, answers = _split(_flat(pairs[one] for one in learning))
        slope, intercept = fit(scores, answers)
        rate = float(np.mean(answers))
        for score, answer in _flat(pairs[one] for one in proving):
            probability = 1 / (1 + np.exp(-(slope * score + intercept)))
            errors.append((probability - answer) ** 2)
            plain.append((rate - answer) ** 2)
    return float(np.mean(errors)), float(np.mean(plain))


def _flat(pairs: Iterable[Pairs]) -> Pairs:
    return [pair for one in pairs for pair in one]


def _split(pairs: Pairs) -> tuple[list[float], list[bool]]:
    return [score for score, _ in pairs], [answer for _, answer in pairs]
