"""How much of the answering text the passages hold, and how much else.

Token recall, precision and IoU as chunking is evaluated with them: Smith and Troynikov 2024,
"Evaluating Chunking Strategies for Retrieval" (Chroma). As in its reference implementation,
characters stand for tokens. What several passages repeat counts each time as handed over.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from retriever.records import Passage

PASSAGE_COUNTS = (5, 10)
BUDGETS_TOKENS = (500, 1_000, 2_000)
NAMES = ("Token recall", "Token precision", "Token IoU")
DEPTHS = (5, 10, 20, 40, 80)
"""How many passages are asked for: those counted above, and more for the larger budgets."""


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
    spans = [Span(one.source, one.start, one.end) for one in passages]
    want = _length(wanted)
    # what is in both is what their union lacks of their sum
    both = want + _length(spans) - _length([*wanted, *spans])
    total = sum(span.end - span.start for span in spans)
    return both / want, both / total if total else 0.0, both / (want + total - both)


def at_each_depth(
    wanted: Sequence[Span],
    answers: Mapping[int, Sequence[Passage]],
    count_tokens: Callable[[str], int],
) -> dict[str, float]:
    """The three at 5 and 10 passages, and at budgets of 500, 1,000 and 2,000 tokens.

    A budget is filled from the first passage on until one does not fit, with the smallest of the
    answers that has enough for it.

    Args:
        wanted: the spans that answer.
        answers: what a caller gets who asks for so many passages, for each of `DEPTHS`. The first
            five of ten are not the same as five: neighbours among more of them become one.
        count_tokens: tokens of a text.
    """
    values: dict[str, float] = {}
    for label, handed_over in _choices(answers, count_tokens):
        found = agreement(wanted, handed_over)
        values |= {f"{name}@{label}": one for name, one in zip(NAMES, found, strict=True)}
    return values


def names() -> tuple[str, ...]:
    """The names that `at_each_depth` gives."""
    labels = [*map(str, PASSAGE_COUNTS), *(f"{budget}t" for budget in BUDGETS_TOKENS)]
    return tuple(f"{name}@{label}" for label in labels for name in NAMES)


def _choices(
    answers: Mapping[int, Sequence[Passage]], count_tokens: Callable[[str], int]
) -> Iterator[tuple[str, Sequence[Passage]]]:
    for count in PASSAGE_COUNTS:
        yield str(count), answers[count]
    totals = {
        depth: list(accumulate(count_tokens(one.text) for one in answers[depth]))
        for depth in DEPTHS
    }
    for budget in BUDGETS_TOKENS:
        enough = [depth for depth in DEPTHS if max(totals[depth], default=0) >= budget]
        depth = min(enough, default=DEPTHS[-1])
        yield f"{budget}t", answers[depth][: bisect_right(totals[depth], budget)]


def _length(spans: Sequence[Span]) -> int:
    """How many characters lie in any of the spans."""
    length, source, reached = 0, "", 0
    for span in sorted(spans, key=lambda one: (one.source, one.start)):
        if span.source != source:
            source, reached = span.source, 0
        length += max(0, span.end - max(span.start, reached))
        reached = max(reached, span.end)
    return length
