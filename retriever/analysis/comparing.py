"""Texts beside one another, and one word in several sentences."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retriever import assembly
from retriever.analysis.cosines import cosine_matrix
from retriever.embedding.vectors import no_vectors, normalise
from retriever.errors import EmbeddingRejected, QueryError
from retriever.protocols import Embedder, TokenEmbedder, Vectors
from retriever.settings import Settings

MOST_TEXTS = 2_000
"""Their cosine matrix takes 16 MB."""
_TEXTS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Comparison:
    """Texts, and the cosine of each with each."""

    texts: tuple[str, ...]
    cosines: Vectors
    """float32, (n, n), -1 to 1; of the word's vectors where one was named."""
    model: str
    word: str | None = None


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A text and its cosine with a query, -1 to 1."""

    text: str
    score: float


def compare(
    texts: Sequence[str], settings: Settings | None = None, *, word: str | None = None
) -> Comparison:
    """The cosine of every text with every other, in any language the model knows.

    Args:
        texts: 2 to 2,000 of them.
        settings: say which model; the defaults where None.
        word: compare this word as the model reads it in each text, instead of the texts: the
            mean of the last hidden states of its tokens (Peters et al. 2018, Devlin et al. 2019).

    Raises:
        QueryError: too few or too many texts, an empty one, one that is longer than the model's
            window, or one without the word.
        EmbeddingError: the model cannot do it.
    """
    _refuse(texts)
    embedder = assembly.open_configured_embedder(settings or Settings.load())
    _refuse_long(embedder, texts)
    vectors = embedder.embed_chunks(texts) if word is None else word_vectors(embedder, texts, word)
    return Comparison(tuple(texts), cosine_matrix(vectors), embedder.fingerprint.model, word)


def rank_texts(
    query: str, texts: Sequence[str], settings: Settings | None = None
) -> list[ScoredText]:
    """The texts by their cosine with a query, best first: the query embedded as a query.

    Raises:
        QueryError: no query, no text, an empty one, or one beyond the model's window.
        EmbeddingError: the model cannot do it.
    """
    if not query.strip():
        raise QueryError("The query is empty. Say what the texts are to be compared with.")
    _refuse([query, *texts])
    embedder = assembly.open_configured_embedder(settings or Settings.load())
    _refuse_long(embedder, texts)
    scores = embedder.embed_chunks(texts) @ embedder.embed_query(query)
    order = np.argsort(-scores, kind="stable")
    return [ScoredText(texts[row], float(np.clip(scores[row], -1.0, 1.0))) for row in order]


def word_vectors(embedder: Embedder, texts: Sequence[str], word: str) -> Vectors:
    """A word as the model reads it in each text: float32, unit length, (len(texts), width).

    The mean of the last hidden states of the word's tokens, over all places where it stands;
    upper and lower case are one, a part of a longer word is none.

    Raises:
        QueryError: the word is empty, or a text does not hold it.
        EmbeddingRejected: the embedder gives no vectors of single tokens.
    """
    if not isinstance(embedder, TokenEmbedder):
        raise EmbeddingRejected(
            f"{embedder.fingerprint.model} gives no vectors of single tokens. A local transformer "
            "does, such as sentence-transformers/all-MiniLM-L6-v2."
        )
    places = [_places(text, word) for text in texts]
    found = []
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        part = slice(start, start + _TEXTS_AT_ONCE)
        tokens = embedder.embed_tokens(texts[part], side="chunk")
        for text, wanted, each in zip(texts[part], places[part], tokens, strict=True):
            rows = [row for row, span in enumerate(each.spans) if _touches(span, wanted)]
            if not rows:
                raise QueryError(f"The model reads no token where {word!r} stands in {text!r}.")
            found.append(each.matrix[rows].mean(axis=0, dtype=np.float64))
    return normalise(np.stack(found)) if found else no_vectors(embedder.fingerprint.dimension)


def _places(text: str, word: str) -> list[tuple[int, int]]:
    wanted = word.strip()
    if not wanted:
        raise QueryError("The word is empty. Name one that stands in every text.")
    edges = rf"(?<!\w){re.escape(wanted)}(?!\w)"
    found = [one.span() for one in re.finditer(edges, text, re.IGNORECASE)]
    if not found:
        raise QueryError(f"{text!r} does not hold the word {wanted!r}, which every text has to.")
    return found


def _touches(span: tuple[int, int], places: Sequence[tuple[int, int]]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in places)


def _refuse(texts: Sequence[str]) -> None:
    if not 2 <= len(texts) <= MOST_TEXTS:
        given = "1 text" if len(texts) == 1 else f"{len(texts):,} texts"
        raise QueryError(f"{given} cannot be compared: from 2 to {MOST_TEXTS:,} are expected.")
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise QueryError(f"Text {number} is empty. Every text needs a word at least.")


def _refuse_long(embedder: Embedder, texts: Sequence[str]) -> None:
    window = embedder.fingerprint.window_tokens
    for number, count in enumerate(embedder.count_tokens(texts), start=1):
        if count > window:
            raise QueryError(
                f"Text {number} has {count:,} tokens, and {embedder.fingerprint.model} reads "
                f"{window:,}. Shorten it; whole documents are compared by `retriever related`."
            )
