"""Text to words: identifiers whole and by part, unspaced scripts by pairs of characters.

Pure and blind to languages: stems, accents and function words are `languages`' business.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST_WORD_CHARACTERS = 64
"""What is longer is data, not a word: its beginning stands for it. The parts of a longer address or
name are words of their own."""
MOST_PARTS = 24
"""Parts of one identifier that can be searched for; a longer path is found by its first ones."""
MOST_PIECES = 4
"""Runs of letters, digits and humps that a name is cut into; what has more is a hash."""

_UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u109f\u1780-\u17d3"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese
    "\uac00-\ud7af"  # Korean has spaces, but its particles cling to the words
)
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a"
    "\u064b-\u065f\u0670\u06d6-\u06ed\u07a6-\u07b0\u09e2\u09e3\u0afa-\u0aff\u0df2\u0df3"
    "\u0900-\u0903\u093a-\u094f\u0951-\u0963\u0981-\u0983\u09bc-\u09d7\u0a01-\u0a03\u0a3c-\u0a51"
    "\u0a70-\u0a83\u0abc-\u0ae3\u0b01-\u0b03\u0b3c-\u0b63\u0b82\u0bbe-\u0bd7\u0c00-\u0c04"
    "\u0c3e-\u0c63\u0c81-\u0c83\u0cbc-\u0ce3\u0d00-\u0d03\u0d3b-\u0d63\u0d82\u0d83\u0dca-\u0ddf"
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u17b4-\u17d3"
)
"""Vowel signs and accents: part of a word, though not of the regular expressions' `\\w`."""
_TOKEN = re.compile(rf"[\w{_MARKS}]+(?:(?:::|->|[-.:/@+#&]|,(?=\d))[\w{_MARKS}]+)*(?:\+\+|\#)?")
_ASCII_TOKEN = re.compile(_TOKEN.pattern.replace(_MARKS, ""), re.ASCII)
_RUNS = re.compile(rf"([{_UNSPACED}]+)")
_NAME_JOINTS = re.compile(rf"[^-\w{_MARKS}]+")
_HUMP_JOINTS = re.compile(r"[-_]+")
_SOFT_HYPHEN = "\u00ad"
_EDGES = re.compile(
    r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])"
)
_VERSION = re.compile(r"[vV]?(\d+)((?:\.\d+)+)")


@dataclass(frozen=True, slots=True)
class Word:
    """One way to find a token."""

    text: str
    exact: bool
    """Whether it is searched for as it stands: a name or a pair of characters has no stem."""


def tokens(text: str) -> list[str]:
    """The words, names and unspaced runs of a text, in order, in compatibility form (NFKC).

    A soft hyphen says where a word may be parted on a screen; it is no part of it.
    """
    if text.isascii():
        return _ASCII_TOKEN.findall(text)
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).replace(_SOFT_HYPHEN, ""))


def words_of(token: str) -> list[Word]:
    """The words that find a token: whole and by part, without repetition.

    `max_batch_size` is found by itself, `max`, `batch` and `size`; `std::getUserName` by
    itself, `std`, `getUserName`, `get`, `user` and `name`; `v1.5.9` by `1.5` and `1.5.9`, too.
    """
    pieces = _RUNS.split(token)
    if len(pieces) == 1:
        return _spaced_words(token)
    found: dict[Word, None] = {}
    for place, piece in enumerate(pieces):
        words = _pairs(piece) if place % 2 else _spaced_words(piece.strip("-.:/@+#&,>"))
        found.update(dict.fromkeys(words))
    return list(found)


def _pairs(run: str) -> Iterator[Word]:
    """Overlapping pairs of characters: what a dictionary would find, and never out of one."""
    if len(run) == 1:
        yield Word(run, exact=True)
    for first, second in itertools.pairwise(run):
        yield Word(first + second, exact=True)


def _spaced_words(token: str) -> list[Word]:
    token = token.strip("_")
    if token.isalpha() and (token.islower() or token[1:].islower()):
        return [_plain(token)]  # nine of ten: a plain word
    fields = token.split(",")  # a large number, or a row of numbers without spaces
    found: dict[Word, None] = {_whole(token): None} if len(fields) > 1 else {}
    for field in fields:
        found.update(dict.fromkeys(_identifier_words(field)))
    return list(found)


def _identifier_words(token: str) -> list[Word]:
    names = [name.strip("_") for name in _NAME_JOINTS.split(token)]
    found: dict[Word, None] = {}
    if token not in names:
        found[_whole(token)] = None
    for number in _versions(token):
        found[_whole(number)] = None
    for name in filter(None, names):
        if len(found) >= MOST_PARTS:
            break
        found.update(dict.fromkeys(_name_words(name)))
    return list(found)[:MOST_PARTS]


def _name_words(name: str) -> Iterator[Word]:
    humps = [hump for hump in _HUMP_JOINTS.split(name) if hump]
    if len(humps) > 1:
        yield _whole(name)
    for hump in humps:
        pieces = _EDGES.split(hump)
        if 1 < len(pieces) <= MOST_PIECES:
            yield _whole(hump)
            yield from map(_plain, pieces)
        else:
            yield _plain(hump)


def _versions(token: str) -> Iterator[str]:
    """A version number and what it begins with, from the second place on."""
    version = _VERSION.fullmatch(token)
    if version:
        first, *rest = version.group().lstrip("vV").split(".")
        yield from (".".join([first, *rest[: places + 1]]) for places in range(len(rest)))


def _whole(text: str) -> Word:
    return Word(text[:LONGEST_WORD_CHARACTERS].casefold(), exact=True)


def _plain(text: str) -> Word:
    return Word(text[:LONGEST_WORD_CHARACTERS].casefold(), exact=False)
