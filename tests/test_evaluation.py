"""Evaluation: what was judged is read as it is, and every figure is one that can be recomputed."""

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged_sets import DOCUMENTS, write_judged_set
from sample_files import pdf

from retriever import assembly
from retriever.errors import SettingsError
from retriever.evaluation import locating, resampling, spans
from retriever.evaluation.abstention import judge_abstention
from retriever.evaluation.asking import Answered
from retriever.evaluation.beir import read_judged_set, write_corpus
from retriever.evaluation.comparing import (
    compare_configurations,
    comparison_object,
    verdicts,
)
from retriever.evaluation.measures import JudgedRanking, judge, parse_measure
from retriever.evaluation.page import comparison_page, evaluation_page
from retriever.evaluation.questions import Answer, Question, read_questions
from retriever.evaluation.report import as_markdown, as_object
from retriever.evaluation.runs import EvaluationOptions, evaluate
from retriever.evaluation.tuning import (
    TuningOptions,
    combinations,
    toml_lines,
    tune,
    verdict_of,
)
from retriever.ingestion import ingest
from retriever.records import Passage
from retriever.settings import Settings
from retriever.swapping.swaps import swap

MakeSettings = Callable[..., Settings]


def write_lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def passage(start: int, end: int, *, source: str = "a.md") -> Passage:
    return Passage(
        id=f"{source}{start}", rank=1, score=0.5, text="x" * (end - start), source=source,
        start=start, end=end,
    )  # fmt: skip


# Readers


@pytest.mark.parametrize("qrels", ["qrels.tsv", "qrels/test.tsv"])
def test_a_judged_set_is_read_as_it_was_written(tmp_path: Path, qrels: str) -> None:
    found = read_judged_set(write_judged_set(tmp_path / "set", qrels=qrels))
    answers = {one.id: {a.source: a.grade for a in one.answers} for one in found.questions}
    assert answers == {
        "q<1>": {"<b>1": 2},
        "q/2": {"a/../2": 1, "5": 1},
        "q#3": {"c#3": 1},
        "q4": {},
    }
    assert (found.unjudged, found.missing) == (1, 0)


def test_documents_of_a_set_become_files_that_no_id_can_place(tmp_path: Path) -> None:
    ids = write_corpus(write_judged_set(tmp_path / "set"), tmp_path / "documents")
    assert list(ids.values()) == list(DOCUMENTS)
    files = sorted(path.name for path in (tmp_path / "documents").iterdir())
    assert [f"documents/{name}" for name in files] == list(ids)
    assert "\u2028" in (tmp_path / "documents" / "0000002.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("qrels.tsv", "q\td\tmany\nq\td\tmany\n", "line 2"),
        ("qrels.tsv", "other\td\t1\n", "No query"),
        *(
            ("qrels.tsv", f"q\td\t1\nq\te\t{grade}\n", "line 2: .* is no grade. Expected")
            for grade in ("1001", "-1001", "2147483648", "1e30", "nan", "inf")
        ),
        ("qrels.tsv", "q\td\t1e30\n", "line 1: '1e30' is no grade"),
        ("queries.jsonl", "[]\n", "line 1"),
        ("corpus.jsonl", '{"_id": 1}\n{"_id": "1"}\n', "line 2: the id '1' was there before"),
    ],
)
def test_a_set_that_is_none_is_refused_by_file_and_line(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    folder = write_judged_set(tmp_path / "set")
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "x"}\n', encoding="utf-8")
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=words):
        read_judged_set(folder)


def test_the_largest_grade_is_judged_as_it_is(tmp_path: Path) -> None:
    folder = write_judged_set(tmp_path / "set")
    (folder / "qrels.tsv").write_text("q<1>\t<b>1\t1000\nq<1>\t6\t1\n", encoding="utf-8")
    (question,) = read_judged_set(folder).questions[:1]
    grades = {one.source: one.grade for one in question.answers}
    assert grades == {"<b>1": 1_000, "6": 1}
    values = judge([JudgedRanking(["6", "<b>1"], grades)], [parse_measure("nDCG@2")])
    by_hand = (1 + 1_000 / math.log2(3)) / (1_000 + 1 / math.log2(3))
    assert values["nDCG@2"] == pytest.approx([by_hand])


