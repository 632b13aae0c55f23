"""The worker process seen from its parent: started when needed, limited, restarted, ended."""

import os
import re
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from retriever.errors import LoadingError
from retriever.loading import exchange
from retriever.loading.content import BYTES_PER_MB, Content, FileBytes, LoadingOptions
from retriever.loading.reading import out_of_memory

WORKER = (sys.executable, "-P", "-m", "retriever.loading.worker")
"""Started as a module, the working folder not on its path: that may be a hostile corpus."""
FILES_PER_PROCESS = 200  # some parsers grow with every file
START_TIMEOUT_S = 60.0
_MAX_TEXT_BYTES_PER_CHARACTER = 4
_STRUCTURE_BYTES = 64 * BYTES_PER_MB
_STDERR_BYTES = 65_536
_MEMORY_MESSAGE = re.compile(rb"memory allocation of|bad_alloc|MemoryError|out of memory", re.I)


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PASSED_ON = _words(
    "PATH SYSTEMROOT WINDIR TEMP TMP TMPDIR LANG LC_ALL LC_CTYPE LD_LIBRARY_PATH "
    "DYLD_LIBRARY_PATH PYTHONHOME PYTHONPATH VIRTUAL_ENV COVERAGE_PROCESS_START"
)
_FEW_THREADS = {
    name: "2" for name in ("MALLOC_ARENA_MAX", "TOKIO_WORKER_THREADS", "RAYON_NUM_THREADS")
}


class ParserProcess:
    """Reads files in a child process of limited time and memory; one file at a time.

    The child is started with the first file and replaced after 200 files, a crash or a timeout.
    It gets no variable of the environment that it does not need: keys stay with the parent.
    """

    def __init__(self, options: LoadingOptions) -> None:
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._ending: Any = None
        self._files_read = 0
        self._stopped = False
        self._lock = threading.Lock()

    def read(self, file: FileBytes) -> Content:
        """Read a file of a known format.

        Raises:
            LoadingError: it cannot be read, or it crashed its parser, or took too much of time
                or memory.
        """
        with self._lock:
            self._stopped = False
            if self._files_read >= FILES_PER_PROCESS:
                self._discard()
            may_be_owed_to_another = self._files_read > 0
            try:
                return self._read(file)
            except _Crash as crash:
                if not may_be_owed_to_another or self._stopped:
                    raise self._refusal(crash) from crash
            try:
                return self._read(file)
            except _Crash as crash:
                raise self._refusal(crash) from crash

    def close(self) -> None:
        """End the child at once, even while another thread reads; the next file starts another."""
        self._stopped = True
        self._discard()

    def _discard(self) -> None:
        if self._ending is not None:
            self._ending()
        self._process, self._ending, self._files_read = None, None, 0
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def _refusal(self, crash: "_Crash") -> LoadingError:
        if self._stopped:
            return LoadingError("reading was stopped")
        return LoadingError(out_of_memory(self._options) if crash.memory else "its parser crashed")

    def _read(self, file: FileBytes) -> Content:
        if self._process is None:
            self._start()
        self._files_read += 1
        options = self._options
        asking = _Call(self._streams(), self._max_answer_bytes(), file, options)
        self._finish(asking, options.timeout_s)
        if asking.answer is None:
            crash = _Crash(memory=self._ran_out_of_memory())
            self._discard()
            raise crash from asking.failure
        fields, text = asking.answer
        if fields.get("leaving"):
            self._discard()
        try:
            return exchange.parse_content(fields, text)
        except exchange.BrokenExchange as error:
            self._discard()
            raise _Crash(memory=False) from error

    def _finish(self, call: "_Call", timeout_s: float) -> None:
        """Wait for a call; end the child where it takes too long or the wait is interrupted."""
        try:
            call.start()
            call.join(timeout_s)
        except BaseException:
            self._discard()
            raise
        if call.is_alive():
            self._discard()
            raise LoadingError(f"its parser took longer than {timeout_s:g} s")

    def _start(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        try:
            self._process = subprocess.Popen(
                [*WORKER, str(self._options.memory_mb)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=_environment(),
            )
        except OSError as error:
            self._discard()
            raise LoadingError(f"the worker process did not start: {error}") from error
        self._ending = weakref.finalize(self, _end, self._process)
        greeting = _Call(self._streams(), self._max_answer_bytes())
        self._finish(greeting, START_TIMEOUT_S)
        if greeting.answer is None:
            message = self._last_errors().decode("utf-8", errors="replace").strip()
            self._discard()
            raise LoadingError(
                f"the worker process did not start: {message[-300:] or 'no message'}"
            )

    def _streams(self) -> tuple[BinaryIO, BinaryIO]:
        process = cast("subprocess.Popen[bytes]", self._process)
        return cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout)

    def _max_answer_bytes(self) -> int:
        text_bytes = self._options.max_unpacked_mb * BYTES_PER_MB * _MAX_TEXT_BYTES_PER_CHARACTER
        return int(text_bytes) + _STRUCTURE_BYTES

    def _ran_out_of_memory(self) -> bool:
        return bool(_MEMORY_MESSAGE.search(self._last_errors()))

    def _last_errors(self) -> bytes:
        process, errors = self._process, self._errors
        if process is None or errors is None:
            return b""
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
        try:
            size = errors.seek(0, os.SEEK_END)
            errors.seek(max(0, size - _STDERR_BYTES))
            return errors.read()
        except ValueError:  # closed by another thread
            return b""


class _Crash(Exception):
    """The child ended without an answer, or with one that is none."""

    def __init__(self, *, memory: bool) -> None:
        self.memory = memory
        super().__init__("the worker process ended")


class _Call(threading.Thread):
    """One request and its answer, on a thread of its own so that the wait has an end."""

    def __init__(
        self,
        streams: tuple[BinaryIO, BinaryIO],
        max_answer_bytes: int,
        file: FileBytes | None = None,
        options: LoadingOptions | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self._streams = streams
        self._max_answer_bytes = max_answer_bytes
        self._request = (file, options) if file and options else None
        self.answer: tuple[dict[str, Any], bytes] | None = None
        self.failure: Exception | None = None

    def run(self) -> None:
        """Send the request, if there is one, and receive an answer."""
        to_child, from_child = self._streams
        try:
            if self._request:
                exchange.write_request(to_child, *self._request)
            self.answer = exchange.read_frame(from_child, self._max_answer_bytes)
        except (exchange.BrokenExchange, OSError, ValueError) as error:
            self.failure = error


def _environment() -> dict[str, str]:
    passed_on = {key: value for key, value in os.environ.items() if key.upper() in _PASSED_ON}
    own_folder = str(Path(__file__).resolve().parents[2])  # found even where it is not installed
    paths = [part for part in (passed_on.get("PYTHONPATH"), own_folder) if part]
    return {**passed_on, **_FEW_THREADS, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1"}


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                continue  # what was left to send has no reader any more
