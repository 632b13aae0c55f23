"""OpenAI's embedding models, and every server that speaks its protocol."""

import base64
import json
import re
import threading
import urllib.parse
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.catalogue import ModelRow, find_row
from retriever.embedding.guarding import hooks
from retriever.embedding.masking import URL_CREDENTIALS, Mask, read_headers
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.provider import Answer, Limits, OverLimit, Side, TooLargeError
from retriever.embedding.provider_tokens import open_counter
from retriever.embedding.rate_headers import RateLimits, read_limits, retry_after_s
from retriever.embedding.remote import UNREADABLE, RemoteEmbedder
from retriever.embedding.spending import charged_tokens, open_budget
from retriever.errors import (
    EmbeddingError,
    EmbeddingRejected,
    EmbeddingUnavailable,
    SettingsError,
)
from retriever.records import EmbeddingFingerprint

LIMITS = Limits(texts=2048, tokens=300_000)
"""OpenAI's limits for one call, from the docstring of its official client."""

TRANSIENT_STATUS = frozenset({408, 409, 425, 429})
"""With every status from 500 on: what may pass when it is tried again."""

COUNTING_ADVICE = (
    "Tokens for OpenAI are counted as an upper bound, about twice too high, so chunks become "
    "smaller than chunking.tokens says. For exact counts: pip install tiktoken, and once: "
    "python -c \"import tiktoken; tiktoken.get_encoding('cl100k_base')\""
)

OWN_FIELDS = frozenset({"model", "input", "encoding_format", "dimensions"})

ABOUT_SIZE = re.compile(
    r"context.?length|maximum|max_tokens|too (?:large|long|many)|exceed|reduce", re.IGNORECASE
)
_BEYOND_A_MINUTE = re.compile(r"request too large", re.IGNORECASE)
"""How OpenAI answers a call of more tokens than a minute's limit."""
PACE_SETTINGS = "embedding.requests_per_minute and embedding.tokens_per_minute"
_NO_MONEY = "insufficient_quota"
_ADVICE = {
    401: "Check the key: OPENAI_API_KEY, embedding.api_key or embedding.headers.",
    403: "The key may not use this model: check its permissions.",
    404: "Check embedding.model and embedding.base_url.",
}


def open_openai(options: EmbedderOptions) -> RemoteEmbedder:
    """An embedder for a model behind OpenAI's protocol; no call is made.

    Raises:
        SettingsError: no key, dimension and window of an unknown model are not set, or a budget
            is set and its price is not known.
    """
    row = find_row(options.model)
    own = row is not None and row.backend == "openai"
    fingerprint = _fingerprint(options, row)
    count, exact = open_counter(options, reads_cl100k=own)
    return RemoteEmbedder(
        OpenAIProvider(options, row, fingerprint.dimension),
        fingerprint,
        options,
        limits=LIMITS,
        count=count,
        budget=open_budget(options),
        counting_advice=COUNTING_ADVICE if own and not exact else "",
    )


def _fingerprint(options: EmbedderOptions, row: ModelRow | None) -> EmbeddingFingerprint:
    dimension = options.dimension or (row.dimension if row else None)
    window = options.window_tokens or (row.window_tokens if row else None)
    if dimension is None or window is None:
        raise SettingsError(
            f"The catalogue does not know {options.model!r}. Set embedding.dimension and "
            "embedding.window_tokens to what the server's model gives and reads."
        )
    if row and (dimension > row.dimension if row.matryoshka else dimension != row.dimension):
        raise SettingsError(
            f"embedding.dimension is {dimension}, but {row.name} gives {row.dimension}"
            f"{' at most' if row.matryoshka else ''}. Leave it unset."
        )
    return EmbeddingFingerprint(
        backend="openai",
        model=row.name if row else options.model,
        revision=(options.revision or "-") + _sides(options),
        dimension=dimension,
        window_tokens=window,
        pooling="provider",
        query_prefix=_chosen(options.query_prefix, row.query_prefix if row else ""),
        chunk_prefix=_chosen(options.chunk_prefix, row.chunk_prefix if row else ""),
    )


