"""Queries in, scored passages out: `answering` asks, `snapshots` sees that it asks the newest."""

from retriever.retrieval.answering import Retriever
from retriever.retrieval.quoting import build_context

__all__ = ["Retriever", "build_context"]
