"""The lexical index, kept in step with its collection by writers and readers."""

from retriever.indexing.current import open_current
from retriever.indexing.upkeep import Upkeep, kept_in_step, save_in_step

__all__ = ["Upkeep", "kept_in_step", "open_current", "save_in_step"]
