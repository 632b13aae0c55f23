"""The command line: exit codes, JSON, errors in one line, and nothing hostile on a terminal."""

import errno
import io
import sys
from pathlib import Path

import pytest
from command_line import Command, Ended, run, use_store
from sample_files import pdf

from retriever import assembly
from retriever.cli import status
from retriever.cli.running import main
from retriever.embedding.catalogue import ROWS
from retriever.embedding.options import EmbedderOptions
from retriever.ingestion.applying import Run
from retriever.settings import Settings

ARCHIVE = b"PK\x03\x04"
BROKEN_PDF = b"%PDF-1.7 and then nothing of a PDF"
SECRET = "sk-do-not-print-1234567890"


class ExplodingEmbedder:
    """A class of a user's own, with a fault."""

    def __init__(self, options: EmbedderOptions) -> None:
        raise RuntimeError("the wires\nare crossed")


@pytest.fixture
def retriever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Calls the command line in a folder of the test's own, with an embedder without a model."""
    use_store(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)

    return lambda *words: run(capsys, words)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose state holds a collection, for tests that only read."""
    folder = tmp_path_factory.mktemp("library")
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "pump.md").write_text(
        "---\nyear: 2023\nstatus: draft\ntags: [water, safety]\n---\n"
        "# Pump\n\n## Reset\n\nHold the red button of the pump for five seconds.\n",
        encoding="utf-8",
    )
    (corpus / "boiler.md").write_text(
        '---\nyear: 2021\nreleased: true\n---\n# Boiler\n\nThe boiler "heats" water.\n',
        encoding="utf-8",
    )
    (corpus / "meeting.txt").write_text("The annual meeting is in March.\n", encoding="utf-8")
    (corpus / "prices.pdf").write_bytes(pdf("Tickets cost nine pounds."))
    (corpus / "old.zip").write_bytes(ARCHIVE)
    with pytest.MonkeyPatch.context() as patch:
        use_store(patch, folder)
        with pytest.raises(SystemExit):
            main(["ingest", str(corpus)])
    return folder


@pytest.fixture
def reading(library: Path, retriever: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Calls the command line on the library."""
    monkeypatch.setenv("RETRIEVER_STORAGE__PATH", str(library / "state"))
    return retriever


def sources(ended: Ended) -> set[str]:
    assert ended.code == 0, ended.err
    return {passage["source"].removeprefix("corpus/") for passage in ended.json}


def assert_one_error_line(ended: Ended, *parts: str) -> None:
    """An error is one line on stderr, exit code 1, and nothing on stdout."""
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    for part in parts:
        assert part in ended.err


def test_ingest_prints_one_object_that_accounts_for_every_file(
    retriever: Command, corpus: Path
) -> None:
    (corpus / "broken.pdf").write_bytes(BROKEN_PDF)
    ended = retriever("ingest", str(corpus), "--json")
    assert ended.code == 0
    report = ended.json
    assert set(report) == {
        "collection", "added", "updated", "unchanged", "deleted", "skipped", "chunks", "tokens",
        "tokens_cut", "seconds", "warnings",
    }  # fmt: skip
    assert report["collection"] == "docs"
    counts = report["added"], report["updated"], report["unchanged"], report["deleted"]
    assert counts == (3, 0, 0, 0)
    assert [set(one) for one in report["skipped"]] == [{"source", "reason"}]
    assert report["skipped"][0]["source"] == "corpus/broken.pdf"
    assert set(report["chunks"]) == {"embedded", "reused", "deleted", "total"}
    assert report["chunks"]["embedded"] == report["chunks"]["total"] > 3
    assert report["tokens"] > 0
    assert report["tokens_cut"] == 0


def test_ingesting_again_changes_nothing(retriever: Command, corpus: Path) -> None:
    retriever("ingest", str(corpus))
    report = retriever("ingest", str(corpus), "--json").json
    assert (report["added"], report["unchanged"], report["chunks"]["embedded"]) == (0, 3, 0)


def test_a_person_reads_what_was_done_and_what_was_skipped_and_why(
    retriever: Command, corpus: Path
) -> None:
    (corpus / "old.zip").write_bytes(ARCHIVE)
    ended = retriever("ingest", str(corpus))
    assert "docs: 3 added, 0 updated, 0 unchanged, 0 deleted, 1 skipped" in ended.out
    assert "Skipped:\n  corpus/old.zip: " in ended.out


def test_strict_makes_a_broken_file_an_error(retriever: Command, corpus: Path) -> None:
    (corpus / "broken.pdf").write_bytes(BROKEN_PDF)
    assert_one_error_line(retriever("ingest", str(corpus), "--strict"), "corpus/broken.pdf")


