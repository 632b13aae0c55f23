"""The lexical index: BM25 beside a collection, derived from it and disposable."""

from retriever.lexical.entries import LexicalEntry, TermCount
from retriever.lexical.index import LexicalIndex

__all__ = ["LexicalEntry", "LexicalIndex", "TermCount"]
