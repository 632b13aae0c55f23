"""class LexicalIndex: the words of a collection's chunks, ranked by BM25.

Score: BM25 (Robertson and Zaragoza 2009) with k1 = 1.2, b = 0.75, title and headings counted
several times in one field (Robertson, Zaragoza and Taylor 2004); higher is better, above 0.
"""

import contextlib
import itertools
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from retriever.errors import CollectionError, SettingsError
from retriever.lexical.analysis import LONGEST_TEXT_CHARACTERS, Analyser, QueryAnalyser
from retriever.lexical.engine import POINTER, View, Writer, damage_told, is_intact, open_view
from retriever.lexical.entries import LexicalEntry, TermCount
from retriever.lexical.languages import detect_language, known_languages
from retriever.lexical.words import tokens
from retriever.records import Candidate

LEXICAL = "lexical"
"""The ranker's name in candidates."""
AUTO = "auto"
TITLE_WEIGHT = 2
"""A word of title or headings counts as this many of the text: over three sets with titles the
mean nDCG@10 was 0.73 at 1 and 0.75 at 2 and at 3."""

_LEAST_FUNCTION_WORDS = 4
"""Different function words that make a text prose of their language."""
_ANALYSIS = "words-1"
"""Version of the analysis: an index made by another is made anew."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """One committed state and the analysis of queries that fits it."""

    stamp: tuple[int, int, int]
    view: View
    queries: QueryAnalyser


class LexicalIndex:
    """The lexical index of one collection, in a folder of its own.

    Threads may share one for reading, and other processes may read beside a writer. There may
    be one writer; whoever writes holds the collection's lock. What is put or deleted is seen by
    nobody before `commit`.
    """

    def __init__(self, folder: Path, *, language: str = AUTO) -> None:
        """Look at nothing yet: a folder that is missing or damaged is an empty index.

        Args:
            folder: where it is kept; made by the first write.
            language: of all texts, an ISO 639-1 code, or `auto`: told by each document.

        Raises:
            SettingsError: the language is not known.
        """
        if language != AUTO and language not in known_languages():
            raise SettingsError(
                f"The language {language!r} has no stemmer. Known: {AUTO}, "
                f"{', '.join(sorted(known_languages()))}. Leave it at {AUTO!r} for any other."
            )
        self._folder = folder
        self._language = language
        self._identity = f"{_ANALYSIS}:{language}"
        self._lock = threading.Lock()
        self._reading: _Reading | None = None
        self._writer: Writer | None = None
        self._analysers: dict[str, Analyser] = {}

    def __enter__(self) -> Self:
        """The index itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    @property
    def revision(self) -> int | None:
        """The collection's revision at the last commit; None where there is no usable index."""
        reading = self._newest()
        return None if reading is None else reading.view.revision

    @property
    def chunk_count(self) -> int:
        """Chunks that the last commit holds; 0 where there is no usable index."""
        reading = self._newest()
        return 0 if reading is None else reading.view.chunk_count

    def is_intact(self) -> bool:
        """Whether the files of the last commit are as they were written; reads all of them."""
        return self._newest() is not None and is_intact(self._folder)

    def put(self, entries: Iterable[LexicalEntry]) -> None:
        """Add chunks, in place of those of the same id.

        Raises:
            CollectionError: the folder cannot be written.
        """
        for _, group in itertools.groupby(entries, key=lambda entry: entry.source):
            analysed = list(self._analysed(list(group)))
            with self._writing() as writer:
                for chunk_id, language, terms in analysed:
                    writer.put(chunk_id, language=language, terms=terms)

    def delete(self, chunk_ids: Sequence[str]) -> None:
        """Remove chunks; an unknown id is no error.

        Raises:
            CollectionError: the folder cannot be written.
        """
        with self._writing() as writer:
            for chunk_id in chunk_ids:
                writer.delete(chunk_id)

    def clear(self) -> None:
        """Remove every chunk; seen, as any change, after the next `commit`.

        Raises:
            CollectionError: the folder cannot be written.
        """
        with self._writing() as writer:
            writer.clear()

    def commit(self, revision: int) -> None:
        """Make everything since the last commit visible, together with the revision.

        Raises:
            CollectionError: the folder cannot be written; the last commit stands.
        """
        with self._writing() as writer:
            writer.commit(revision=revision, identity=self._identity)

    def close(self) -> None:
        """Let go of the folder; what was not committed is dropped. Safe to repeat."""
        with self._lock:
            writer, self._writer, self._reading = self._writer, None, None
        if writer is not None:
            with self._failures_told():
                writer.close()

    def rank(
        self, query: str, *, count: int, allowed: Collection[str] | None = None
    ) -> list[Candidate]:
        """The chunks that say most of a query's words, best first.

        Args:
            query: any text; nothing in it is an operator.
            count: most candidates.
            allowed: ids of the only chunks that may be among them; any where None.

        Returns:
            Candidates with `score` = BM25, above 0; those of equal score in the order of their
            ids. Empty where no word is found or there is no usable index.

        Raises:
            CollectionDamaged: the index broke while it was read.
        """
        reading = self._newest()
        if reading is None or count < 1 or (allowed is not None and not allowed):
            return []
        with damage_told(self._folder):
            words = reading.queries.words(query)
            ids = None if allowed is None else frozenset(allowed)
            found = reading.view.rank(words, count=count, allowed=ids)
        return [
            Candidate(chunk_id=chunk_id, ranker=LEXICAL, score=score, rank=rank)
            for rank, (score, chunk_id) in enumerate(found, start=1)
        ]

    def explain(self, query: str, chunk_id: str) -> list[tuple[str, float]]:
        """The terms of a query that a chunk holds, with what each adds to its score.

        Returns:
            Terms as they are indexed, the heaviest first; the weights sum to the score.

        Raises:
            CollectionDamaged: the index broke while it was read.
        """
        reading = self._newest()
        if reading is None:
            return []
        with damage_told(self._folder):
            weights = [
                (word.terms[0], reading.view.weight(word, chunk_id))
                for word in reading.queries.words(query)
            ]
        matched = [(term, weight) for term, weight in weights if weight > 0]
        return sorted(matched, key=lambda one: (-one[1], one[0]))

    def term_counts(self, query: str) -> list[TermCount]:
        """The words of a query that are searched for, and how many chunks hold each.

        Raises:
            CollectionDamaged: the index broke while it was read.
        """
        reading = self._newest()
        if reading is None:
            return []
        with damage_told(self._folder):
            return [
                TermCount(word.terms[0], reading.view.chunk_count_of(word))
                for word in reading.queries.words(query)
            ]

    def _analysed(self, entries: Sequence[LexicalEntry]) -> Iterator[tuple[str, str, list[str]]]:
        """Id, language and terms of the chunks of one source."""
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
            terms = analyser.terms(text) + analyser.terms(framing) * TITLE_WEIGHT
            yield entry.chunk_id, language, terms

    def _newest(self) -> _Reading | None:
        """The last commit, opened anew where there is a newer one."""
        try:
            status = (self._folder / POINTER).stat()
        except OSError:
            return None
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        with self._lock:
            if self._reading is None or self._reading.stamp != stamp:
                self._reading = self._open(stamp)
            return self._reading

    def _open(self, stamp: tuple[int, int, int]) -> _Reading | None:
        view = open_view(self._folder)
        if view is None or view.identity != self._identity:
            return None
        return _Reading(stamp, view, QueryAnalyser(view.languages()))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Writer]:
        """The writer; an index that cannot be used is replaced by an empty one first."""
        with self._failures_told():
            if self._writer is None:
                self._writer = Writer(self._folder, keep=self._newest() is not None)
            yield self._writer

    @contextlib.contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, OSError, RuntimeError) as error:
            raise CollectionError(
                f"The lexical index in {self._folder} could not be written: {error}. It holds "
                "nothing of its own: free or delete the folder, and run the command again."
            ) from error


def _framing(entry: LexicalEntry) -> str:
    """Title and headings; a title that is also the first heading is said once."""
    return " ".join(dict.fromkeys((entry.title, *entry.heading_path)))[:LONGEST_TEXT_CHARACTERS]
