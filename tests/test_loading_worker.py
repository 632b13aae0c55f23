"""The worker process: a file that hangs, crashes or devours memory costs only itself."""

import dataclasses
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sample_files as sample

from retriever.errors import LoadingError
from retriever.loading import DocumentLoader, hash_file, supervision
from retriever.loading.content import FileBytes
from retriever.loading.supervision import ParserProcess
from retriever.records import CorpusFile

PDF = FileBytes(sample.pdf("Hello"), "a.pdf", "pdf")
TEST_READERS = Path(__file__).parent / "sample_readers.py"


def corpus_file(path: Path) -> CorpusFile:
    status = path.stat()
    return CorpusFile(f"root/{path.name}", path, status.st_size, status.st_mtime_ns)


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch):
    """A parser whose worker reads one more format: `misbehave`, which does what the bytes say."""
    monkeypatch.setattr(supervision, "WORKER", (sys.executable, "-P", str(TEST_READERS)))
    options = dataclasses.replace(sample.OPTIONS, memory_mb=512)
    process = ParserProcess(options)
    yield process
    process.close()


def outcome(parser: ParserProcess, file: FileBytes) -> str:
    try:
        return parser.read(file).text
    except LoadingError as error:
        return error.reason


def misbehave(how: str) -> FileBytes:
    return FileBytes(how.encode(), "a", "misbehave")


def test_a_risky_file_is_read_by_another_process_that_stays_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    path = tmp_path / "a.pdf"
    path.write_bytes(sample.pdf("Hello", title="A title"))
    with DocumentLoader(sample.OPTIONS) as loader:
        first = loader.load(corpus_file(path))
        pid = loader._parser._process.pid
        assert loader.load(corpus_file(path)) == first
        assert loader._parser._process.pid == pid
        if Path(f"/proc/{pid}/environ").exists():
            assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert (first.text, first.title, first.source) == ("Hello", "A title", "root/a.pdf")
    assert first.content_hash == hash_file(path)
    assert first.pages[0].number == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_text_starts_no_process(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_bytes(b"# Title\n")
    with DocumentLoader(sample.OPTIONS) as loader:
        assert loader.load(corpus_file(path)).title == "Title"
        assert loader._parser._process is None


def test_what_a_file_does_to_its_parser_is_its_own_reason_and_the_next_is_read(
    parser: ParserProcess,
) -> None:
    assert outcome(parser, misbehave("exit")) == "its parser crashed"
    assert outcome(parser, misbehave("print")) == "printed"
    assert outcome(parser, misbehave("raise")) == "damaged file: ZeroDivisionError in its parser"
    assert outcome(parser, misbehave("memory")) == "its parser needed more than 512 MB"
    assert outcome(parser, misbehave("lie")) == "its parser crashed"
    assert outcome(parser, PDF) == "Hello"


def test_a_file_that_hangs_its_parser_is_given_up(parser: ParserProcess) -> None:
    parser._options = dataclasses.replace(parser._options, timeout_s=0.3)
    begin = time.monotonic()
    assert outcome(parser, misbehave("hang")) == "its parser took longer than 0.3 s"
    assert time.monotonic() - begin < 10
    assert parser._process is None


def test_a_crash_that_an_earlier_file_prepared_is_not_charged_to_the_next(
    parser: ParserProcess,
) -> None:
    assert outcome(parser, misbehave("exit at the next file")) == "done"
    assert outcome(parser, PDF) == "Hello"


def test_closing_from_another_thread_ends_a_reading_and_starts_nothing(
    parser: ParserProcess,
) -> None:
    assert outcome(parser, PDF) == "Hello"
    threading.Timer(0.3, parser.close).start()
    assert outcome(parser, misbehave("hang")) == "reading was stopped"
    assert parser._process is None


def test_a_worker_that_cannot_start_is_a_reason(
    parser: ParserProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "WORKER", ("/no/such/python",))
    assert outcome(parser, PDF).startswith("the worker process did not start: ")
    monkeypatch.setattr(supervision, "WORKER", (sys.executable, "-c", "raise SystemExit('oh')"))
    assert outcome(parser, PDF) == "the worker process did not start: oh"


def test_the_process_is_replaced_after_many_files(
    parser: ParserProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "FILES_PER_PROCESS", 2)
    pids = set()
    for _ in range(4):
        assert outcome(parser, PDF) == "Hello"
        pids.add(parser._process.pid)
    assert len(pids) == 2


def test_the_worker_ends_with_its_parent_and_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import os, sys, sample_files as s\n"
        "from retriever.loading.supervision import ParserProcess\n"
        "from retriever.loading.content import FileBytes\n"
        "p = ParserProcess(s.OPTIONS)\n"
        "p.read(FileBytes(s.pdf('x'), 'a.pdf', 'pdf'))\n"
        "print(p._process.pid)\n"
        "maps = open(f'/proc/{p._process.pid}/maps').read() if os.path.exists('/proc') else ''\n"
        "print('torch' in maps or 'chromadb' in maps, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    pid, heavy = done.stdout.split()
    assert heavy == "False"
    for _ in range(100):
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the worker outlived its parent by five seconds")


def test_a_module_in_the_working_folder_is_not_imported_by_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pypdfium2.py").write_text("raise SystemExit(9)", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    parser = ParserProcess(sample.OPTIONS)
    try:
        assert outcome(parser, PDF) == "Hello"
    finally:
        parser.close()


def test_files_that_cannot_be_opened_or_have_grown_have_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_bytes(b"x" * 3000)
    file = corpus_file(path)
    small = dataclasses.replace(sample.OPTIONS, max_file_mb=0.001)
    with DocumentLoader(small) as loader:
        with pytest.raises(LoadingError, match=r"root/a\.md: larger than 0\.001 MB"):
            loader.load(file)
        path.unlink()
        with pytest.raises(LoadingError, match="cannot be read: no such file") as caught:
            loader.load(file)
        assert caught.value.source == "root/a.md"
        with pytest.raises(LoadingError, match="not a regular file"):
            loader.load(corpus_file(tmp_path))


def test_the_identity_of_reading_follows_what_changes_its_outcome() -> None:
    with DocumentLoader(sample.OPTIONS) as one, DocumentLoader(sample.OPTIONS) as two:
        assert one.reading == two.reading
    other = dataclasses.replace(sample.OPTIONS, max_unpacked_mb=1.0)
    walking = dataclasses.replace(sample.OPTIONS, include=("*.md",))
    assert DocumentLoader(other).reading != one.reading
    assert DocumentLoader(walking).reading == one.reading
