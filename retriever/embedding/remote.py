"""An embedder somewhere else: what every provider shares.

The provider makes one call. Prefixes, refusals, batches within the provider's limits, calls at
the same time, tries, the budget, and the checks of what comes back are here.
"""

import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.options import EmbedderOptions
from retriever.embedding.provider_tokens import Count
from retriever.embedding.retrying import call_until_answered
from retriever.embedding.vectors import checked, mean_vector, no_vectors
from retriever.errors import BudgetExceeded, EmbeddingRejected
from retriever.protocols import Vectors
from retriever.records import EmbeddingFingerprint

Side = Literal["query", "chunk"]
LEAST_TEXTS_PER_CALL = 64
"""Work is not spread over so many calls that each one is mostly overhead."""
TOKENS_PER_PRICE = 1_000_000


class TooLargeError(EmbeddingRejected):
    """The provider refused a call for its size: half of it may pass."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider takes in one call."""

    texts: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call gave."""

    vectors: NDArray[np.floating]
    """Shape (texts, dimension), in the order of the texts."""
    tokens: int
    """Tokens that the provider charged, 0 where it does not say."""


class Provider(Protocol):
    """One call to an embedding service."""

    def call(self, texts: Sequence[str], side: Side) -> Answer:
        """Embed texts that are within the limits, prefixes included.

        Raises:
            EmbeddingUnavailable: a transient failure.
            TooLargeError: the call was too large for the provider.
            EmbeddingRejected: a final failure.
        """
        ...

    def close(self) -> None:
        """Close what connections are open; the next call opens new ones."""
        ...


class Budget:
    """What a run has spent, and the most that it may spend; threads may share it."""

    def __init__(self, budget_usd: float | None, price_usd_per_million_tokens: float) -> None:
        """Begin at nothing; no budget means no limit."""
        self._budget_usd = budget_usd
        self._price_usd = price_usd_per_million_tokens / TOKENS_PER_PRICE
        self._lock = threading.Lock()
        self.tokens = 0
        """Tokens charged so far, or reserved for calls that are under way."""

    @property
    def spent_usd(self) -> float:
        """What the tokens so far cost."""
        return self.tokens * self._price_usd

    def reserve(self, tokens: int) -> None:
        """Set tokens aside before a call.

        Raises:
            BudgetExceeded: they would cost more than what is left.
        """
        with self._lock:
            needed = (self.tokens + tokens) * self._price_usd
            if self._budget_usd is not None and needed > self._budget_usd:
                raise BudgetExceeded(needed_usd=needed, budget_usd=self._budget_usd)
            self.tokens += tokens

    def settle(self, reserved: int, charged: int) -> None:
        """Replace a reservation by what was charged."""
        with self._lock:
            self.tokens += charged - reserved


class RemoteEmbedder:
    """Embeds by calls to a provider; threads may share it."""

    def __init__(
        self,
        provider: Provider,
        fingerprint: EmbeddingFingerprint,
        options: EmbedderOptions,
        *,
        limits: Limits,
        count: Count,
        budget: Budget,
        counting_advice: str = "",
    ) -> None:
        """Keep everything; no call is made.

        `counting_advice` says how inexact counts become exact; who counts is told once.
        """
        self._provider = provider
        self._fingerprint = fingerprint
        self._limits = limits
        self._count = count
        self._concurrency = options.concurrency
        self._max_attempts = options.max_attempts
        self._counting_advice = counting_advice
        self.budget = budget

    def __repr__(self) -> str:
        """Backend and model, and nothing secret."""
        return f"RemoteEmbedder({self._fingerprint.backend}, {self._fingerprint.model!r})"

    @property
    def fingerprint(self) -> EmbeddingFingerprint:
        """How the vectors are made, as far as the provider says."""
        return self._fingerprint

    def close(self) -> None:
        """Close the connections to the provider; the next call opens new ones."""
        self._provider.close()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Counts with the chunk prefix: exact, or an upper bound where no vocabulary is at hand."""
        if self._counting_advice:
            advice, self._counting_advice = self._counting_advice, ""
            warnings.warn(advice, UserWarning, stacklevel=2)
        return self._count([self._fingerprint.chunk_prefix + text for text in texts])

    def embed_chunks(self, texts: Sequence[str]) -> Vectors:
        """Embed texts as chunks: float32, shape (len(texts), dimension), unit length.

        Raises:
            EmbeddingRejected: a text is longer than the window, or the provider refused.
            EmbeddingUnavailable: a transient failure outlasted every try.
            BudgetExceeded: the next call would cost more than is left.
        """
        return self._embed([self._fingerprint.chunk_prefix + text for text in texts], "chunk")

    def embed_query(self, text: str) -> Vectors:
        """Embed one query, shape (dimension,); beyond the window, the mean of its windows."""
        vector: Vectors = self.embed_queries([text])[0]
        return vector

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed queries in as few calls as they fit: shape (len(texts), dimension)."""
        if not texts:
            return no_vectors(self._fingerprint.dimension)
        prefix, window = self._fingerprint.query_prefix, self._fingerprint.window_tokens
        windows = [[prefix + part for part in self._split(text, prefix, window)] for text in texts]
        vectors = self._embed([part for parts in windows for part in parts], "query")
        rows, start = [], 0
        for parts in windows:
            rows.append(mean_vector(vectors[start : start + len(parts)]))
            start += len(parts)
        return np.stack(rows)

    def _split(self, text: str, prefix: str, window: int) -> list[str]:
        """Halves of halves, cut at spaces, until each part fits the window."""
        if len(text) < 2 or self._count([prefix + text])[0] <= window:
            return [text]
        middle = len(text) // 2
        space = text.rfind(" ", 1, middle)
        cut = space if space > middle // 2 else middle
        return self._split(text[:cut], prefix, window) + self._split(text[cut:], prefix, window)

    def _embed(self, texts: Sequence[str], side: Side) -> Vectors:
        if not texts:
            return no_vectors(self._fingerprint.dimension)
        unique = list(dict.fromkeys(texts))
        counts = self._count(unique)
        self._refuse_long(unique, counts)
        vectors = self._call_all(unique, counts, side)
        row = {text: i for i, text in enumerate(unique)}
        return vectors[[row[text] for text in texts]]

    def _call_all(self, texts: Sequence[str], counts: Sequence[int], side: Side) -> Vectors:
        vectors = np.empty((len(texts), self._fingerprint.dimension), dtype=np.float32)
        places = list(self._batches(counts))
        stopped = threading.Event()

        def work(batch: range) -> None:
            if stopped.is_set():
                return
            part, part_counts = texts[batch.start : batch.stop], counts[batch.start : batch.stop]
            try:
                vectors[batch.start : batch.stop] = self._call(part, part_counts, side, stopped)
            except BaseException:
                stopped.set()
                raise

        if len(places) == 1:
            work(places[0])
            return vectors
        pool = ThreadPoolExecutor(min(self._concurrency, len(places)))
        try:
            _first_error([pool.submit(work, batch) for batch in places])
        finally:
            # After a failure nothing more is paid for, and nobody waits for what is under way.
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
        return vectors

    def _batches(self, counts: Sequence[int]) -> Iterator[range]:
        even = -(-len(counts) // self._concurrency)
        most_texts = min(self._limits.texts, max(LEAST_TEXTS_PER_CALL, even))
        start, tokens = 0, 0
        for place, count in enumerate(counts):
            if place > start and (
                place - start >= most_texts or tokens + count > self._limits.tokens
            ):
                yield range(start, place)
                start, tokens = place, 0
            tokens += count
        yield range(start, len(counts))

    def _call(
        self, texts: Sequence[str], counts: Sequence[int], side: Side, stopped: threading.Event
    ) -> Vectors:
        """One batch; where it is too large for the provider, its halves."""
        expected = sum(counts)
        self.budget.reserve(expected)
        charged = 0
        try:
            answer = call_until_answered(
                lambda: self._provider.call(texts, side),
                max_attempts=self._max_attempts,
                stopped=stopped,
            )
            charged = answer.tokens or expected
        except TooLargeError:
            if len(texts) == 1:
                raise
        else:
            return checked(
                answer.vectors,
                count=len(texts),
                dimension=self._fingerprint.dimension,
                model=self._fingerprint.model,
            )
        finally:
            self.budget.settle(expected, charged)
        half = len(texts) // 2
        return np.vstack(
            [
                self._call(texts[:half], counts[:half], side, stopped),
                self._call(texts[half:], counts[half:], side, stopped),
            ]
        )

    def _refuse_long(self, texts: Sequence[str], counts: Sequence[int]) -> None:
        window = self._fingerprint.window_tokens
        for text, count in zip(texts, counts, strict=True):
            if count > window:
                raise EmbeddingRejected(
                    f"A text of about {count} tokens is beyond the window of "
                    f"{self._fingerprint.model}, {window} tokens: {text[:60]!r}... Nothing is ever "
                    "cut off: make smaller chunks (chunking.tokens)."
                )


def _first_error(futures: Sequence[Future[None]]) -> None:
    """Wait for all; raise the first failure as soon as there is one."""
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        future.result()
