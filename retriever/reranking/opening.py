"""From options to a reranker: the only place where a kind is chosen."""

import importlib
from collections.abc import Callable

from retriever.errors import SettingsError
from retriever.protocols import Embedder, Reranker, TokenEmbedder
from retriever.reranking.options import RerankerOptions

BACKENDS = ("none", "cross-encoder", "service", "late-interaction")


def open_reranker(options: RerankerOptions, embedder: Callable[[], Embedder]) -> Reranker | None:
    """Open the reranker that the options name, without loading its model; None for `none`.

    Args:
        options: which, and how.
        embedder: gives the collection's; late interaction reads its token vectors.

    Raises:
        SettingsError: there is no such reranker, or it lacks a model, a key or token vectors.
    """
    if options.backend == "none":
        return None
    if ":" in options.backend:
        return _open_custom(options)
    if options.backend == "cross-encoder":
        from retriever.reranking.cross_encoder import CrossEncoderReranker

        if not options.model:
            raise SettingsError("reranking.model is not set: name a cross-encoder or its folder.")
        return CrossEncoderReranker(options)
    if options.backend == "service":
        from retriever.reranking.service import ServiceReranker

        return ServiceReranker(options)
    if options.backend == "late-interaction":
        return _open_late_interaction(embedder())
    raise SettingsError(
        f"reranking.backend is {options.backend!r}. It is one of {', '.join(BACKENDS)}, "
        "or package.module:Class of your own."
    )


def _open_late_interaction(embedder: Embedder) -> Reranker:
    from retriever.reranking.late_interaction import LateInteractionReranker

    if not isinstance(embedder, TokenEmbedder):
        raise SettingsError(
            f"{embedder.fingerprint.model} gives no token vectors, which late interaction "
            "reads. Use a local model, or set reranking.backend to cross-encoder or service."
        )
    return LateInteractionReranker(embedder)


def _open_custom(options: RerankerOptions) -> Reranker:
    module_name, _, class_name = options.backend.partition(":")
    try:
        maker = getattr(importlib.import_module(module_name), class_name)
        reranker: Reranker = maker(options)
    except (ImportError, ValueError, AttributeError, TypeError) as error:
        raise SettingsError(
            f"reranking.backend is {options.backend!r}, which could not be made: {error}. Write "
            "it as package.module:Class; the class is called with one RerankerOptions record."
        ) from error
    if not callable(getattr(reranker, "rerank", None)):
        raise SettingsError(
            f"{options.backend} is no reranker: it has no method rerank. "
            "retriever.testing.RerankerContract says what one has to do."
        )
    return reranker
