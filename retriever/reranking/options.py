"""What a reranker is opened with: plain values, without where they came from."""

from dataclasses import dataclass

from pydantic import SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankerOptions:
    """How to open a reranker; a class of one's own is called with one of these.

    The fields mean what the settings of the same name mean; the key is already resolved.
    """

    backend: str
    model: str = ""
    base_url: str = ""
    api_key: SecretStr | None = None
    device: str = "auto"
    window_tokens: int = 512
    timeout_s: float = 5.0
