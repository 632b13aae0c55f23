"""Other ways to cut, for comparison with this package's: `chunking.py` beside it measures them."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from retriever.protocols import Embedder
from retriever.records import Document

Span = tuple[int, int]


class Piece(NamedTuple):
    """A chunk of any chunker."""

    document: str
    span: Span
    embedded_text: str


Cut = Callable[[Document], Iterator[Piece]]


def recursive(embedder: Embedder, tokens: int) -> Cut:
    """The chunks of chonkie's RecursiveChunker, special tokens inside the limit."""
    from chonkie import RecursiveChunker

    chunker = RecursiveChunker(tokenizer=counting_tokenizer(embedder), chunk_size=tokens - 2)

    def cut(document: Document) -> Iterator[Piece]:
        for chunk in chunker.chunk(document.text):
            if chunk.text.strip():
                yield Piece(document.source, (chunk.start_index, chunk.end_index), chunk.text)

    return cut


def windows(embedder: Embedder, tokens: int) -> Cut:
    """Windows of equally many words' tokens, without regard for structure."""

    def cut(document: Document) -> Iterator[Piece]:
        words = list(re.finditer(r"\S+", document.text))
        sizes = [count - 2 for count in embedder.count_tokens([word[0] for word in words])]
        start, spent = 0, 0
        for place, size in enumerate(sizes):
            if spent + size > tokens - 2:
                yield window(document, words[start].start(), words[place - 1].end())
                start, spent = place, 0
            spent += size
        yield window(document, words[start].start(), words[-1].end())

    return cut


def window(document: Document, start: int, end: int) -> Piece:
    """A span as a piece."""
    return Piece(document.source, (start, end), document.text[start:end])


def counting_tokenizer(embedder: Embedder) -> object:
    """The model's tokenizer in the shape that chonkie counts with."""
    from chonkie.tokenizer import WordTokenizer

    class Counting(WordTokenizer):
        def count_tokens(self, text: str) -> int:
            return embedder.count_tokens([text])[0] - 2

        def count_tokens_batch(self, texts: Sequence[str]) -> list[int]:
            return [count - 2 for count in embedder.count_tokens(list(texts))]

    return Counting()
