"""Questions to a collection: what it finds for each, and how long that takes."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from retriever.evaluation import spans
from retriever.evaluation.questions import Question
from retriever.records import Passage
from retriever.retrieval import Retriever
from retriever.settings import Settings

AT_ONCE = 32
"""Questions of one batch."""
MOST_TIMED = 200
"""Questions that are asked again to be timed, where no other number is given."""
PASSAGES_A_UNIT = 3
"""About how many passages have to be asked for to meet one more document."""
MOST_PASSAGES = 10_000

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
    at: Mapping[int, Sequence[Passage]] = field(default_factory=dict)
    """Where spans answer: what a caller gets who asks for so many passages."""
    ids: Mapping[str, str] = field(default_factory=dict)
    """Source to the name that judgements use; a source that is not there is its own."""

    @property
    def found(self) -> tuple[str, ...]:
        """The units of the passages, best first, each once, where its first passage stands.

        All units of a passage come before those of the next: one that covers many pages takes as
        many ranks, so that joining alone lifts no measure.
        """
        return tuple(dict.fromkeys(unit for one in self.passages for unit in self.units_of(one)))

    def units_of(self, passage: Passage) -> tuple[str, ...]:
        """What is judged of a passage, each once: documents by name, pages as `name#page`.

        A joined passage counts where each of its chunks begins, the best first, and where it
        begins itself; the places of its duplicates follow.
        """
        places = (*passage.parts, passage, *passage.duplicates)
        return tuple(dict.fromkeys(map(self._unit_at, places)))

    def document_of(self, passage: Passage) -> str:
        """The name that judgements use for a passage's document."""
        return self.ids.get(passage.source, passage.source)

    def _unit_at(self, place: Passage) -> str:
        name = self.document_of(place)
        return page_unit(name, place.page) if self.unit == "page" else name

    @property
    def grades(self) -> dict[str, int]:
        """What should be found, and how well it answers."""
        answers = self.question.answers
        if self.unit == "page":
            return {page_unit(one.source, one.page): one.grade for one in answers}
        return {one.source: one.grade for one in answers}


@dataclass(frozen=True, slots=True)
class Depth:
    """How many passages are asked for."""

    units: int
    """Documents, or pages, that the deepest measure looks at."""
    passages: int | None = None
    """Passages of a question, whatever that makes of units; None asks again where it is too few."""


def ask(
    settings: Settings,
    questions: Sequence[Question],
    *,
    depth: Depth,
    ids: Mapping[str, str],
    timed: int = MOST_TIMED,
    tell: Tell | None = None,
) -> tuple[list[Answered], Latency]:
    """Ask every question, then some of them again one by one as a caller would.

    So many passages are asked for as the rankers name candidates, so that what is judged is what
    a caller gets. Where these come from fewer documents than are looked at, more are asked for,
    and what they add follows what was there.

    Args:
        settings: those of the collection.
        questions: none of them blank.
        depth: how much is asked for.
        ids: source to the name that judgements use; a source that is not there is its own.
        timed: how many are asked again.
        tell: called after each batch.
    """
    answered: list[Answered] = []
    with Retriever.open(settings) as retriever:
        for start in range(0, len(questions), AT_ONCE):
            batch = questions[start : start + AT_ONCE]
            found = _found(retriever, batch, settings, depth)
            answered += [
                _answered(*pair, ids, settings.retrieval.min_score)
                for pair in zip(batch, found, strict=True)
            ]
            answered[start:] = _with_spans(retriever, answered[start:])
            if tell is not None:
                tell(len(answered), len(questions))
        latency = _timed(retriever, questions[:timed])
    return answered, latency


def _found(
    retriever: Retriever, batch: Sequence[Question], settings: Settings, depth: Depth
) -> list[list[Passage]]:
    """The passages of each question, whatever their scores."""
    first = depth.passages or _head(settings)
    found = _passages(retriever, batch, first, min_score=-np.inf)
    deeper = min(PASSAGES_A_UNIT * depth.units, MOST_PASSAGES)
    if depth.passages is not None or deeper <= first:
        return found
    short = [
        place
        for place, passages in enumerate(found)
        if passages and len({one.source for one in passages}) < depth.units
    ]
    more = _deeper(retriever, settings, [batch[place] for place in short], deeper)
    for place, passages in zip(short, more, strict=True):
        known = {one.id for one in found[place]}
        found[place] += [one for one in passages if one.id not in known]
    return found


def _head(settings: Settings) -> int:
    """How many passages are ranked just as they are for a caller who wants a few."""
    reranking = settings.reranking
    return (
        settings.retrieval.candidate_count
        if reranking.backend == "none"
        else reranking.candidate_count
    )


def _deeper(
    retriever: Retriever, settings: Settings, questions: Sequence[Question], count: int
) -> list[list[Passage]]:
    """What stands further down, which no reranker has read."""
    if not questions or settings.reranking.backend == "none":
        return _passages(retriever, questions, count, min_score=-np.inf)
    plain = settings.reranking.model_copy(update={"backend": "none"})
    retrieval = settings.retrieval.model_copy(update={"calibration": None})
    update = {"reranking": plain, "retrieval": retrieval}
    with Retriever.open(settings.model_copy(update=update)) as unordered:
        return _passages(unordered, questions, count, min_score=-np.inf)


def _passages(
    retriever: Retriever,
    questions: Sequence[Question],
    count: int,
    *,
    min_score: float | None = None,
) -> list[list[Passage]]:
    """So many passages for each question; those with one filter are asked together."""
    groups: dict[str, list[int]] = {}
    for place, one in enumerate(questions):
        groups.setdefault(json.dumps(one.where), []).append(place)
    found: list[list[Passage]] = [[] for _ in questions]
    for places in groups.values():
        texts = [questions[place].text for place in places]
        where = questions[places[0]].where
        answers = retriever.retrieve_many(texts, top_k=count, where=where, min_score=min_score)
        for place, passages in zip(places, answers, strict=True):
            found[place] = passages
    return found


def _with_spans(retriever: Retriever, answered: Sequence[Answered]) -> list[Answered]:
    """Those that spans answer, with what a caller gets at each depth."""
    asked = [one for one in answered if any(a.start is not None for a in one.question.answers)]
    questions = [one.question for one in asked]
    found = [_passages(retriever, questions, depth) for depth in spans.DEPTHS]
    at = {
        id(one): dict(zip(spans.DEPTHS, answers, strict=True))
        for one, *answers in zip(asked, *found, strict=True)
    }
    return [replace(one, at=at.get(id(one), {})) for one in answered]


def page_unit(source: str, page: int | None) -> str:
    """The name of a page among what can be found."""
    return f"{source}#{page}"


def _answered(
    question: Question, passages: Sequence[Passage], ids: Mapping[str, str], least: float | None
) -> Answered:
    kept = [one for one in passages if least is None or one.score >= least]
    return Answered(
        question=question,
        passages=tuple(kept),
        best_score=max((one.score for one in passages), default=None),
        unit="page" if question.is_judged_by_page else "document",
        ids=ids,
    )


def _timed(retriever: Retriever, questions: Sequence[Question]) -> Latency:
    if not questions:
        return Latency(0, 0.0, 0.0)
    # what is loaded by the first query is not the others' time
    retriever.retrieve(questions[0].text)
    taken = []
    for one in questions:
        began = time.perf_counter()
        retriever.retrieve(one.text, where=one.where)
        taken.append(1000 * (time.perf_counter() - began))
    p50, p95 = np.percentile(taken, [50, 95])
    return Latency(len(taken), round(float(p50), 3), round(float(p95), 3))
