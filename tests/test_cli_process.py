"""The command as a process: how it starts, is stopped, and meets pipes and terminals."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest
from provider_servers import DIMENSION, Fault, provider_server

RETRIEVER = [sys.executable, "-c", "from retriever.cli import main; main()"]
SLOW_EMBEDDER = '''
import os
import time
from pathlib import Path

from retriever.testing import HashingEmbedder


class SlowEmbedder(HashingEmbedder):
    """Takes its time for every chunk, and says that it has begun."""

    def embed_chunks(self, texts):
        Path("begun").touch()
        time.sleep(float(os.environ["SECONDS_A_CHUNK"]) * len(texts))
        return super().embed_chunks(texts)
'''

Start = Callable[..., "subprocess.Popen[str]"]


def interruptible() -> None:
    """Undo what a shell does to what it starts in the background: that is deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts the command in a folder of the test's own."""
    inherited = {name: value for name, value in os.environ.items() if "RETRIEVER_" not in name}
    environment = inherited | {
        "RETRIEVER_STORAGE__PATH": str(tmp_path / "state"),
        "RETRIEVER_EMBEDDING__BACKEND": "retriever.testing:HashingEmbedder",
        "RETRIEVER_INGESTION__COMMIT_CHUNKS": "5",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "TERM": "xterm-256color",
    }
    (tmp_path / "slow_embedder.py").write_text(SLOW_EMBEDDER, encoding="utf-8")

    def begin(
        *words: str,
        slow: bool = False,
        chunk_s: float = 0.1,
        settings: Mapping[str, object] | None = None,
        **streams: int,
    ) -> "subprocess.Popen[str]":
        if slow:
            environment["RETRIEVER_EMBEDDING__BACKEND"] = "slow_embedder:SlowEmbedder"
            environment["SECONDS_A_CHUNK"] = str(chunk_s)
        for name, value in (settings or {}).items():
            environment[f"RETRIEVER_{name.upper().replace('.', '__')}"] = str(value)
        outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        return subprocess.Popen(
            [*RETRIEVER, *words],
            cwd=tmp_path,
            env=environment,
            text=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=interruptible,
            **outputs,
        )

    return begin


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Thirty small documents."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(30):
        text = f"# Note {number}\n\nThis is note number {number} about pumps.\n"
        (folder / f"{number:02}.md").write_text(text, encoding="utf-8")
    return folder


def wait_for(path: Path, *, limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


def test_python_runs_it_as_a_module_where_no_script_is_on_the_path() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "retriever", "--version"], capture_output=True, text=True, check=True
    )
    assert told.stdout.startswith("retriever ")


