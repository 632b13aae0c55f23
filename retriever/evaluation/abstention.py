"""Whether "nothing found" is said when it should be: answerable against unanswerable questions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retriever.evaluation.resampling import Estimate, separation

NO_SCORE = -1.0
"""Stands for the best score of a question that nothing at all was found for."""


@dataclass(frozen=True, slots=True)
class Abstention:
    """How well the best passage's score tells answerable from unanswerable questions."""

    unanswerable: int
    area: Estimate
    """Area under the ROC curve; 0.5 is luck."""
    min_score: float | None
    """The threshold in force, if there is one."""
    refused_unanswerable: float
    """The share of unanswerable questions that found nothing at that threshold."""
    refused_answerable: float
    """The share of answerable ones that did, which are wrongly refused."""
    best_threshold: float
    """The threshold at which both shares are furthest apart (Youden 1950), on these questions."""
    best_refused_unanswerable: float
    best_refused_answerable: float


def judge_abstention(
    answerable: Sequence[float], unanswerable: Sequence[float], min_score: float | None
) -> Abstention:
    """Judge the best scores of both kinds of questions; there has to be one of each."""
    yes, no = np.asarray(answerable), np.asarray(unanswerable)
    thresholds = np.unique(np.concatenate([yes, no]))
    apart = [(no < one).mean() - (yes < one).mean() for one in thresholds]
    best = float(thresholds[int(np.argmax(apart))])
    at = -np.inf if min_score is None else min_score
    return Abstention(
        unanswerable=len(no),
        area=separation(answerable, unanswerable),
        min_score=min_score,
        refused_unanswerable=float((no < at).mean()),
        refused_answerable=float((yes < at).mean()),
        best_threshold=best,
        best_refused_unanswerable=float((no < best).mean()),
        best_refused_answerable=float((yes < best).mean()),
    )
