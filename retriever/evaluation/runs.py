"""An evaluation: questions read, a collection asked, the answers judged."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from retriever import assembly
from retriever.errors import SettingsError
from retriever.evaluation import spans
from retriever.evaluation.abstention import NO_SCORE, Abstention, judge_abstention
from retriever.evaluation.asking import MOST_TIMED, Answered, Depth, Latency, Tell, ask
from retriever.evaluation.beir import JudgedSet, is_judged_set, read_judged_set
from retriever.evaluation.calibrating import Learned, described, learn
from retriever.evaluation.locating import locate_answers
from retriever.evaluation.measures import (
    DEFAULT_MEASURES,
    JudgedRanking,
    Measure,
    Values,
    judge,
    parse_measure,
)
from retriever.evaluation.questions import (
    Question,
    read_questions,
    warn_of_absent_pages,
    warn_of_strangers,
)
from retriever.evaluation.resampling import Estimate, estimate
from retriever.evaluation.temporary import Built, Cost, built_from_set, cost_of
from retriever.ingestion.applying import Progress
from retriever.settings import Settings


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What is asked of an evaluation."""

    measures: tuple[Measure, ...] = tuple(parse_measure(name) for name in DEFAULT_MEASURES)
    passages: int | None = None
    """Passages asked for a question; as many as the deepest measure needs where None."""
    timed: int = MOST_TIMED
    """Questions that are asked again, one by one, to be timed."""
    keep: bool = False
    """Keep the collection that a judged set is ingested into."""
    learns: bool = False
    """Learn a calibration, too."""
    progress: Progress | None = None
    tell: Tell | None = None

    @property
    def depth(self) -> Depth:
        """How much is asked for."""
        deepest = max([one.depth for one in self.measures], default=1)
        return Depth(units=deepest, passages=self.passages)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out. Values stand in the order of `answered`, from 0 to 1, higher is better."""

    name: str
    settings: Settings
    answered: tuple[Answered, ...]
    """The questions that can be answered."""
    unanswerable: tuple[Answered, ...]
    values: Mapping[str, Values]
    """By measure: float64, shape (answered questions,); NaN where it does not apply."""
    abstention: Abstention | None
    """None without both kinds of questions."""
    latency: Latency
    cost: Cost
    notes: tuple[str, ...] = ()
    """What a reader of the figures should know."""
    learned: Learned | None = None
    """The calibration, where one was asked for."""
    estimates: Mapping[str, Estimate] = field(init=False)
    """The mean of each measure, with its interval."""

    def __post_init__(self) -> None:
        """Work out the means."""
        means = {name: estimate(one[~np.isnan(one)]) for name, one in self.values.items()}
        object.__setattr__(self, "estimates", means)

    def figure(self, name: str) -> float | None:
        """The mean of a measure, or the AUC; None where it was not measured."""
        if name == AREA:
            return self.abstention.area.value if self.abstention else None
        return self.estimates[name].value if name in self.estimates else None


AREA = "AUC"
"""Name of the measure for answerable against unanswerable questions."""


def evaluate(
    questions: Path, settings: Settings, options: EvaluationOptions | None = None
) -> Evaluation:
    """Judge a collection by questions.

    Args:
        questions: a folder in BEIR's layout, which is ingested into a temporary collection,
            or a JSONL file of questions for the collection that the settings name.
        settings: from `Settings.load`.
        options: what is measured.

    Raises:
        SettingsError: the questions cannot be read.
        CollectionNotFound: the questions are for a collection that is not there.
        MissingDependencyError: ir-measures is not installed.
    """
    options = options or EvaluationOptions()
    with opened(questions, settings, options) as (asked, built, notes):
        found = judged(asked, built, options, name=settings.collection, notes=notes)
        if not options.learns:
            return found
        learned = learn([*found.answered, *found.unanswerable], built.settings)
        return replace(found, learned=learned, notes=(*found.notes, described(learned)))


@contextlib.contextmanager
def opened(
    questions: Path, settings: Settings, options: EvaluationOptions
) -> Iterator[tuple[list[Question], Built, tuple[str, ...]]]:
    """The questions, the collection to ask, and what is to be known of both."""
    if is_judged_set(questions):
        found = read_judged_set(questions)
        building = built_from_set(questions, settings, keep=options.keep, progress=options.progress)
        with building as built:
            yield list(found.questions), built, (*set_notes(found), *build_notes(built, options))
        return
    yield live_questions(questions, settings), Built(settings, cost_of(settings)), ()


def live_questions(path: Path, settings: Settings) -> list[Question]:
    """The questions of a file, their answers looked up in the live collection.

    Raises:
        SettingsError: the file cannot be read, or holds no question.
    """
    questions = read_questions(path)
    if not questions:
        raise SettingsError(f"{path} holds no question. `retriever questions` drafts some.")
    with assembly.open_store(settings) as store:
        data = store.physical(store.state(settings.collection).live)
        known = {record.source for record in data.manifest() if record.status == "complete"}
        paged = {name for one in questions if one.is_judged_by_page for name in one.sources}
        pages = {
            source: {one.row["page"] for one in chunks.values() if "page" in one.row}
            for source, chunks in data.stored_chunks(sorted(paged & known)).items()
        }
    warn_of_strangers(questions, known, settings.collection)
    warn_of_absent_pages(questions, pages, settings.collection)
    return locate_answers(questions, settings)


def judged(
    questions: Sequence[Question],
    built: Built,
    options: EvaluationOptions,
    *,
    name: str,
    notes: tuple[str, ...] = (),
) -> Evaluation:
    """Ask a collection and judge what it finds."""
    answered, latency = ask(
        built.settings,
        questions,
        depth=options.depth,
        ids=built.ids,
        timed=options.timed,
        tell=options.tell,
    )
    answerable = [one for one in answered if one.question.answers]
    others = [one for one in answered if not one.question.answers]
    rankings = [JudgedRanking(one.found, one.grades) for one in answerable]
    values = judge(rankings, options.measures) if rankings else {}
    return Evaluation(
        name=name,
        settings=built.settings,
        answered=tuple(answerable),
        unanswerable=tuple(others),
        values=values | span_values(answerable),
        abstention=_abstention(answerable, others, built.settings),
        latency=latency,
        cost=built.cost,
        notes=notes,
    )


def span_values(answered: Sequence[Answered]) -> dict[str, Values]:
    """Token recall, precision and IoU of the questions whose answers are spans."""
    wanted = [
        [spans.Span(a.source, a.start, a.end) for a in one.question.answers
         if a.start is not None and a.end is not None]
        for one in answered
    ]  # fmt: skip
    if not any(wanted):
        return {}
    count_tokens: Callable[[str], int] = assembly.default_token_counter()
    values = {name: np.full(len(answered), np.nan) for name in spans.names()}
    for place, (one, where) in enumerate(zip(answered, wanted, strict=True)):
        if where:
            for name, value in spans.at_each_depth(where, one.at, count_tokens).items():
                values[name][place] = value
    return values


def set_notes(found: JudgedSet) -> tuple[str, ...]:
    """What is to be known of a judged set."""
    notes = []
    if found.unjudged:
        notes.append(f"{found.unjudged:,} queries were not judged: they are not asked")
    if found.missing:
        notes.append(f"{found.missing:,} judged documents are not in the corpus: never found")
    return tuple(notes)


def build_notes(built: Built, options: EvaluationOptions) -> tuple[str, ...]:
    """What is to be known of a collection that was built for this."""
    notes = []
    if built.skipped:
        notes.append(f"{built.skipped:,} documents hold no text: nothing finds them")
    if options.keep:
        notes.append(f"the collection is kept in {built.settings.storage.path}")
    return tuple(notes)


def _abstention(
    answerable: Sequence[Answered], others: Sequence[Answered], settings: Settings
) -> Abstention | None:
    if not answerable or not others:
        return None
    best = [
        [NO_SCORE if one.best_score is None else one.best_score for one in group]
        for group in (answerable, others)
    ]
    return judge_abstention(best[0], best[1], settings.retrieval.min_score)
