"""The lexical index: BM25 beside a collection, derived from it and disposable."""

from retriever.lexical.engine import IndexDamaged, IndexUnwritable
from retriever.lexical.entries import LexicalEntry, TermCount, framing_hash
from retriever.lexical.index import LexicalIndex

__all__ = [
    "IndexDamaged",
    "IndexUnwritable",
    "LexicalEntry",
    "LexicalIndex",
    "TermCount",
    "framing_hash",
]
