"""class LexicalIndex: the words of a collection's chunks, ranked by BM25.

Score: BM25 (Robertson and Zaragoza 2009) with k1 = 1.2, b = 0.75, title and headings counted
several times in one field (Robertson, Zaragoza and Taylor 2004); higher is better, above 0.
"""

import contextlib
import itertools
import shutil
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from retriever.errors import SettingsError
from retriever.lexical.analysis import AUTO, EntryAnalyser, QueryAnalyser
from retriever.lexical.engine import (
    IndexUnwritable,
    View,
    Writer,
    damage_told,
    is_intact,
    open_view,
    stale_share,
)
from retriever.lexical.entries import LexicalEntry, TermCount, framing_hash
from retriever.lexical.facts import POINTER, UNKNOWN_REVISION, Facts
from retriever.lexical.languages import known_languages
from retriever.records import Candidate

LEXICAL = "lexical"
"""The ranker's name in candidates."""
_ANALYSIS = "words-5"
"""Version of the analysis: an index made by another is made anew."""
_NEVER = (0, 0, 0)
"""The stamp of what is to be looked at again the next time."""


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

        One that vanishes while it is open, since its collection was deleted, is read on.

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
        self._identity = f"{_ANALYSIS}:{language}"
        self._lock = threading.Lock()
        self._reading: _Reading | None = None
        self._writer: Writer | None = None
        self._analyser = EntryAnalyser(language)

    def __enter__(self) -> Self:
        """The index itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def revision(self) -> int | None:
        """The collection's revision at the last commit; None where there is no usable index.

        -1 where a writer died, or is, between a commit and its saying what it is of.
        """
        reading = self._newest()
        return None if reading is None else reading.view.facts.revision

    @property
    def token(self) -> str:
        """What was given with the revision; empty where there is no usable index."""
        reading = self._newest()
        return "" if reading is None else reading.view.facts.token

    @property
    def chunk_count(self) -> int:
        """Chunks that the last commit holds; 0 where there is no usable index."""
        reading = self._newest()
        return 0 if reading is None else reading.view.chunk_count

    def is_intact(self) -> bool:
        """Whether the files of the last commit are as they were written; reads all of them."""
        return self._newest() is not None and is_intact(self._folder)

    def stale_share(self) -> float:
        """Part of its rows that are of deleted chunks, 0 to 1: BM25 still counts those."""
        return stale_share(self._folder)

    def framing_hashes(self, chunk_ids: Sequence[str]) -> dict[str, str]:
        """For those of the ids that the last commit holds, what `framing_hash` made of them.

        Raises:
            IndexDamaged: the index broke while it was read.
        """
        reading = self._newest()
        if reading is None:
            return {}
        with damage_told(self._folder):
            return reading.view.framing_hashes(chunk_ids)

    def id_pages(self) -> Iterator[list[str]]:
        """The ids of all chunks of the last commit, in pages.

        Raises:
            IndexDamaged: the index broke while it was read.
        """
        reading = self._newest()
        if reading is not None:
            with damage_told(self._folder):
                yield from reading.view.id_pages()

    def put(self, entries: Iterable[LexicalEntry]) -> None:
        """Add chunks, in place of those of the same id.

        Raises:
            IndexUnwritable: the folder cannot be written.
        """
        for _, group in itertools.groupby(entries, key=lambda entry: entry.source):
            analysed = list(self._analyser.terms(list(group)))
            with self._writing() as writer:
                for entry, language, terms in analysed:
                    framing = framing_hash(entry.title, entry.heading_path)
                    writer.put(entry.chunk_id, framing_hash=framing, language=language, terms=terms)

    def delete(self, chunk_ids: Sequence[str]) -> None:
        """Remove chunks; an unknown id is no error.

        Raises:
            IndexUnwritable: the folder cannot be written.
        """
        with self._writing() as writer:
            for chunk_id in chunk_ids:
                writer.delete(chunk_id)

    def clear(self) -> None:
        """Remove every chunk; seen, as any change, after the next `commit`.

        Raises:
            IndexUnwritable: the folder cannot be written.
        """
        with self._writing() as writer:
            writer.clear()

    def commit(self, revision: int, *, token: str = "") -> None:
        """Make everything since the last commit visible, together with the revision.

        Args:
            revision: the collection's, once its own commit has followed.
            token: tells that commit from another of the same number.

        Raises:
            IndexUnwritable: the folder cannot be written; the last commit stands.
        """
        with self._writing() as writer:
            writer.commit(Facts(revision=revision, token=token, identity=self._identity))

    def close(self) -> None:
        """Let go of the folder; what was not committed is dropped. Safe to repeat."""
        with self._lock:
            writer, self._writer, self._reading = self._writer, None, None
        if writer is not None:
            with self._failures_told():
                writer.close()

    def discard(self) -> None:
        """Delete the folder: the index is empty, and the next write begins it anew."""
        with contextlib.suppress(IndexUnwritable):
            self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

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
            IndexDamaged: the index broke while it was read.
        """
        reading = self._newest() or self._reading
        if reading is None or count < 1 or (allowed is not None and not allowed):
            return []
        with damage_told(self._folder):
            ids = None if allowed is None else frozenset(allowed)
            found = reading.view.rank(reading.queries.words(query), count=count, allowed=ids)
        return [
            Candidate(chunk_id=chunk_id, ranker=LEXICAL, score=score, rank=rank)
            for rank, (score, chunk_id) in enumerate(found, start=1)
        ]

    def explain(self, query: str, chunk_id: str) -> list[tuple[str, float]]:
        """The terms of a query that a chunk holds, with what each adds to its score.

        Returns:
            Terms as they are indexed, the heaviest first; the weights sum to the score.

        Raises:
            IndexDamaged: the index broke while it was read.
        """
        reading = self._newest() or self._reading
        if reading is None:
            return []
        with damage_told(self._folder):
            words = reading.queries.words(query)
            weights = [(word.terms[0], reading.view.weight(word, chunk_id)) for word in words]
        return sorted((one for one in weights if one[1] > 0), key=lambda one: (-one[1], one[0]))

    def count_words(self, query: str) -> int:
        """How many different words of a query are searched for; 0 where there is no index."""
        reading = self._newest() or self._reading
        return 0 if reading is None else len(reading.queries.words(query))

    def term_counts(self, query: str) -> list[TermCount]:
        """The words of a query that are searched for, and how many chunks hold each.

        Raises:
            IndexDamaged: the index broke while it was read.
        """
        reading = self._newest() or self._reading
        if reading is None:
            return []
        words = reading.queries.words(query)
        with damage_told(self._folder):
            return [TermCount(word.terms[0], reading.view.chunk_count_of(word)) for word in words]

    def _newest(self) -> _Reading | None:
        """The last commit; None where none can be used: queries go on with what they had."""
        try:
            status = (self._folder / POINTER).stat()
        except OSError:
            return None
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        with self._lock:
            if self._reading is not None and self._reading.stamp == stamp:
                return self._reading
            opened = self._open(stamp)  # None while a writer makes all of it anew
            self._reading = opened or self._reading
            return opened

    def _open(self, stamp: tuple[int, int, int]) -> _Reading | None:
        view = open_view(self._folder)
        if view is None or view.facts.identity != self._identity:
            return None
        is_known = view.facts.revision != UNKNOWN_REVISION
        return _Reading(stamp if is_known else _NEVER, view, QueryAnalyser(view.languages()))

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
            raise IndexUnwritable(
                f"The lexical index in {self._folder} could not be written: {error}. It holds "
                "nothing of its own: free or delete the folder, and run the command again."
            ) from error
