"""Embedders without a network of layers: a text's vector is the mean of its words' vectors.

What the units are (words, or a tokenizer's tokens), which vectors they have and how much each
counts is the lexicon's business. Order, equal texts once, refusals and notes are here.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.vectors import CANARY_TEXT, checked, no_vectors
from retriever.errors import EmbeddingRejected, NothingToEmbed
from retriever.protocols import Vectors
from retriever.records import EmbeddingFingerprint

MOST_UNKNOWN = 100_000
"""Different unknown words that are counted each by itself."""
UNKNOWN_NAMED = 5


class Reading(NamedTuple):
    """A text as its units."""

    rows: list[int]
    """The row of each known unit."""
    unknown: list[str]


class Lexicon(Protocol):
    """Units and their vectors; they are loaded when they are first asked for."""

    unit: str
    """What a unit is called: `word` or `token`."""

    def counts(self, texts: Sequence[str]) -> list[int]:
        """At least the units of each text, without loading the vectors."""
        ...

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """The units of each text."""
        ...

    def vectors(self) -> Vectors:
        """One row a unit: float32, (units, dimension)."""
        ...

    def weights(self) -> NDArray[np.float32]:
        """How much each unit counts: shape (units,)."""
        ...

    def names(self) -> Sequence[str]:
        """The units themselves, in the order of their rows."""
        ...


class StaticEmbedder:
    """Embeds each text as the weighted mean of its units' vectors; threads may share it.

    The vector does not depend on the order of the units, and there is no window: of a text of
    any length all of it is read. A text without a known unit has no vector and is refused.
    """

    def __init__(self, fingerprint: EmbeddingFingerprint, lexicon: Lexicon) -> None:
        """Keep both; nothing is loaded."""
        self._fingerprint = fingerprint
        self._lexicon = lexicon
        self._lock = threading.Lock()
        self._unknown: Counter[str] = Counter()
        self._read = 0
        self._left_out = 0

    def __repr__(self) -> str:
        """Backend and model."""
        return f"StaticEmbedder({self._fingerprint.backend}, {self._fingerprint.model!r})"

    @property
    def fingerprint(self) -> EmbeddingFingerprint:
        """How the vectors are made."""
        return self._fingerprint

    def sample_text(self) -> str:
        """The first units that have a vector."""
        names = self._lexicon.names()
        held = (name for name in names[:1000] if not self.refusals([name])[0])
        return " ".join(name for name, _ in zip(held, range(8), strict=False))

    def vocabulary(self) -> tuple[Sequence[str], Vectors]:
        """The units and their vectors as they were trained: float32, (units, dimension)."""
        return self._lexicon.names(), self._lexicon.vectors()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Sizes of texts with the chunk prefix, at least their number of units."""
        return self._lexicon.counts([self._fingerprint.chunk_prefix + text for text in texts])

    def refusals(self, texts: Sequence[str]) -> list[str]:
        """Why each text cannot be embedded as a chunk: it has no known unit. Empty where it can."""
        prefix = self._fingerprint.chunk_prefix
        sums = self._sums(self._lexicon.read([prefix + text for text in texts]))
        return ["" if row.any() else self._refusal for row in sums]

    def notes(self) -> list[str]:
        """How many units of the chunks so far are unknown, and the most frequent of them.

        The canary is none of the chunks.
        """
        with self._lock:
            if not self._left_out:
                return []
            named = self._unknown.most_common(UNKNOWN_NAMED)
            listed = ", ".join(f"{word!r} ({count:,})" for word, count in named)
            return [
                f"{self._left_out:,} of {self._read:,} {self._lexicon.unit}s "
                f"({self._left_out / self._read:.1%}) are unknown to {self._fingerprint.model} and "
                f"were left out of the vectors, most often {listed}."
            ]

    def embed_chunks(self, texts: Sequence[str]) -> Vectors:
        """Embed texts as chunks: float32, shape (len(texts), dimension), unit length.

        Raises:
            NothingToEmbed: a text has no known unit.
            EmbeddingRejected: a text is longer than the window.
        """
        counts = self.count_tokens(texts)
        window = self._fingerprint.window_tokens
        if max(counts, default=0) > window:
            raise EmbeddingRejected(
                f"A text of {max(counts):,} {self._lexicon.unit}s is beyond the window of "
                f"{self._fingerprint.model}, {window:,}. Make smaller chunks (chunking.tokens)."
            )
        prefix = self._fingerprint.chunk_prefix
        readings = self._lexicon.read([prefix + text for text in texts])
        vectors = self._embed(texts, readings)
        self._note(
            [read for text, read in zip(texts, readings, strict=True) if text != CANARY_TEXT]
        )
        return vectors

    def embed_query(self, text: str) -> Vectors:
        """Embed one query, shape (dimension,), however long it is.

        Raises:
            NothingToEmbed: it has no known unit.
        """
        vector: Vectors = self.embed_queries([text])[0]
        return vector

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed queries: shape (len(texts), dimension)."""
        prefix = self._fingerprint.query_prefix
        return self._embed(texts, self._lexicon.read([prefix + text for text in texts]))

    @property
    def _refusal(self) -> str:
        return f"no {self._lexicon.unit} that {self._fingerprint.model} knows"

    def _embed(self, texts: Sequence[str], readings: Sequence[Reading]) -> Vectors:
        dimension = self._fingerprint.dimension
        if not texts:
            return no_vectors(dimension)
        sums = self._sums(readings)
        for text, row in zip(texts, sums, strict=True):
            if not row.any():
                raise NothingToEmbed(
                    f"This text has {self._refusal}, so it has no vector: {text[:60]!r}. "
                    "Use other words, search by words (retrieval.mode), or another model."
                )
        return checked(sums, count=len(texts), dimension=dimension, model=self._fingerprint.model)

    def _sums(self, readings: Sequence[Reading]) -> NDArray[np.float64]:
        """Weighted sums, whose direction is that of the means: (texts, dimension)."""
        vectors, weights = self._lexicon.vectors(), self._lexicon.weights()
        sums = np.zeros((len(readings), self._fingerprint.dimension), dtype=np.float64)
        for place, reading in enumerate(readings):
            rows, counts = np.unique(np.asarray(reading.rows, dtype=np.int64), return_counts=True)
            if len(rows):
                shares = (weights[rows] * counts).astype(np.float64)
                sums[place] = shares @ vectors[rows].astype(np.float64)
        return sums

    def _note(self, readings: Sequence[Reading]) -> None:
        with self._lock:
            for reading in readings:
                self._read += len(reading.rows) + len(reading.unknown)
                self._left_out += len(reading.unknown)
                room = len(self._unknown) < MOST_UNKNOWN
                self._unknown.update(
                    word for word in reading.unknown if room or word in self._unknown
                )
