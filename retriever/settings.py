"""Every setting, and the only reader of TOML files and of the environment.

Later wins: defaults here, then the files in the order given, then variables such as
`RETRIEVER_EMBEDDING__MODEL`, then arguments. A misspelt key is an error wherever it stands.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from retriever.errors import SettingsError

ENVIRONMENT_PREFIX = "RETRIEVER_"
COLLECTION_NAME = r"^[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?$"

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A table of the settings: no unknown keys, no changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class StorageSettings(Section):
    """Where the collections are kept."""

    mode: Literal["embedded", "memory", "server", "cloud"] = Field(
        "embedded", description="Chroma in a folder, in memory, on a server, or Chroma Cloud."
    )
    path: Path = Field(
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


class ChunkingSettings(Section):
    """How documents are cut; all of it is part of the fingerprint."""

    tokens: Annotated[int, Field(ge=16)] = Field(
        200,
        description="Most tokens of a chunk, as the model counts them; never beyond its window.",
    )
    overlap_tokens: NotNegative = Field(
        0, description="Tokens that a chunk repeats of the one before it."
    )
    embed_title: bool = Field(True, description="Embed the document's title with each chunk.")
    embed_headings: bool = Field(True, description="Embed the headings above a chunk with it.")


class EmbeddingSettings(Section):
    """Which model makes the vectors. Only `model` has to change for a swap."""

    model: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2", description="Name of the embedding model."
    )
    backend: str = Field(
        "auto",
        description="auto, sentence-transformers, transformers, openai, cohere, "
        "or package.module:Class of your own.",
    )
    path: Path | None = Field(None, description="Local folder that holds the model's weights.")
    revision: str | None = Field(None, description="Branch, tag or commit on the model hub.")
    trust_remote_code: bool = Field(
        False, description="Run Python code that comes with the model. Leave it off."
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
    pooling: Literal["auto", "mean", "cls"] = Field(
        "auto", description="How a plain transformer's token vectors become one."
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
    timeout_s: Seconds = Field(60.0, description="Time limit of one call to a provider.")
    max_attempts: Positive = Field(
        6, description="Tries of one call while its failure is transient."
    )
    concurrency: Positive = Field(4, description="Calls to a provider at the same time.")
    budget_usd: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Most that one run may spend, in US dollars."
    )
    cache: bool = Field(True, description="Keep vectors, so that no text is embedded twice.")


class IngestionSettings(Section):
    """How a run writes."""

    commit_chunks: Positive = Field(
        1024, description="About how many chunks are written before readers see them."
    )
    max_deleted_fraction: Annotated[float, Field(ge=0, le=1)] = Field(
        0.3, description="A run that would delete more of the documents asks first."
    )


class RetrievalSettings(Section):
    """How passages are found."""

    mode: Literal["semantic"] = Field("semantic", description="Which rankers answer.")
    top_k: Positive = Field(5, description="Passages returned.")
    min_score: float | None = Field(None, description="Passages that score lower are left out.")


class Settings(BaseSettings):
    """All settings, frozen. `Settings.load` reads files; `Settings()` the environment alone."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        validate_default=True,
    )

    collection: Annotated[str, Field(pattern=COLLECTION_NAME, min_length=3, max_length=60)] = Field(
        "docs", description="Name of the collection."
    )
    storage: StorageSettings = StorageSettings()
    loading: LoadingSettings = LoadingSettings()
    chunking: ChunkingSettings = ChunkingSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    ingestion: IngestionSettings = IngestionSettings()
    retrieval: RetrievalSettings = RetrievalSettings()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def load(cls, *files: str | Path, **overrides: object) -> Self:
        """Read settings from TOML files, the environment and arguments; later wins.

        Args:
            files: TOML files.
            overrides: settings by name: nested (`storage={"path": "x"}`) or flat
                (`storage__path="x"`). None leaves a setting as it is.

        Raises:
            SettingsError: a file is missing or is not TOML, a key is unknown, a value is bad.
        """
        layers = [(str(file), _read_toml(Path(file))) for file in files]
        layers.append(("environment", _read_environment(cls)))
        layers.append(("argument", _nest(overrides)))
        origins: dict[str, str] = {}
        merged: dict[str, Any] = {}
        for origin, layer in layers:
            _check_keys(cls, layer, origin)
            _merge(merged, layer)
            origins.update({key: origin for key, _ in _leaves(layer)})
        try:
            settings = cls(**merged)
        except ValidationError as error:
            raise SettingsError(_explain(error, origins)) from error
        settings._origins = origins
        return settings

    def describe(self) -> Iterator[tuple[str, object, str, str]]:
        """Yield every setting as (key, value, origin, what it is for); secrets stay masked."""
        for key, value, description in _walk_fields(self, ""):
            yield key, value, self._origins.get(key, "default"), description

    def secret(self, configured: SecretStr | None, *variables: str) -> SecretStr | None:
        """A key from the settings, else from the first of the environment's `variables`."""
        found = next((os.environ[name] for name in variables if os.environ.get(name)), None)
        return configured or (SecretStr(found) if found else None)

    def base_url(self, variable: str) -> str | None:
        """A provider's address from the settings, else from the environment's `variable`."""
        return self.embedding.base_url or os.environ.get(variable) or None


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        beside = (
            sorted(file.name for file in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        )
        near = difflib.get_close_matches(path.name, beside, n=1)
        hint = f" Did you mean {path.parent / near[0]}?" if near else ""
        found = f" Beside it: {', '.join(beside)}." if beside and not near else ""
        raise SettingsError(f"There is no config file {path}.{hint}{found}")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error


def _read_environment(cls: type[BaseSettings]) -> dict[str, Any]:
    """The environment's settings, as nested names.

    pydantic-settings ignores a variable whose section is misspelt; this does not.
    """
    known = {_variable(key): key for key in _keys(cls)}
    sections = {_variable(name) for name, field in cls.model_fields.items() if _section(field)}
    for variable in os.environ:
        name = variable.upper()
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known and name not in sections:
            if any(name.startswith(f"{_variable(key)}__") for key in ("storage.headers",)):
                continue
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise SettingsError(
                f"The environment variable {variable} is no setting.{hint} "
                "`retriever config` lists them all."
            )
    try:
        return EnvSettingsSource(cls)()
    except ValueError as error:
        raise SettingsError(
            f"The environment holds a setting that cannot be read: {error}"
        ) from error


def _variable(key: str) -> str:
    return ENVIRONMENT_PREFIX + key.replace(".", "__").upper()


def _section(field: object) -> type[BaseModel] | None:
    annotation = getattr(field, "annotation", None)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        section = _section(field)
        if section is None:
            yield prefix + name
        else:
            yield from _keys(section, f"{prefix}{name}.")


def _nest(overrides: Mapping[str, object]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in overrides.items():
        if value is None:
            continue
        *parents, last = key.replace("__", ".").split(".")
        layer: dict[str, Any] = {last: dict(value) if isinstance(value, Mapping) else value}
        for parent in reversed(parents):
            layer = {parent: layer}
        _merge(nested, layer)
    return nested


def _check_keys(
    model: type[BaseModel], layer: Mapping[str, Any], origin: str, prefix: str = ""
) -> None:
    for name, value in layer.items():
        field = model.model_fields.get(name)
        if field is None:
            raise SettingsError(_unknown_key(model, origin, prefix, name))
        section = _section(field)
        if section is not None:
            if not isinstance(value, Mapping):
                raise SettingsError(
                    f"{origin}: {prefix}{name} is a table of settings, not {value!r}. "
                    f"It holds: {', '.join(section.model_fields)}."
                )
            _check_keys(section, value, origin, f"{prefix}{name}.")


def _unknown_key(model: type[BaseModel], origin: str, prefix: str, name: str) -> str:
    near = difflib.get_close_matches(name, model.model_fields, n=1, cutoff=0.5)
    if near:
        return f"{origin}: unknown setting {prefix}{name!s}. Did you mean {prefix}{near[0]}?"
    elsewhere = [key for key in _keys(Settings) if key.rpartition(".")[2] == name]
    known = (
        ", ".join(elsewhere) if elsewhere else ", ".join(prefix + key for key in model.model_fields)
    )
    return f"{origin}: unknown setting {prefix}{name}. There is: {known}."


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(below.get(key), dict):
            _merge(below[key], value)
        else:
            below[key] = dict(value) if isinstance(value, Mapping) else value


def _leaves(layer: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in layer.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        key = ".".join(str(part) for part in problem["loc"])
        origin = next((origins[name] for name in origins if key.startswith(name)), "settings")
        secret = any(word in key for word in ("key", "headers"))
        given = "" if secret else f", not {problem['input']!r}"
        lines.append(f"{origin}: {key}: {problem['msg']}{given}.")
    return " ".join(lines)


def _walk_fields(model: BaseModel, prefix: str) -> Iterator[tuple[str, object, str]]:
    for name, field in type(model).model_fields.items():
        value = cast(object, getattr(model, name))
        if isinstance(value, BaseModel):
            yield from _walk_fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value, field.description or ""
