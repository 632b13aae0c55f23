"""A model, tried: loaded, asked on both sides, timed, and compared with plain arithmetic."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from retriever import assembly
from retriever.canary import PAID_BACKENDS, TEXT
from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.precision import LEAST_COSINE, PROBES, agreement
from retriever.embedding.speeds import SpeedLog
from retriever.errors import EmbeddingRejected, MissingDependencyError
from retriever.protocols import Embedder, SelectiveEmbedder, Vectors
from retriever.settings import Settings

LOCAL_BACKENDS = frozenset({"sentence-transformers", "transformers"})
TEXT_TOKENS = 128
"""About the length of a chunk, on which the speed is measured."""
FEW_TEXTS, MANY_TEXTS = 8, 128
QUICK_S = 0.5
"""Where a few texts take less, many are timed."""


@dataclass(frozen=True, slots=True)
class ModelTrial:
    """What a model did."""

    model: str
    backend: str
    revision: str
    dimension: int
    window_tokens: int
    pooling: str
    query_prefix: str
    chunk_prefix: str
    load_s: float
    """From opening it to the first vector."""
    query_ms: float
    """One short query, when it is loaded."""
    tokens_per_s: float | None
    """Of chunks of about 128 tokens; None for a provider, whose speed would cost money."""
    sides_cosine: float
    """Between the canary as a query and as a chunk: 1 where the model knows no sides."""
    float32_cosine: float | None
    """Mean cosine to the same model in float32 on torch; None where nothing can be compared."""
    float32_note: str
    """Why nothing was compared, or what it means."""


def try_model(settings: Settings) -> ModelTrial:
    """Load the model that the settings name and embed a canary on both sides.

    A provider is called twice, for a few tokens. The speed of a local model is remembered.

    Raises:
        SettingsError, MissingDependencyError: the model cannot be opened.
        EmbeddingError: it does not embed.
    """
    options = assembly.embedder_options(settings)
    began_s = time.perf_counter()
    embedder = open_embedder(options)
    text = _canary_for(embedder)
    chunk = embedder.embed_chunks([text])[0]
    load_s = time.perf_counter() - began_s
    query_s, query = _timed_query(embedder, text)
    made = embedder.fingerprint
    if chunk.shape != (made.dimension,) or query.shape != (made.dimension,):
        raise EmbeddingRejected(
            f"{made.model} gave {chunk.shape[-1]} components for a chunk and {query.shape[-1]} "
            f"for a query, not {made.dimension}. Correct embedding.dimension."
        )
    tokens_per_s = None if made.backend in PAID_BACKENDS else _tokens_per_s(embedder)
    if tokens_per_s is not None:
        SpeedLog(assembly.user_cache_folder()).note(made.model, tokens_per_s)
    cosine, note = _compare(embedder, options)
    return ModelTrial(
        model=made.model,
        backend=made.backend,
        revision=made.revision,
        dimension=made.dimension,
        window_tokens=made.window_tokens,
        pooling=made.pooling,
        query_prefix=made.query_prefix,
        chunk_prefix=made.chunk_prefix,
        load_s=round(load_s, 3),
        query_ms=round(query_s * 1000, 2),
        tokens_per_s=tokens_per_s,
        sides_cosine=round(float(np.dot(chunk, query)), 4),
        float32_cosine=cosine,
        float32_note=note,
    )


def _canary_for(embedder: Embedder) -> str:
    if isinstance(embedder, SelectiveEmbedder) and embedder.refusals([TEXT])[0]:
        return embedder.sample_text()
    return TEXT


def _timed_query(embedder: Embedder, text: str) -> tuple[float, Vectors]:
    began_s = time.perf_counter()
    query = embedder.embed_query(text)
    return time.perf_counter() - began_s, query


def _tokens_per_s(embedder: Embedder) -> float:
    few = _texts(embedder, FEW_TEXTS)
    embedder.embed_chunks(few)
    rate, took_s = _rate(embedder, few)
    if took_s < QUICK_S:
        rate, _ = _rate(embedder, _texts(embedder, MANY_TEXTS))
    return round(rate, 1)


def _rate(embedder: Embedder, texts: Sequence[str]) -> tuple[float, float]:
    tokens = sum(embedder.count_tokens(texts))
    began_s = time.perf_counter()
    embedder.embed_chunks(texts)
    took_s = time.perf_counter() - began_s
    return tokens / max(took_s, 1e-9), took_s


def _texts(embedder: Embedder, number: int) -> list[str]:
    """Texts of words that the embedder knows, each of its own, of about a chunk's length."""
    sentence = _canary_for(embedder)
    counted = max(1, embedder.count_tokens([sentence])[0])
    wanted = min(TEXT_TOKENS, embedder.fingerprint.window_tokens * 3 // 4)
    body = " ".join([sentence] * max(1, wanted // counted))
    texts = [f"{place} {body}" for place in range(number)]
    window = embedder.fingerprint.window_tokens
    return texts if max(embedder.count_tokens(texts)) <= window else [sentence] * number


def _compare(embedder: Embedder, options: EmbedderOptions) -> tuple[float | None, str]:
    """Mean cosine to float32 on torch, and what there is to say of it."""
    made = embedder.fingerprint
    if made.backend not in LOCAL_BACKENDS:
        return None, "it runs elsewhere" if made.backend in PAID_BACKENDS else "it needs no torch"
    fits = [
        text
        for text, count in zip(PROBES, embedder.count_tokens(PROBES), strict=True)
        if count <= made.window_tokens
    ]
    try:
        plain = open_embedder(replace(options, runtime="torch", precision="float32"))
        cosine = agreement(embedder.embed_chunks(fits), plain.embed_chunks(fits))
    except MissingDependencyError as error:
        return None, str(error)
    verdict = "the same rankings" if cosine >= LEAST_COSINE else "rankings may differ"
    return round(cosine, 6), f"{verdict}; at least {LEAST_COSINE} is wanted"
