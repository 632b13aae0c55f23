"""The canary: a fixed text whose stored vector tells whether a model is still the same.

A name says little: weights under it can change. So a collection keeps the vector that its
model made of a text, and whoever loads the model for it compares.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from retriever import assembly
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import Canary
from retriever.embedding.ahead import Later
from retriever.embedding.keeping import begin_keeping, embed_checked, embed_keeping
from retriever.embedding.vectors import CANARY_TEXT, kept_promise, no_vectors
from retriever.errors import EmbeddingRejected, FingerprintMismatch
from retriever.protocols import (
    BatchQueryEmbedder,
    Embedder,
    Keep,
    Pending,
    SelectiveEmbedder,
    Side,
    TokenEmbedder,
    TokenVectors,
    Vectors,
)
from retriever.records import EmbeddingFingerprint

TEXT = CANARY_TEXT
PAID_BACKENDS = frozenset({"openai", "cohere"})
SECONDS_PER_DAY = 86_400
LEAST_COSINE = 0.99
"""Other arithmetic (bfloat16, another runtime) stays above 0.999; other weights fall far below."""


def make_canary(embedder: Embedder, *, plain: Embedder | None = None) -> Canary:
    """The canary of a new collection.

    `plain` is what `embedder` wraps, if it wraps one: where it cannot embed our text, it names
    another.
    """
    text, own = TEXT, plain or embedder
    if isinstance(own, SelectiveEmbedder) and own.refusals([TEXT])[0]:
        text = own.sample_text()
    return Canary(text=text, vector=embedder.embed_chunks([text])[0])


def check_canary(embedder: Embedder, canary: Canary, *, collection: str) -> float:
    """Embed the canary again and compare: the cosine, from -1 to 1.

    Raises:
        FingerprintMismatch: the cosine is below 0.99, so the model has changed.
        EmbeddingRejected: the answer is not what an embedder promises.
    """
    vector = embed_checked(embedder, [canary.text])[0]
    same_width = vector.shape == canary.vector.shape
    norms = float(np.linalg.norm(vector) * np.linalg.norm(canary.vector)) or 1.0
    cosine = float(vector @ canary.vector) / norms if same_width else -1.0
    if not cosine >= LEAST_COSINE:  # not a number is below it, too
        raise FingerprintMismatch(
            collection,
            {"canary cosine": (1.0, round(cosine, 4))},
            advice=f"The model under the name {embedder.fingerprint.model!r} makes other vectors "
            "than the one that built the collection. Bring the old model back, or ingest into a "
            "new collection.",
        )
    return cosine


class CanaryLog:
    """When each paid model was last checked: that costs money, so once a day is enough.

    A file that can be deleted at any time; one that cannot be read or written counts as empty.
    """

    def __init__(self, path: Path) -> None:
        """Keep the log in `path`."""
        self._path = path

    def is_due(self, key: str, *, now_s: float) -> bool:
        """Whether the last check of `key` is a day old, or unknown."""
        last = self._read().get(key)
        return not isinstance(last, (int, float)) or not 0 <= now_s - last < SECONDS_PER_DAY

    def note(self, key: str, *, now_s: float) -> None:
        """Remember that `key` was checked now."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial = self._path.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps(self._read() | {key: now_s}), encoding="utf-8")
            partial.replace(self._path)

    def _read(self) -> dict[str, object]:
        try:
            held = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return held if isinstance(held, dict) else {}


