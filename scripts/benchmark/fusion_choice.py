"""The constants of the default fusion rule: chosen on judged sets, and proved by leaving out.

A choice is worth the mean nDCG@10 over the sets, less everything that one of them loses against
the better of both rankers alone; and half of the same over the small collections drawn from them.
Many choices are worth nearly the same: the mean of the best hundred is taken. For each set the
choice is made anew on all other sets, and tried on it. Run by fusion.py.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retriever import fusion
from retriever.records import Candidate

WEIGHTS = np.linspace(0, 1, 21)
EVEN = (1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.35, 1.4, 1.45)
SUPPORT = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45)
PEAK = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
BREVITY = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
AVERAGED = 100
SMALL_SHARE = 0.5


class Answered(Protocol):
    """A question's rankings."""

    @property
    def semantic(self) -> list[Candidate]:
        """Of the semantic ranker."""

    @property
    def lexical(self) -> list[Candidate]:
        """Of the lexical ranker."""

    @property
    def word_count(self) -> int:
        """Words that were searched for."""


class Judged(Protocol):
    """A set, as fusion.py answers it."""

    @property
    def name(self) -> str:
        """Of the set."""

    @property
    def questions(self) -> Sequence[Answered]:
        """With their rankings."""

    def worth(self, semantic_weight: float) -> NDArray[np.float64]:
        """nDCG@10 of each question with a fixed weight."""


Constants = NDArray[np.float64]
"""Even, support, peak and brevity, as fusion.balance weighs them; shape (4,)."""


class Tried:
    """What any constants are worth on one set."""

    def __init__(self, judged: Judged) -> None:
        """Fuse with fixed weights; between these the measure is interpolated."""
        self._by_weight = np.array([judged.worth(float(weight)) for weight in WEIGHTS])
        balances = [fusion.balance(q.semantic, q.lexical, q.word_count) for q in judged.questions]
        self._features = np.array(
            [
                (
                    1.0,
                    np.log(each.support + fusion.LEAST_SUPPORT),
                    -each.peak,
                    each.brevity * fusion.understood(each.support),
                )
                for each in balances
            ]
        )
        self._alone = np.array([not each.lexical for each in judged.questions])
        self.better = max(self._by_weight[0].mean(), self._by_weight[-1].mean())
        """Mean nDCG@10 of the better ranker alone."""

    def worth(self, constants: Constants) -> float:
        """Mean nDCG@10 with these constants."""
        weights = np.where(self._alone, 1.0, self._features @ constants)
        position = np.clip(weights, 0, 1) * (len(WEIGHTS) - 1)
        below = np.minimum(position.astype(int), len(WEIGHTS) - 2)
        part, columns = position - below, np.arange(len(position))
        low, high = self._by_weight[below, columns], self._by_weight[below + 1, columns]
        return float((low * (1 - part) + high * part).mean())


def left_out(sets: Sequence[Judged], small: Sequence[Judged]) -> list[dict[str, object]]:
    """For each set: constants chosen on the others, and what they are worth on it; then on all."""
    grid = np.array(list(itertools.product(EVEN, SUPPORT, PEAK, BREVITY)))
    tried, small_tried = [Tried(one) for one in sets], [Tried(one) for one in small]
    values = gained(tried, grid) + SMALL_SHARE * gained(small_tried, grid)
    rows: list[dict[str, object]] = []
    for place in [*range(len(sets)), None]:
        others = [each for each in range(len(sets)) if each != place]
        best = np.argsort(-values[:, others].sum(1), kind="stable")[:AVERAGED]
        constants = grid[best].mean(0)
        on = others if place is None else [place]
        worth = [tried[each].worth(constants) for each in on]
        to_better = min(one - tried[each].better for one, each in zip(worth, on, strict=True))
        rows.append(
            {
                "left out": "nothing" if place is None else sets[place].name,
                "constants": " ".join(f"{value:.2f}" for value in constants),
                "nDCG@10": round(float(np.mean(worth)), 4),
                "to the better ranker": round(to_better, 4),
                "60 documents": round(
                    float(np.mean([small_tried[each].worth(constants) for each in on])), 4
                ),
            }
        )
    return rows


def gained(tried: Sequence[Tried], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each choice is worth on each set: its part of the mean, less what it loses.

    Returns:
        Shape (choices, sets).
    """
    worth = np.array([[one.worth(constants) for one in tried] for constants in grid])
    lost = np.maximum(0.0, np.array([one.better for one in tried]) - worth)
    return worth / len(tried) - lost


def print_proof(rows: Sequence[Mapping[str, object]]) -> None:
    """Markdown."""
    if not rows:
        return
    print("\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    means = [
        np.mean([float(str(row[column])) for row in rows[:-1]])
        for column in ("nDCG@10", "60 documents")
    ]
    print(f"| mean of those left out | | {means[0]:.4f} | | {means[1]:.4f} |")
