"""The vector cache: what was embedded once is never embedded, or paid for, again.

One SQLite file, which may be deleted at any time. A row is found by the fingerprint of the
embedder and the exact text, so that a cached vector cannot belong to another model or prefix.
"""

import errno
import hashlib
import json
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from retriever.embedding.vectors import is_sound
from retriever.errors import FREE_ROOM, EmbeddingError
from retriever.protocols import Vectors
from retriever.records import EmbeddingFingerprint

FILE_NAME = "vectors.sqlite3"
BUSY_TIMEOUT_S = 30.0
VARIABLES = 500
"""SQLite builds allow 999 variables in one statement at the least."""
FLOAT_BYTES = 4
SECONDS_PER_DAY = 86_400
_MAKE_USABLE = (
    "Make it readable and writable, end the process that holds it, or switch it off with "
    "embedding.cache = false."
)

T = TypeVar("T")

SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (
    fingerprint BLOB NOT NULL, text BLOB NOT NULL, vector BLOB NOT NULL, made_at INTEGER NOT NULL,
    PRIMARY KEY (fingerprint, text)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fingerprints (fingerprint BLOB PRIMARY KEY, fields TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class CachedVectors:
    """What the cache holds for one fingerprint."""

    fingerprint: str
    """Hash of the fields, as `prune` takes it."""
    model: str
    count: int
    size_bytes: int
    """Of the vectors themselves."""


def files(folder: Path) -> list[Path]:
    """The cache's files, whether they are there or not yet, and those that were set aside."""
    names = (FILE_NAME, *(f"{FILE_NAME}-{suffix}" for suffix in ("journal", "shm", "wal")))
    return [*(folder / name for name in names), *folder.glob(f"{FILE_NAME}.damaged-*")]


def fingerprint_key(fingerprint: EmbeddingFingerprint) -> str:
    """SHA-256 of the fingerprint's fields."""
    fields = json.dumps(asdict(fingerprint), sort_keys=True)
    return hashlib.sha256(fields.encode()).hexdigest()


class VectorCache:
    """Vectors by fingerprint and text, in one SQLite file; threads and processes may share it."""

    def __init__(self, folder: Path) -> None:
        """Open the cache in `folder`, or make it. A damaged file is set aside with a warning."""
        self._path = folder / FILE_NAME
        self._lock = threading.Lock()
        with _explained(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = _connect(self._path)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._connection = _replace_damaged(self._path, error)

    def __repr__(self) -> str:
        """The file."""
        return f"VectorCache({str(self._path)!r})"

    def close(self) -> None:
        """Close the file; the cache cannot be used afterwards."""
        with self._lock:
            self._connection.close()

    def get_many(
        self, fingerprint: EmbeddingFingerprint, texts: Sequence[str]
    ) -> dict[str, Vectors]:
        """The cached vectors of those of `texts` that have one: text to float32 (dimension,).

        What can be no vector of an embedder's, by its size or its length, is as if not there.
        """
        key = bytes.fromhex(fingerprint_key(fingerprint))
        by_hash = {_text_hash(text): text for text in texts}
        found: dict[str, Vectors] = {}
        for hashes in _slices(list(by_hash), VARIABLES):
            for text_hash, blob in self._transact(partial(_select, key=key, hashes=hashes)):
                # SQLite has no checksums: a disk may give back other bits than it was given.
                if isinstance(blob, bytes) and len(blob) == fingerprint.dimension * FLOAT_BYTES:
                    vector = np.frombuffer(blob, dtype="<f4").astype(np.float32)
                    if is_sound(vector, fingerprint.dimension):
                        found[by_hash[text_hash]] = vector
        return found

    def put_many(self, fingerprint: EmbeddingFingerprint, vectors: Mapping[str, Vectors]) -> None:
        """Keep vectors by text; written when this returns."""
        key = bytes.fromhex(fingerprint_key(fingerprint))
        now = int(time.time())
        rows = [
            (key, _text_hash(text), np.asarray(vector, dtype="<f4").tobytes(), now)
            for text, vector in vectors.items()
        ]
        fields = json.dumps(asdict(fingerprint), sort_keys=True)

        def insert(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR IGNORE INTO fingerprints VALUES (?, ?)", (key, fields))
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", rows)

        self._transact(insert)

    def contents(self) -> list[CachedVectors]:
        """What is held for each fingerprint, the largest first."""
        statement = (
            "SELECT v.fingerprint, f.fields, COUNT(*), SUM(LENGTH(v.vector)) AS size "
            "FROM vectors v LEFT JOIN fingerprints f USING (fingerprint) "
            "GROUP BY v.fingerprint ORDER BY size DESC"
        )
        rows = self._transact(lambda connection: connection.execute(statement).fetchall())
        return [
            CachedVectors(key.hex(), json.loads(fields or "{}").get("model", ""), count, size)
            for key, fields, count, size in rows
        ]

    def prune(self, *, fingerprint: str | None = None, older_than_days: float | None = None) -> int:
        """Remove rows of a fingerprint, rows older than an age, or both at once; return how many.

        Neither named removes nothing.
        """
        conditions: list[str] = []
        values: list[str | float] = []
        if fingerprint is not None:
            conditions.append("lower(hex(fingerprint)) = ?")
            values.append(fingerprint.lower())
        if older_than_days is not None:
            conditions.append("made_at < ?")
            values.append(time.time() - older_than_days * SECONDS_PER_DAY)
        if not conditions:
            return 0
        # The conditions are the two above, and nothing of the caller's.
        statement = f"DELETE FROM vectors WHERE {' AND '.join(conditions)}"  # noqa: S608
        removed = self._transact(lambda connection: connection.execute(statement, values).rowcount)
        with self._lock, _explained(self._path):
            self._connection.execute("VACUUM")
        return removed

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in a transaction; where the file proves damaged, do it on a new one."""
        with self._lock, _explained(self._path):
            try:
                with self._connection:
                    return work(self._connection)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._connection.close()
                self._connection = _replace_damaged(self._path, error)
                with self._connection:
                    return work(self._connection)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        advice = FREE_ROOM if _is_full(error) else _MAKE_USABLE
        text = f"The vector cache {path} cannot be used: {error}. {advice}"
        raise EmbeddingError(text) from error


def _is_full(error: sqlite3.Error | OSError) -> bool:
    """Whether it is for want of room on the disk."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        # What a collection goes by is on the disk; what it was paid for is to be there before.
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(SCHEMA)
        connection.execute("SELECT 1 FROM vectors LIMIT 1").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def set_aside(folder: Path) -> Path:
    """Rename the cache's files, so that a new one is begun: where they are now."""
    path = folder / FILE_NAME
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    for suffix in ("", "-wal", "-shm"):
        # Another process may have found the damage at the same moment.
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _replace_damaged(path: Path, error: sqlite3.DatabaseError) -> sqlite3.Connection:
    aside = set_aside(path.parent)
    warnings.warn(
        f"The vector cache {path} was damaged ({error}). It was set aside as {aside.name} and a "
        "new one was begun: vectors are made again as they are needed.",
        RuntimeWarning,
        stacklevel=4,
    )
    return _connect(path)


def _select(
    connection: sqlite3.Connection, key: bytes, hashes: Sequence[bytes]
) -> list[tuple[bytes, object]]:
    marks = ",".join("?" * len(hashes))
    # Nothing but question marks goes into the statement.
    statement = f"SELECT text, vector FROM vectors WHERE fingerprint=? AND text IN ({marks})"  # noqa: S608
    return connection.execute(statement, (key, *hashes)).fetchall()


def _text_hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
