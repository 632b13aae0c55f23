"""From options to an embedder: the only place where a backend is chosen."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from retriever.embedding.catalogue import find_row
from retriever.embedding.options import EmbedderOptions
from retriever.errors import EmbeddingRejected, SettingsError
from retriever.protocols import Embedder

if TYPE_CHECKING:
    from retriever.embedding.local import TokenStates
    from retriever.embedding.model_files import LocalModel

BACKENDS = (
    "auto",
    "sentence-transformers",
    "transformers",
    "static",
    "word-vectors",
    "openai",
    "cohere",
)
MEMBERS = ("fingerprint", "count_tokens", "embed_chunks", "embed_query")


def open_embedder(options: EmbedderOptions) -> Embedder:
    """Open the embedder that the options name, without loading its model.

    Raises:
        SettingsError: the backend is unknown, or the model was found nowhere.
        MissingDependencyError: the backend needs a package that is not installed.
        EmbeddingRejected: a class of one's own could not be made.
    """
    if ":" in options.backend:
        return _open_custom(options)
    if options.backend not in BACKENDS:
        raise SettingsError(
            f"embedding.backend is {options.backend!r}. It is one of {', '.join(BACKENDS)}, "
            "or package.module:Class of your own."
        )
    backend = _backend(options)
    if backend != "openai" and (options.query_fields or options.chunk_fields or options.headers):
        raise SettingsError(
            "embedding.query_fields, embedding.chunk_fields and embedding.headers are for servers "
            f"that speak OpenAI's protocol, but {options.model} does not run on one. Leave them "
            "out."
        )
    if backend == "openai":
        from retriever.embedding.openai import open_openai

        return open_openai(options)
    if backend == "cohere":
        from retriever.embedding.cohere import open_cohere

        return open_cohere(options)
    if backend == "word-vectors":
        from retriever.embedding.word_vectors import open_word_vectors

        return open_word_vectors(options)
    return _open_local(options)


def _backend(options: EmbedderOptions) -> str:
    row = find_row(options.model)
    if options.backend != "auto" or row is None:
        return options.backend
    return row.backend


def _open_local(options: EmbedderOptions) -> Embedder:
    from retriever.embedding.local import LocalEmbedder
    from retriever.embedding.model_files import read_model
    from retriever.embedding.runtimes import load_runner
    from retriever.embedding.static_models import find_static, open_static
    from retriever.embedding.tokenizing import open_tokenizer
    from retriever.embedding.weights import find_model

    if options.pooling == "sif":
        raise SettingsError(
            "embedding.pooling is sif, which only word vectors have. Leave it unset, or set "
            "embedding.backend = 'word-vectors'."
        )
    folder = find_model(options)
    matrix = find_static(folder)
    if matrix is not None and not options.trust_remote_code:
        return open_static(options, folder, matrix)
    model = read_model(options, folder)
    tokenizer = open_tokenizer(model.folder, lower_case=model.lower_case)
    return LocalEmbedder(
        model,
        tokenizer,
        lambda: load_runner(options, model, tokenizer),
        batch_tokens=options.batch_tokens,
        load_tokens=lambda: _load_tokens(options, model),
    )


def _load_tokens(options: EmbedderOptions, model: "LocalModel") -> "TokenStates":
    from retriever.embedding.token_vectors import TokenRunner

    return TokenRunner(options, model)


def _open_custom(options: EmbedderOptions) -> Embedder:
    module_name, _, class_name = options.backend.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise SettingsError(
            f"embedding.backend is {options.backend!r}, but the module {module_name!r} cannot be "
            f"imported: {error}. Install it into this environment, or correct the name."
        ) from error
    maker = getattr(module, class_name, None)
    if not callable(maker):
        raise SettingsError(
            f"embedding.backend is {options.backend!r}, but {module_name} holds no class "
            f"{class_name!r}. Write it as package.module:Class."
        )
    embedder: Embedder = _make(maker, options)
    missing = [name for name in MEMBERS if not hasattr(embedder, name)]
    if missing:
        raise SettingsError(
            f"{options.backend} is no embedder: it has no {', '.join(missing)}. "
            "retriever.testing.EmbedderContract says what one has to do."
        )
    return embedder


def _make(maker: Callable[[EmbedderOptions], Embedder], options: EmbedderOptions) -> Embedder:
    try:
        return maker(options)
    except TypeError as error:
        raise EmbeddingRejected(
            f"{options.backend} could not be made: {error}. Its class is called with one "
            "argument, an EmbedderOptions record."
        ) from error
