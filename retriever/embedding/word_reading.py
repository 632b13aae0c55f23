"""Text to words, for models that know words and nothing smaller."""

import re
import unicodedata
from collections.abc import Container, Iterator

CHARACTERS_PER_TOKEN = 16
"""What is longer than a word counts as several: a chunk of encoded data is no single word."""

_MARKS = "\u0300-\u036f\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
"""Accents and vowel signs: part of a word, though not of the regular expressions' `\\w`."""
_UNSPACED = "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Chinese and Japanese, which have no spaces: a character is taken for a word."""

_LETTERS = rf"(?:[^\W_{_UNSPACED}]|[{_MARKS}])+"
_WORD = re.compile(rf"[{_UNSPACED}]|{_LETTERS}(?:['’]{_LETTERS})*")
_APOSTROPHE = re.compile("['’]")
_PIECE = re.compile(r"[^\W_]+|[^\w\s]|_")


def words(text: str) -> list[str]:
    """The words of a text, in order: letters and digits, case kept, in compatibility form (NFKC).

    An apostrophe inside a word is part of it; hyphens and underscores part words.
    """
    return _WORD.findall(text if text.isascii() else unicodedata.normalize("NFKC", text))


def count_pieces(text: str) -> int:
    """The size of a text in words and punctuation marks; at least as many as it has words."""
    pieces = _PIECE.findall(text if text.isascii() else unicodedata.normalize("NFKC", text))
    if not text.isascii():  # unspaced scripts
        return sum(max(1, len(_WORD.findall(p)), len(p) // CHARACTERS_PER_TOKEN) for p in pieces)
    return sum(1 + len(piece) // CHARACTERS_PER_TOKEN for piece in pieces)


def known_forms(word: str, vocabulary: Container[str]) -> Iterator[str]:
    """The forms under which a vocabulary holds a word: as it is, else in lower case.

    A word with an apostrophe that is unknown as a whole is looked up by its parts. Nothing
    comes where the word is unknown.
    """
    for form in (word, word.lower()):
        if form in vocabulary:
            yield form
            return
    parts = _APOSTROPHE.split(word)
    if len(parts) > 1:
        for part in parts:
            yield from known_forms(part, vocabulary)
