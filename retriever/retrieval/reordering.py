"""Reranking within its time: the order that a reranker gives, or none where it takes too long."""

import contextlib
import contextvars
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from retriever.errors import RerankingError, RerankingUnavailable, RetrieverError
from retriever.protocols import Embedder, Loadable, Reranker, Vectors
from retriever.reranking.scores import checked

MOST_UNDER_WAY = 8
"""Calls that were given up and have not ended; beyond this no further one is started."""


class RerankingSkipped(UserWarning):
    """Passages were returned in the order that they had before reranking."""


@dataclass(frozen=True, slots=True)
class _Opened:
    embedder: Embedder | None
    reranker: Reranker


class Reordering:
    """Calls a reranker with a time limit; threads may share it."""

    def __init__(
        self,
        open_reranker: Callable[[Callable[[], Embedder]], Reranker | None],
        *,
        timeout_s: float,
    ) -> None:
        """Open nothing yet.

        Args:
            open_reranker: makes the reranker; it may ask for the collection's embedder.
            timeout_s: longest that a query waits for its scores. Loading a model that is on
                this machine is not counted. A call that was given up goes on until it ends,
                and Python ends after it, unless it is a call to somewhere else.
        """
        self._open = open_reranker
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._opened: _Opened | None = None
        self._under_way = 0
        self._waiting = 0
        self._is_closed = False

    def scores(self, query: str, texts: Sequence[str], embedder: Callable[[], Embedder]) -> Vectors:
        """Scores of the texts, from 0 to 1, in their order.

        Raises:
            RerankingUnavailable: the reranker failed in a way that may pass, or took too long.
            RerankingError: it failed for good, or its answer is not one score for each text.
            SettingsError: there is no such reranker.
        """
        with self._waited_for():
            return self._scores(query, texts, self._ready(embedder))

    def _scores(self, query: str, texts: Sequence[str], reranker: Reranker) -> Vectors:
        answers: SimpleQueue[Vectors | BaseException] = SimpleQueue()

        def work() -> None:
            try:
                answers.put(reranker.rerank(query, texts))
            except BaseException as error:  # noqa: BLE001  # raised by the thread that waits
                answers.put(error)
            finally:
                with self._lock:
                    self._under_way -= 1

        with self._lock:
            if self._under_way >= MOST_UNDER_WAY:
                raise RerankingUnavailable(f"{self._under_way} earlier calls have not ended.")
            self._under_way += 1
        context = contextvars.copy_context()
        # A model's runtime that is at work while Python ends aborts the process, so Python waits
        # for it. What has connections waits for an answer, which may never come.
        is_elsewhere = hasattr(reranker, "close") and not isinstance(reranker, Loadable)
        threading.Thread(target=context.run, args=(work,), daemon=is_elsewhere).start()
        try:
            answer = answers.get(timeout=self._timeout_s)
        except Empty:
            raise RerankingUnavailable(
                f"{reranker!r} took longer than reranking.timeout_s, {self._timeout_s:g} s."
            ) from None
        name = type(reranker).__name__
        if isinstance(answer, Exception) and not isinstance(answer, RetrieverError):
            raise RerankingError(
                f"The reranker {name} raised {type(answer).__name__}: {answer}. Mend it, or set "
                "reranking.backend to another one."
            ) from answer
        if isinstance(answer, BaseException):
            raise answer
        return checked(answer, count=len(texts), model=name)

    def close(self) -> None:
        """Close the reranker's connections, if it has any, once no query waits for its scores.

        Safe to repeat.
        """
        with self._lock:
            self._is_closed = True
        self._close_unused()

    @contextlib.contextmanager
    def _waited_for(self) -> Iterator[None]:
        with self._lock:
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
            self._close_unused()

    def _close_unused(self) -> None:
        with self._lock:
            if not self._is_closed or self._waiting:
                return
            opened, self._opened = self._opened, None
        close = getattr(opened.reranker, "close", None) if opened else None
        if close is not None:
            close()

    def _ready(self, embedder: Callable[[], Embedder]) -> Reranker:
        """The reranker, loaded; opened anew where it reads the vectors of another embedder."""
        asked: list[Embedder] = []

        def ask() -> Embedder:
            asked.append(embedder())
            return asked[0]

        with self._lock:
            opened = self._opened
            if opened is None or (opened.embedder and opened.embedder is not embedder()):
                reranker = self._open(ask)
                if reranker is None:
                    raise RerankingUnavailable("reranking.backend is none.")
                if isinstance(reranker, Loadable):
                    reranker.load()
                opened = _Opened(asked[0] if asked else None, reranker)
                self._opened = opened
            return opened.reranker


def warn_skipped(reason: RerankingUnavailable) -> None:
    """Say that an answer was not reranked, and why."""
    warnings.warn(
        f"The passages were not reranked: {reason} They stand in the order of their fused score.",
        RerankingSkipped,
        stacklevel=2,
    )
