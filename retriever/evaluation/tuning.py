"""A small grid of settings, tried on one half of the questions and proved on the other.

The best of many trials looks better than it is on the questions that it was chosen by. So it
is chosen by one half and compared with the present settings on the other, which had no say.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np

from retriever.errors import SettingsError
from retriever.evaluation.comparing import SURE
from retriever.evaluation.configurations import Contest, plan_contest, present, with_settings_of
from retriever.evaluation.resampling import Difference, Values, compare, halves
from retriever.evaluation.runs import Evaluation, EvaluationOptions, judged
from retriever.settings import Settings
from retriever.settings.searching import RetrievalSettings

LEAST_QUESTIONS = 8
"""Fewer cannot be halved and still say anything."""
FEW_QUESTIONS = 50
SPAN_MEASURE = "Token recall@1000t"
"""What questions with spans are tuned by: at equal length, so that large chunks do not win."""
GRID: Mapping[str, tuple[object, ...]] = {
    "retrieval.mode": get_args(RetrievalSettings.model_fields["mode"].annotation),
    "retrieval.semantic_weight": (0.5, 1.0, 2.0),
    "chunking.tokens": (100, 160, 256),
    "chunking.overlap_tokens": (0, 32),
    "chunking.embed_headings": (True, False),
}

Changes = Mapping[str, object]
Tried = Callable[["Trial"], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings that were tried."""

    changes: Changes
    """What differs from the present settings, by key; empty for those themselves."""
    score: float
    """On the half that chooses."""


@dataclass(frozen=True, slots=True)
class TuningOptions:
    """How much is tried."""

    max_trials: int = 24
    max_minutes: float | None = None
    measure: str = ""
    """nDCG@10 where empty; token recall at 1,000 tokens for questions with spans."""
    tried: Tried | None = None
    """Called after each trial."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What came out."""

    measure: str
    trials: tuple[Trial, ...]
    """The present settings first, then in the order in which they were tried."""
    chosen: Trial
    held_out: int
    """Questions that had no say in the choice."""
    before: float
    """The present settings on them."""
    after: float
    """The chosen ones on them."""
    difference: Difference | None
    """None where the present settings were chosen."""
    left_out: int
    """Combinations that the limits left no room for."""

    @property
    def is_better(self) -> bool:
        """Whether the chosen settings are better by more than luck."""
        found = self.difference
        return found is not None and found.estimate.value > 0 and found.p_value < SURE


def tune(
    questions: Path,
    settings: Settings,
    options: EvaluationOptions | None = None,
    tuning: TuningOptions | None = None,
) -> Tuning:
    """Try combinations of settings, those nearest to the present ones first.

    Raises:
        SettingsError: the questions cannot be read, are too few, or a folder is missing.
        CollectionNotFound: the questions are for a collection that is not there.
    """
    options, tuning = options or EvaluationOptions(), tuning or TuningOptions()
    options = replace(options, timed=0)
    settings = present(questions, settings)
    grid = list(combinations(settings))
    names = {label_of(changes): changes for changes in grid[: max(1, tuning.max_trials)]}
    candidates = {name: changed(settings, changes) for name, changes in names.items()}
    contest = plan_contest(questions, candidates, options)
    asked = [one for one in contest.questions if one.answers]
    if len(asked) < LEAST_QUESTIONS:
        raise SettingsError(
            f"{questions} holds {len(asked)} questions with answers. Half of them choose and half "
            f"of them prove, so at least {LEAST_QUESTIONS} are needed; {FEW_QUESTIONS} or more "
            "are of use."
        )
    contest = replace(contest, questions=asked)
    scores = dict(_try_all(contest, options, tuning, names))
    return _report(scores, names, len(grid))


def combinations(settings: Settings) -> Iterator[Changes]:
    """What to try: nothing changed, then one setting, then two, and so on."""
    ways = []
    for key, values in GRID.items():
        now = _value(settings, key)
        ways.append([{}, *({key: one} for one in values if one != now)])
    every = [
        {k: v for part in parts for k, v in part.items()} for parts in itertools.product(*ways)
    ]
    sensible = (one for one in every if _makes_sense(one, settings))
    yield from sorted(sensible, key=len)


def changed(settings: Settings, changes: Changes) -> Settings:
    """The settings with some values replaced."""
    sections: dict[str, dict[str, object]] = {}
    for key, value in changes.items():
        section, name = key.split(".")
        sections.setdefault(section, {})[name] = value
    update = {
        section: getattr(settings, section).model_copy(update=values)
        for section, values in sections.items()
    }
    return settings.model_copy(update=update)