def _sides(options: EmbedderOptions) -> str:
    """The extra fields of requests, which change the vectors, for the fingerprint.

    Raises:
        SettingsError: one of them is what the request says itself.
    """
    fields = {"query": dict(options.query_fields), "chunk": dict(options.chunk_fields)}
    for side, named in fields.items():
        for name in sorted(OWN_FIELDS & named.keys()):
            raise SettingsError(
                f"embedding.{side}_fields names {name!r}, which every request says itself: it "
                "comes from embedding.model, embedding.dimension and the texts. Leave it out."
            )
    return json.dumps(fields, sort_keys=True) if any(fields.values()) else ""


def _chosen(setting: str | None, default: str) -> str:
    return default if setting is None else setting


class OpenAIProvider:
    """Calls to `/embeddings` through the official client, whose own retries are off."""

    def __init__(self, options: EmbedderOptions, row: ModelRow | None, dimension: int) -> None:
        """Keep what the client needs; it is imported by the first call.

        Raises:
            SettingsError: there is no key, and no other server that might need none.
        """
        if options.api_key is None and options.base_url is None:
            raise SettingsError(
                f"{options.model} needs a key: set OPENAI_API_KEY, or embedding.api_key. "
                "For a server of your own, set embedding.base_url."
            )
        self._options = options
        self._headers = read_headers(options.headers)
        # Then other headers say who asks, as Azure's api-key does.
        self._is_keyless = options.api_key is None and bool(
            self._headers and "Authorization" not in self._headers
        )
        self._mask = Mask(options.api_key, *options.headers.values())
        self._model = row.name if row and row.backend == "openai" else options.model
        shortened = row is not None and row.matryoshka and dimension != row.dimension
        self._hooks = hooks(texts=LIMITS.texts, dimension=dimension)
        self._dimensions = dimension if shortened else None
        self._encoding = "base64"
        self._client: Any = None
        self._lock = threading.Lock()

    def call(self, texts: Sequence[str], side: Side) -> Answer:
        """One request; the protocol knows no sides, but servers may take fields of their own.

        Raises:
            EmbeddingError: see `Provider.call`.
        """
        client, openai = self._connect()
        options = self._options
        extra: dict[str, Any] = {
            "extra_body": dict(options.query_fields if side == "query" else options.chunk_fields)
        }
        if self._is_keyless:
            extra["extra_headers"] = {"Authorization": openai.Omit()}
        if self._dimensions is not None:
            extra["dimensions"] = self._dimensions
        encoding = self._encoding  # a call beside this one may change it meanwhile
        try:
            # Asked for by name, the client leaves base64 as it came, and it is checked here.
            raw = client.embeddings.with_raw_response.create(
                model=self._model, input=list(texts), encoding_format=encoding, **extra
            )
            return _read(raw.parse(), len(texts), read_limits(raw.headers))
        except (openai.OpenAIError, *UNREADABLE) as error:
            if encoding == "base64" and _about_encoding(error):
                self._encoding = "float"
                return self.call(texts, side)
            raise self._explained(error, openai) from self._mask.cause(error)

    def close(self) -> None:
        """Close the client's connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _connect(self) -> tuple[Any, Any]:
        import openai

        with self._lock:
            if self._client is None:
                self._client = self._open(openai)
                weakref.finalize(self, self._client.close)
        return self._client, openai

    def _open(self, openai: Any) -> Any:
        key = self._options.api_key
        url, _, query = (self._options.base_url or "").partition("?")
        return openai.OpenAI(
            api_key=key.get_secret_value() if key else "none",
            base_url=url or None,
            default_query=dict(urllib.parse.parse_qsl(query)),
            default_headers=self._headers,
            timeout=self._options.timeout_s,
            max_retries=0,
            http_client=openai.DefaultHttpxClient(event_hooks=self._hooks),
        )

    def _explained(self, error: Exception, openai: Any) -> EmbeddingError:
        """Our error for one of the client's."""
        if isinstance(error.__cause__, EmbeddingError):
            return error.__cause__
        if isinstance(error, openai.APITimeoutError):
            limit = f"{self._options.timeout_s:g} s"
            return EmbeddingUnavailable(
                f"{self._server} did not answer within {limit}. Try again, or raise "
                "embedding.timeout_s."
            )
        if isinstance(error, openai.APIStatusError):
            return self._refusal(error)
        if isinstance(error, openai.APIConnectionError):
            reason = type(error.__cause__ or error).__name__
            return EmbeddingUnavailable(
                f"The connection to {self._server} failed ({reason}). Check the network and "
                "embedding.base_url, and try again."
            )
        # A body that was cut short, or is no answer at all: the next one may be whole.
        return EmbeddingUnavailable(
            f"The answer of {self._server} could not be read ({self._mask.quoted(str(error))}). "
            "Try again, or check that embedding.base_url speaks OpenAI's protocol."
        )

    def _refusal(self, error: Any) -> EmbeddingError:
        status, said = error.status_code, self._mask.quoted(_said(error)).strip(" .\n")
        answer = f"{self._server} answered {status} for {self._options.model}: {said}."
        no_money = _NO_MONEY in (error.code, error.type)
        too_large = status == 413 or (status == 400 and ABOUT_SIZE.search(said))
        if too_large or (status == 429 and _BEYOND_A_MINUTE.search(said)):
            return TooLargeError(f"{answer} Make smaller chunks (chunking.tokens).")
        if status == 429 and not no_money:
            headers = error.response.headers
            return OverLimit(
                f"{answer} Try again later, or set {PACE_SETTINGS} to what the plan allows.",
                retry_after_s=retry_after_s(headers),
                limits=read_limits(headers),
            )
        if (status in TRANSIENT_STATUS or status >= 500) and not no_money:
            return EmbeddingUnavailable(
                f"{answer} Try again later.", retry_after_s=retry_after_s(error.response.headers)
            )
        advice = _ADVICE.get(status, "Check the model's name and the settings of embedding.")
        return EmbeddingRejected(
            f"{answer} {'Check the plan and billing.' if no_money else advice}"
        )

    @property
    def _server(self) -> str:
        return _without_credentials(self._options.base_url or "") or "OpenAI"


