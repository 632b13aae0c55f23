"""Facts about embedding models, one row each: swapping a model changes its name and nothing else.

Local models take window, pooling and dimension from their own files; their rows say the same
for listing and for what the files leave out, which is mostly the prefixes.
"""

import difflib
from dataclasses import dataclass
from typing import Literal

Backend = Literal["sentence-transformers", "openai", "cohere"]

NO_LIMIT_TOKENS = 1_000_000
"""Window of a model that reads a text of any length."""

_BGE_CARD = "BGE v1.5 model cards, 56 tasks, September 2023"
_FLAG_TABLE = "FlagEmbedding README, 56 tasks, August 2023"
_OPENAI_POST = "OpenAI, New embedding models, 56 tasks, January 2024"
_BGE_QUERY = "Represent this sentence for searching relevant passages: "
_COHERE_POST = "Cohere, Introducing Embed v3, 56 tasks, November 2023"
_COHERE_PRICE_USD = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """What is published about one model."""

    name: str
    backend: Backend
    dimension: int
    window_tokens: int
    config: str
    """Name of its file in `configs/`, without `.toml`."""
    query_prefix: str = ""
    chunk_prefix: str = ""
    pooling: str = "mean"
    licence: str = "Apache-2.0"
    languages: str = "English"
    price_usd_per_million_tokens: float = 0.0
    """0 for models that run on one's own machine."""
    mteb_average: float | None = None
    """Mean over MTEB's English tasks, in percent; None where no source is at hand."""
    mteb_source: str = ""
    matryoshka: bool = False
    """Whether it was trained so that the first components alone are a vector too."""


def _bge(size: str, dimension: int, mteb: float) -> ModelRow:
    return ModelRow(
        name=f"BAAI/bge-{size}-en-v1.5",
        backend="sentence-transformers",
        dimension=dimension,
        window_tokens=512,
        config=f"bge-{size}-en",
        query_prefix=_BGE_QUERY,
        pooling="cls",
        licence="MIT",
        mteb_average=mteb,
        mteb_source=_BGE_CARD,
    )


def _e5(size: str, dimension: int, mteb: float) -> ModelRow:
    return ModelRow(
        name=f"intfloat/e5-{size}-v2",
        backend="sentence-transformers",
        dimension=dimension,
        window_tokens=512,
        config=f"e5-{size}",
        query_prefix="query: ",
        chunk_prefix="passage: ",
        licence="MIT",
        mteb_average=mteb,
        mteb_source=_FLAG_TABLE,
    )


def _multilingual_e5(size: str, dimension: int) -> ModelRow:
    return ModelRow(
        name=f"intfloat/multilingual-e5-{size}",
        backend="sentence-transformers",
        dimension=dimension,
        window_tokens=512,
        config=f"multilingual-e5-{size}",
        query_prefix="query: ",
        chunk_prefix="passage: ",
        licence="MIT",
        languages="about 100",
    )


def _openai(name: str, config: str, dimension: int, price_usd: float, mteb: float) -> ModelRow:
    return ModelRow(
        name=name,
        backend="openai",
        dimension=dimension,
        window_tokens=8192,  # says the docstring of OpenAI's client
        config=config,
        pooling="provider",
        licence="proprietary",
        languages="many",
        price_usd_per_million_tokens=price_usd,
        mteb_average=mteb,
        mteb_source=_OPENAI_POST,
        matryoshka=name.startswith("text-embedding-3"),
    )


def _cohere(name: str, config: str, languages: str, mteb: float | None) -> ModelRow:
    return ModelRow(
        name=name,
        backend="cohere",
        dimension=1024,
        window_tokens=512,
        config=config,
        pooling="provider",
        licence="proprietary",
        languages=languages,
        price_usd_per_million_tokens=_COHERE_PRICE_USD,
        mteb_average=mteb,
        mteb_source=_COHERE_POST if mteb else "",
    )


ROWS = (
    ModelRow(
        name="sentence-transformers/all-MiniLM-L6-v2",
        backend="sentence-transformers",
        dimension=384,
        window_tokens=256,
        config="minilm",
        mteb_average=56.26,
        mteb_source=_FLAG_TABLE,
    ),
    ModelRow(
        name="sentence-transformers/all-mpnet-base-v2",
        backend="sentence-transformers",
        dimension=768,
        window_tokens=384,
        config="mpnet",
        mteb_average=57.78,
        mteb_source=_FLAG_TABLE,
    ),
    _bge("small", 384, 62.17),
    _bge("base", 768, 63.55),
    _bge("large", 1024, 64.23),
    _e5("small", 384, 59.93),
    _e5("base", 768, 61.5),
    _e5("large", 1024, 62.25),
    ModelRow(
        name="sentence-transformers/paraphrase-multilingual-mpnet-base-v2",
        backend="sentence-transformers",
        dimension=768,
        window_tokens=128,
        config="multilingual-mpnet",
        languages="about 50",
    ),
    _multilingual_e5("small", 384),
    _multilingual_e5("base", 768),
    _multilingual_e5("large", 1024),
    ModelRow(
        name="minishlab/potion-retrieval-32M",
        backend="sentence-transformers",
        dimension=512,
        window_tokens=NO_LIMIT_TOKENS,
        config="potion-retrieval",
        licence="MIT",
    ),
    _openai("text-embedding-3-small", "openai-small", 1536, 0.02, 62.3),
    _openai("text-embedding-3-large", "openai-large", 3072, 0.13, 64.6),
    _openai("text-embedding-ada-002", "openai-ada", 1536, 0.10, 61.0),
    _cohere("embed-english-v3.0", "cohere-en", "English", 64.5),
    _cohere("embed-multilingual-v3.0", "cohere-multilingual", "about 100", None),
)

DEFAULT_MODEL = ROWS[0].name


def find_row(name: str) -> ModelRow | None:
    """The row of a model: by its name, its name without the owner, or its config's name.

    Case does not count. None where the catalogue holds no such model, which is no error: any
    local model works by name.
    """
    wanted = name.casefold()
    for row in ROWS:
        if wanted in _names(row):
            return row
    return None


def near_names(name: str) -> list[str]:
    """Names in the catalogue that look like `name`, the nearest first, for error messages."""
    spoken = {alias: row.name for row in ROWS for alias in _names(row)}
    near = difflib.get_close_matches(name.casefold(), spoken, n=3, cutoff=0.6)
    return list(dict.fromkeys(spoken[alias] for alias in near))


def _names(row: ModelRow) -> tuple[str, str, str]:
    return row.name.casefold(), row.name.rpartition("/")[2].casefold(), row.config
