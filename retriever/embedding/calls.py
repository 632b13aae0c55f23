"""Calls to a provider: side by side, within its limits, its pace and the budget.

What an answer brings is handed over at once: whatever happens to the calls beside it, it is kept.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait

import numpy as np

from retriever.embedding.background import begun, done_within
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.pacing import Pace, Stopped
from retriever.embedding.provider import Answer, Limits, OverLimit, Provider, Side, TooLargeError
from retriever.embedding.rate_headers import NOT_TOLD
from retriever.embedding.retrying import call_until_answered
from retriever.embedding.spending import Budget
from retriever.embedding.vectors import checked
from retriever.errors import EmbeddingUnavailable
from retriever.protocols import Vectors
from retriever.records import EmbeddingFingerprint

LEAST_TEXTS_PER_CALL = 64
"""Work is not spread over so many calls that each one is mostly overhead."""
GRACE_S = 10.0
"""After a failure, what is under way is paid for already: so long it is waited for."""

TIMEOUTS_PER_CALL = 4
"""A provider's client limits silence alone; one that sends a byte now and then is never silent."""

MOST_CHARGED = 10
"""Times the tokens counted, which are never too few, that a charge is believed up to."""

KeepRows = Callable[[Sequence[str], Vectors], None]


class Calls:
    """Makes all the calls that texts need; threads may share it."""

    def __init__(
        self,
        provider: Provider,
        fingerprint: EmbeddingFingerprint,
        options: EmbedderOptions,
        *,
        limits: Limits,
        budget: Budget,
    ) -> None:
        """Keep everything; no call is made."""
        self._provider = provider
        self._fingerprint = fingerprint
        self._concurrency = options.concurrency
        self._max_attempts = options.max_attempts
        self._longest_call_s = TIMEOUTS_PER_CALL * options.timeout_s
        self._limits = limits
        self._budget = budget
        self._most_texts = limits.texts
        self._pace = Pace(options.requests_per_minute, options.tokens_per_minute)

    def embed(
        self, texts: Sequence[str], counts: Sequence[int], side: Side, keep: KeepRows
    ) -> Vectors:
        """Vectors of texts whose tokens are counted: float32, shape (len(texts), dimension).

        `keep` is called with the texts and vectors of each answer when it comes, by any thread.

        Raises:
            EmbeddingError: as `Provider.call`, after the tries that are allowed.
            BudgetExceeded: the next call would cost more than is left.
        """
        work = _Work(self, texts, counts, side, keep)
        work.run()
        return work.vectors

    def next_size(self, counts: Sequence[int], start: int) -> int:
        """How many of the texts from `start` on go into one call."""
        even = -(-len(counts) // self._concurrency)
        most_texts = min(self._most_texts, max(LEAST_TEXTS_PER_CALL, even))
        if not self._pace.knows:
            most_texts = min(most_texts, LEAST_TEXTS_PER_CALL)
        most_tokens = min(float(self._limits.tokens), self._pace.most_tokens)
        tokens, size = 0, 0
        for count in counts[start : start + most_texts]:
            tokens += count
            if size and tokens > most_tokens:
                break
            size += 1
        return size

    @property
    def concurrency(self) -> int:
        """Most calls at the same time."""
        return self._concurrency

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return self._fingerprint.dimension

    def call(
        self,
        texts: Sequence[str],
        counts: Sequence[int],
        side: Side,
        keep: KeepRows,
        stopped: threading.Event,
    ) -> Vectors:
        """One batch; where it is too large for the provider, its halves."""
        try:
            answer = self._answer(texts, sum(counts), side, stopped)
        except TooLargeError:
            if len(texts) == 1:
                raise
        else:
            vectors = checked(
                answer.vectors,
                count=len(texts),
                dimension=self.dimension,
                model=self._fingerprint.model,
            )
            keep(texts, vectors)
            return vectors
        half = len(texts) // 2
        vectors = np.vstack(
            [
                self.call(texts[:half], counts[:half], side, keep, stopped),
                self.call(texts[half:], counts[half:], side, keep, stopped),
            ]
        )
        # Both halves passed: it was their number, not one text among them.
        self._most_texts = min(self._most_texts, len(texts) - half)
        return vectors

    def _answer(
        self, texts: Sequence[str], expected: int, side: Side, stopped: threading.Event
    ) -> Answer:
        """One call, paced, tried again while its failure is transient, within the budget."""
        self._budget.reserve(expected)
        charged = 0
        try:
            answer = call_until_answered(
                lambda: self._paced(texts, expected, side, stopped),
                max_attempts=self._max_attempts,
                stopped=stopped,
            )
            charged = _charged(answer, expected)
        finally:
            self._budget.settle(expected, charged)
        return answer

    def _paced(
        self, texts: Sequence[str], expected: int, side: Side, stopped: threading.Event
    ) -> Answer:
        turn = self._pace.enter(expected, stopped)
        limits, refused, retry_after_s = NOT_TOLD, False, None
        charged = None
        try:
            answer = self._called(texts, side)
            charged, limits = _charged(answer, expected), answer.limits
        except OverLimit as error:
            limits, refused, retry_after_s = error.limits, True, error.retry_after_s
            raise
        except EmbeddingUnavailable as error:
            retry_after_s = error.retry_after_s
            raise
        finally:
            if charged is not None:
                self._pace.leave(turn, charged=charged, limits=limits)
            else:
                self._pace.fail(turn, limits=limits, refused=refused, retry_after_s=retry_after_s)
        return answer

    def _called(self, texts: Sequence[str], side: Side) -> Answer:
        """One call, given up where it takes too long as a whole."""
        return done_within(
            lambda: self._provider.call(texts, side),
            self._longest_call_s,
            late=f"{self._fingerprint.model} was not done with a call after "
            f"{self._longest_call_s:g} s, {TIMEOUTS_PER_CALL} times embedding.timeout_s. Try "
            "again, or raise embedding.timeout_s.",
        )


def _charged(answer: Answer, expected: int) -> int:
    """The tokens that a call was charged, as far as what the provider says can be believed.

    A number out of all proportion would end the budget at once, or hold the next call for years.
    """
    return min(answer.tokens, MOST_CHARGED * expected) or expected


class _Work:
    """Texts on their way: which are taken, and what went wrong first."""

    def __init__(
        self, calls: Calls, texts: Sequence[str], counts: Sequence[int], side: Side, keep: KeepRows
    ) -> None:
        self._calls = calls
        self._texts = texts
        self._counts = counts
        self._side: Side = side
        self._keep = keep
        self._lock = threading.Lock()
        self._next = 0
        self._failure: BaseException | None = None
        self._stopped = threading.Event()
        self.vectors = np.empty((len(texts), calls.dimension), dtype=np.float32)

    def run(self) -> None:
        """Make every call, and raise what failed first."""
        if self._calls.next_size(self._counts, 0) == len(self._texts):
            self._work()
            return
        workers = min(self._calls.concurrency, len(self._texts))
        futures = [begun(self._work) for _ in range(workers)]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            # Where one failed, or this thread is interrupted, nothing more is paid for.
            self._stopped.set()
            wait(futures, timeout=GRACE_S)
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        """Take batch after batch until none is left or a call fails."""
        try:
            while (batch := self._take()) and not self._stopped.is_set():
                texts = self._texts[batch.start : batch.stop]
                counts = self._counts[batch.start : batch.stop]
                self.vectors[batch.start : batch.stop] = self._calls.call(
                    texts, counts, self._side, self._keep, self._stopped
                )
        except Stopped:
            pass
        except BaseException as error:
            with self._lock:
                self._failure = self._failure or error
            self._stopped.set()
            raise

    def _take(self) -> range:
        with self._lock:
            start = self._next
            self._next = start + self._calls.next_size(self._counts, start)
            return range(start, self._next)
