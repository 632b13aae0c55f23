"""The engine, tantivy, and nothing of it outside: terms in, scored ids out.

A row is a chunk's id, a hash of what frames its text, its language and its terms. A commit
replaces one small file by renaming: a reader or a crash sees the rows before or after it and
nothing between. What a commit is of is said right after it, in a file of its own.
"""

import contextlib
import itertools
import json
import shutil
import struct
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retriever.errors import CollectionDamaged, CollectionError
from retriever.lexical import facts
from retriever.lexical.analysis import QueryWord
from retriever.lexical.facts import POINTER, Facts
from retriever.lexical.languages import known_languages

if TYPE_CHECKING:
    import tantivy

_WRITER_BYTES = 64_000_000
_PAGE_ROWS = 20_000
_MOST_TRIES = 50
_FOOTER_MAGIC = 1337
_BLOCK_BYTES = 1 << 20


class IndexDamaged(CollectionDamaged):
    """The index broke while it was read."""


class IndexUnwritable(CollectionError):
    """The folder of the index cannot be written."""


_READ_FOR_ONE_ALLOWED = 8
"""Rows of all that are read as soon as one is looked up by its id."""
_MOST_REMEMBERED = 250_000


def _in_order(found: list[tuple[float, str]]) -> list[tuple[float, str]]:
    return sorted(found, key=lambda one: (-one[0], one[1]))


class View:
    """One committed state, open for reading. Threads may share it."""

    def __init__(self, index: "tantivy.Index", of: Facts) -> None:
        """Open the last commit; `of` is what it says of itself."""
        index.config_reader("manual")
        self._schema = index.schema
        self._searcher = index.searcher()
        self.facts = of
        self._ids: dict[tuple[int, int], str] = {}

    @property
    def chunk_count(self) -> int:
        """Chunks that it holds."""
        return int(self._searcher.num_docs)

    def languages(self) -> list[str]:
        """The languages of its chunks, the most frequent first."""
        counts = {each: self._searcher.doc_freq("language", each) for each in known_languages()}
        return sorted(filter(counts.__getitem__, counts), key=lambda each: (-counts[each], each))

    def rank(
        self, words: Sequence[QueryWord], *, count: int, allowed: frozenset[str] | None
    ) -> list[tuple[float, str]]:
        """Score and id of the chunks that hold any of the words, best first, `count` at most."""
        if allowed is None:
            return self._search(self._any_of(words), count)
        # where many are allowed, those among the best of all are found sooner than by their ids
        enough = 2 * count * (self.chunk_count + 1) // len(allowed)
        if enough <= _READ_FOR_ONE_ALLOWED * len(allowed):
            hits = self._hits(self._any_of(words), enough)
            told = ((float(score), self._id(row)) for score, row in hits)
            among = list(itertools.islice((one for one in told if one[1] in allowed), count))
            if len(among) == count or len(hits) < enough:
                return _in_order(among)
        return self._search(self._among(self._any_of(words), allowed), count)

    def weight(self, word: QueryWord, chunk_id: str) -> float:
        """What a word adds to a chunk's score; 0.0 where the chunk lacks it."""
        wanted = self._among(self._any_of([word]), [chunk_id])
        return sum(float(score) for score, _ in self._searcher.search(wanted, 1).hits)

    def chunk_count_of(self, word: QueryWord) -> int:
        """How many chunks hold a word, by the form of it that most have."""
        return max(self._searcher.doc_freq("terms", term) for term in word.terms)

    def framing_hashes(self, chunk_ids: Sequence[str]) -> dict[str, str]:
        """For those of the ids that it holds, the hash that was put with them."""
        import tantivy

        if not chunk_ids:
            return {}
        these = tantivy.Query.term_set_query(self._schema, "id", list(chunk_ids))
        return dict(self._held(these, limit=len(chunk_ids), offset=0))

    def id_pages(self) -> Iterator[list[str]]:
        """The ids of all chunks, in pages."""
        import tantivy

        rows = tantivy.Query.all_query()
        for offset in range(0, self.chunk_count, _PAGE_ROWS):
            yield [one for one, _ in self._held(rows, limit=_PAGE_ROWS, offset=offset)]

    def _held(self, wanted: "tantivy.Query", *, limit: int, offset: int) -> Iterator[Any]:
        hits = self._searcher.search(wanted, limit, count=False, offset=offset).hits
        for _, row in hits:
            held = self._searcher.doc(row)
            yield str(held["id"][0]), str(held["framing_hash"][0])

    def _search(self, wanted: "tantivy.Query", count: int) -> list[tuple[float, str]]:
        hits = self._hits(wanted, count)
        return _in_order([(float(score), self._id(row)) for score, row in hits])

    def _hits(self, wanted: "tantivy.Query", count: int) -> list[Any]:
        return list(self._searcher.search(wanted, count, count=False).hits)

    def _id(self, row: Any) -> str:
        """A row's id, remembered: the engine unpacks a block of rows for each."""
        place = (row.segment_ord, row.doc)
        known = self._ids.get(place)
        if known is None:
            known = str(self._searcher.doc(row)["id"][0])
            if len(self._ids) < _MOST_REMEMBERED:
                self._ids[place] = known
        return known

    def _any_of(self, words: Sequence[QueryWord]) -> "tantivy.Query":
        """Sum of the words' scores; a chunk holds a word in the form of its own language."""
        import tantivy

        clauses = []
        for word in words:
            for term in word.terms:
                query = tantivy.Query.term_query(self._schema, "terms", term, index_option="freq")
                if word.count > 1:
                    query = tantivy.Query.boost_query(query, float(word.count))
                clauses.append((tantivy.Occur.Should, query))
        return tantivy.Query.boolean_query(clauses)

    def _among(self, wanted: "tantivy.Query", chunk_ids: Collection[str]) -> "tantivy.Query":
        """The same scores, of these chunks only."""
        import tantivy

        these = tantivy.Query.term_set_query(self._schema, "id", list(chunk_ids))
        unscored = tantivy.Query.const_score_query(these, 0.0)
        return tantivy.Query.boolean_query(
            [(tantivy.Occur.Must, wanted), (tantivy.Occur.Must, unscored)]
        )