@pytest.mark.parametrize("missing", ["corpus.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_set_without_one_of_its_files_says_which(tmp_path: Path, missing: str) -> None:
    folder = write_judged_set(tmp_path / "set")
    (folder / missing).unlink()
    with pytest.raises(SettingsError, match=missing):
        read_judged_set(folder)


@pytest.mark.parametrize(
    "row",
    [
        {"question": " ", "answers": []},
        {"question": "x", "answers": [{"source": "a", "start": 3}]},
        {"question": "x", "answers": [{"source": "a", "start": 3, "end": 3}]},
        {"question": "x", "answers": [{"source": "a", "page": "3"}]},
        {"question": "x", "answers": {}},
        {"question": "x"},
        {"question": "x", "answers": [], "where": "year"},
        {"question": "x", "answers": [], "wehre": {"year": 3}},
        {"question": "x", "answers": [{"source": "a", "pge": 3}]},
        {"question": "x", "answers": ["a.md"]},
        ["question", "answers"],
    ],
)
def test_a_question_that_is_none_is_refused(tmp_path: Path, row: object) -> None:
    with pytest.raises(SettingsError, match="line 1: not a question"):
        read_questions(write_lines(tmp_path / "q.jsonl", row))


def test_notes_beside_a_question_are_no_mistake(tmp_path: Path) -> None:
    row = {"question": "x", "answers": [{"source": "a", "note": 1}], "answer": "y", "drafted_by": 2}
    (question,) = read_questions(write_lines(tmp_path / "q.jsonl", row))
    assert question.sources == {"a"}


# Measures


def test_measures_equal_those_worked_out_by_hand() -> None:
    """Gains are linear, the discount is log2(1 + rank); what is not found counts as lost."""
    found = JudgedRanking(["x", "b", "y", "a"], {"a": 2, "b": 1, "c": 1, "x": 0})
    lost = JudgedRanking([], {"a": 1})
    names = ["nDCG@3", "Recall@3", "RR", "AP", "Success@1", "Success@2", "P@2"]
    values = judge([found, lost], [parse_measure(name) for name in names])
    ideal = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    by_hand = {
        "nDCG@3": (1 / math.log2(3)) / ideal,
        "Recall@3": 1 / 3,
        "RR": 1 / 2,
        "AP": (1 / 2 + 2 / 4) / 3,
        "Success@1": 0.0,
        "Success@2": 1.0,
        "P@2": 1 / 2,
    }
    for name, value in by_hand.items():
        assert values[name] == pytest.approx([value, 0.0]), name


@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_no_id_disturbs_a_measure(names: list[str]) -> None:
    """Ids are numbered before the engine sees them: NUL and tags are all the same."""
    values = judge([JudgedRanking(names, {names[-1]: 1})], [parse_measure("RR")])
    depth = len(names)
    assert values["RR"] == pytest.approx([1 / depth])


@pytest.mark.parametrize("name", ["nDCG@0", "Recall", "Success", "nope@3", "nDCG@10; x", "", "P@"])
def test_an_unknown_measure_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(SettingsError, match=r"nDCG@k|from 1 to"):
        parse_measure(name)


def test_token_recall_precision_and_iou_equal_those_worked_out_by_hand() -> None:
    wanted = [spans.Span("a.md", 10, 30)]
    handed_over = [passage(0, 20), passage(0, 20, source="b.md")]
    assert spans.agreement(wanted, handed_over) == pytest.approx((0.5, 10 / 40, 10 / 50))
    two = [passage(0, 20), passage(20, 40)]
    values = spans.at_each_depth(wanted, dict.fromkeys(spans.DEPTHS, two), lambda text: 400)
    assert values["Token recall@500t"] == 0.5
    assert values["Token recall@1000t"] == 1.0
    assert values["Token IoU@5"] == pytest.approx(20 / 40)


SPANS = st.lists(
    st.builds(
        lambda source, start, length: spans.Span(source, start, start + length),
        st.sampled_from(["a.md", "b.md"]), st.integers(0, 30), st.integers(1, 12),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@given(SPANS, SPANS)
def test_agreement_is_that_of_sets_of_characters(
    wanted: list[spans.Span], handed_over: list[spans.Span]
) -> None:
    """Spans that overlap, touch or repeat one another included."""
    want, have = (
        {(one.source, place) for one in some for place in range(one.start, one.end)}
        for some in (wanted, handed_over)
    )
    total = sum(one.end - one.start for one in handed_over)
    both = len(want & have)
    passages = [passage(one.start, one.end, source=one.source) for one in handed_over]
    assert spans.agreement(wanted, passages) == pytest.approx(
        (both / len(want), both / total, both / (len(want) + total - both))
    )


@pytest.mark.parametrize("end", [4_000_000_000, 10**30])
def test_a_span_takes_no_memory_however_long_it_is(end: int) -> None:
    assert spans.agreement([spans.Span("a.md", 0, end)], [passage(0, 20)]) == pytest.approx(
        (20 / end, 1.0, 20 / end), abs=0
    )


def test_abstention_equals_what_was_worked_out_by_hand() -> None:
    found = judge_abstention([0.9, 0.6, 0.4], [0.5, 0.1], min_score=0.55)
    assert found.area.value == pytest.approx(5 / 6)
    assert (found.refused_unanswerable, found.refused_answerable) == (1.0, pytest.approx(1 / 3))
    assert (found.best_threshold, found.best_refused_unanswerable) == (0.6, 1.0)


# How sure


def test_intervals_are_those_of_the_normal_approximation_on_many_questions() -> None:
    values = np.random.default_rng(1).random(2_000)
    found = resampling.estimate(values)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert found.low == pytest.approx(found.value - half, abs=0.001)
    assert found.high == pytest.approx(found.value + half, abs=0.001)
    assert resampling.estimate(values) == found


def test_a_difference_that_is_luck_is_told_from_one_that_is_not() -> None:
    draw = np.random.default_rng(2)
    first = draw.random(200)
    noise = resampling.compare(first, first + draw.normal(0, 0.1, 200))
    real = resampling.compare(first, first + 0.05 + draw.normal(0, 0.1, 200))
    assert noise.p_value > 0.05
    assert noise.estimate.low < 0 < noise.estimate.high
    assert real.p_value < 0.001 < real.estimate.low
    assert resampling.compare(first, first).p_value == 1.0


def test_the_paired_test_equals_all_sign_flips_where_they_can_be_counted() -> None:
    """Four differences of one sign: 2 of 16 flips are as extreme."""
    found = resampling.compare(np.zeros(4), np.array([0.1, 0.2, 0.3, 0.4]))
    assert found.p_value == pytest.approx(2 / 16)
    assert (found.wins, found.losses, found.ties) == (4, 0, 0)


def test_the_halves_of_the_questions_are_whole_and_always_the_same() -> None:
    tuned, held_out = resampling.halves(11)
    assert sorted(tuned + held_out) == list(range(11))
    assert (len(tuned), resampling.halves(11)) == (6, (tuned, held_out))


# The whole


@pytest.fixture
def judged_set(tmp_path: Path) -> Path:
    return write_judged_set(tmp_path / "set")


def test_a_judged_set_is_ingested_asked_and_removed(
    judged_set: Path, settings: Settings, tmp_path: Path
) -> None:
    found = evaluate(judged_set, settings)
    assert found.estimates["Recall@100"].value == 1.0
    assert found.estimates["Success@1"].value == 1.0
    assert [one.question.id for one in found.answered] == ["q<1>", "q/2", "q#3"]
    assert [one.question.id for one in found.unanswerable] == ["q4"]
    assert found.abstention is not None
    assert found.abstention.area.value == 1.0
    assert "1 documents hold no text: nothing finds them" in found.notes
    assert not (tmp_path / "state" / "chroma").exists()
    assert not found.settings.storage.path.exists()


@pytest.mark.slow
def test_a_second_evaluation_embeds_nothing(judged_set: Path, settings: Settings) -> None:
    first, second = evaluate(judged_set, settings), evaluate(judged_set, settings)
    equal_texts_tokens = 10  # two documents say the same: that is embedded once
    assert first.cost.tokens_embedded == first.cost.tokens - equal_texts_tokens > 0
    assert second.cost.tokens_embedded == 0
    assert second.cost.tokens == first.cost.tokens
    assert {k: v.tolist() for k, v in first.values.items()} == {
        k: v.tolist() for k, v in second.values.items()
    }


@pytest.mark.slow
def test_a_collection_that_is_kept_is_used_again(judged_set: Path, settings: Settings) -> None:
    options = EvaluationOptions(keep=True)
    first, second = evaluate(judged_set, settings, options), evaluate(judged_set, settings, options)
    assert second.settings.storage.path == first.settings.storage.path
    assert first.settings.storage.path.is_relative_to(settings.storage.path)
    assert any("is kept in" in one for one in second.notes)


def test_questions_for_the_live_collection_are_judged_by_source_page_and_span(
    corpus: Path, settings: Settings, tmp_path: Path
) -> None:
    ingest(corpus, settings)
    words = "Hold the red button of the pump for\n five seconds."
    file = write_lines(
        tmp_path / "q.jsonl",
        {"question": "red button", "answers": [{"source": "corpus/pump.md", "text": words}]},
        {"question": "annual meeting", "answers": [{"source": "corpus/notes.txt", "page": 7}]},
        {"question": "annual meeting", "answers": [{"source": "corpus/gone.txt"}]},
        {"question": "village orchestra", "answers": []},
    )
    with (
        pytest.warns(UserWarning, match=r"1 of the sources .* not in collection 'docs' \(1 quest"),
        pytest.warns(UserWarning, match=r"1 of the pages .* page 7 of 'corpus/notes.txt'"),
    ):
        found = evaluate(file, settings)
    assert found.values["Success@5"].tolist() == [1.0, 0.0, 0.0]
    assert [one.unit for one in found.answered] == ["document", "page", "document"]
    assert found.values["Token recall@5"][0] == 1.0
    assert np.isnan(found.values["Token recall@5"][1:]).all()
    assert found.estimates["Token recall@5"].value == 1.0


THEMES = ("valve brass pump", "dome crank hand", "bus market hill", "mirror water", "travel pay")


def write_pages(folder: Path) -> Path:
    """A folder with a PDF of five pages, a chunk each, that follow one another."""
    folder.mkdir()
    filling = "\n".join("the keeper signs the book beside the door" for _ in range(6))
    pages = [f"{words} {words}\n{filling}" for words in THEMES]
    (folder / "guide.pdf").write_bytes(pdf(*pages))
    return folder


def ask_of_pages(path: Path) -> Path:
    """A question of each page."""
    rows = [
        {"question": words, "answers": [{"source": "corpus/guide.pdf", "page": page}]}
        for page, words in enumerate(THEMES, start=1)
    ]
    return write_lines(path, *rows)


@pytest.mark.parametrize("joined", [True, False])
def test_a_page_is_found_by_a_passage_that_was_joined_from_chunks_of_several_pages(
    make_settings: MakeSettings, tmp_path: Path, *, joined: bool
) -> None:
    """Every page is the best for its question, whether neighbours are joined or not."""
    settings = make_settings(**{"retrieval.merge_neighbours": joined})
    ingest(write_pages(tmp_path / "corpus"), settings)
    found = evaluate(ask_of_pages(tmp_path / "q.jsonl"), settings)
    assert [len(one.passages) for one in found.answered] == [1 if joined else 5] * 5
    assert found.values["nDCG@10"].tolist() == [1.0] * 5
    assert [one.found[0] for one in found.answered] == [
        f"corpus/guide.pdf#{page}" for page in range(1, 6)
    ]
    written = evaluation_page(found)
    assert 'corpus/guide.pdf#5 <span class="right">answers</span>' in written


def test_a_page_counts_once_and_the_pages_of_a_passage_rank_by_their_best_chunks() -> None:
    """A passage of two pages takes two ranks, its best chunk's page before its first page."""
    second = replace(passage(10, 20), page=2)
    first = replace(passage(0, 10), page=1)
    copy = replace(passage(0, 10, source="b.md"), page=7)
    joined = replace(second, start=0, page=1, parts=(second, first), duplicates=(copy,))
    again, next_one = replace(passage(20, 30), page=2), replace(passage(30, 40), page=3)
    question = Question("x", (Answer("a.md", page=2),))
    answered = Answered(question, (joined, again, next_one), 0.5, unit="page")
    assert answered.found == ("a.md#2", "a.md#1", "b.md#7", "a.md#3")


def test_answering_pages_on_which_no_passage_begins_are_warned_of(
    settings: Settings, tmp_path: Path
) -> None:
    """They can never be found: a page beyond the last, and any page of a file without pages."""
    (write_pages(tmp_path / "corpus") / "notes.md").write_text("Notes on pumps.", encoding="utf-8")
    ingest(tmp_path / "corpus", settings)
    rows = [
        {"question": "pump", "answers": [{"source": f"corpus/{name}", "page": page}]}
        for name, page in (("guide.pdf", 5), ("guide.pdf", 6), ("notes.md", 1), ("notes.md", 1))
    ]
    by_document = {
        "question": "pump",
        "answers": [{"source": "corpus/notes.md", "page": 1}, {"source": "corpus/guide.pdf"}],
    }
    words = r"on 2 of the pages that answer \(3 questions .* page 6 of 'corpus/guide.pdf'"
    with pytest.warns(UserWarning, match=words):
        found = evaluate(write_lines(tmp_path / "q.jsonl", *rows, by_document), settings)
    assert found.values["Success@5"].tolist() == [1.0, 0.0, 0.0, 0.0, 1.0]
    file = write_lines(tmp_path / "known.jsonl", rows[0], by_document)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(file, settings)


def test_a_question_may_carry_a_filter(corpus: Path, settings: Settings, tmp_path: Path) -> None:
    ingest(corpus, settings)
    asked = {"question": "red button pump", "answers": [{"source": "corpus/pump.md"}]}
    file = write_lines(
        tmp_path / "q.jsonl", asked, asked | {"where": {"author": "Ada"}}, asked | {"where": {}}
    )
    assert evaluate(file, settings).values["Success@5"].tolist() == [1.0, 0.0, 1.0]


def test_words_that_no_document_holds_are_warned_of(
    corpus: Path, settings: Settings, tmp_path: Path
) -> None:
    ingest(corpus, settings)
    row = {"question": "x", "answers": [{"source": "corpus/pump.md", "text": "a blue button"}]}
    with pytest.warns(UserWarning, match="text of 1 answers does not stand"):
        evaluate(write_lines(tmp_path / "q.jsonl", row), settings)


def test_stored_text_is_the_documents_text_where_chunks_hold_it(
    corpus: Path, settings: Settings
) -> None:
    ingest(corpus, settings)
    question = Question("x", (locating.Answer("corpus/notes.txt", text="Members vote"),))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = locating.locate_answers([question], settings)
    text = (corpus / "notes.txt").read_text(encoding="utf-8")
    assert text[found.answers[0].start : found.answers[0].end] == "Members vote"


def test_a_row_that_says_its_chunk_stands_far_off_takes_no_memory(
    corpus: Path, settings: Settings
) -> None:
    """Text before it is found as ever; what it holds counts by document, with a warning."""
    ingest(corpus, settings)
    with assembly.open_writing_store(settings) as store:
        data = store.physical(store.state(settings.collection).live)
        _, last = sorted(
            data.stored_chunks(["corpus/pump.md"])["corpus/pump.md"].values(),
            key=lambda one: int(one.row["ordinal"]),
        )
        far = {"start": 10**15, "end": 10**15 + last.row["end"] - last.row["start"]}
        data.update_rows([last.id], [last.row | far])
    words = "Hold the red button", "Rinse the filter"
    answers = tuple(locating.Answer("corpus/pump.md", text=one) for one in words)
    with pytest.warns(UserWarning, match="text of 1 answers .* 'Rinse the filter'"):
        (found,) = locating.locate_answers([Question("x", answers)], settings)
    start = (corpus / "pump.md").read_text(encoding="utf-8").index(words[0])
    assert [(one.start, one.end) for one in found.answers] == [
        (start, start + len(words[0])),
        (None, None),
    ]


def test_nothing_hostile_is_left_in_what_is_written(
    judged_set: Path, make_settings: MakeSettings
) -> None:
    """Ids that are tags are escaped in the page and in the Markdown; the JSON is one object."""
    found = evaluate(judged_set, make_settings())
    written = evaluation_page(found)
    assert "&lt;b&gt;1" in written
    assert "<b>" not in written
    assert "<script" not in written
    assert "http://" not in written.replace("http-equiv", "")
    assert json.loads(json.dumps(as_object(found)))["measures"]["nDCG@10"] == 1.0
    assert "| nDCG@10 | 1.000 | 1.000 to 1.000 |" in as_markdown(found)


def test_min_score_refuses_questions_and_counts_against_recall(
    judged_set: Path, make_settings: MakeSettings
) -> None:
    found = evaluate(judged_set, make_settings(**{"retrieval.min_score": 0.99}))
    assert found.estimates["Recall@100"].value == 0.0
    assert found.abstention is not None
    assert found.abstention.refused_unanswerable == 1.0
    assert found.abstention.area.value == 1.0


# Configurations side by side


@pytest.mark.slow
def test_configurations_that_differ_in_retrieval_alone_ask_the_live_collection(
    corpus: Path, make_settings: MakeSettings, tmp_path: Path
) -> None:
    """The other is built from the collection's folders; the state folder is left as it was."""
    ingest(corpus, make_settings())
    file = write_lines(
        tmp_path / "q.jsonl",
        {"question": "red button of the pump", "answers": [{"source": "corpus/pump.md"}]},
        {"question": "annual meeting", "answers": [{"source": "corpus/notes.txt"}]},
    )
    found = compare_configurations(
        file,
        {
            "hybrid": make_settings(),
            "semantic": make_settings(**{"retrieval.mode": "semantic"}),
            "small": make_settings(**{"chunking.tokens": 16}),
        },
    )
    places = [one.settings.storage.path for one in found.evaluations]
    assert places[0] == places[1] == tmp_path / "state" != places[2]
    assert found.evaluations[2].cost.chunks > found.evaluations[0].cost.chunks
    assert found.differences["semantic"]["nDCG@10"].estimate.value == 0.0
    assert "cannot be told apart" in verdicts(found)[0]
    assert json.dumps(comparison_object(found))


@pytest.mark.slow
def test_configurations_of_a_judged_set_share_a_collection_and_the_vectors(
    judged_set: Path, make_settings: MakeSettings
) -> None:
    found = compare_configurations(
        judged_set,
        {
            "<hybrid>": make_settings(),
            "lexical": make_settings(**{"retrieval.mode": "lexical"}),
            "large": make_settings(**{"chunking.tokens": 128}),
        },
    )
    first, second, third = found.evaluations
    assert first.settings.storage.path == second.settings.storage.path
    assert third.settings.storage.path != first.settings.storage.path
    assert third.cost.tokens_embedded == 0
    written = comparison_page(found)
    assert "<hybrid>" not in written
    assert written.count("<svg") == 5


@pytest.mark.parametrize("order", ["before after", "after before"])
def test_after_a_swap_configurations_are_compared_in_any_order(
    corpus: Path, make_settings: MakeSettings, tmp_path: Path, order: str
) -> None:
    """The live collection answers for the one that built it; the other is built anew."""
    made = {"before": make_settings(), "after": make_settings(**{"embedding.model": "other"})}
    ingest(corpus, made["before"])
    swap(made["after"])
    file = write_lines(
        tmp_path / "q.jsonl",
        {"question": "red button of the pump", "answers": [{"source": "corpus/pump.md"}]},
    )
    found = compare_configurations(file, {name: made[name] for name in order.split()})
    assert [one.name for one in found.evaluations] == order.split()
    assert [one.estimates["Success@1"].value for one in found.evaluations] == [1.0, 1.0]
    is_live = [one.settings.storage.path == tmp_path / "state" for one in found.evaluations]
    assert is_live == [name == "after" for name in order.split()]


def test_a_configuration_whose_folders_are_gone_says_what_to_do(
    corpus: Path, make_settings: MakeSettings, tmp_path: Path
) -> None:
    ingest(corpus, make_settings())
    file = write_lines(
        tmp_path / "q.jsonl", {"question": "x", "answers": [{"source": "corpus/pump.md"}]}
    )
    corpus.rename(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="Mount them"):
        compare_configurations(
            file, {"a": make_settings(), "b": make_settings(**{"chunking.tokens": 24})}
        )


@pytest.mark.slow
def test_tuning_chooses_by_one_half_and_proves_on_the_other(
    corpus: Path, make_settings: MakeSettings, tmp_path: Path
) -> None:
    ingest(corpus, make_settings())
    asked = {"pump.md": "red button pump", "guides/boiler.md": "boiler water", "notes.txt": "vote"}
    rows = [
        {"question": f"{words} {number}", "answers": [{"source": f"corpus/{name}"}]}
        for number in range(4)
        for name, words in asked.items()
    ]
    found = tune(
        write_lines(tmp_path / "q.jsonl", *rows),
        make_settings(),
        tuning=TuningOptions(max_trials=4),
    )
    assert found.trials[0].changes == {}
    assert (len(found.trials), found.held_out) == (4, 6)
    assert not found.is_better
    assert "eave" in verdict_of(found)


def test_the_grid_begins_with_what_is_nearest_to_the_present_settings(
    settings: Settings,
) -> None:
    sizes = [len(one) for one in combinations(settings)]
    assert sizes[0] == 0
    assert sizes == sorted(sizes)
    assert toml_lines({"chunking.tokens": 100, "retrieval.mode": "lexical"}) == [
        "[chunking]", "tokens = 100", "[retrieval]", 'mode = "lexical"',
    ]  # fmt: skip


def test_too_few_questions_cannot_tune(judged_set: Path, settings: Settings) -> None:
    with pytest.raises(SettingsError, match="at least 8"):
        tune(judged_set, settings, tuning=TuningOptions(max_trials=2))