def _without_credentials(url: str) -> str:
    return URL_CREDENTIALS.sub("", url).partition("?")[0]


def _said(error: Any) -> str:
    """What a server said of its refusal: OpenAI's field, or the whole answer of another."""
    message = error.body.get("message") if isinstance(error.body, Mapping) else None
    return message if isinstance(message, str) else error.response.text or "no reason"


def _about_encoding(error: Exception) -> bool:
    said = _said(error).lower() if getattr(error, "status_code", 0) in (400, 422) else ""
    return "encoding_format" in said or "base64" in said


def _read(response: Any, count: int, limits: RateLimits) -> Answer:
    """The vectors of an answer, put in the order of the texts by their index.

    Raises:
        ValueError: vectors are missing, doubled, of several widths, or no vectors.
    """
    by_index = {int(item.index): _vector(item.embedding) for item in response.data}
    if len(response.data) != count or set(by_index) != set(range(count)):
        raise ValueError(f"{len(response.data)} vectors for {count} texts")
    usage = getattr(response, "usage", None)
    tokens = charged_tokens(getattr(usage, "total_tokens", 0))
    return Answer(np.stack([by_index[i] for i in range(count)]), tokens, limits)


def _vector(embedding: object) -> NDArray[np.float32]:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    vector = np.asarray(embedding, dtype=np.float32)
    if vector.ndim != 1:
        raise ValueError("an embedding that is no list of numbers")
    return vector
