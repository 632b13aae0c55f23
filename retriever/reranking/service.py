"""A reranking service: Cohere's protocol, which Jina, Voyage, vLLM and others speak as well.

One POST of model, query and documents to `<base_url>/rerank`. The answer names each document by
its index with a `relevance_score`, in a list called `results` (Cohere, Jina) or `data` (Voyage).
"""

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, cast

import httpx
import numpy as np

from retriever.errors import RerankingError, RerankingUnavailable, SettingsError
from retriever.protocols import Vectors
from retriever.reranking.options import RerankerOptions
from retriever.reranking.scores import checked, from_logits

COHERE_URL = "https://api.cohere.com/v2"
LONGEST_ANSWER_BYTES = 10_000_000
LONGEST_QUOTE_CHARACTERS = 300
_TRANSIENT_STATUS = frozenset({408, 409, 425, 429})


class ServiceReranker:
    """Reranks by one call to a service; threads may share it. Nothing is tried again."""

    def __init__(self, options: RerankerOptions) -> None:
        """Keep what a call needs; none is made.

        Raises:
            SettingsError: no model is named, the address is none, or Cohere's key is missing.
        """
        self._options = options
        self._address = f"{options.base_url or COHERE_URL}".rstrip("/") + "/rerank"
        if not options.model:
            raise SettingsError("reranking.model is not set: name the service's model.")
        if not self._address.startswith(("https://", "http://")):
            raise SettingsError(
                f"reranking.base_url is {options.base_url!r}: it begins with https:// or http://."
            )
        if options.api_key is None and not options.base_url:
            raise SettingsError(
                f"{options.model} needs a key: set CO_API_KEY, or reranking.api_key."
            )
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """The model, and nothing secret."""
        return f"ServiceReranker({self._options.model!r})"

    def rerank(self, query: str, texts: Sequence[str]) -> Vectors:
        """Scores from 0 to 1: float32, shape (len(texts),).

        A service that answers with numbers beyond 0 and 1 gives logits: the logistic
        function makes scores of them.

        Raises:
            RerankingUnavailable: a transient failure, or an answer that cannot be read.
            RerankingError: the service refused the call.
        """
        if not texts:
            return np.zeros(0, dtype=np.float32)
        body = {"model": self._options.model, "query": query, "documents": list(texts)}
        answer = self._call(json.dumps(body).encode("ascii"))
        try:
            scores = read_scores(json.loads(answer), len(texts))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise RerankingUnavailable(
                f"The answer of {self._options.model} could not be read "
                f"({self._masked(str(error))})."
            ) from self._without_key(error)
        return checked(scores, count=len(texts), model=self._options.model)

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _call(self, body: bytes) -> bytes:
        try:
            with self._connected().stream(
                "POST", self._address, content=body, headers=self._headers()
            ) as response:
                content = _bounded(response)
        except httpx.HTTPError as error:
            raise RerankingUnavailable(
                f"The call to {self._options.model} failed ({type(error).__name__})."
            ) from error
        if response.status_code != httpx.codes.OK:
            raise self._refusal(response.status_code, content)
        return content

    def _connected(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(timeout=self._options.timeout_s)
            return self._client

    def _headers(self) -> dict[str, str]:
        key = self._options.api_key
        bearer = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        return {"Content-Type": "application/json", **bearer}

    def _refusal(self, status: int, content: bytes) -> RerankingError:
        told = self._masked(content[:2_000].decode("utf-8", "replace"))
        message = f"{self._options.model} answered {status}: {told}"
        if status in _TRANSIENT_STATUS or status >= 500:
            return RerankingUnavailable(f"{message}.")
        advice = "Check reranking.api_key" if status in (401, 403) else "Check [reranking]"
        return RerankingError(f"{message}. {advice}.")

    def _masked(self, text: str) -> str:
        key = self._options.api_key
        hidden = text.replace(key.get_secret_value(), "**********") if key else text
        return " ".join(hidden.split())[:LONGEST_QUOTE_CHARACTERS]

    def _without_key(self, error: Exception) -> Exception | None:
        key = self._options.api_key
        return None if key and key.get_secret_value() in f"{error!r}" else error


def read_scores(answer: object, count: int) -> Vectors:
    """The scores of an answer in the order of the texts, whatever order it has.

    Raises:
        ValueError, TypeError, KeyError: it does not score each text once.
    """
    if not isinstance(answer, Mapping):
        raise TypeError("it is no object")
    results = cast(list[Mapping[str, Any]], answer.get("results", answer.get("data")))
    scores = np.full(count, np.nan, dtype=np.float64)
    for result in results:
        index = result["index"]
        if not isinstance(index, int) or not 0 <= index < count or np.isfinite(scores[index]):
            raise ValueError(f"index {index!r:.20} for {count} texts")
        scores[index] = float(result["relevance_score"])
    if not np.isfinite(scores).all():
        raise ValueError(f"{int(np.isfinite(scores).sum())} scores for {count} texts")
    if (scores < 0).any() or (scores > 1).any():
        scores = np.asarray(from_logits(scores))
    return scores.astype(np.float32)


def _bounded(response: httpx.Response) -> bytes:
    """The body, as far as any good answer goes."""
    content = b""
    for part in response.iter_bytes():
        content += part
        if len(content) > LONGEST_ANSWER_BYTES:
            raise RerankingUnavailable("The reranking service's answer is too long to be one.")
    return content