def test_a_missing_folder_is_an_error_that_names_it(retriever: Command, tmp_path: Path) -> None:
    assert_one_error_line(retriever("ingest", str(tmp_path / "nowhere")), "nowhere")
    assert_one_error_line(retriever("ingest", str(tmp_path / "nowhere"), "--json"), "nowhere")


def test_include_and_exclude_choose_files(retriever: Command, corpus: Path) -> None:
    only = retriever("ingest", str(corpus), "--include", "*.md", "--exclude", "guides/", "--json")
    assert only.json["added"] == 1


def test_deleting_most_of_a_collection_has_to_be_asked_for(
    retriever: Command, corpus: Path
) -> None:
    retriever("ingest", str(corpus))
    (corpus / "pump.md").unlink()
    (corpus / "notes.txt").unlink()
    assert_one_error_line(retriever("ingest", str(corpus)), "--allow-delete")
    report = retriever("ingest", str(corpus), "--allow-delete", "--json").json
    assert (report["deleted"], report["unchanged"]) == (2, 1)


def test_a_root_that_moved_keeps_its_documents(retriever: Command, corpus: Path) -> None:
    retriever("ingest", str(corpus))
    moved = corpus.rename(corpus.parent / "archive") / "."
    place = f"corpus={moved.resolve()}"
    report = retriever("ingest", place, "--move-root", place, "--json").json
    assert (report["added"], report["unchanged"], report["deleted"]) == (0, 3, 0)


def test_search_prints_a_list_of_passages_with_their_places(
    reading: Command, library: Path
) -> None:
    ended = reading("search", "reset the red button of the pump", "-k", "3", "--json")
    assert ended.code == 0
    assert [one["rank"] for one in ended.json] == [1, 2, 3]
    first = ended.json[0]
    assert set(first) == {
        "rank", "score", "text", "source", "start", "end", "page", "heading", "metadata",
        "candidates", "duplicates",
    }  # fmt: skip
    assert first["source"] == "corpus/pump.md"
    text = (library / "corpus" / "pump.md").read_text(encoding="utf-8")
    assert text[first["start"] : first["end"]] == first["text"]
    assert first["page"] is None
    assert first["heading"] == "Pump > Reset"
    assert first["metadata"]["tags"] == ["water", "safety"]
    assert 0 < first["score"] <= 1


def test_a_passage_of_a_pdf_has_a_page_and_perhaps_no_heading(reading: Command) -> None:
    first = reading("search", "what do tickets cost in pounds", "-k", "1", "--json").json[0]
    assert (first["source"], first["page"], first["heading"]) == ("corpus/prices.pdf", 1, None)


def test_a_person_reads_rank_score_citation_headings_and_text(reading: Command) -> None:
    lines = reading("search", "reset the red button of the pump", "-k", "1").out.splitlines()
    assert lines[0].startswith("1  0.")
    assert lines[0].endswith("corpus/pump.md:6-10")
    assert lines[1] == "   Pump > Reset"
    assert "   Hold the red button of the pump for five seconds." in lines
    assert all(line == line.rstrip() for line in lines)


def test_nothing_found_is_no_error(reading: Command) -> None:
    words = ("search", "pump", "--min-score", "0.999")
    assert reading(*words) == Ended(0, "Nothing found.\n", "")
    assert reading(*words, "--json") == Ended(0, "[]\n", "")
    assert reading("search", "pump", "--where", "author=nobody", "--json").json == []


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["year=2023"], {"pump.md"}),
        (["year=2023.0"], {"pump.md"}),
        (["year=2023", "year=2021"], {"pump.md", "boiler.md"}),
        (["year>=2021", "year<2023"], {"boiler.md"}),
        (["year>2021"], {"pump.md"}),
        (["year<=2021"], {"boiler.md"}),
        (["year!=2023"], {"boiler.md", "meeting.txt", "prices.pdf"}),
        (["released=true"], {"boiler.md"}),
        (["status=draft", "year=2021"], set()),
        (["tags=water"], {"pump.md"}),
        (["tags!=water", "year>0"], {"boiler.md"}),
        (["source=corpus/meeting.txt"], {"meeting.txt"}),
        (["page=1"], {"prices.pdf"}),
    ],
)
def test_where_finds_what_is_stored_as_text_number_truth_value_or_list(
    reading: Command, filters: list[str], expected: set[str]
) -> None:
    words = [word for text in filters for word in ("--where", text)]
    assert sources(reading("search", "water", "-k", "9", *words, "--json")) == expected


