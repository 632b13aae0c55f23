"""The commands that measure: figures for people, programs and CI, and usage errors that help."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, run, use_store
from judged_sets import write_judged_set


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Calls the command line in a folder with a judged set and two configurations."""
    use_store(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    write_judged_set(tmp_path / "set")
    (tmp_path / "words.toml").write_text('[retrieval]\nmode = "lexical"\n', encoding="utf-8")
    (tmp_path / "meaning.toml").write_text('[retrieval]\nmode = "semantic"\n', encoding="utf-8")

    return lambda *words: run(capsys, words)


def test_eval_prints_one_object_with_measures_by_name(call: Command) -> None:
    code, out, _ = call("eval", "set", "--json", "--measure", "P@1", "--measure", "nDCG@5")
    found: Any = json.loads(out)
    assert code == 0
    assert found["measures"] == {"P@1": 1.0, "nDCG@5": 1.0, "AUC": 1.0}
    assert found["intervals"]["P@1"] == [1.0, 1.0]
    assert found["questions"]["answerable"] == 3
    assert set(found["latency_ms"]) == {"p50", "p95", "timed"}


@pytest.mark.slow
def test_eval_for_people_and_as_markdown_and_as_a_page(call: Command, tmp_path: Path) -> None:
    code, out, err = call("eval", "set", "--html", "page.html")
    assert (code, "Wrote page.html" in err) == (0, True)
    assert "95 % interval" in out
    assert "3 questions, and 1 that nothing answers" in out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "How hot does the boiler heat water?" in page
    _, out, _ = call("eval", "set", "--markdown")
    assert out.startswith("| measure | mean | 95 % interval |\n| --- | --- | --- |\n")


@pytest.mark.slow
def test_a_gate_that_holds_ends_with_0_and_one_that_does_not_with_1_and_the_figure(
    call: Command,
) -> None:
    assert call("eval", "set", "--fail-under", "nDCG@10=0.9", "--fail-under", "AUC=0.9")[0] == 0
    code, out, err = call(
        "eval", "set", "--json", "--fail-under", "P@3=0.9", "--fail-under", "Token IoU@5=0.1"
    )
    assert code == 1
    assert json.loads(out)["measures"]["P@3"] < 0.9
    assert "failed: P@3 is 0.4444, below 0.9" in err
    assert "failed: Token IoU@5 was not measured" in err


@pytest.mark.parametrize(
    ("words", "help_text"),
    [
        (("eval", "set", "--fail-under", "nope=0.4"), "nDCG@k"),
        (("eval", "set", "--fail-under", "nDCG@10"), "nDCG@10=0.45"),
        (("eval", "set", "--fail-under", "nDCG@10=45"), "from 0 to 1"),
        (("eval",), "or set evaluation.questions"),
        (("eval", "set", "--measure", "nDCG"  "@-1"), "nDCG@k"),
        (("compare", "words.toml", "set"), "two or more"),
        (("compare", "words.toml", "words.toml", "set"), "two or more"),
        (("tune", "set", "--measure", "nope"), "nDCG@k"),
        (("questions", "set"), "set cannot be written: it is a folder"),
        (("eval", "set", "--html", "set"), "set cannot be written: it is a folder"),
        (("eval", "set", "--calibrate", "gone/c.json"), "gone; make it first"),
        (("compare", "a.toml", "b.toml", "set", "--html", "gone/r.html"), "cannot be written"),
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2_and_says_what_is_right(
    call: Command, words: tuple[str, ...], help_text: str
) -> None:
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert help_text in " ".join(err.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("eval", "nowhere.jsonl"), "cannot be read"),
        (("eval", "."), "no set of judged questions"),
        (("eval", "words.toml"), "line 1: not a question"),
        (("compare", "words.toml", "gone.toml", "set"), "There is no config file gone.toml"),
        (("tune", "set"), "at least 8"),
        (("eval", "set", "--calibrate", "c.json"), "at least 20"),
        (("questions",), "There is no collection 'docs'"),
    ],
)
def test_an_error_is_one_line(call: Command, words: tuple[str, ...], said: str) -> None:
    code, out, err = call(*words)
    assert (code, out) == (1, "")
    assert said in err
    assert err.strip().splitlines()[-1].startswith("error: ")


@pytest.mark.slow
def test_compare_puts_configurations_side_by_side(call: Command, tmp_path: Path) -> None:
    files = ("words.toml", "meaning.toml", "set")
    code, out, _ = call("compare", *files, "--html", "page.html")
    assert code == 0
    assert "meaning and words cannot be told apart" in out
    assert "price, $" in out
    assert "<svg" in (tmp_path / "page.html").read_text(encoding="utf-8")
    found: Any = json.loads(call("compare", *files, "--json")[1])
    assert [one["name"] for one in found["configurations"]] == ["words", "meaning"]
    assert {one["measure"] for one in found["differences"]} >= {"nDCG@10", "Recall@100"}
    assert call("compare", *files, "--markdown")[1].startswith("| measure | words | meaning |")


@pytest.mark.slow
def test_tune_says_what_to_set_and_whether_it_is_noise(call: Command, tmp_path: Path) -> None:
    rows = [
        {"question": f"the boiler heats water {number}", "answers": [{"source": "docs/a.md"}]}
        for number in range(8)
    ]
    lines = "\n".join(map(json.dumps, rows))
    (tmp_path / "q.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("The boiler heats water.", encoding="utf-8")
    assert call("ingest", "docs")[0] == 0
    code, out, _ = call("tune", "q.jsonl", "--max-trials", "2", "--json")
    assert code == 0
    found: Any = json.loads(out)
    assert (len(found["trials"]), found["chosen"], found["is_better"]) == (2, {}, False)
    (tmp_path / "judged.toml").write_text('[evaluation]\nquestions = "q.jsonl"\n', encoding="utf-8")
    code, out, _ = call("tune", "--config", "judged.toml", "--max-trials", "2")
    assert "Nothing that was tried beats the present settings" in out
