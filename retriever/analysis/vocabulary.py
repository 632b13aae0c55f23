"""The words to solve analogies over: those of word vectors, or those of a collection."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from retriever import assembly
from retriever.analysis.analogies import Method, ScoredWord, parse_sum, solve
from retriever.analysis.reading import open_collection, texts
from retriever.errors import QueryError
from retriever.lexical.languages import detect_language, function_words
from retriever.lexical.words import tokens
from retriever.protocols import Vectors
from retriever.settings import Settings

MOST_WORDS = 10_000
"""Words of a collection that are embedded, the most frequent ones."""
_MOST_COUNTED = 1_000_000
"""Different words that are counted; beyond it, those met once are forgotten."""


@runtime_checkable
class WordEmbedder(Protocol):
    """An embedder that is a table of words."""

    def vocabulary(self) -> tuple[Sequence[str], Vectors]:
        """The words, and a vector for each: float32, (words, dimension)."""
        ...


@dataclass(frozen=True, slots=True)
class Analogy:
    """A sum of words, and the words nearest to it."""

    asked: str
    method: Method
    model: str
    words_known: int
    vocabulary: str
    """`word vectors`, or the name of the collection that the words are from."""
    nearest: tuple[ScoredWord, ...]


def analogy(
    parts: Sequence[str],
    settings: Settings | None = None,
    *,
    method: Method = "3cosadd",
    count: int = 10,
    most_words: int = MOST_WORDS,
) -> Analogy:
    """The words nearest to a sum such as `king - man + woman`, best first.

    Over the vocabulary of the word vectors that are configured, or that the collection was
    built with; with a model of another kind, over the most frequent words of the collection,
    each embedded by itself.

    Args:
        parts: the sum, in one piece or in many.
        settings: say which model, and which collection; the defaults where None.
        method: 3CosAdd or 3CosMul; `analogies` says what they are.
        count: words wanted.
        most_words: of the collection.

    Raises:
        QueryError: the sum cannot be read, or holds a word that is not known.
        CollectionError: the collection is needed and not there, or a writer is at work.
        EmbeddingError: the words cannot be embedded.
    """
    asked = parse_sum(parts)
    if count < 1:
        raise QueryError(f"{count} words were asked for; 1 is the least.")
    settings = settings or Settings.load()
    embedder = assembly.open_configured_embedder(settings)
    place = "word vectors"
    if isinstance(embedder, WordEmbedder):
        words, vectors = embedder.vocabulary()
    else:
        with open_collection(settings) as data:
            built = data.fingerprint.embedding
            embedder = assembly.open_collection_embedder(settings, built)
            if isinstance(embedder, WordEmbedder):
                words, vectors = embedder.vocabulary()
            else:
                place = settings.collection
                words = frequent_words((text for *_, text in texts(data)), most_words)
                vectors = embedder.embed_chunks(words)
    return Analogy(
        asked=" ".join(" ".join(parts).split()),
        method=method,
        model=embedder.fingerprint.model,
        words_known=len(words),
        vocabulary=place,
        nearest=tuple(solve(words, vectors, asked, method=method, count=count)),
    )


def frequent_words(passages: Iterable[str], most: int) -> list[str]:
    """The most frequent words of passages, in lower case, without numbers and function words.

    Words of equal frequency in the order of the alphabet.
    """
    counts: Counter[str] = Counter()
    for text in passages:
        found = tokens(text)
        ignored = function_words(detect_language(found))
        words = (token.casefold() for token in found if token.isalpha())
        counts.update(word for word in words if len(word) > 1 and word not in ignored)
        if len(counts) > _MOST_COUNTED:
            counts = Counter({word: count for word, count in counts.items() if count > 1})
    return sorted(counts, key=lambda word: (-counts[word], word))[:most]
