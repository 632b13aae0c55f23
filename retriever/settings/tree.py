"""Every setting, its default and what it is for.

Later wins: defaults here, then the files in the order given, then variables such as
`RETRIEVER_EMBEDDING__MODEL`, then arguments. A misspelt key is an error wherever it stands.
`retriever.settings.layers` reads them.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from retriever.settings.layers import LayeredSettings
from retriever.settings.searching import LLMSettings, RerankingSettings, RetrievalSettings
from retriever.settings.values import LocalPath, NotNegative, PerMinute, Positive, Seconds, Section

COLLECTION_NAME = r"^[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?$"


class StorageSettings(Section):
    """Where the collections are kept."""

    mode: Literal["embedded", "memory", "server", "cloud"] = Field(
        "embedded", description="Chroma in a folder, in memory, on a server, or Chroma Cloud."
    )
    path: LocalPath = Field(
        Path(".retriever"), description="State folder: collections, vector cache, locks."
    )
    host: str = Field("localhost", description="Chroma server's host (mode server).")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(
        8000, description="Chroma server's port (mode server)."
    )
    tls: bool = Field(False, description="Reach the server over HTTPS (mode server).")
    headers: dict[str, SecretStr] = Field(
        {}, description="HTTP headers for the server, such as Authorization."
    )
    tenant: str | None = Field(None, description="Chroma tenant (modes server and cloud).")
    database: str | None = Field(None, description="Chroma database (modes server and cloud).")
    api_key: SecretStr | None = Field(
        None, description="Chroma Cloud key; CHROMA_API_KEY is honoured too."
    )


class LoadingSettings(Section):
    """Which files are read, and how much a file may cost."""

    include: tuple[str, ...] = Field(
        (), description="Only files that match one of these gitignore-style patterns."
    )
    exclude: tuple[str, ...] = Field((), description="No file that matches one of these patterns.")
    use_ignore_files: bool = Field(True, description="Honour .gitignore and .retrieverignore.")
    max_file_mb: Annotated[float, Field(gt=0)] = Field(
        50.0, description="Larger files are skipped, with a reason."
    )
    max_unpacked_mb: Annotated[float, Field(gt=0)] = Field(
        200.0, description="Office files and e-books that unpack to more are skipped."
    )
    timeout_s: Seconds = Field(60.0, description="A file that takes its parser longer is skipped.")
    memory_mb: Positive = Field(2048, description="Memory that a parser may take.")
    path_metadata: tuple[str, ...] = Field(
        (), description="Patterns such as '{year}/{company} *.pdf': fields become metadata."
    )


class ChunkingSettings(Section):
    """How documents are cut; all of it is part of the fingerprint."""

    tokens: Annotated[int, Field(ge=16)] = Field(
        160,
        description="Most tokens of a chunk, as the model counts them; never beyond its window.",
    )
    overlap_tokens: NotNegative = Field(
        0, description="Tokens that a chunk repeats of the one before it."
    )
    embed_title: bool = Field(True, description="Embed the document's title with each chunk.")
    embed_headings: bool = Field(True, description="Embed the headings above a chunk with it.")

    @field_validator("overlap_tokens")
    @classmethod
    def _below_chunk_size(cls, overlap_tokens: int, info: ValidationInfo) -> int:
        tokens = info.data.get("tokens")
        if tokens is not None and overlap_tokens >= tokens:
            raise ValueError(f"a chunk of {tokens} tokens can only repeat fewer than that")
        return overlap_tokens


class EmbeddingSettings(Section):
    """Which model makes the vectors. Only `model` has to change for a swap."""

    model: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2", description="Name of the embedding model."
    )
    backend: str = Field(
        "auto",
        description="auto, sentence-transformers, transformers, static, word-vectors, openai, "
        "cohere, or package.module:Class of your own.",
    )
    path: LocalPath | None = Field(
        None, description="Local folder that holds the model's weights, or file of word vectors."
    )
    revision: str | None = Field(None, description="Branch, tag or commit on the model hub.")
    trust_remote_code: bool = Field(
        False, description="Run Python code that comes with the model. Leave it off."
    )
    runtime: Literal["auto", "torch", "openvino"] = Field(
        "auto",
        description="What runs a local model: auto is OpenVINO on a CPU where it is installed.",
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps.")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Arithmetic of a local model."
    )
    query_prefix: str | None = Field(
        None, description="Text put before a query; the model's own where unset."
    )
    chunk_prefix: str | None = Field(
        None, description="Text put before a chunk; the model's own where unset."
    )
    pooling: Literal["auto", "mean", "cls", "sif"] = Field(
        "auto",
        description="How the vectors of tokens become one: mean or cls (transformers), "
        "mean or sif (word-vectors).",
    )
    dimension: Positive | None = Field(
        None, description="Shorter vectors from a model that was trained for it."
    )
    window_tokens: Positive | None = Field(
        None, description="The model's window, where it is not known."
    )
    batch_tokens: Positive = Field(16_384, description="Tokens of one batch, padding included.")
    api_key: SecretStr | None = Field(
        None, description="The provider's key; OPENAI_API_KEY and CO_API_KEY are honoured too."
    )
    base_url: str | None = Field(
        None, description="Another server with the same protocol; OPENAI_BASE_URL is honoured too."
    )
    headers: dict[str, SecretStr] = Field(
        {}, description="HTTP headers for that server, such as Azure's api-key."
    )
    query_fields: dict[str, str | bool | int] = Field(
        {},
        description='Fields to add to each request for a query, as in {input_type = "query"}; '
        "in a variable of the environment, names with capitals are kept only in JSON.",
    )
    chunk_fields: dict[str, str | bool | int] = Field(
        {},
        description="Fields to add to each request for chunks (OpenAI's protocol); "
        "in a variable of the environment, names with capitals are kept only in JSON.",
    )
    timeout_s: Seconds = Field(
        60.0, description="Longest silence of a provider; a whole call may take 4 times as long."
    )
    max_attempts: Positive = Field(
        6, description="Tries of one call while its failure is transient."
    )
    concurrency: Positive = Field(8, description="Calls to a provider at the same time.")
    requests_per_minute: PerMinute | None = Field(
        None,
        description="Most calls a minute; what the provider says of its limits is kept anyway.",
    )
    tokens_per_minute: PerMinute | None = Field(None, description="Most tokens a minute.")
    budget_usd: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Most that one run may spend, in US dollars."
    )
    cache: bool = Field(True, description="Keep vectors, so that no text is embedded twice.")
    cache_path: LocalPath | None = Field(
        None, description="Folder of the vector cache; the state folder where unset."
    )


class IngestionSettings(Section):
    """How a run writes."""

    commit_chunks: Positive = Field(
        1024, description="About how many chunks are written before readers see them."
    )
    max_deleted_fraction: Annotated[float, Field(ge=0, le=1)] = Field(
        0.3, description="A run that would delete more of the documents asks first."
    )


class EvaluationSettings(Section):
    """How a collection is judged."""

    questions: LocalPath | None = Field(
        None,
        description="Judged questions (JSONL): swap compares on them; eval and tune ask them.",
    )


class Settings(LayeredSettings):
    """All settings, frozen.

    `Settings.load` reads files, the environment and arguments, and says where each value
    came from; `Settings()` reads the environment alone.
    """

    collection: Annotated[str, Field(pattern=COLLECTION_NAME, min_length=3, max_length=60)] = Field(
        "docs", description="Name of the collection."
    )
    storage: StorageSettings = StorageSettings()
    loading: LoadingSettings = LoadingSettings()
    chunking: ChunkingSettings = ChunkingSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    ingestion: IngestionSettings = IngestionSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    reranking: RerankingSettings = RerankingSettings()
    llm: LLMSettings = LLMSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    def secret(self, configured: SecretStr | None, *variables: str) -> SecretStr | None:
        """A key from the settings, else from the first of the environment's `variables`."""
        found = next((os.environ[name] for name in variables if os.environ.get(name)), None)
        return configured or (SecretStr(found) if found else None)

    def base_url(self, variable: str) -> str | None:
        """A provider's address from the settings, else from the environment's `variable`."""
        return self.embedding.base_url or os.environ.get(variable) or None
