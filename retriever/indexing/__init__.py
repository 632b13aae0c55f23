"""The lexical index, kept in step with its collection by writers and readers."""

from retriever.indexing.current import open_current
from retriever.indexing.proving import LexicalSummary, find_fault, find_lag, summarise
from retriever.indexing.sweeping import sweep
from retriever.indexing.upkeep import Upkeep, kept_in_step, save_in_step, switch

__all__ = [
    "LexicalSummary",
    "Upkeep",
    "find_fault",
    "find_lag",
    "kept_in_step",
    "open_current",
    "save_in_step",
    "summarise",
    "sweep",
    "switch",
]
