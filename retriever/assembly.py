"""Settings to wired parts: the only place where classes are chosen."""

import functools
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from retriever.chunking import Chunker, ChunkingOptions
from retriever.collection.belongings import belongings
from retriever.collection.client import StorageOptions
from retriever.collection.state import LAYOUT
from retriever.collection.store import Store, open_for_writing
from retriever.embedding.cache import FILE_NAME, VectorCache
from retriever.embedding.cache import files as cache_files
from retriever.embedding.catalogue import find_row
from retriever.embedding.opening import BACKENDS, open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.errors import CollectionNotFound, RetrieverError, SettingsError
from retriever.lexical import LexicalIndex
from retriever.loading.content import LoadingOptions
from retriever.loading.loader import DocumentLoader
from retriever.protocols import Embedder, Reranker
from retriever.records import EmbeddingFingerprint, Fingerprint
from retriever.reranking.opening import open_reranker
from retriever.reranking.options import RerankerOptions
from retriever.settings import EmbeddingSettings, Settings
from retriever.settings.searching import LLMSettings

if TYPE_CHECKING:
    from retriever.language_model import LanguageModel

_KEY_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "cohere": ("CO_API_KEY", "COHERE_API_KEY"),
}
_ADDRESS_VARIABLES: Mapping[str, str] = {"openai": "OPENAI_BASE_URL"}


def storage_options(settings: Settings) -> StorageOptions:
    """Where the settings keep collections."""
    fields = values(settings.storage)
    fields["api_key"] = settings.secret(settings.storage.api_key, "CHROMA_API_KEY")
    return StorageOptions(**fields)


def open_store(settings: Settings) -> Store:
    """A store to read from; looking for a collection leaves nothing behind.

    Raises:
        CollectionNotFound: the state folder does not exist: nothing was ever ingested there.
    """
    return Store(_existing(settings))


def open_writing_store(
    settings: Settings, *, existing: bool = False
) -> AbstractContextManager[Store]:
    """The only store to write to, for as long as the context lasts; made where there is none.

    Raises:
        CollectionNotFound: only an `existing` one will do, and there is none.
    """
    return open_for_writing(_existing(settings) if existing else storage_options(settings))


def _existing(settings: Settings) -> StorageOptions:
    options = storage_options(settings)
    if options.mode == "embedded" and not options.path.is_dir():
        raise CollectionNotFound(settings.collection, place=options.place, existing=())
    return options


def open_loader(settings: Settings) -> DocumentLoader:
    """The reader of files."""
    return DocumentLoader(loading_options(settings))


def loading_options(settings: Settings) -> LoadingOptions:
    """Which files are read."""
    return LoadingOptions(**values(settings.loading))


def open_chunker(settings: Settings, embedder: Embedder) -> Chunker:
    """The chunker that cuts in the embedder's own tokens."""
    return Chunker(
        ChunkingOptions(**values(settings.chunking)),
        count_tokens=embedder.count_tokens,
        window_tokens=embedder.fingerprint.window_tokens,
    )


def embedder_options(settings: Settings) -> EmbedderOptions:
    """How the settings say that text becomes vectors; keys resolved."""
    fields = values(settings.embedding)
    for name in ("cache", "cache_path"):
        fields.pop(name)
    options = EmbedderOptions(**fields, cache_dir=user_cache_folder())
    row = find_row(options.model)
    backend = row.backend if options.backend == "auto" and row is not None else options.backend
    return replace(
        options,
        api_key=settings.secret(options.api_key, *_KEY_VARIABLES.get(backend, ())),
        base_url=settings.base_url(_ADDRESS_VARIABLES.get(backend, "")),
    )


def open_configured_embedder(settings: Settings) -> Embedder:
    """The embedder that the settings name; its model is loaded when it is first needed."""
    return open_embedder(embedder_options(settings))


def open_collection_embedder(
    settings: Settings, built: EmbeddingFingerprint, *, follow: bool = False
) -> Embedder:
    """The embedder for a collection's queries: what the settings leave open, it decides.

    An application without a config file thus embeds its queries as the collection was built.
    With `follow` the collection decides all of it: for a reader whose collection was swapped.

    Raises:
        SettingsError: it was built by a class of one's own, which the settings do not name.
    """
    embedding = remembered_embedding(settings, built, follow=follow)
    if embedding.backend == built.backend and built.backend not in BACKENDS:
        raise SettingsError(
            f"The collection was built with model {built.model!r} by an embedder of one's own "
            f"({built.backend!r}), and data never names code to run. Name its class in the "
            "settings: embedding.backend = 'package.module:Class'."
        )
    return open_embedder(embedder_options(settings.model_copy(update={"embedding": embedding})))


def remembered_embedding(
    settings: Settings, built: EmbeddingFingerprint, *, follow: bool = False
) -> EmbeddingSettings:
    """How a collection's queries are embedded: what the settings leave open is as it was built.

    Settings that name another model, or a backend of another kind, leave nothing open.
    """
    chosen = set() if follow else settings.embedding.model_fields_set
    if "model" in chosen and settings.embedding.model != built.model:
        return settings.embedding
    if "backend" in chosen and settings.embedding.backend in {*BACKENDS} - {"auto", built.backend}:
        return settings.embedding
    remembered: dict[str, object] = {
        "model": built.model,
        "backend": built.backend,
        "pooling": built.pooling if built.pooling in ("mean", "cls", "sif") else "auto",
        "query_prefix": built.query_prefix,
        "chunk_prefix": built.chunk_prefix,
        "window_tokens": built.window_tokens,
        "dimension": built.dimension,
    }
    another = follow and built.backend in BACKENDS and built.model != settings.embedding.model
    if ":" in settings.embedding.backend + built.backend and not another:
        remembered.pop("backend")  # a class of one's own is named by settings alone, never by data
    elif follow and settings.embedding.backend not in ("auto", built.backend):
        remembered["path"] = None  # it holds a model of another kind
    unset = {name: value for name, value in remembered.items() if name not in chosen}
    return settings.embedding.model_copy(update=unset)


