"""An embedder on this machine: what every local model shares, whatever runs it.

The runner turns one batch into vectors. Counting, prefixes, refusals, batches of equal length,
equal texts once, the order, and long queries are here.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.ahead import Ahead, Begun, Later
from retriever.embedding.keeping import keep_nothing
from retriever.embedding.model_files import LocalModel
from retriever.embedding.tokenizing import Tokenizer, split_to_fit, well_formed
from retriever.embedding.vectors import checked, mean_vector, no_vectors
from retriever.errors import EmbeddingRejected
from retriever.protocols import Keep, Pending, Side, TokenVectors, Vectors
from retriever.records import EmbeddingFingerprint
from retriever.timing import stage

BATCHES_AHEAD = 8
"""Batches of one call that are begun before the first is done: seconds of work, little memory."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts of about the same length, to be embedded together."""

    texts: tuple[str, ...]
    """Without the prefix."""
    ids: tuple[list[int], ...]
    """Token ids, prefix and special tokens included."""
    side: Side
    prefix: str


class Runner(Protocol):
    """Runs a model: one batch in, one array out."""

    def run(self, batch: Batch) -> NDArray[np.floating]:
        """Vectors of the batch: shape (len(batch.texts), dimension), of any length."""
        ...


@runtime_checkable
class AheadRunner(Protocol):
    """A runner that works while its caller does something else; threads may share it."""

    def begin(self, batch: Batch) -> Begun:
        """Begin what `run` does, behind the batches that were begun before."""
        ...


class TokenStates(Protocol):
    """Runs a model without its pooling."""

    def run(self, ids: Sequence[list[int]]) -> list[Vectors]:
        """The last hidden states of token ids: float32, (tokens, width) for each text."""
        ...