@pytest.mark.parametrize("text", ["year", "=2023", "year==2023", "year>new", "", "!=", "a>=nan"])
def test_a_bad_filter_is_wrong_usage_and_the_form_is_shown(reading: Command, text: str) -> None:
    ended = reading("search", "water", "--where", text)
    assert (ended.code, ended.out) == (2, "")
    assert "Write it as key=value" in " ".join(ended.err.split())


def test_a_filter_that_chroma_cannot_run_is_an_error(reading: Command) -> None:
    assert_one_error_line(reading("search", "water", "--where", "$where=1"), "$where")


def test_an_empty_query_is_an_error(reading: Command) -> None:
    assert_one_error_line(reading("search", "  "), "empty")


def test_a_collection_that_is_not_there_is_an_error_that_says_how_to_make_it(
    reading: Command,
) -> None:
    for words in (("search", "water"), ("status",)):
        ended = reading(*words, "--collection", "other")
        assert_one_error_line(ended, "'other'", "docs", "retriever ingest FOLDER")


def test_looking_for_a_collection_leaves_no_folder_behind(
    retriever: Command, tmp_path: Path
) -> None:
    assert_one_error_line(retriever("search", "water"), "retriever ingest FOLDER")
    assert_one_error_line(retriever("status"), "retriever ingest FOLDER")
    assert "No collections" in retriever("collections").out
    assert retriever("collections", "--json").json == []
    assert list(tmp_path.iterdir()) == []


def test_a_context_is_the_block_that_a_prompt_quotes(reading: Command) -> None:
    ended = reading("search", "reset the pump", "-k", "2", "--context")
    assert ended.out.startswith('<passage number="1" source="corpus/pump.md:6-10"')
    assert ended.out.count("</passage>") == 2
    assert ended.err.startswith("2 passages, ")


def test_a_context_as_json_maps_numbers_to_spans_within_the_budget(reading: Command) -> None:
    words = ("search", "reset the pump", "--context", "--json")
    whole = reading(*words).json
    first = whole["citations"]["1"]
    assert (first["source"], first["page"]) == ("corpus/pump.md", None)
    assert 0 < first["start"] < first["end"]
    budget = whole["token_count"] - 1
    less = reading(*words, "--budget", str(budget)).json
    assert less["token_count"] <= budget
    assert less["left_out"] > whole["left_out"]


def test_status_says_what_is_there_and_how_it_was_made(reading: Command, library: Path) -> None:
    found = reading("status", "--json").json
    assert (found["documents"], found["skipped"]) == (4, 1)
    assert found["roots"] == {"corpus": str(library / "corpus")}
    assert found["fingerprint"]["embedding"]["backend"] == "hashing"
    assert found["run"] is None
    assert found["size_bytes"] > found["cache_bytes"] > 0
    text = reading("status").out
    for part in ("docs in ", "4 complete, 1 skipped", f"corpus = {library / 'corpus'}", "hashing"):
        assert part in text