def open_lexical(settings: Settings, folder: Path) -> LexicalIndex:
    """The lexical index in a folder, of the language that the settings name.

    Raises:
        SettingsError: the language is not known.
    """
    return LexicalIndex(folder, language=settings.retrieval.language)


def open_cache(settings: Settings) -> VectorCache | None:
    """The vector cache, or None where `has_cache` says that there is to be none."""
    return VectorCache(cache_folder(settings)) if has_cache(settings) else None


def has_cache(settings: Settings) -> bool:
    """Whether vectors are kept in a cache.

    Collections in memory have one only where the settings name a folder for it.
    """
    in_memory = settings.storage.mode == "memory" and settings.embedding.cache_path is None
    return settings.embedding.cache and not in_memory


def find_cache(settings: Settings) -> VectorCache | None:
    """The vector cache, or None where there is none yet: looking leaves nothing behind."""
    return open_cache(settings) if (cache_folder(settings) / FILE_NAME).is_file() else None


def own_paths(settings: Settings) -> list[Path]:
    """What this package writes where the settings say: no document, wherever the corpus is."""
    return [*belongings(settings.storage.path), *cache_files(cache_folder(settings))]


def cache_folder(settings: Settings) -> Path:
    """Where the vector cache is."""
    return settings.embedding.cache_path or settings.storage.path


def open_configured_reranker(
    settings: Settings, embedder: Callable[[], Embedder]
) -> Reranker | None:
    """The reranker that the settings name, or None; `embedder` gives the collection's."""
    chosen = settings.reranking
    fields = values(chosen)
    fields.pop("candidate_count")
    fields["base_url"] = chosen.base_url or ""
    # A key of Cohere's goes to nobody else.
    variables = () if chosen.base_url else _KEY_VARIABLES["cohere"]
    fields["api_key"] = settings.secret(chosen.api_key, *variables)
    return open_reranker(RerankerOptions(**fields), embedder)


def describe_scores(settings: Settings, mode: str) -> str:
    """What makes the scores of passages, in words: settings that say the same, score alike."""
    chosen, reranking = settings.retrieval, settings.reranking
    if reranking.backend != "none":
        return f"the reranker {reranking.backend} {reranking.model}".rstrip()
    if mode != "hybrid":
        return f"mode {mode}"
    return f"mode hybrid, weights {chosen.semantic_weight:g} and {chosen.lexical_weight:g}"


def open_language_model(settings: Settings) -> "LanguageModel | None":
    """The language model that the settings name, or None; no call is made.

    Raises:
        SettingsError: its address is none.
    """
    chosen = settings.llm
    if not chosen.model:
        return None
    from retriever.language_model import LanguageModel, LanguageModelOptions

    # A key of OpenAI's goes to nobody else.
    own = chosen.base_url == LLMSettings().base_url
    key = settings.secret(chosen.api_key, *(_KEY_VARIABLES["openai"] if own else ()))
    return LanguageModel(
        LanguageModelOptions(
            model=chosen.model,
            base_url=chosen.base_url,
            api_key=key,
            timeout_s=chosen.timeout_s,
        )
    )


@functools.cache
def default_token_counter() -> Callable[[str], int]:
    """Tokens of a text by the default embedding model's tokenizer, without special tokens.

    Where its files are not on this machine, the UTF-8 bytes are counted: no tokenizer of a
    language model in use makes more tokens of a text than it has bytes.
    """
    try:
        default = EmbeddingSettings().model
        embedder = open_embedder(EmbedderOptions(model=default, cache_dir=user_cache_folder()))
    except RetrieverError:
        return lambda text: len(text.encode("utf-8"))
    special = embedder.count_tokens([""])[0]
    return lambda text: embedder.count_tokens([text])[0] - special


def fingerprint(embedder: Embedder, chunker: Chunker) -> Fingerprint:
    """How a collection that is built with these is built."""
    return Fingerprint(embedding=embedder.fingerprint, chunking=chunker.fingerprint, layout=LAYOUT)


def user_cache_folder() -> Path:
    """Where converted models and hashes of weights are kept: derived, safe to delete.

    Raises:
        SettingsError: no home folder is known, and nothing else is named.
    """
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "rag-retriever"
    home = os.path.expanduser("~")
    if home.startswith("~"):  # it would be a folder of that name in the working folder
        raise SettingsError(
            "The home folder of this user is not known, so there is no place for a cache of "
            "models. Set the environment variable HOME to a folder of this user."
        )
    return Path(home) / ".cache" / "rag-retriever"


def values(section: BaseModel) -> dict[str, Any]:
    """A section's settings by name, unlike `model_dump` with secrets and paths as they are."""
    return {name: getattr(section, name) for name in type(section).model_fields}