class LocalEmbedder:
    """Embeds with a model on this machine; threads may share it.

    The runner is made by the first text that has to be embedded: fingerprint and counts come
    from the model's files alone.
    """

    def __init__(
        self,
        model: LocalModel,
        tokenizer: Tokenizer,
        load: Callable[[], Runner],
        *,
        batch_tokens: int,
        load_tokens: Callable[[], TokenStates],
    ) -> None:
        """Keep the ways to load the model; `batch_tokens` bounds a batch, padding included."""
        self._model = model
        self._tokenizer = tokenizer
        self._load = load
        self._batch_tokens = batch_tokens
        self._runner: Runner | None = None
        self._load_tokens = load_tokens
        self._token_runner: TokenStates | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """Backend and model."""
        return f"LocalEmbedder({self.fingerprint.backend}, {self.fingerprint.model!r})"

    @property
    def fingerprint(self) -> EmbeddingFingerprint:
        """How the vectors are made."""
        return self._model.fingerprint

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Exact counts, chunk prefix and special tokens included."""
        prefix = self.fingerprint.chunk_prefix
        return self._tokenizer.counts([prefix + text for text in texts] if prefix else texts)

    def embed_chunks(self, texts: Sequence[str]) -> Vectors:
        """Embed texts as chunks: float32, shape (len(texts), dimension), unit length.

        Raises:
            EmbeddingRejected: a text is longer than the window.
        """
        return self._embed(texts, "chunk")

    def embed_query(self, text: str) -> Vectors:
        """Embed one query, shape (dimension,); beyond the window, the mean of its windows."""
        vector: Vectors = self.embed_queries([text])[0]
        return vector

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed queries in one go: shape (len(texts), dimension)."""
        if not texts:
            return no_vectors(self.fingerprint.dimension)
        windows = [self._windows(text) for text in texts]
        vectors = self._embed([part for parts in windows for part in parts], "query")
        rows, start = [], 0
        for parts in windows:
            rows.append(mean_vector(vectors[start : start + len(parts)]))
            start += len(parts)
        return np.stack(rows)

    def embed_tokens(self, texts: Sequence[str], *, side: Side) -> list[TokenVectors]:
        """The vector of each token in its text; `protocols.TokenEmbedder` says more.

        Raises:
            EmbeddingRejected: a text is longer than the window, the model has no transformer,
                or its tokenizer does not say where its tokens stand.
        """
        if not texts:
            return []
        prefix = self._prefix(side)
        ready = [well_formed(text) for text in texts]
        ids = self._tokenizer.ids([prefix + text for text in ready])
        self._refuse_long(ready, ids)
        found: dict[int, TokenVectors] = {}
        with self._lock:
            runner = self._token_runner = self._token_runner or self._load_tokens()
            for places in batches([len(each) for each in ids], self._batch_tokens):
                states = runner.run([ids[place] for place in places])
                for place, each in zip(places, states, strict=True):
                    spans = self._tokenizer.spans(prefix + ready[place])
                    found[place] = within(each, spans, len(prefix))
        return [found[place] for place in range(len(ready))]

    def _prefix(self, side: Side) -> str:
        return self.fingerprint.query_prefix if side == "query" else self.fingerprint.chunk_prefix

    def _windows(self, text: str) -> list[str]:
        prefix, window = self.fingerprint.query_prefix, self.fingerprint.window_tokens
        if len(self._tokenizer.ids([prefix + text])[0]) <= window:
            return [text]
        return split_to_fit(self._tokenizer, text, prefix=prefix, window_tokens=window)

    def begin_chunks(self, texts: Sequence[str], keep: Keep) -> Pending[Vectors]:
        """Begin what `embed_chunks` does; `keep` is given what each batch brings.

        Raises:
            EmbeddingRejected: a text is longer than the window.
        """
        return self._begin(texts, "chunk", keep)

    def _embed(self, texts: Sequence[str], side: Side) -> Vectors:
        return self._begin(texts, side, keep_nothing).result()

    def _begin(self, texts: Sequence[str], side: Side, keep: Keep) -> Pending[Vectors]:
        if not texts:
            return Later(lambda: no_vectors(self.fingerprint.dimension))
        prefix = self._prefix(side)
        places: dict[str, list[int]] = {}
        for place, text in enumerate(texts):
            places.setdefault(well_formed(text), []).append(place)
        unique = list(places)
        ids = self._tokenizer.ids([prefix + text for text in unique])
        self._refuse_long(unique, ids)

        def begin(rows: list[int]) -> Begun:
            chosen = tuple(unique[row] for row in rows)
            return self._begin_batch(Batch(chosen, tuple(ids[row] for row in rows), side, prefix))

        lengths = [len(each) for each in ids]
        ahead = Ahead(batches(lengths, self._batch_tokens), begin, most=BATCHES_AHEAD)

        def collect() -> Vectors:
            vectors = np.empty((len(texts), self.fingerprint.dimension), dtype=np.float32)
            try:
                for rows, found in ahead:
                    made = self._checked(found, len(rows))
                    for row, vector in zip(rows, made, strict=True):
                        vectors[places[unique[row]]] = vector
                    keep({texts[i]: vectors[i] for row in rows for i in places[unique[row]]})
            finally:
                ahead.cancel()
            return vectors

        return Later(collect, ahead.cancel)

    def _begin_batch(self, batch: Batch) -> Begun:
        with self._lock:
            if self._runner is None:
                with stage("load model"):
                    self._runner = self._load()
            runner = self._runner
        if isinstance(runner, AheadRunner):
            return runner.begin(batch)

        def run() -> NDArray[np.floating]:
            with self._lock:
                return runner.run(batch)

        return Later(run)

    def _checked(self, vectors: NDArray[np.floating], count: int) -> Vectors:
        if self.fingerprint.dimension < self._model.full_dimension:
            vectors = vectors[:, : self.fingerprint.dimension]
        return checked(
            vectors,
            count=count,
            dimension=self.fingerprint.dimension,
            model=self.fingerprint.model,
        )

    def _refuse_long(self, texts: Sequence[str], ids: Sequence[list[int]]) -> None:
        window = self.fingerprint.window_tokens
        for text, each in zip(texts, ids, strict=True):
            if len(each) > window:
                raise EmbeddingRejected(
                    f"A text of {len(each)} tokens is beyond the window of "
                    f"{self.fingerprint.model}, {window} tokens: {text[:60]!r}... Nothing is ever "
                    "cut off: make smaller chunks (chunking.tokens)."
                )


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Places of texts in batches of similar length, the longest first.

    A batch holds at most `batch_tokens` tokens, padding included; a text that is longer than
    that alone is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size


def padded(
    ids: Sequence[list[int]], *, step: int, pad: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids as one array, and the mask of what is no padding: int64, (texts, length) each.

    The length is the longest text's, rounded up to a multiple of `step`.
    """
    length = -(-max(len(each) for each in ids) // step) * step
    tokens = np.full((len(ids), length), pad, dtype=np.int64)
    mask = np.zeros_like(tokens)
    for row, each in enumerate(ids):
        tokens[row, : len(each)] = each
        mask[row, : len(each)] = 1
    return tokens, mask


def within(states: Vectors, spans: Sequence[tuple[int, int]], start: int) -> TokenVectors:
    """The tokens that stand behind `start`, their spans counted from there."""
    kept = [place for place, (_, end) in enumerate(spans) if end > max(start, spans[place][0])]
    moved = tuple((max(spans[place][0] - start, 0), spans[place][1] - start) for place in kept)
    return TokenVectors(states[kept], moved)