class Writer:
    """The one writer of a folder; what it was told is seen by nobody before `commit`."""

    def __init__(self, folder: Path, *, keep: bool) -> None:
        """Open the folder's index, or begin an empty one in its place unless `keep`.

        Raises:
            ValueError: the engine cannot; another writer is at work.
            OSError: the folder cannot be written.
        """
        import tantivy

        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
        index = tantivy.Index.open(str(folder)) if keep else tantivy.Index(_schema(), str(folder))
        self._folder = folder
        self._document = tantivy.Document
        self._writer = index.writer(_WRITER_BYTES, 1)

    def put(self, chunk_id: str, *, framing_hash: str, language: str, terms: Sequence[str]) -> None:
        """Add a chunk in place of the one of its id."""
        self._writer.delete_documents_by_term("id", chunk_id)
        row = self._document(
            id=chunk_id, framing_hash=framing_hash, language=language, terms=" ".join(terms)
        )
        self._writer.add_document(row)

    def delete(self, chunk_id: str) -> None:
        """Remove a chunk, if there is one of that id."""
        self._writer.delete_documents_by_term("id", chunk_id)

    def clear(self) -> None:
        """Remove every row."""
        self._writer.delete_all_documents()

    def commit(self, of: Facts) -> None:
        """Make everything so far visible and lasting, and say what it is of."""
        self._writer.commit()
        facts.write(self._folder, facts.commit_number(self._folder), of)

    def close(self) -> None:
        """Drop what was not committed, end the engine's threads, free the folder."""
        self._writer.rollback()
        self._writer.wait_merging_threads()


def open_view(folder: Path) -> View | None:
    """The last commit of a folder; None where there is none that can be read."""
    import tantivy

    try:
        for _ in range(_MOST_TRIES):
            number = facts.commit_number(folder)
            with damage_told(folder):
                view = View(tantivy.Index.open(str(folder)), facts.read(folder, number))
            if facts.commit_number(folder) == number:
                return view
    except (IndexDamaged, ValueError, KeyError, TypeError, OSError):
        pass
    return None


@contextlib.contextmanager
def damage_told(folder: Path) -> Iterator[None]:
    """The engine's errors and panics while it reads, as IndexDamaged."""
    try:
        yield
    except BaseException as error:
        # a panic of the engine is no Exception, and its class cannot be imported
        if type(error).__name__ != "PanicException" and not isinstance(error, ValueError | OSError):
            raise
        raise IndexDamaged(
            f"The lexical index in {folder} is damaged: {error}. It holds nothing of its own: "
            "delete the folder, and the next run makes it anew."
        ) from error


def is_intact(folder: Path) -> bool:
    """Whether every file of the last commit is as it was written, by its checksum.

    Each file of a segment ends in a JSON footer with the CRC-32 of what stands before it, the
    footer's length and a magic number.
    """
    try:
        segments = json.loads((folder / POINTER).read_bytes())["segments"]
        names = [str(segment["segment_id"]).replace("-", "") for segment in segments]
        files = [path for name in names for path in folder.glob(f"{name}.*")]
        return all(map(_checksum_holds, files)) and bool(files or not names)
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return False


def stale_share(folder: Path) -> float:
    """Rows of the last commit that were deleted and not yet merged away, 0 to 1."""
    try:
        segments = json.loads((folder / POINTER).read_bytes())["segments"]
        rows = sum(int(segment["max_doc"]) for segment in segments)
        deleted = sum(
            int((one["deletes"] or {"num_deleted_docs": 0})["num_deleted_docs"]) for one in segments
        )
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
    return deleted / max(rows, 1)


def _checksum_holds(path: Path) -> bool:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(size - 8)
        length, magic = struct.unpack("<II", file.read(8))
        if magic != _FOOTER_MAGIC:
            return False
        body = size - 8 - length
        file.seek(body)
        expected = json.loads(file.read(length))["crc"]
        file.seek(0)
        checksum, left = 0, body
        while left > 0 and (block := file.read(min(left, _BLOCK_BYTES))):
            checksum = zlib.crc32(block, checksum)
            left -= len(block)
    return left == 0 and bool(checksum == expected)


def _schema() -> "tantivy.Schema":
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("framing_hash", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("language", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("terms", tokenizer_name="whitespace", index_option="freq")
    return builder.build()
