"""What is particular to a language: its function words, its stems, its spellings."""

import functools
import itertools
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import resources

FALLBACK = "en"
"""For what no function word tells: names and code are mostly of this language's letters."""

_STEMMERS: Mapping[str, str] = {
    "ar": "arabic",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "id": "indonesian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "tr": "turkish",
}
"""ISO 639-1 code to the name of the Snowball algorithm (snowballstem.org)."""
_LEAST_SHARE = 0.06
"""Part of a text's words that are function words, below which it is no prose."""
_ENOUGH_WORDS = 300
"""Words that tell a language; a long text does not tell it better."""
_LEAST_STEM_CHARACTERS = 3
_SCRIPTS = (("\u0600", "\u06ff", "ar"), ("\u0400", "\u04ff", "ru"), ("\u0370", "\u03ff", "el"))
_ARABIC_LETTERS = str.maketrans(
    "أإآٱىةکیگ", "اااايهكيك", "".join(map(chr, (0x640, 0x670, *range(0x64B, 0x660))))
)
"""Carriers of hamza, final forms, Persian letters; lengthening stroke and vowel signs fall away."""


def known_languages() -> frozenset[str]:
    """ISO 639-1 codes of the languages that have a stemmer."""
    return frozenset(_STEMMERS)


@functools.cache
def function_words(language: str) -> frozenset[str]:
    """The words of a language that carry grammar, not matter; none for an unknown language."""
    return _function_words().get(language, frozenset())


@functools.cache
def _function_words() -> Mapping[str, frozenset[str]]:
    text = resources.files(__package__).joinpath("function_words.txt").read_text(encoding="utf-8")
    lines = [line.split() for line in text.split("\n") if line and not line.startswith("#")]
    return {language: frozenset(words) for language, *words in lines}


@functools.cache
def _speakers() -> Mapping[str, tuple[str, ...]]:
    """Function word to the languages that have it; a letter alone may stand for anything."""
    found: dict[str, list[str]] = {}
    for language, words in _function_words().items():
        for word in words:
            if len(word) > 1:
                found.setdefault(word, []).append(language)
    return {word: tuple(languages) for word, languages in found.items()}


def detect_language(
    words: Iterable[str],
    *,
    fallback: str = FALLBACK,
    least_words: int = 1,
    among: Collection[str] | None = None,
) -> str:
    """The language whose function words a text uses most, as an ISO 639-1 code.

    Method: frequent short words (Grefenstette 1995). Where too few are found, the script
    decides, and then `fallback`.

    Args:
        words: of the text, in order; its beginning is enough.
        fallback: for what is no prose.
        least_words: different function words that are needed: code has some of any language.
        among: languages that function words can tell; every known one where None.
    """
    sample = [word.lower() for word in itertools.islice(words, _ENOUGH_WORDS)]
    speakers = _speakers()
    counts = Counter(language for word in sample for language in speakers.get(word, ()))
    different = Counter(language for word in set(sample) for language in speakers.get(word, ()))
    likely = [
        language
        for language in counts
        if different[language] >= least_words
        and counts[language] >= _LEAST_SHARE * len(sample)
        and (among is None or language in among)
    ]
    if likely:
        return max(likely, key=lambda each: (counts[each], each == fallback, each))
    return _script_language("".join(sample[:20]), fallback)


def _script_language(letters: str, fallback: str) -> str:
    for first, last, language in _SCRIPTS:
        if sum(first <= letter <= last for letter in letters) > len(letters) / 2:
            return language
    return fallback


@functools.cache
def stemmer(language: str) -> Callable[[str], str]:
    """Word to stem, accents folded. Threads may share it.

    Raises:
        KeyError: there is none for that language.
    """
    import Stemmer  # type: ignore[import-not-found, unused-ignore]

    algorithm = Stemmer.Stemmer(_STEMMERS[language], 0)
    lock = threading.Lock()

    def stem(word: str) -> str:
        if word >= "\u0600" and word[0] <= "\u06ff":
            word = word.translate(_ARABIC_LETTERS)
        if len(word) > _LEAST_STEM_CHARACTERS:
            with lock:
                word = algorithm.stemWord(word)
        return word if word.isascii() else folded(word)

    return stem


def folded(word: str) -> str:
    """A Latin, Greek or Cyrillic word without accents; other scripts' marks are letters."""
    if word[0] >= "\u0530":
        return word
    letters = unicodedata.normalize("NFKD", word)
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return "".join(bare.split()) or word
