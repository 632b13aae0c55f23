"""A language model of the user's, behind any server that speaks OpenAI's chat protocol.

Asked for drafts and nothing else. What it answers is untrusted text: whoever asks checks it.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import httpx
from pydantic import SecretStr

from retriever.errors import LanguageModelError, SettingsError

LONGEST_ANSWER_BYTES = 1_000_000
LONGEST_QUOTE_CHARACTERS = 300
ATTEMPTS = 3
FIRST_WAIT_S = 1.0
_TRANSIENT_STATUS = frozenset({408, 409, 425, 429})
_ADVICE = {
    401: "Check the key: OPENAI_API_KEY or llm.api_key.",
    403: "The key may not use this model: check its permissions.",
    404: "Check llm.model and llm.base_url.",
}


@dataclass(frozen=True, slots=True)
class LanguageModelOptions:
    """Which model, and where; the key is already resolved."""

    model: str
    base_url: str
    api_key: SecretStr | None = None
    timeout_s: float = 60.0


class LanguageModel:
    """Answers prompts, one at a time. Close it when done."""

    def __init__(
        self,
        options: LanguageModelOptions,
        *,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep what a call needs; none is made.

        Raises:
            SettingsError: the address is none.
        """
        if not options.base_url.startswith(("https://", "http://")):
            raise SettingsError(
                f"llm.base_url is {options.base_url!r}: it begins with https:// or http://."
            )
        self._options = options
        self._sleep = sleep
        self._clock = clock
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """The model, and nothing secret."""
        return f"LanguageModel({self._options.model!r})"

    def close(self) -> None:
        """Close the connection. Safe to repeat."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def complete(self, instruction: str, text: str) -> str:
        """What the model makes of a text under an instruction: at most a few hundred words.

        Transient failures are tried again, twice.

        Raises:
            LanguageModelError: no usable answer came.
        """
        body = {
            "model": self._options.model,
            "messages": [
                {"role": "system", "content": instruction},
                {"role": "user", "content": text},
            ],
        }
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(FIRST_WAIT_S * 2 ** (attempt - 1))
            status, answer = self._post(body)
            if status == httpx.codes.OK:
                return _content(answer, self._options.model)
            passing = status == 0 or status in _TRANSIENT_STATUS or status >= 500
            if not passing:
                break
        said = self._masked(answer)
        if status == 0:
            raise LanguageModelError(
                f"{self._options.model} did not answer ({said}). Check the network, llm.base_url "
                "and llm.timeout_s, and try again."
            )
        advice = _ADVICE.get(status, "Check llm.model and llm.base_url, and try again.")
        raise LanguageModelError(f"{self._options.model}: status {status}: {said}. {advice}")

    def _post(self, body: object) -> tuple[int, str]:
        """Status and text of an answer; status 0 and the reason where none came."""
        key = self._options.api_key
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        address = self._options.base_url.rstrip("/") + "/chat/completions"
        deadline_s = self._clock() + self._options.timeout_s
        try:
            with self._connected().stream("POST", address, json=body, headers=headers) as response:
                return response.status_code, self._bounded(response.iter_bytes(), deadline_s)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            return 0, type(error).__name__

    def _bounded(self, parts: Iterable[bytes], deadline_s: float) -> str:
        """The text of an answer, cut off where it is beyond reason.

        Raises:
            TimeoutError: there was more to come at the deadline. The client's own limit is one of
                silence, and a server that sends a byte now and then is never silent.
        """
        held = bytearray()
        for part in parts:
            held += part
            if len(held) > LONGEST_ANSWER_BYTES:
                break
            if self._clock() > deadline_s:
                raise TimeoutError
        return bytes(held[:LONGEST_ANSWER_BYTES]).decode("utf-8", "replace")

    def _connected(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(timeout=self._options.timeout_s)
            return self._client

    def _masked(self, text: str) -> str:
        key = self._options.api_key
        if key and key.get_secret_value():
            text = text.replace(key.get_secret_value(), "**********")
        return " ".join(text[:LONGEST_QUOTE_CHARACTERS].split())


def _content(answer: str, model: str) -> str:
    try:
        content = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise LanguageModelError(
            f"{model}: the answer is not one of OpenAI's chat protocol. Check llm.base_url."
        ) from error
    if not isinstance(content, str):
        raise LanguageModelError(f"{model}: the answer holds no text. Try another model.")
    return content
