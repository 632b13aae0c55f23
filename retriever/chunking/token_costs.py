"""How many tokens a stretch of text will take, estimated from the counts of its words.

Tokenizing is what chunking spends its time on. Words repeat, so the counts of words are kept,
and the sum over a stretch costs next to nothing. It is exact for tokenizers that part words
at whitespace and punctuation, as BERT's does, and near for the others; what comes out of
packing is counted again as a whole.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

CHARACTERS_PER_TOKEN = 16
"""A text with more characters for each token is not one that a model reads: base64, a word that
became a single unknown token, a flood of blanks. It is taken to cost a token for so many."""

_PIECE = re.compile(r"[^\W_]+|[^\w\s]|_")
_CACHE_CHARACTERS = 4_000_000
_PROBE = "The quick brown fox jumps over the lazy dog while seven others watch it from the hill"

CountTokens = Callable[[Sequence[str]], Sequence[int]]


class TokenCosts:
    """Estimates what texts cost in tokens, without prefix and special tokens.

    The answer for a text depends on nothing but the text and the tokenizer.
    """

    def __init__(self, count_tokens: CountTokens) -> None:
        self._count_tokens = count_tokens
        self._known: dict[str, int] = {}
        self._known_pieces: dict[str, int] = {}
        self._known_characters = 0

    def exact(self, texts: Sequence[str]) -> list[int]:
        """What the model reads for each text alone, prefix and special tokens included."""
        return list(self._count_tokens(texts))

    @cached_property
    def overhead(self) -> int:
        """Tokens of prefix and special tokens, which every text pays."""
        return self.exact([""])[0]

    def of(self, texts: Sequence[str]) -> list[int]:
        """Tokens that each text is likely to add to a chunk, at least 1 each."""
        words_of = [text.split() for text in texts]
        try:
            sums = _sums(self._known, words_of)
        except KeyError:  # seldom, once the words of a corpus are known
            sums = _sums(self._learn(set().union(*words_of)), words_of)
        newline = self._newline_cost
        return [
            max(
                1,
                cost + (newline and newline * text.count("\n")),
                len(text) // CHARACTERS_PER_TOKEN,
            )
            for text, cost in zip(texts, sums, strict=True)
        ]

    def of_gap(self, text: str, start: int, end: int) -> int:
        """Tokens of the whitespace text[start:end] between two units."""
        newline = self._newline_cost
        lines = newline * text.count("\n", start, end) if newline else 0
        return lines + (end - start) // CHARACTERS_PER_TOKEN

    def _learn(self, words: set[str]) -> dict[str, int]:
        """The costs of all words seen lately, these among them."""
        if self._known_characters > _CACHE_CHARACTERS:
            self._known, self._known_pieces, self._known_characters = {}, {}, 0
        known = self._known
        unknown = words.difference(known)
        if unknown:
            pieces_of = {word: _PIECE.findall(word) for word in unknown}
            pieces = self._learn_pieces(set().union(*pieces_of.values()))
            for word, found in pieces_of.items():
                known[word] = sum(map(pieces.__getitem__, found))
            self._known_characters += sum(map(len, unknown))
        return known

    def _learn_pieces(self, pieces: set[str]) -> dict[str, int]:
        known = self._known_pieces
        unknown = sorted(pieces.difference(known))
        if unknown:
            counts = self.exact([self._glue + piece for piece in unknown])
            for piece, count in zip(unknown, counts, strict=True):
                known[piece] = max(count - self.overhead, len(piece) // CHARACTERS_PER_TOKEN)
        return known

    @cached_property
    def _glue(self) -> str:
        """What a word is counted with: byte-level tokenizers keep the blank before a word."""
        words = _PROBE.split()
        whole, *counts = self.exact([_PROBE, *words, *(f" {word}" for word in words)])
        expected = whole + self.overhead * (len(words) - 1)
        bare, glued = sum(counts[: len(words)]), sum(counts[len(words) :])
        return " " if abs(glued - expected) < abs(bare - expected) else ""

    @cached_property
    def _newline_cost(self) -> int:
        """Tokens of a line break: 0 for tokenizers that drop whitespace."""
        broken, plain = self.exact(["fox\n    dog", "fox dog"])
        return max(0, broken - plain)


def _sums(costs: Mapping[str, int], words_of: Iterable[list[str]]) -> list[int]:
    return [sum(map(costs.__getitem__, words)) for words in words_of]
