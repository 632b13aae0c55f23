"""Text to terms, the same for what is stored and for what is asked."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retriever.lexical.entries import LexicalEntry
from retriever.lexical.languages import FALLBACK, detect_language, function_words, stemmer
from retriever.lexical.words import LONGEST_WORD_CHARACTERS, tokens, words_of

AUTO = "auto"
TITLE_WEIGHT = 2
"""A word of title or headings counts as this many of the text: over three sets with titles the
mean nDCG@10 was 0.73 at 1 and 0.75 at 2 and at 3."""
LONGEST_TEXT_CHARACTERS = 200_000
"""What of one text is analysed: far beyond any chunk."""
LONGEST_QUERY_CHARACTERS = 20_000
MOST_QUERY_TERMS = 256
"""Different words of a query that are searched for, the first ones."""
_LEAST_FUNCTION_WORDS = 4
"""Different function words that make a text prose of their language."""
_LEAST_FOREIGN_WORDS = 2
"""Different function words that a query in another language than most chunks has: one alone may
carry matter in theirs, as `door`, Dutch for `through`, does in English."""
_MOST_REMEMBERED = 200_000


@dataclass(frozen=True, slots=True)
class QueryWord:
    """A word of a query and the terms that it is searched for by, one for each language."""

    terms: tuple[str, ...]
    count: int
    """How often the query says it."""


class Analyser:
    """Turns text of one language into terms; remembers what it has seen. Threads may share it."""

    def __init__(self, language: str) -> None:
        self._stem = stemmer(language)
        self._seen: dict[str, tuple[str, ...]] = {}

    def terms(self, found: Sequence[str]) -> list[str]:
        """The terms of tokens, in order: lower case, stems, names whole and by part."""
        seen = self._seen
        terms: list[str] = []
        for token in found:
            known = seen.get(token)
            terms += self._learn(token) if known is None else known
        return terms

    def _learn(self, token: str) -> tuple[str, ...]:
        made = (word.text if word.exact else self._stem(word.text) for word in words_of(token))
        terms = tuple(made)
        if len(token) <= LONGEST_WORD_CHARACTERS:
            if len(self._seen) >= _MOST_REMEMBERED:
                self._seen.clear()
            self._seen[token] = terms
        return terms


class EntryAnalyser:
    """Turns the chunks of a source into terms of the language that they are in."""

    def __init__(self, language: str) -> None:
        """Make no analyser yet; `language` is that of all texts, or `auto`."""
        self._language = language
        self._analysers: dict[str, Analyser] = {}

    def terms(
        self, entries: Sequence[LexicalEntry]
    ) -> Iterator[tuple[LexicalEntry, str, list[str]]]:
        """The chunks of one source, in order, with their language and terms."""
        read = [
            (tokens(_framing(entry)), tokens(entry.text[:LONGEST_TEXT_CHARACTERS]))
            for entry in entries
        ]
        language = self._language
        if language == AUTO:
            words = itertools.chain.from_iterable(text for _, text in read)
            language = detect_language(words, least_words=_LEAST_FUNCTION_WORDS)
        if language not in self._analysers:
            self._analysers[language] = Analyser(language)
        analyser = self._analysers[language]
        for entry, (framing, text) in zip(entries, read, strict=True):
            yield entry, language, analyser.terms(text) + analyser.terms(framing) * TITLE_WEIGHT


class QueryAnalyser:
    """Turns queries into terms for an index of several languages. Threads may share it."""

    def __init__(self, languages: Sequence[str]) -> None:
        """Make analysers; the first language is the one that most chunks are in."""
        self._languages = languages or (FALLBACK,)
        self._analysers = [Analyser(language) for language in self._languages]

    def words(self, query: str) -> list[QueryWord]:
        """The words of a query that are searched for, function words left out.

        A chunk's stems are those of its own language, and a query is too short to tell its
        language safely: so a word is searched for by its stems in every language that the
        index holds. A query of function words alone is searched for as it stands.
        """
        found = tokens(query[:LONGEST_QUERY_CHARACTERS])
        kept = self._without_function_words(found)
        counts = Counter(word for token in kept for word in self._variants(token))
        return [QueryWord(terms, count) for terms, count in counts.most_common(MOST_QUERY_TERMS)]

    def _without_function_words(self, found: Sequence[str]) -> Sequence[str]:
        language = detect_language(
            found,
            fallback=self._languages[0],
            least_words=_LEAST_FOREIGN_WORDS,
            among=self._languages,
        )
        ignored = function_words(language)
        shouted = all(token.isupper() for token in found)
        kept = [
            token
            for token in found
            if token.lower() not in ignored or _is_acronym(token, shouted=shouted)
        ]
        return kept or found

    def _variants(self, token: str) -> list[tuple[str, ...]]:
        """For each of a token's words, its terms, without repetition."""
        made = [analyser.terms([token]) for analyser in self._analysers]
        return [tuple(dict.fromkeys(terms)) for terms in zip(*made, strict=True)]


def _framing(entry: LexicalEntry) -> str:
    """Title and headings; a title that is also the first heading is said once."""
    return " ".join(dict.fromkeys((entry.title, *entry.heading_path)))[:LONGEST_TEXT_CHARACTERS]


def _is_acronym(token: str, *, shouted: bool) -> bool:
    """WHO and IT are not who and it, unless everything is in capitals."""
    return not shouted and len(token) > 1 and token.isupper()
