"""A reranker without a model, for tests: it does read its input."""

import re
from collections.abc import Sequence

import numpy as np

from retriever.protocols import Vectors


class OverlapReranker:
    """Scores a text by the part of the query's words that it holds."""

    def __init__(self, options: object = None) -> None:
        """Options are taken as every reranker takes them, and not read."""

    def rerank(self, query: str, texts: Sequence[str]) -> Vectors:
        """Scores from 0 to 1: float32, shape (len(texts),)."""
        asked = _words(query)
        shares = [len(asked & _words(text)) / max(1, len(asked)) for text in texts]
        return np.array(shares, dtype=np.float32)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))
