"""How much of the answering text the passages hold, and how much else.

Token recall, precision and IoU as chunking is evaluated with them: Smith and Troynikov 2024,
"Evaluating Chunking Strategies for Retrieval" (Chroma). As in its reference implementation,
characters stand for tokens. What several passages repeat counts each time as handed over.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from retriever.records import Passage

PASSAGE_COUNTS = (5, 10)
BUDGETS_TOKENS = (500, 1_000, 2_000)
NAMES = ("Token recall", "Token precision", "Token IoU")
MOST_PASSAGES = 50
"""Enough to fill the largest budget with small chunks."""

Places = frozenset[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Span:
    """Characters of a document, end exclusive."""

    source: str
    start: int
    end: int


def agreement(wanted: Sequence[Span], passages: Sequence[Passage]) -> tuple[float, float, float]:
    """Recall, precision and IoU, each from 0 to 1.

    Args:
        wanted: the spans that answer; at least one, none empty.
        passages: what was handed over.
    """
    want = _covered(wanted)
    spans = [Span(one.source, one.start, one.end) for one in passages]
    both = len(want & _covered(spans))
    total = sum(span.end - span.start for span in spans)
    return both / len(want), both / total if total else 0.0, both / (len(want) + total - both)


def at_each_depth(
    wanted: Sequence[Span], passages: Sequence[Passage], count_tokens: Callable[[str], int]
) -> dict[str, float]:
    """The three at 5 and 10 passages, and at budgets of 500, 1,000 and 2,000 tokens.

    A budget is filled from the first passage on until one does not fit.
    """
    values: dict[str, float] = {}
    for label, handed_over in _choices(passages[:MOST_PASSAGES], count_tokens):
        found = agreement(wanted, handed_over)
        values |= {f"{name}@{label}": one for name, one in zip(NAMES, found, strict=True)}
    return values


def names() -> tuple[str, ...]:
    """The names that `at_each_depth` gives."""
    labels = [label for label, _ in _choices([], len)]
    return tuple(f"{name}@{label}" for label in labels for name in NAMES)


def _choices(
    passages: Sequence[Passage], count_tokens: Callable[[str], int]
) -> Iterator[tuple[str, Sequence[Passage]]]:
    for count in PASSAGE_COUNTS:
        yield str(count), passages[:count]
    spent, sums = 0, []
    for passage in passages:
        spent += count_tokens(passage.text) if spent <= BUDGETS_TOKENS[-1] else 0
        sums.append(spent)
    for budget in BUDGETS_TOKENS:
        fitting = takewhile(lambda total, most=budget: total <= most, sums)  # type: ignore[misc]
        yield f"{budget}t", passages[: len(list(fitting))]


def _covered(spans: Sequence[Span]) -> Places:
    return frozenset(
        (span.source, place) for span in spans for place in range(span.start, span.end)
    )
