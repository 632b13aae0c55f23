"""How sure a mean over questions is, and whether two configurations differ by more than luck.

Bootstrap: Efron and Tibshirani 1993, percentile intervals over questions. Paired randomisation
test: Fisher; for retrieval Smucker, Allan and Carterette, CIKM 2007. All of it is seeded, so
that the same answers give the same figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SEED = 20_261_123
RESAMPLES = 2_000
PERMUTATIONS = 10_000
CONFIDENCE = 0.95
MOST_SEPARATED = 2_000
"""Every positive is set against every negative: this bounds the memory."""
_TAILS = (100 * (1 - CONFIDENCE) / 2, 100 * (1 + CONFIDENCE) / 2)

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, and the interval that holds the true one in 95 of 100 samples of questions."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much one configuration beats another on the same questions."""

    estimate: Estimate
    """Mean of the differences, question by question."""
    p_value: float
    """How often chance alone makes a difference as large: two-sided, from 0 to 1."""
    wins: int
    losses: int
    ties: int


def estimate(values: Sequence[float] | Values) -> Estimate:
    """The mean of one value a question, with its bootstrap interval; 0 for no values."""
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return Estimate(0.0, 0.0, 0.0)
    means = _counts(len(array)) @ array / len(array)
    low, high = np.percentile(means, _TAILS)
    return Estimate(float(array.mean()), float(low), float(high))


def compare(first: Values, second: Values) -> Difference:
    """Second minus first, paired by question: 10,000 sign flips, seeded.

    Args:
        first: a value for each question, float64, shape (questions,).
        second: the same questions under another configuration.
    """
    from scipy.stats import permutation_test

    difference = np.asarray(second) - np.asarray(first)
    p_value = 1.0
    if len(difference) > 1 and difference.any():
        tested = permutation_test(
            (difference,),
            np.mean,
            permutation_type="samples",
            vectorized=True,
            n_resamples=PERMUTATIONS,
            rng=np.random.default_rng(SEED),
        )
        p_value = float(tested.pvalue)
    return Difference(
        estimate=estimate(difference),
        p_value=p_value,
        wins=int((difference > 0).sum()),
        losses=int((difference < 0).sum()),
        ties=int((difference == 0).sum()),
    )


def separation(positive: Sequence[float], negative: Sequence[float]) -> Estimate:
    """Area under the ROC curve: how often a positive scores above a negative; ties count half.

    Hanley and McNeil 1982. 0.5 is luck, 1 perfect. Of more than 2,000 on a side, 2,000 are drawn.
    """
    above, below = _sample(positive), _sample(negative)
    wins = (above[:, None] > below) + 0.5 * (above[:, None] == below)
    drawn_above, drawn_below = _counts(len(above)), _counts(len(below), seed=SEED + 1)
    areas = np.einsum("rb,rb->r", drawn_above @ wins, drawn_below) / wins.size
    low, high = np.percentile(areas, _TAILS)
    return Estimate(float(wins.mean()), float(low), float(high))


def halves(count: int, *, seed: int = SEED) -> tuple[list[int], list[int]]:
    """Two halves of the numbers below `count`, drawn at random; the first is never smaller."""
    order = [int(one) for one in np.random.default_rng(seed).permutation(count)]
    middle = (count + 1) // 2
    return sorted(order[:middle]), sorted(order[middle:])


def _sample(values: Sequence[float]) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if len(array) <= MOST_SEPARATED:
        return array
    return np.random.default_rng(SEED).choice(array, MOST_SEPARATED, replace=False)


def _counts(size: int, *, seed: int = SEED) -> Values:
    """How often each of `size` questions is in each resample: shape (resamples, size)."""
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(size, np.full(size, 1 / size), size=RESAMPLES)
    return counts.astype(np.float64)