class CheckedEmbedder:
    """An embedder that runs a check before its model is used for the first time.

    Whatever the embedder is, one of a user's own too: an answer that is not what an embedder
    promises is refused, before it is stored or searched with. What needs no model (fingerprint,
    counting tokens) runs no check.
    """

    def __init__(self, embedder: Embedder, check: Callable[[Embedder], object]) -> None:
        """Wrap `embedder`; `check` is called with it and raises where it is the wrong one."""
        self._embedder = embedder
        self._check = check
        self._lock = threading.Lock()
        self._checked = False

    @property
    def fingerprint(self) -> EmbeddingFingerprint:
        """How the vectors are made."""
        return self._embedder.fingerprint

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """As the wrapped embedder counts them."""
        return self._embedder.count_tokens(texts)

    def embed_chunks(self, texts: Sequence[str]) -> Vectors:
        """Embed texts as chunks: float32, shape (len(texts), dimension), unit length."""
        return embed_checked(self._ready(), texts)

    def embed_chunks_keeping(self, texts: Sequence[str], keep: Keep) -> Vectors:
        """As `embed_chunks`, with vectors handed to `keep` part by part."""
        return self._sound(embed_keeping(self._ready(), texts, self._keep_sound(keep)), len(texts))

    def begin_chunks(self, texts: Sequence[str], keep: Keep) -> Pending[Vectors]:
        """Check, and begin what `embed_chunks` does where the embedder can."""
        made = begin_keeping(self._ready(), texts, self._keep_sound(keep))
        return Later(lambda: self._sound(made.result(), len(texts)), made.cancel)

    def embed_query(self, text: str) -> Vectors:
        """Embed one query: float32, shape (dimension,)."""
        vector: Vectors = self._sound([self._ready().embed_query(text)], 1)[0]
        return vector

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed queries in one batch where the embedder can: shape (len(texts), dimension)."""
        if not texts:
            return no_vectors(self.fingerprint.dimension)
        ready = self._ready()
        if isinstance(ready, BatchQueryEmbedder):
            return self._sound(ready.embed_queries(texts), len(texts))
        return self._sound([ready.embed_query(text) for text in texts], len(texts))

    def embed_tokens(self, texts: Sequence[str], *, side: Side) -> list[TokenVectors]:
        """The vector of each token, where the embedder can; `protocols.TokenEmbedder` says more.

        Raises:
            EmbeddingRejected: the embedder gives no such vectors.
        """
        ready = self._ready()
        if not isinstance(ready, TokenEmbedder):
            raise EmbeddingRejected(
                f"{self.fingerprint.model} gives no vectors of single tokens. A local transformer "
                "does, such as sentence-transformers/all-MiniLM-L6-v2."
            )
        return ready.embed_tokens(texts, side=side)

    def _keep_sound(self, keep: Keep) -> Keep:
        """A `keep` that is given only what was checked."""

        def keep_checked(part: Mapping[str, Vectors]) -> None:
            keep(dict(zip(part, self._sound(list(part.values()), len(part)), strict=True)))

        return keep_checked

    def _sound(self, answer: object, count: int) -> Vectors:
        made = self.fingerprint
        return kept_promise(answer, count=count, dimension=made.dimension, model=made.model)

    def _ready(self) -> Embedder:
        with self._lock:
            if not self._checked:
                self._check(self._embedder)
                self._checked = True
        return self._embedder


def checked_embedder(
    embedder: Embedder,
    data: PhysicalCollection,
    *,
    log: CanaryLog | None = None,
) -> CheckedEmbedder:
    """An embedder whose first use sees that it is the one that built `data`.

    A local model is checked by every process that loads it, a paid one once a day by `log`
    (a file of the user's cache where None).
    """
    checks = log or CanaryLog(assembly.user_cache_folder() / "canaries.json")

    def check(loaded: Embedder) -> None:
        canary = data.canary
        paid = loaded.fingerprint.backend in PAID_BACKENDS
        key, now_s = _log_key(data), time.time()
        if canary is None:  # this model is about to make it
            if paid:
                checks.note(key, now_s=now_s)
            return
        if paid and not checks.is_due(key, now_s=now_s):
            return
        check_canary(loaded, canary, collection=data.name)
        if paid:
            checks.note(key, now_s=now_s)

    return CheckedEmbedder(embedder, check)


def _log_key(data: PhysicalCollection) -> str:
    """Tells collections of one name in different stores apart: by how and of what they are."""
    return f"{data.name} {data.id}"
