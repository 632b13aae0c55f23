"""What a group of passages is about: the words that tell it from the others.

Words are ranked by their offer weight, r * w (Robertson 1990, "On term selection for query
expansion"), where w is the relevance weight that BM25 is made of (Robertson and Sparck Jones
1976), log((r + .5)(N - n - R + r + .5) / ((n - r + .5)(R - r + .5))): of N passages n have the
word, of the R in the group r have it.
"""

import math
from collections import Counter
from collections.abc import Iterator

from retriever.lexical.languages import detect_language, function_words, known_languages, stemmer
from retriever.lexical.words import tokens, words_of

MOST_STEMS = 200_000
"""Different words of a group that are counted; beyond it, those met once are forgotten."""
LONGEST_TEXT_CHARACTERS = 20_000
_SHORTEST_WORD = 3
_MOST_REMEMBERED = 100_000


class TermCounts:
    """Counts, group by group, how many passages have a word. Memory is bounded."""

    def __init__(self) -> None:
        self._passages: Counter[int] = Counter()
        self._having: dict[int, Counter[str]] = {}
        self._spellings: dict[str, Counter[str]] = {}
        self._seen: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}

    def add(self, group: int, text: str) -> None:
        """Count a passage of a group: inflected forms are one word, function words are none."""
        having = self._having.setdefault(group, Counter())
        found: dict[str, str] = {}
        for stem, spelling in self._words(text[:LONGEST_TEXT_CHARACTERS]):
            found.setdefault(stem, spelling)
        self._passages[group] += 1
        having.update(found.keys())
        for stem, spelling in found.items():
            self._spellings.setdefault(stem, Counter())[spelling] += 1
        if len(having) > MOST_STEMS:
            self._forget(group)

    def distinctive(self, group: int, count: int) -> tuple[str, ...]:
        """The words that best tell a group from the others, best first, as mostly spelt.

        Empty where no word does.
        """
        having = self._having.get(group, Counter())
        scores = {stem: self._offer_weight(stem, group) for stem in having}
        ranked = sorted(
            (stem for stem, score in scores.items() if score > 0),
            key=lambda stem: (-scores[stem], stem),
        )
        return tuple(self._spelling(stem) for stem in ranked[:count])

    def _offer_weight(self, stem: str, group: int) -> float:
        r = self._having[group][stem]
        n = sum(each[stem] for each in self._having.values())
        in_group = self._passages[group]
        total = self._passages.total()
        if in_group == total:  # nothing to be told from: the commonest words
            return float(r)
        with_word = (r + 0.5) * (total - n - in_group + r + 0.5)
        without = (n - r + 0.5) * (in_group - r + 0.5)
        return r * math.log(with_word / without)

    def _spelling(self, stem: str) -> str:
        spelt = self._spellings.get(stem)
        return min(spelt, key=lambda one: (-spelt[one], one)) if spelt else stem

    def _words(self, text: str) -> Iterator[tuple[str, str]]:
        """Each word's stem and spelling."""
        found = tokens(text)
        language = detect_language(found)
        for token in found:
            known = self._seen.get((language, token))
            if known is None:
                if len(self._seen) >= _MOST_REMEMBERED:
                    self._seen.clear()
                known = self._seen[language, token] = tuple(_stems(token, language))
            yield from known

    def _forget(self, group: int) -> None:
        self._having[group] = Counter(
            {stem: count for stem, count in self._having[group].items() if count > 1}
        )
        kept = set().union(*self._having.values())
        self._spellings = {stem: self._spellings[stem] for stem in kept}


def _stems(token: str, language: str) -> Iterator[tuple[str, str]]:
    """Stem and spelling of the words of a token; numbers and function words have no matter."""
    ignored = function_words(language)
    stem = stemmer(language) if language in known_languages() else str
    for word in words_of(token):
        spaced = word.text.isascii() or len(word.text) > 2
        if spaced and (len(word.text) < _SHORTEST_WORD or word.text in ignored):
            continue
        if any(letter.isalpha() for letter in word.text):
            yield (word.text if word.exact else stem(word.text)), word.text