def test_the_help_loads_none_of_the_large_packages() -> None:
    large = ("torch", "chromadb", "sentence_transformers", "numpy", "pydantic", "pydantic_settings")
    check = (
        "import sys\n"
        "from retriever.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"sys.stderr.write(' '.join(name for name in {large} if name in sys.modules))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, check=True, text=True
    )
    assert "Usage: retriever" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(
    start: Start, many: Path, tmp_path: Path
) -> None:
    run = start("ingest", str(many), "--json", slow=True, chunk_s=0.4)  # 12 s, if it is let
    wait_for(tmp_path / "begun")
    time.sleep(5.0)
    os.killpg(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (130, "")
    assert err.splitlines()[-1].startswith("Stopped.")
    assert "Traceback" not in err
    left = json.loads(start("status", "--json", slow=True).communicate(timeout=60)[0])
    assert left["run"]["alive"] is False
    again = json.loads(start("ingest", str(many), "--json", slow=True).communicate(timeout=60)[0])
    assert again["added"] + again["updated"] + again["unchanged"] == 30
    assert again["chunks"]["total"] == 30
    assert again["chunks"]["embedded"] < 30
    done = json.loads(start("status", "--json", slow=True).communicate(timeout=60)[0])
    assert (done["documents"], done["run"]) == (30, None)


UNANSWERED_S = 600.0
"""The time limit of a call in tests where it is never answered: they end long before it."""


@pytest.mark.slow
@pytest.mark.parametrize("ended_by", ["Ctrl-C", "an error"])
def test_a_provider_that_never_answers_keeps_no_ended_ingest_from_exiting(
    start: Start, many: Path, ended_by: str
) -> None:
    for number in range(30, 120):  # enough for several calls side by side
        (many / f"{number}.md").write_text(f"Pump number {number} drips.", encoding="utf-8")
    asked, over = threading.Event(), threading.Event()

    def hold() -> None:
        asked.set()
        over.wait(UNANSWERED_S)

    with provider_server() as server:
        server.kill_client = hold
        held = Fault(kind="kill")
        server.faults = [Fault(), held, held if ended_by == "Ctrl-C" else Fault(status=401)]
        settings = {
            "embedding.backend": "openai",
            "embedding.model": "own",
            "embedding.dimension": DIMENSION,
            "embedding.window_tokens": 512,
            "embedding.base_url": server.url,
            "embedding.timeout_s": UNANSWERED_S,
            "ingestion.commit_chunks": 1024,
        }
        run = start("ingest", str(many), settings=settings)
        try:
            assert asked.wait(30)
            if ended_by == "Ctrl-C":
                os.killpg(run.pid, signal.SIGINT)
            _, err = run.communicate(timeout=60)
        finally:
            over.set()
            run.kill()
            run.communicate()
    said = err.splitlines()[-1]
    if ended_by == "Ctrl-C":
        assert (run.returncode, said[:8]) == (130, "Stopped.")
    else:
        assert run.returncode == 1
        assert "answered 401" in said


@pytest.mark.slow
def test_a_reranking_service_that_never_answers_does_not_hold_up_ctrl_c(
    start: Start, many: Path
) -> None:
    start("ingest", str(many)).communicate(timeout=60)
    with silent_server() as (url, asked):
        settings = {
            "reranking.backend": "service",
            "reranking.model": "own",
            "reranking.base_url": url,
            "reranking.timeout_s": UNANSWERED_S,
        }
        run = start("search", "pumps", settings=settings)
        try:
            assert asked.wait(30)
            os.killpg(run.pid, signal.SIGINT)
            out, err = run.communicate(timeout=60)
        finally:
            run.kill()
            run.communicate()
    assert (run.returncode, out, err.splitlines()[-1]) == (130, "", "Stopped.")


class SilentServer(ThreadingHTTPServer):
    daemon_threads = True
    asked: threading.Event
    over: threading.Event


class SilentHandler(BaseHTTPRequestHandler):
    """Takes every request and answers none."""

    def do_POST(self) -> None:
        server = cast(SilentServer, self.server)
        server.asked.set()
        server.over.wait(UNANSWERED_S)
        self.close_connection = True


@contextmanager
def silent_server() -> Iterator[tuple[str, threading.Event]]:
    """The address of a server that answers nothing, and the event of its first request."""
    with SilentServer(("127.0.0.1", 0), SilentHandler) as server:
        server.asked, server.over = threading.Event(), threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", server.asked
        finally:
            server.over.set()
            server.shutdown()


@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell closes them")
@pytest.mark.parametrize("command", ["--version", "config", "config --json"])
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_output_that_is_closed_is_no_error(command: str, closed: str) -> None:
    ended = subprocess.run(
        ["sh", "-c", f'exec "$@" {command} {closed}', "sh", *RETRIEVER],
        capture_output=True,
        check=False,
        text=True,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


HOMELESS = """
import os, pwd, sys

def nobody(_):
    raise KeyError("uid not found")

for name in ("HOME", "XDG_CACHE_HOME"):
    os.environ.pop(name, None)
pwd.getpwuid = nobody
from retriever.cli import main
main(sys.argv[1:])
"""


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a home folder is told in another way")
@pytest.mark.parametrize("command", [["status"], ["models"]])
def test_a_user_without_a_home_folder_is_told_to_set_home(
    tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "state" / "chroma").mkdir(parents=True)
    ended = subprocess.run(
        [sys.executable, "-c", HOMELESS, *command],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"RETRIEVER_STORAGE__PATH": "state"},
        text=True,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "home folder" in ended.stderr
    assert "HOME" in ended.stderr
    assert "fault of retriever" not in ended.stderr
    assert not (tmp_path / "~").exists()


@pytest.mark.skipif(os.name != "posix", reason="elsewhere names of files are always Unicode")
def test_a_name_that_the_locale_cannot_write_is_an_error_that_says_what_to_set(
    tmp_path: Path,
) -> None:
    ascii_only = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ascii_only["RETRIEVER_EMBEDDING__BACKEND"] = "retriever.testing:HashingEmbedder"
    (tmp_path / "mine.toml").write_text('[storage]\npath = "zust\u00e4nde"\n', encoding="utf-8")
    ended = subprocess.run(
        [*RETRIEVER, "ingest", ".", "--config", "mine.toml"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if "RETRIEVER_" not in name}
        | ascii_only,
        text=True,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "PYTHONUTF8=1" in ended.stderr
    assert "fault of retriever" not in ended.stderr


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(start: Start, many: Path) -> None:
    start("ingest", str(many)).communicate(timeout=60)
    for words in (("search", "pumps", "-k", "30"), ("search", "pumps", "-k", "30", "--json")):
        with start(*words) as run:
            assert run.stdout is not None
            run.stdout.close()
            assert run.stderr is not None
            assert "Traceback" not in run.stderr.read()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX's")
def test_a_terminal_sees_a_bar_with_rates_and_stdout_only_json(start: Start, many: Path) -> None:
    terminal, process_side = os.openpty()
    run = start("ingest", str(many), "--json", slow=True, stderr=process_side)
    os.close(process_side)
    seen = "".join(_read_terminal(terminal))
    out, _ = run.communicate(timeout=60)
    assert json.loads(out)["added"] == 30
    assert "Looking at files" in seen
    assert "/30" in seen
    assert "chunks/s" in seen


def _read_terminal(terminal: int) -> Iterator[str]:
    with os.fdopen(terminal, "rb", buffering=0) as stream:
        while True:
            try:
                part = stream.read(4096)
            except OSError:  # Linux: the other side was closed
                return
            if not part:
                return
            yield part.decode("utf-8", "replace")