def toml_lines(changes: Changes) -> list[str]:
    """The lines of a config file that make the changes."""
    lines = []
    for section, keys in itertools.groupby(sorted(changes), key=lambda key: key.split(".")[0]):
        lines.append(f"[{section}]")
        lines += [f"{key.split('.')[1]} = {json.dumps(changes[key])}" for key in keys]
    return lines


def label_of(changes: Changes) -> str:
    """A trial's name."""
    return ", ".join(f"{key} = {json.dumps(one)}" for key, one in changes.items()) or "as it is"


def verdict_of(found: Tuning) -> str:
    """What to make of it, plainly."""
    if found.difference is None:
        return "Nothing that was tried beats the present settings: leave them as they are."
    size = found.difference.estimate
    figures = (
        f"on {found.held_out} questions that had no say {found.measure} goes from "
        f"{found.before:.3f} to {found.after:.3f} ({size.value:+.3f}, {size.low:+.3f} to "
        f"{size.high:+.3f}, p = {found.difference.p_value:.4f})"
    )
    if found.is_better:
        return f"Better: {figures}."
    return f"This is noise: {figures}. Leave the settings as they are, or judge more questions."


def _try_all(
    contest: Contest,
    options: EvaluationOptions,
    tuning: TuningOptions,
    names: Mapping[str, Changes],
) -> Iterator[tuple[str, tuple[str, Values]]]:
    """Each trial's name with the measure's name and its values, until the time is over."""
    ends = None if tuning.max_minutes is None else time.monotonic() + 60 * tuning.max_minutes
    for group in contest.groups:
        if _is_over(ends) and group is not contest.groups[0]:
            return
        with group.open() as built:
            for label, settings in zip(group.labels, group.settings, strict=True):
                if _is_over(ends) and names[label]:
                    return
                asked = with_settings_of(settings, built)
                found = judged(contest.questions, asked, options, name=label)
                measure = _measure(found, tuning.measure)
                values = found.values[measure]
                if tuning.tried is not None:
                    tuning.tried(Trial(names[label], _score(values, halves(len(values))[0])))
                yield label, (measure, values)


def _report(
    scores: Mapping[str, tuple[str, Values]], names: Mapping[str, Changes], grid: int
) -> Tuning:
    unchanged = label_of({})
    measure, base = scores[unchanged]
    choosing, proving = halves(len(base))
    trials = {
        label: Trial(names[label], _score(values, choosing))
        for label, (_, values) in scores.items()
    }
    best = max(trials, key=lambda label: (trials[label].score, -len(trials[label].changes)))
    chosen = scores[best][1]
    judged_by_both = [one for one in proving if not np.isnan(base[one] + chosen[one])]
    return Tuning(
        measure=measure,
        trials=(trials[unchanged], *(one for name, one in trials.items() if name != unchanged)),
        chosen=trials[best],
        held_out=len(judged_by_both),
        before=_score(base, judged_by_both),
        after=_score(chosen, judged_by_both),
        difference=(
            None if best == unchanged else compare(base[judged_by_both], chosen[judged_by_both])
        ),
        left_out=grid - len(scores),
    )


def _measure(found: Evaluation, wanted: str) -> str:
    if wanted and wanted not in found.values:
        raise SettingsError(f"{wanted} was not measured. There is: {', '.join(found.values)}.")
    return wanted or (SPAN_MEASURE if SPAN_MEASURE in found.values else next(iter(found.values)))


def _score(values: Values, places: Sequence[int]) -> float:
    chosen = values[list(places)]
    chosen = chosen[~np.isnan(chosen)]
    return float(chosen.mean()) if len(chosen) else 0.0


def _makes_sense(changes: Changes, settings: Settings) -> bool:
    """Weights matter in mode hybrid alone; a chunk repeats less than it holds."""
    mode = changes.get("retrieval.mode", settings.retrieval.mode)
    tokens, overlap = (
        changes.get(key, _value(settings, key))
        for key in ("chunking.tokens", "chunking.overlap_tokens")
    )
    weighs = "retrieval.semantic_weight" in changes
    return (not weighs or mode == "hybrid") and int(str(overlap)) < int(str(tokens))


def _value(settings: Settings, key: str) -> object:
    section, name = key.split(".")
    return getattr(getattr(settings, section), name)


def _is_over(ends_s: float | None) -> bool:
    return ends_s is not None and time.monotonic() > ends_s
