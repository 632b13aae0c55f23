"""Cohere's embedding models, which are told which side a text is on."""

import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from retriever.embedding.catalogue import find_row
from retriever.embedding.guarding import hooks
from retriever.embedding.masking import Mask
from retriever.embedding.openai import ABOUT_SIZE, PACE_SETTINGS, TRANSIENT_STATUS
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.provider import Answer, Limits, OverLimit, Side, TooLargeError
from retriever.embedding.provider_tokens import open_counter
from retriever.embedding.rate_headers import read_limits, retry_after_s
from retriever.embedding.remote import UNREADABLE, RemoteEmbedder
from retriever.embedding.spending import charged_tokens, open_budget
from retriever.errors import (
    EmbeddingError,
    EmbeddingRejected,
    EmbeddingUnavailable,
    MissingDependencyError,
    SettingsError,
)
from retriever.records import EmbeddingFingerprint

LIMITS = Limits(texts=96, tokens=1_000_000)
"""Cohere takes 96 texts in one call (its API reference); it names no limit of tokens."""

INPUT_TYPES = {"query": "search_query", "chunk": "search_document"}


def open_cohere(options: EmbedderOptions) -> RemoteEmbedder:
    """An embedder for one of Cohere's models; no call is made.

    Raises:
        SettingsError: no key, another dimension than the model's, or an unknown model whose
            dimension and window, or whose price while a budget is set, are not known.
    """
    row = find_row(options.model)
    dimension = options.dimension or (row.dimension if row else None)
    window = options.window_tokens or (row.window_tokens if row else None)
    if dimension is None or window is None:
        raise SettingsError(
            f"The catalogue does not know {options.model!r}. Set embedding.dimension and "
            "embedding.window_tokens to what Cohere says of it."
        )
    if row is not None and dimension != row.dimension:
        raise SettingsError(
            f"embedding.dimension is {dimension}, but {row.name} gives {row.dimension}. "
            "Leave it unset."
        )
    fingerprint = EmbeddingFingerprint(
        backend="cohere",
        model=row.name if row else options.model,
        revision=options.revision or "-",
        dimension=dimension,
        window_tokens=window,
        pooling="provider",
        query_prefix=options.query_prefix or "",
        chunk_prefix=options.chunk_prefix or "",
    )
    count, _ = open_counter(options, reads_cl100k=False)
    return RemoteEmbedder(
        CohereProvider(options, fingerprint.model, dimension),
        fingerprint,
        options,
        limits=LIMITS,
        count=count,
        budget=open_budget(options),
    )


class CohereProvider:
    """Calls to `/v2/embed` through the official client, whose own retries are off."""

    def __init__(self, options: EmbedderOptions, model: str, dimension: int) -> None:
        """Keep what the client needs; it is imported by the first call.

        Raises:
            SettingsError: there is no key.
        """
        if options.api_key is None:
            raise SettingsError(f"{model} needs a key: set CO_API_KEY, or embedding.api_key.")
        self._options = options
        self._model = model
        self._hooks = hooks(texts=LIMITS.texts, dimension=dimension)
        self._key = options.api_key
        self._mask = Mask(options.api_key)
        self._client: Any = None
        self._http: Any = None
        self._lock = threading.Lock()

    def call(self, texts: Sequence[str], side: Side) -> Answer:
        """One request.

        Raises:
            EmbeddingError: see `Provider.call`.
        """
        client = self._connect()
        import httpx
        from cohere.core.api_error import ApiError

        try:
            response = client.embed(
                model=self._model,
                texts=list(texts),
                input_type=INPUT_TYPES[side],
                embedding_types=["float"],
                # Beyond the window, an error rather than a cut.
                truncate="NONE",
                request_options={"max_retries": 0},
            )
            return _read(response, len(texts))
        except ApiError as error:
            raise self._refusal(error) from self._mask.cause(error)
        except httpx.HTTPError as error:
            raise EmbeddingUnavailable(
                f"The connection to Cohere failed ({type(error).__name__}). Check the network "
                "and embedding.timeout_s, and try again."
            ) from error
        except UNREADABLE as error:
            raise EmbeddingUnavailable(
                f"Cohere's answer could not be read ({self._mask.quoted(str(error))}). Try again."
            ) from self._mask.cause(error)

    def close(self) -> None:
        """Close the client's connections."""
        with self._lock:
            if self._http is not None:
                self._http.close()
            self._http = self._client = None

    def _connect(self) -> Any:
        try:
            import cohere
            import httpx
        except ImportError as error:
            raise MissingDependencyError("cohere", "cohere", "Embedding with Cohere") from error
        with self._lock:
            if self._client is None:
                # The client never closes a connection that it made itself.
                self._http = httpx.Client(
                    timeout=self._options.timeout_s,
                    follow_redirects=True,
                    event_hooks=self._hooks,
                )
                weakref.finalize(self, self._http.close)
                self._client = cohere.ClientV2(
                    api_key=self._key.get_secret_value(),
                    base_url=self._options.base_url,
                    httpx_client=self._http,
                    log_warning_experimental_features=False,
                )
        return self._client

    def _refusal(self, error: Any) -> EmbeddingError:
        status = error.status_code or 0
        answer = f"Cohere answered {status} for {self._model}: {self._mask.quoted(str(error.body))}"
        headers = {key.lower(): value for key, value in (error.headers or {}).items()}
        if status == 413 or (status == 400 and ABOUT_SIZE.search(answer)):
            return TooLargeError(f"{answer}. Make smaller chunks (chunking.tokens).")
        if status == 429:
            return OverLimit(
                f"{answer}. Try again later, or set {PACE_SETTINGS} to what the plan allows.",
                retry_after_s=retry_after_s(headers),
                limits=read_limits(headers),
            )
        # The client also reports a good answer that it could not read.
        if status in TRANSIENT_STATUS or status >= 500 or status < 400:
            return EmbeddingUnavailable(
                f"{answer}. Try again later.", retry_after_s=retry_after_s(headers)
            )
        advice = "Check the key: CO_API_KEY or embedding.api_key" if status == 401 else "Check it"
        return EmbeddingRejected(f"{answer}. {advice}.")


def _read(response: Any, count: int) -> Answer:
    """The vectors of an answer, which come in the order of the texts.

    Raises:
        ValueError: there are not as many vectors as texts, or they differ in width.
    """
    vectors = np.asarray(response.embeddings.float_, dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != count:
        raise ValueError(f"an array of shape {vectors.shape} for {count} texts")
    billed = getattr(getattr(response, "meta", None), "billed_units", None)
    return Answer(vectors, charged_tokens(getattr(billed, "input_tokens", 0)))
