"""Questions to a collection: what it finds for each, and how long that takes."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from retriever.evaluation.questions import Question
from retriever.records import Passage
from retriever.retrieval import Retriever
from retriever.settings import Settings

AT_ONCE = 32
"""Questions of one batch."""
MOST_TIMED = 200
"""Questions that are asked again to be timed, where no other number is given."""

Tell = Callable[[int, int], None]
"""Told how many questions have been asked, of how many."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a caller waits for one answer, in milliseconds."""

    timed: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Answered:
    """A question and what was found for it."""

    question: Question
    passages: tuple[Passage, ...]
    """Best first, those below `retrieval.min_score` left out."""
    best_score: float | None
    """Of the best passage, whatever the threshold; None where nothing was found."""
    unit: str = "document"
    """What is judged: documents, or pages where every answer names one."""
    ids: Mapping[str, str] = field(default_factory=dict)
    """Source to the name that judgements use; a source that is not there is its own."""

    @property
    def found(self) -> tuple[str, ...]:
        """The units of the passages, best first, each once; a duplicate's place counts as found."""
        places = (place for one in self.passages for place in (one, *one.duplicates))
        return tuple(dict.fromkeys(self.unit_of(place) for place in places))

    def unit_of(self, passage: Passage) -> str:
        """What is judged of a passage: its document's name, with `#page` for pages."""
        name = self.ids.get(passage.source, passage.source)
        return page_unit(name, passage.page) if self.unit == "page" else name

    @property
    def grades(self) -> dict[str, int]:
        """What should be found, and how well it answers."""
        answers = self.question.answers
        if self.unit == "page":
            return {page_unit(one.source, one.page): one.grade for one in answers}
        return {one.source: one.grade for one in answers}


def ask(
    settings: Settings,
    questions: Sequence[Question],
    *,
    passages: int,
    ids: Mapping[str, str],
    timed: int = MOST_TIMED,
    tell: Tell | None = None,
) -> tuple[list[Answered], Latency]:
    """Ask every question, then some of them again one by one as a caller would.

    Args:
        settings: those of the collection.
        questions: none of them blank.
        passages: how many are asked for.
        ids: source to the name that judgements use; a source that is not there is its own.
        timed: how many are asked again.
        tell: called after each batch.
    """
    answered: list[Answered] = []
    least = settings.retrieval.min_score
    with Retriever.open(settings) as retriever:
        for start in range(0, len(questions), AT_ONCE):
            batch = questions[start : start + AT_ONCE]
            texts = [one.text for one in batch]
            found = retriever.retrieve_many(texts, top_k=passages, min_score=-np.inf)
            answered += [_answered(*pair, ids, least) for pair in zip(batch, found, strict=True)]
            if tell is not None:
                tell(len(answered), len(questions))
        latency = _timed(retriever, [one.text for one in questions[:timed]])
    return answered, latency


def page_unit(source: str, page: int | None) -> str:
    """The name of a page among what can be found."""
    return f"{source}#{page}"


def _answered(
    question: Question, passages: Sequence[Passage], ids: Mapping[str, str], least: float | None
) -> Answered:
    kept = [one for one in passages if least is None or one.score >= least]
    paged = bool(question.answers) and all(one.page is not None for one in question.answers)
    return Answered(
        question=question,
        passages=tuple(kept),
        best_score=max((one.score for one in passages), default=None),
        unit="page" if paged else "document",
        ids=ids,
    )


def _timed(retriever: Retriever, texts: Sequence[str]) -> Latency:
    if not texts:
        return Latency(0, 0.0, 0.0)
    retriever.retrieve(texts[0])  # what is loaded by the first query is not the others' time
    taken = []
    for text in texts:
        began = time.perf_counter()
        retriever.retrieve(text)
        taken.append(1000 * (time.perf_counter() - began))
    p50, p95 = np.percentile(taken, [50, 95])
    return Latency(len(taken), round(float(p50), 3), round(float(p95), 3))
