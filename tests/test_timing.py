"""Where the time went: each second is counted once, also those of other threads."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command_line import run

from retriever.cli.profiling import process_age_s, table
from retriever.ingestion import ingest
from retriever.settings import Settings
from retriever.timing import carried, stage, stage_times, staged


def test_a_stage_inside_another_counts_for_itself_alone() -> None:
    began_s = time.perf_counter()
    with stage_times() as times_s, stage("outer"):
        time.sleep(0.01)
        with stage("inner"):
            time.sleep(0.02)
    took_s = time.perf_counter() - began_s
    assert times_s["inner"] >= 0.02
    assert times_s["outer"] >= 0.01
    assert sum(times_s.values()) <= took_s


def test_a_stage_that_fails_is_counted_and_lets_the_failure_through() -> None:
    with stage_times() as times_s, pytest.raises(KeyError), stage("failing"):
        raise KeyError
    assert times_s["failing"] >= 0


def test_work_on_another_thread_is_counted_where_it_was_carried_there() -> None:
    def work() -> None:
        with stage("work"):
            time.sleep(0.01)

    with ThreadPoolExecutor(1) as pool, stage_times() as times_s, stage("waiting"):
        pool.submit(work).result()
        assert "work" not in times_s
        pool.submit(carried(work)).result()
    assert times_s["work"] >= 0.01
    assert times_s["waiting"] >= times_s["work"]


def test_waiting_for_items_is_a_stage_and_working_on_them_is_not() -> None:
    with stage_times() as times_s:
        for _ in staged("waiting", range(3)):
            time.sleep(0.01)
    assert 0 < times_s["waiting"] < 0.03


def test_stages_cost_nothing_to_speak_of_while_nobody_asks() -> None:
    with stage("unasked"):
        pass
    with stage_times() as times_s:
        pass
    assert times_s == {}


def test_an_ingest_tells_its_stages_and_those_of_its_threads(
    settings: Settings, corpus: Path
) -> None:
    with stage_times() as times_s:
        ingest(corpus, settings)
    in_line = {"look", "wait for chunks", "compare", "embed", "wait for writing"}
    assert in_line | {"read", "chunk", "write", "index words", "commit"} <= times_s.keys()


def test_the_table_adds_up_and_tells_other_threads_apart() -> None:
    lines = table({"start": 1.0, "embed": 6.0, "read": 5.0}, 10.0)
    assert [line.split() for line in lines] == [
        ["stage", "seconds", "share"],
        ["start", "1.000", "10%"],
        ["embed", "6.000", "60%"],
        ["other", "3.000", "30%"],
        ["total", "10.000", "100%"],
        [],
        ["beside", "it,", "on", "other", "threads"],
        ["read", "5.000", "50%"],
        [],
        ["overlap:", "the", "run", "took", "1.50", "times", "its", "embedding"],
    ]


def test_what_a_query_has_done_beside_it_is_told_apart_and_is_no_ingest() -> None:
    lines = table({"embed": 2.0, "lexical": 0.0, "rank words": 1.0}, 4.0)
    assert [line.split()[:2] for line in lines] == [
        ["stage", "seconds"],
        ["embed", "2.000"],
        ["lexical", "0.000"],
        ["other", "2.000"],
        ["total", "4.000"],
        [],
        ["beside", "it,"],
        ["rank", "words"],
    ]


def test_the_age_of_the_process_is_told_or_taken_for_nothing() -> None:
    assert process_age_s() >= 0.0
    assert process_age_s(lambda: "nonsense") == 0.0

    def unreadable() -> str:
        raise FileNotFoundError

    assert process_age_s(unreadable) == 0.0


def test_a_profile_goes_to_stderr_and_leaves_stdout_to_the_answer(
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RETRIEVER_STORAGE__PATH", str(tmp_path / "state"))
    monkeypatch.setenv("RETRIEVER_EMBEDDING__BACKEND", "retriever.testing:HashingEmbedder")
    for words, stages in (
        (["ingest", str(corpus)], {"look", "embed", "read", "write", "overlap:"}),
        (["search", "boiler"], {"open", "embed", "semantic", "lexical", "rank", "fuse", "show"}),
    ):
        ended = run(capsys, [*words, "--json", "--profile"])
        assert ended.json
        told = {line.split()[0] for line in ended.err.splitlines() if line.strip()}
        assert {"stage", "total", *stages} <= told
