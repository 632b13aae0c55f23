"""The lexical index, kept in step with its collection by writers and readers."""

from retriever.indexing.current import open_current

__all__ = ["open_current"]
