"""Folders of documents in; exact, scored, cited passages out.

    from retriever import Retriever, ingest

    ingest("docs")
    with Retriever.open() as retriever:
        for passage in retriever.retrieve("How do I reset the pump?"):
            print(passage)

The names below are all there is to call. Each is loaded when it is first used, so that
importing this package costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retriever.errors import RetrieverError
    from retriever.ingestion import IngestOptions, ingest
    from retriever.records import Context, IngestReport, Passage
    from retriever.retrieval import Retriever, build_context
    from retriever.settings import Settings

    __version__: str

__all__ = [
    "Context",
    "IngestOptions",
    "IngestReport",
    "Passage",
    "Retriever",
    "RetrieverError",
    "Settings",
    "__version__",
    "build_context",
    "ingest",
]

_HOMES = {
    "Context": "records",
    "IngestOptions": "ingestion",
    "IngestReport": "records",
    "Passage": "records",
    "Retriever": "retrieval",
    "RetrieverError": "errors",
    "Settings": "settings",
    "build_context": "retrieval",
    "ingest": "ingestion",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("rag-retriever")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
