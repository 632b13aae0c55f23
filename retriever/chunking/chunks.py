"""Documents become chunks: cut, checked against the limit, named and placed."""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator

from retriever.chunking.embedded_text import ChunkingOptions
from retriever.chunking.fitting import Draft, Fitter
from retriever.chunking.framing import Framing
from retriever.chunking.packing import pack
from retriever.chunking.token_costs import CountTokens, TokenCosts
from retriever.chunking.units import UnitReader, document_pieces
from retriever.errors import SettingsError
from retriever.records import Chunk, ChunkingFingerprint, Document

_CHUNKER = "structure-1"
"""Name and version of the algorithm: chunks change only where this does."""
_LEAST_TEXT_TOKENS = 8
_ID_CHARACTERS = 32
_LONGEST_GAP_CHARACTERS = 200
"""Chunks that stand farther apart are not joined again."""


class Chunker:
    """Cuts documents at their own structure into chunks that fit the embedding model.

    Holds for every document and tokenizer: chunks are exact spans without whitespace at their
    ends; together they hold every other character of the body; none reaches across a heading
    of the first two levels, but for the line of a heading right above it; what the model reads
    of one is at most `tokens` and at most its window, counted by its own tokenizer.

    Several threads may share one.
    """

    def __init__(
        self, options: ChunkingOptions, *, count_tokens: CountTokens, window_tokens: int
    ) -> None:
        """Nothing is counted before the first document.

        Args:
            options: how to cut.
            count_tokens: how many tokens the model reads for each text alone, prefix and
                special tokens included.
            window_tokens: the most that the model reads at once.

        Raises:
            SettingsError: no chunk can be made that way.
        """
        _require_usable(options, window_tokens)
        self._options = options
        self._limit_tokens = min(options.tokens, window_tokens)
        self._costs = TokenCosts(count_tokens)
        self.fingerprint = ChunkingFingerprint(
            chunker=_CHUNKER,
            tokens=options.tokens,
            overlap_tokens=options.overlap_tokens,
            embed_title=options.embed_title,
            embed_headings=options.embed_headings,
        )

    def chunk(self, document: Document) -> list[Chunk]:
        """The chunks of a document, in order; none where its body is blank.

        A chunk's title and heading path are shortened where they would take more than half of
        its tokens: headings go from the top, then the title.

        Raises:
            SettingsError: the prefix leaves no room for text.
            LoadingError: a single character takes more tokens than a chunk may have.
        """
        text = document.text
        framing = Framing(
            document.title,
            [heading.text for heading in document.headings],
            budget_tokens=self._budget_tokens(),
            options=self._options,
            costs=self._costs,
        )
        units = UnitReader(text, self._costs).units(document_pieces(document, framing))
        fitter = Fitter(
            text, options=self._options, limit_tokens=self._limit_tokens, costs=self._costs
        )
        return list(_placed(document, fitter.drafts(pack(text, units))))

    def _budget_tokens(self) -> int:
        """Tokens for title, headings and text."""
        overhead = self._costs.overhead
        budget = self._limit_tokens - overhead
        if budget < _LEAST_TEXT_TOKENS:
            raise SettingsError(
                f"A chunk may have {self._limit_tokens} tokens, and the prefix and special tokens "
                f"take {overhead} of them, which leaves too few for text. Set chunking.tokens to "
                f"{overhead + 2 * _LEAST_TEXT_TOKENS} or more, or shorten embedding.chunk_prefix."
            )
        return budget


def _require_usable(options: ChunkingOptions, window_tokens: int) -> None:
    if min(options.tokens, window_tokens) < _LEAST_TEXT_TOKENS:
        raise SettingsError(
            f"chunking.tokens is {options.tokens} and the model's window {window_tokens}: "
            f"both have to be at least {_LEAST_TEXT_TOKENS}."
        )
    if not 0 <= options.overlap_tokens < options.tokens:
        raise SettingsError(
            f"chunking.overlap_tokens is {options.overlap_tokens}: it has to be at least 0 and "
            f"less than chunking.tokens, which is {options.tokens}."
        )


def _placed(document: Document, drafts: Iterable[Draft]) -> Iterator[Chunk]:
    """Drafts as chunks, with ids, pages and lines."""
    text = document.text
    pages = sorted(document.pages, key=lambda page: page.start)
    page_starts = [page.start for page in pages]
    occurrences: Counter[str] = Counter()
    line, counted, covered = 1, 0, 0
    for ordinal, draft in enumerate(drafts):
        chunk_text = text[draft.start : draft.end]
        # After chunks that had to shrink, one with an overlap can begin before the last of them.
        line += text.count("\n", counted, draft.start) - text.count("\n", draft.start, counted)
        counted = draft.start
        page = bisect_right(page_starts, draft.start)
        yield Chunk(
            id=_chunk_id(document.source, chunk_text, occurrences[chunk_text]),
            source=document.source,
            text=chunk_text,
            start=draft.start,
            end=draft.end,
            ordinal=ordinal,
            title=draft.title,
            heading_path=draft.path,
            page=pages[page - 1].number if page else None,
            line_start=line,
            line_end=line + chunk_text.count("\n"),
            embedded_text=draft.embedded_text,
            token_count=draft.token_count,
            gap=_gap(text[covered : draft.start]) if ordinal else "",
        )
        covered = draft.end
        occurrences[chunk_text] += 1


def _gap(between: str) -> str:
    """What has to be remembered of the whitespace between two chunks."""
    is_known = between.count("\n") == len(between)
    return "" if is_known or len(between) > _LONGEST_GAP_CHARACTERS else between


def _chunk_id(source: str, text: str, occurrence: int) -> str:
    """SHA-256 of what makes a chunk itself, in half its length."""
    identity = f"{len(source)}:{source}{occurrence}:{text}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(identity).hexdigest()[:_ID_CHARACTERS]
