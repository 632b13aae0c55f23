"""Work on threads of its own, which nobody has to wait for."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from retriever.errors import EmbeddingUnavailable

T = TypeVar("T")


def begun(work: Callable[[], T]) -> Future[T]:
    """Work on a thread that does not keep Python from ending, as a pool's threads would.

    A call that is never answered is waited for by its time limit alone, which may be minutes.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  (kept for whoever asks for the result)
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name="retriever-call", daemon=True).start()
    return future


def done_within(work: Callable[[], T], limit_s: float, *, late: str) -> T:
    """What `work` gives, where it does so in time; else it is left alone.

    Raises:
        EmbeddingUnavailable: it did not, said as in `late`.
    """
    future = begun(work)
    try:
        return future.result(timeout=limit_s)
    except TimeoutError:
        if future.done():  # then it is the work's own
            raise
    raise EmbeddingUnavailable(late)
