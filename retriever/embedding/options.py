"""What an embedder is opened with: plain values, without where they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

Precision = Literal["auto", "float32", "bfloat16", "float16"]
Pooling = Literal["auto", "mean", "cls", "sif"]
Runtime = Literal["auto", "torch", "openvino"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderOptions:
    """How to open an embedder; a backend class of one's own is called with one of these.

    The fields mean what the settings of the same name mean. `api_key` and `base_url` are
    already resolved: an embedder reads no environment variable.
    """

    model: str
    backend: str = "auto"
    path: Path | None = None
    revision: str | None = None
    trust_remote_code: bool = False
    runtime: Runtime = "auto"
    device: str = "auto"
    precision: Precision = "auto"
    query_prefix: str | None = None
    chunk_prefix: str | None = None
    pooling: Pooling = "auto"
    dimension: int | None = None
    window_tokens: int | None = None
    batch_tokens: int = 16_384
    api_key: SecretStr | None = None
    base_url: str | None = None
    headers: Mapping[str, SecretStr] = field(default_factory=dict)
    query_fields: Mapping[str, str | bool | int] = field(default_factory=dict)
    chunk_fields: Mapping[str, str | bool | int] = field(default_factory=dict)
    timeout_s: float = 60.0
    max_attempts: int = 6
    concurrency: int = 8
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    budget_usd: float | None = None
    cache_dir: Path | None = None
    """Folder for what can be made again: hashes of weights, converted models. None keeps none."""
