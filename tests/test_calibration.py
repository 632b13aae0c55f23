"""Probabilities: learned from judged questions, honest, and never shown for other scores."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from retriever.calibration import Calibration, fit, read_calibration, write_calibration
from retriever.errors import SettingsError
from retriever.evaluation.asking import Answered
from retriever.evaluation.calibrating import pairs_of
from retriever.evaluation.questions import Answer, Question
from retriever.evaluation.runs import EvaluationOptions, evaluate
from retriever.ingestion import ingest
from retriever.records import Passage
from retriever.retrieval import Retriever
from retriever.settings import Settings

MakeSettings = Callable[..., Settings]
CURVE = Calibration(
    slope=8.0,
    intercept=-4.0,
    scores="mode hybrid, weights 1 and 1",
    model="hashing",
    questions=20,
    passages=200,
)


def test_the_curve_is_the_one_that_another_optimiser_finds() -> None:
    draw = np.random.default_rng(3)
    scores = draw.random(400)
    answers = draw.random(400) < 1 / (1 + np.exp(-(9 * scores - 6)))
    right, wrong = answers.sum(), (~answers).sum()
    target = np.where(answers, (right + 1) / (right + 2), 1 / (wrong + 2))

    def loss(ab: np.ndarray) -> float:
        z = ab[0] * scores + ab[1]
        return float((np.logaddexp(0, z) - target * z).sum())

    other = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-8}).x
    assert fit(scores.tolist(), answers.tolist()) == pytest.approx(other.tolist(), abs=1e-3)


@given(st.lists(st.tuples(st.floats(-1, 1), st.booleans()), min_size=2, max_size=60))
def test_a_curve_rises_and_stays_between_0_and_1_or_there_is_none(
    pairs: list[tuple[float, bool]],
) -> None:
    try:
        slope, intercept = fit([score for score, _ in pairs], [answer for _, answer in pairs])
    except SettingsError:
        return
    curve = Calibration(slope, intercept, "", "", 0, 0)
    found = [curve.probability(score) for score in (-1.0, 0.0, 0.5, 1.0)]
    assert found == sorted(found)
    assert all(0 <= one <= 1 for one in found)


def test_scores_that_tell_nothing_give_no_curve() -> None:
    with pytest.raises(SettingsError, match="do not answer more often"):
        fit([0.1, 0.2, 0.8, 0.9], [True, True, False, False])
    with pytest.raises(SettingsError, match="3 passages that answer and 0"):
        fit([0.1, 0.2, 0.3], [True, True, True])


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_calibration(tmp_path / "c.json", CURVE)
    assert read_calibration(tmp_path / "c.json") == CURVE


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "[" * 5_000, '{"version": 2}', '{"version": 1, "slope": NaN}'],
)
def test_a_file_that_is_no_calibration_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match="no calibration"):
        read_calibration(file)
    file.write_text(json.dumps({"version": 1, "slope": -1, "intercept": True}), encoding="utf-8")
    with pytest.raises(SettingsError, match="no calibration"):
        read_calibration(file)


@pytest.fixture
def calibrated(corpus: Path, make_settings: MakeSettings, tmp_path: Path) -> Settings:
    ingest(corpus, make_settings())
    write_calibration(tmp_path / "c.json", CURVE)
    return make_settings(**{"retrieval.calibration": tmp_path / "c.json"})


def test_passages_tell_how_likely_they_answer(calibrated: Settings) -> None:
    with Retriever.open(calibrated) as retriever:
        first, *others = retriever.retrieve("the red button of the pump")
        by_words = retriever.retrieve("the red button of the pump", mode="lexical")
    assert first.probability == pytest.approx(CURVE.probability(first.score))
    assert all((one.probability or 0) <= (first.probability or 0) for one in others)
    assert {one.probability for one in by_words} == {None}


def test_a_curve_for_other_scores_is_refused_or_left_out(
    calibrated: Settings, make_settings: MakeSettings, tmp_path: Path
) -> None:
    other = make_settings(
        **{"retrieval.calibration": tmp_path / "c.json", "retrieval.mode": "semantic"}
    )
    with pytest.raises(SettingsError, match=r"was learned for scores of .* Learn it anew"):
        Retriever.open(other)
    write_calibration(tmp_path / "c.json", Calibration(8, -4, CURVE.scores, "another", 20, 200))
    with (
        Retriever.open(calibrated) as retriever,
        pytest.warns(UserWarning, match="no probability: .* learned with another"),
    ):
        assert retriever.retrieve("pump")[0].probability is None


@pytest.mark.parametrize(
    ("answer", "answers"),
    [
        (Answer("a.pdf", page=2), True),
        (Answer("a.pdf", page=3), False),
        (Answer("a.pdf", page=2, start=25, end=28), True),
        (Answer("a.pdf", page=2, start=80, end=90), False),
    ],
)
def test_a_joined_passage_answers_wherever_one_of_its_chunks_does(
    answer: Answer, *, answers: bool
) -> None:
    """By page it does for each page that it was joined from, by span where it overlaps it."""
    first = Passage("1", 1, 0.6, "x" * 20, "a.pdf", 0, 20, page=1)
    second = Passage("2", 2, 0.5, "x" * 20, "a.pdf", 20, 40, page=2)
    joined = replace(first, text="x" * 40, end=40, parts=(first, second))
    asked = Answered(Question("x", (answer,)), (joined,), 0.6, unit="page")
    assert pairs_of(asked) == [(0.6, answers)]


def test_an_evaluation_learns_a_curve_from_unanswerable_questions_too(
    corpus: Path, make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings()
    ingest(corpus, settings)
    rows = [
        {"question": f"red button pump five {n}", "answers": [{"source": "corpus/pump.md"}]}
        for n in range(12)
    ] + [{"question": f"orchestra conductor {n}", "answers": []} for n in range(12)]
    file = tmp_path / "q.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    learned = evaluate(file, settings, EvaluationOptions(learns=True)).learned
    assert learned is not None
    assert learned.calibration.questions == 24
    assert learned.brier < learned.brier_of_base_rate
    file.write_text("\n".join(map(json.dumps, rows[:5])), encoding="utf-8")
    with pytest.raises(SettingsError, match="at least 20"):
        evaluate(file, settings, EvaluationOptions(learns=True))
