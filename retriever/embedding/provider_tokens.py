"""Counting tokens for models that run elsewhere: exactly where a vocabulary is at hand.

OpenAI's models read `cl100k_base`. Its tokenizer is tiktoken, which downloads the vocabulary
when it is first used; here it is used only where that has happened, and otherwise an upper
bound is counted. Nothing is ever fetched for counting.
"""

import functools
import hashlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from retriever.embedding.options import EmbedderOptions
from retriever.embedding.tokenizing import FastTokenizer, well_formed

Count = Callable[[Sequence[str]], list[int]]

VOCABULARY_URL = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"
VOCABULARY_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
SPECIAL_TOKENS = 4
"""More than any model puts around a text."""

LETTER_PAIRS_APART = (
    "bq fj fz gj gk gq hj jg jv jw jx jy jz kq kx kz lq mz nq oq qf qg qj qk qo qy qz rj tj tq uq "
    "vq vz wq wv wz xg xh xj xk xq xu xv xw yf yj yq yv zg zj zq zr zv"
)
"""The only pairs of lower-case letters that are no token of cl100k_base."""

SPACES_APART = 40
"""Two neighbouring tokens of spaces hold more than 80 together: runs of 81 are tokens."""

_PARTS = re.compile(r" ([a-z]+)(?![^\W\d_])|([a-z]+)|([0-9]{1,3})|( {2,})")
_APART = re.compile(f"(?=({LETTER_PAIRS_APART.replace(' ', '|')}))")


def open_counter(options: EmbedderOptions, *, reads_cl100k: bool) -> tuple[Count, bool]:
    """How the tokens of a provider's model are counted, and whether exactly.

    Exact with the `tokenizer.json` in `embedding.path`, or with tiktoken and its vocabulary on
    this disk; otherwise an upper bound.
    """
    file = options.path / "tokenizer.json" if options.path else None
    if file is not None and file.is_file():
        tokenizer = FastTokenizer(file, lower_case=False)
        return tokenizer.counts, True
    if not reads_cl100k:
        return lambda texts: [bytes_bound(text) for text in texts], False
    encoding = find_tiktoken()
    if encoding is None:
        return lambda texts: [cl100k_bound(text) for text in texts], False
    return lambda texts: [len(encoding.encode_ordinary(well_formed(t))) for t in texts], True


def find_tiktoken() -> Any | None:
    """The tiktoken encoding, where the package and its vocabulary are on this machine."""
    try:
        import tiktoken
    except ImportError:
        return None
    if not _vocabulary_is_here():
        return None
    return tiktoken.get_encoding("cl100k_base")


def _vocabulary_is_here() -> bool:
    """Whether tiktoken will find the right file in its own cache, and so fetch nothing."""
    named = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    folder = Path(named) if named else Path(tempfile.gettempdir()) / "data-gym-cache"
    # SHA-1 of the address is the name that tiktoken gives the file.
    file = folder / hashlib.sha1(VOCABULARY_URL.encode(), usedforsecurity=False).hexdigest()
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() == VOCABULARY_SHA256
    except OSError:
        return False


def bytes_bound(text: str) -> int:
    """At least the tokens of a text for any tokenizer: no token stands for less than a byte.

    Some tokenizers normalise first (NFKC), which can make a text longer.
    """
    text = well_formed(text)
    if text.isascii():
        return len(text) + SPECIAL_TOKENS
    longer = unicodedata.normalize("NFKC", text)
    return max(len(text.encode()), len(longer.encode())) + SPECIAL_TOKENS


def cl100k_bound(text: str) -> int:
    """At least the tokens of a text in cl100k_base; about twice as many for English prose.

    Each token is one byte or more, and byte-pair encoding leaves no two neighbours that are a
    token together. Hence: a space and a word that are a token count one; n other lower-case
    letters at most (2n + 2) / 3, because all pairs but a few are tokens; up to three digits
    one; n spaces 1 + n / 40 and the one that may go with the next word; all else its bytes.
    """
    text = well_formed(text)
    total = len(text.encode())
    ascii_only = text.isascii()
    for match in _PARTS.finditer(text):
        total -= _saved(match, ascii_only)
    return total


def _saved(match: re.Match[str], ascii_only: bool) -> int:
    """By how much a part's bound is below its bytes."""
    spaced, letters, digits, spaces = match.groups()
    if spaced is not None:
        if spaced in _words():
            return len(spaced)
        return len(spaced) - _letters_bound(spaced)
    if letters is not None:
        return len(letters) - _letters_bound(letters)
    if digits is not None:
        # Digits of other scripts would shift the groups of three.
        return len(digits) - 1 if ascii_only else 0
    return max(0, len(spaces) - 2 - len(spaces) // SPACES_APART)


def _letters_bound(letters: str) -> int:
    apart = len(_APART.findall(letters))
    return min(len(letters), (2 * len(letters) + 2) // 3 + apart)


@functools.cache
def _words() -> frozenset[str]:
    """Words that are one token of cl100k_base with the space before them."""
    file = resources.files("retriever.embedding").joinpath("cl100k_words.txt")
    return frozenset(file.read_text(encoding="utf-8").split())
