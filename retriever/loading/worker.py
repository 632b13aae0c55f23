"""The child process that reads risky formats: `python -m retriever.loading.worker MEMORY_MB`.

It reads requests from standard input and answers on standard output (see
`retriever.loading.exchange`), never opens a file and ends with its parent: at the end of
standard input, or when an alarm rings that is set for each request.
"""

import os
import queue
import signal
import sys
import threading
from typing import Any, BinaryIO

from retriever.errors import LoadingError
from retriever.loading import exchange
from retriever.loading.content import BYTES_PER_MB
from retriever.loading.reading import out_of_memory, read_file_bytes

MAX_REQUEST_BYTES = 1 << 40
_ALARM_GRACE_S = 10  # the parent's own clock rings first, unless the parent is gone

Request = tuple[dict[str, Any], bytes]


def main() -> None:
    """Answer requests until standard input ends."""
    _limit_memory(int(sys.argv[1]) * BYTES_PER_MB)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    answers = _take_over_stdout()
    requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
    exchange.write_frame(answers, {"ready": True})
    threading.Thread(target=_receive, args=(requests,), daemon=True).start()
    while True:
        _answer(*requests.get(), answers)


def _limit_memory(most_bytes: int) -> None:
    """Limit the memory that this process may write to, where the system has such a limit."""
    try:
        import resource
    except ImportError:
        return
    for limit in (resource.RLIMIT_DATA, resource.RLIMIT_AS):
        # libraries and reserved addresses are not memory: twice as much of those
        most = most_bytes * (2 if limit == resource.RLIMIT_AS else 1)
        try:
            resource.setrlimit(limit, (most, most))
        except (ValueError, OSError):
            continue
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _take_over_stdout() -> BinaryIO:
    """Keep standard output for answers: what a parser prints must not get between them."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _receive(requests: "queue.SimpleQueue[Request]") -> None:
    while True:
        try:
            requests.put(exchange.read_frame(sys.stdin.buffer, MAX_REQUEST_BYTES))
        except (exchange.BrokenExchange, OSError):
            os._exit(0)  # even in the midst of a parser: nobody waits for the answer


def _answer(fields: dict[str, Any], data: bytes, answers: BinaryIO) -> None:
    file, options = exchange.parse_request(fields, data)
    _set_alarm(int(options.timeout_s) + _ALARM_GRACE_S)
    try:
        content = read_file_bytes(file, options)
        exchange.write_content(answers, content)
    except MemoryError:
        _refuse(answers, out_of_memory(options))
    except LoadingError as error:
        _refuse(answers, error.reason, memory=isinstance(error.__cause__, MemoryError))
    _set_alarm(0)


def _refuse(answers: BinaryIO, reason: str, *, memory: bool = True) -> None:
    exchange.write_frame(answers, {"reason": reason, "leaving": memory})
    if memory:
        os._exit(0)  # what failed to get memory may be left in any state


def _set_alarm(seconds: int) -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


if __name__ == "__main__":
    main()
