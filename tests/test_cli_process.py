"""The command as a process: how it starts, is stopped, and meets pipes and terminals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
        "PYTHONPATH": str(tmp_path),
        "TERM": "xterm-256color",
    }
    (tmp_path / "slow_embedder.py").write_text(SLOW_EMBEDDER, encoding="utf-8")

    def begin(
        *words: str, slow: bool = False, chunk_s: float = 0.1, **streams: int
    ) -> "subprocess.Popen[str]":
        if slow:
            environment["RETRIEVER_EMBEDDING__BACKEND"] = "slow_embedder:SlowEmbedder"
            environment["SECONDS_A_CHUNK"] = str(chunk_s)
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