def test_status_tells_the_size_of_the_cache_wherever_the_settings_keep_it(
    retriever: Command, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert retriever("ingest", str(corpus)).code == 0
    assert ", of which the vector cache 0.0 MB" in retriever("status").out
    kept = tmp_path / "kept"
    monkeypatch.setenv("RETRIEVER_EMBEDDING__CACHE_PATH", str(kept))
    assert retriever("ingest", str(corpus), "--collection", "other").code == 0
    size_bytes = sum(file.stat().st_size for file in kept.iterdir())
    found = retriever("status", "--json").json
    assert (found["cache_bytes"], found["cache_folder"]) == (size_bytes, str(kept))
    assert f", and the vector cache 0.0 MB in {kept}" in retriever("status").out


def test_status_tells_an_interrupted_run(retriever: Command, corpus: Path) -> None:
    retriever("ingest", str(corpus))
    gone = Run(started_at="2026-01-02T03:04:05+00:00", pid=2**22 + 1, host="elsewhere")
    with assembly.open_writing_store(Settings.load()) as store:
        store.save(store.state("docs").next(run=gone))
    said = retriever("status").out
    assert "ingest interrupted, began 2026-01-02 03:04:05 UTC" in said
    assert "ingest the same folders again to complete it" in said
    assert retriever("status", "--json").json["run"]["alive"] is False
    retriever("ingest", str(corpus))
    assert retriever("status", "--json").json["run"] is None


def test_status_tells_an_interrupted_swap_and_what_completes_it(
    retriever: Command, corpus: Path
) -> None:
    retriever("ingest", str(corpus))
    gone = Run("2026-01-02T03:04:05+00:00", pid=2**22 + 1, host="elsewhere", kind="swap")
    with assembly.open_writing_store(Settings.load()) as store:
        store.save(store.state("docs").next(run=gone))
    assert "swap interrupted, began 2026-01-02" in retriever("status").out
    assert "the same retriever swap completes it" in retriever("check").out
    assert retriever("status", "--json").json["run"]["kind"] == "swap"


def test_status_tells_a_copy_that_an_interrupted_run_left(retriever: Command, corpus: Path) -> None:
    retriever("ingest", str(corpus))
    with assembly.open_writing_store(Settings.load()) as store:
        state = store.state("docs")
        store.add_generation(state, store.physical(state.live).fingerprint)
    assert "docs.2: made by a compaction, repair or import" in retriever("status").out
    retriever("ingest", str(corpus))
    assert retriever("status", "--json").json["strays"] == {}


def test_collections_are_listed(reading: Command) -> None:
    rows = reading("collections", "--json").json
    assert [(row["collection"], row["dimension"]) for row in rows] == [("docs", 256)]
    assert rows[0]["chunks"] > 0
    assert "docs" in reading("collections").out


def test_every_model_of_the_catalogue_is_listed(retriever: Command) -> None:
    rows = retriever("models", "--json").json
    assert [row["model"] for row in rows] == [row.name for row in ROWS]
    assert {row["on_this_machine"] for row in rows} <= {True, False, None}
    text = retriever("models").out
    assert all(row.name in text for row in ROWS)


def test_config_says_where_each_value_came_from(retriever: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[retrieval]\ntop_k = 7\n", encoding="utf-8")
    ended = retriever("config", "--config", str(file), "--collection", "notes", "--json")
    rows = {row["key"]: row for row in ended.json}
    assert rows["retrieval.top_k"]["value"] == 7
    assert rows["retrieval.top_k"]["origin"] == str(file)
    assert rows["storage.path"]["origin"] == "RETRIEVER_STORAGE__PATH"
    assert (rows["collection"]["value"], rows["collection"]["origin"]) == ("notes", "argument")
    assert rows["chunking.tokens"]["origin"] == "default"
    assert all(row["description"] for row in rows.values())
    shown = retriever("config", "--config", str(file)).out
    assert all(key in shown for key in rows)


@pytest.mark.parametrize("words", [("config",), ("config", "--json")])
def test_config_never_shows_a_secret(
    retriever: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("RETRIEVER_EMBEDDING__API_KEY", SECRET)
    monkeypatch.setenv("RETRIEVER_STORAGE__HEADERS__AUTHORIZATION", SECRET)
    monkeypatch.setenv("RETRIEVER_EMBEDDING__BASE_URL", f"https://user:{SECRET}@host/v1")
    ended = retriever(*words)
    assert ended.code == 0
    assert SECRET not in ended.out + ended.err
    assert "@host/v1" in ended.out


@pytest.mark.parametrize("password", ["s3cr@tail", "@tail", "a@b@tail", "wh?tail", "with#tail"])
def test_config_shows_no_part_of_a_password_in_an_address(
    retriever: Command, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("RETRIEVER_EMBEDDING__BASE_URL", f"https://user:{password}@host/v1")
    shown = retriever("config").out
    assert "tail" not in shown
    assert "@host/v1" in shown


def test_a_missing_config_file_is_an_error_that_names_what_is_there(
    retriever: Command, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").touch()
    ended = retriever("search", "water", "--config", str(tmp_path / "mime.toml"))
    assert_one_error_line(ended, "mime.toml", "mine.toml")


def test_an_unknown_setting_is_an_error_that_names_file_and_nearest_key(
    retriever: Command, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[retrieval]\ntop_q = 7\n", encoding="utf-8")
    assert_one_error_line(retriever("config", "--config", str(file)), "mine.toml", "top_k")


@pytest.mark.parametrize(
    "words",
    [
        ("serch", "x"),
        ("search",),
        ("ingest",),
        ("search", "x", "-k", "0"),
        ("search", "x", "-k", "many"),
        ("search", "x", "--no-such-option"),
        ("search", "x", "--budget", "10"),
        ("search", "x", "--style", "plain"),
        ("search", "x", "--context", "--style", "html"),
        ("search", "x", "--context", "--order", "best"),
        ("search", "x", "--expand", "-1"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_hint(retriever: Command, words: tuple[str, ...]) -> None:
    ended = retriever(*words)
    assert (ended.code, ended.out) == (2, "")
    assert "Try 'retriever" in ended.err


def test_a_fault_of_ours_is_one_line_and_debug_shows_the_traceback(
    retriever: Command, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRIEVER_EMBEDDING__BACKEND", f"{__name__}:ExplodingEmbedder")
    ended = retriever("ingest", str(corpus))
    assert_one_error_line(ended, "RuntimeError: the wires are crossed", "--debug")
    for words in (("--debug", "ingest", str(corpus)), ("ingest", str(corpus), "--debug")):
        ended = retriever(*words)
        assert ended.code == 1
        assert "Traceback (most recent call last)" in ended.err


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "Free some room on the disk"),
        (errno.EACCES, "change its permissions"),
        (errno.EROFS, "name another place"),
    ],
)
def test_a_full_disk_and_a_file_that_may_not_be_used_are_errors_that_say_what_to_do(
    retriever: Command, monkeypatch: pytest.MonkeyPatch, code: int, advice: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, "as the system says", "some/file")

    monkeypatch.setattr(status, "read_status", refuse)
    ended = retriever("status")
    assert (ended.code, ended.out) == (1, "")
    assert "as the system says: 'some/file'" in ended.err
    assert advice in ended.err
    assert "--debug" not in ended.err


def test_the_version_and_the_help_are_told(retriever: Command) -> None:
    assert retriever("--version").out.startswith("retriever ")
    for words in (("--help",), ("-h",), ("ingest", "--help"), ("config", "-h")):
        ended = retriever(*words)
        assert ended.code == 0
        assert "Usage: retriever" in ended.out


def test_a_file_cannot_steer_the_terminal(retriever: Command, tmp_path: Path) -> None:
    """Markup is printed as it is, control characters as escapes, in names and in texts."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a\x1b[2J\n[bold].md").write_text(
        "# Title [link=http://x]\x1b]0;owned\x07\n\n"
        "The [red]pump[/red] :smile: \x9b31m \u202eesrever \x1b[31mred.\n\n"
        + "Many more words, so that it counts as text. "
        * 9,
        encoding="utf-8",
    )
    (corpus / "b\x1b[31m.zip").write_bytes(ARCHIVE)
    shown = [
        retriever("ingest", str(corpus)),
        retriever("search", "the red pump"),
        retriever("status"),
    ]
    text = "".join(ended.out + ended.err for ended in shown)
    assert all(ended.code == 0 for ended in shown)
    assert not {char for char in text if char in "\x1b\x07\x9b\u202e\r"}
    for literal in (
        r"a\x1b[2J [bold].md",
        "[red]pump[/red] :smile:",
        r"\x1b[31mred.",
        r"\x9b31m",
        r"b\x1b[31m.zip",
    ):
        assert literal in text
    raw = retriever("search", "the red pump", "--json")
    assert "\x1b" not in raw.out
    assert "\x1b[31mred." in raw.json[0]["text"]


def test_output_survives_a_terminal_that_knows_ascii_only(
    retriever: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "größe.md").write_text("# Größe\n\nDie Größe der Pumpe: 猫.\n", encoding="utf-8")
    retriever("ingest", str(corpus))
    for words in (("search", "pumpe"), ("status",), ("collections",), ("config",), ("models",)):
        narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", narrow)
            patch.setenv("COLUMNS", "24")
            assert retriever(*words).code == 0
        narrow.flush()
        assert narrow.buffer.getvalue().isascii()  # type: ignore[attr-defined]


@pytest.fixture
def many_skipped(tmp_path: Path) -> Path:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(30):
        (corpus / f"{number:02}.zip").write_bytes(ARCHIVE)
    return corpus


def test_a_long_list_is_cut_for_people_and_whole_as_json(
    retriever: Command, many_skipped: Path
) -> None:
    assert "and 10 more" in retriever("ingest", str(many_skipped)).out
    assert len(retriever("ingest", str(many_skipped), "--json").json["skipped"]) == 30


def test_a_context_is_printed_in_the_style_and_order_that_is_asked_for(reading: Command) -> None:
    words = ("search", "reset the red button of the pump", "-k", "2", "--context")
    plain = reading(*words, "--style", "plain").out
    assert plain.startswith("[1] corpus/pump.md:6-10 | Pump > Reset\n  ")
    markdown = reading(*words, "--style", "markdown", "--order", "edges", "--json").json
    assert markdown["text"].startswith("[1] `corpus/pump.md:6-10 | Pump > Reset`\n\n```text\n")
    assert markdown["citations"]["1"]["lines"] == [6, 10]


def test_several_collections_are_searched_as_one(reading: Command, library: Path) -> None:
    ended = reading("search", "pump", "--collection", "docs", "--collection", "nope")
    assert_one_error_line(ended, "no collection 'nope'")
    both = reading("search", "red button", "--collection", "docs", "--collection", "docs")
    assert_one_error_line(both, "named twice")
