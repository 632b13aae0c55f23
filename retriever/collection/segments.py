"""The files of an embedded Chroma: one folder for each index, and one SQLite file.

Chroma 1.5 leaves the index folder of a deleted collection where it is, and lists of its rows'
metadata in their table; its SQLite file never shrinks. The only place that knows Chroma's tables
and files.
"""

import contextlib
import json
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from retriever.collection import durable
from retriever.errors import CollectionError

CHROMA = "chroma"
"""The folder within the state folder."""
_DATABASE = "chroma.sqlite3"
_BUSY_TIMEOUT_S = 30.0
_LIST_INDEXES = """
import json, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], uri=True, timeout=30.0)
indexes = connection.execute(
    "SELECT s.id, c.name FROM segments s LEFT JOIN collections c ON s.collection = c.id "
    "WHERE s.scope = 'VECTOR'"
)
print(json.dumps(indexes.fetchall()))
"""
_CLEAR_LISTS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], uri=True, timeout=30.0)
kept = "SELECT 1 FROM sqlite_master WHERE name = 'embedding_metadata_array'"
left = (
    "FROM embedding_metadata_array AS list "
    "WHERE NOT EXISTS (SELECT 1 FROM embeddings WHERE embeddings.id = list.id)"
)
if connection.execute(kept).fetchone() and connection.execute("SELECT 1 " + left).fetchone():
    with connection:
        connection.execute("DELETE " + left)
"""
"""Lists that no row has any more: `inheriting` says why they must go."""
_FORGET_DELETED_WORDS = (
    "INSERT INTO embedding_fulltext_search(embedding_fulltext_search) VALUES ('optimize')"
)
"""Chroma indexes every text for its `$contains`; words of deleted rows stay until this is run."""
_INDEX = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.damaged-[0-9]+)?")
_INDEX_FILES = frozenset(
    {"header.bin", "data_level0.bin", "length.bin", "link_lists.bin", "index_metadata.pickle"}
)
_HEADER = struct.Struct("<iQQQQQQiIQQQdQ")
"""What header.bin of Chroma's hnswlib holds: counts and sizes, packed."""
_HEADER_VERSION = struct.pack("<i", 1)
_LENGTH_BYTES = 4
_LINK_BYTES = 4


def database(state_folder: Path) -> Path:
    """The SQLite file: rows, texts, collections, and writes that no index holds yet."""
    return state_folder / CHROMA / _DATABASE


@contextlib.contextmanager
def reading(state_folder: Path) -> Iterator[sqlite3.Connection]:
    """Chroma's tables as of one moment; nothing can be changed through this.

    To be used only while no Chroma is open in this process: `_ask` says why.

    Raises:
        sqlite3.Error: the file cannot be read, or a killed writer left a journal to undo.
    """
    uri = f"{database(state_folder).absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S)) as tables:
        tables.isolation_level = None
        tables.execute("BEGIN")
        yield tables


def index_folder(state_folder: Path, collection: str) -> Path | None:
    """The folder of a collection's index; None where there is none yet."""
    for index_id, name in _indexes(state_folder):
        folder = state_folder / CHROMA / index_id
        if name == collection and _INDEX.fullmatch(index_id) and folder.is_dir():
            return folder
    return None


def find_cut_short(state_folder: Path) -> list[str]:
    """The collections whose index files are shorter than their header says; none is written to.

    Chroma takes what it finds in memory for what such a file lacks: vectors that nobody wrote.
    """
    folders = {folder.name for folder in _index_folders(state_folder) if _is_cut_short(folder)}
    found = _indexes(state_folder) if folders else []
    return sorted(name for index_id, name in found if index_id in folders)


def _index_folders(state_folder: Path) -> Iterator[Path]:
    root = state_folder / CHROMA
    return (path for path in root.glob("*-*") if _INDEX.fullmatch(path.name) and path.is_dir())


def _is_cut_short(folder: Path) -> bool:
    """Whether the files hold less than a header tells of; one of another form tells nothing.

    Files without the map of ids are those of an index that was never written: Chroma makes it anew.
    """
    if not (folder / "index_metadata.pickle").exists():
        return False
    try:
        header = (folder / "header.bin").read_bytes()
        rows, lengths, links = (
            (folder / name).stat().st_size
            for name in ("data_level0.bin", "length.bin", "link_lists.bin")
        )
    except OSError:
        return False
    if len(header) < _HEADER.size:
        return True
    if not header.startswith(_HEADER_VERSION):
        return False
    fields = _HEADER.unpack_from(header)
    count, row_bytes, most_links = fields[3], fields[4], fields[9]
    upper_links = links - count * _LENGTH_BYTES
    level_bytes = (most_links + 1) * _LINK_BYTES
    whole = rows >= count * row_bytes and lengths >= count * _LENGTH_BYTES
    return not whole or upper_links < 0 or upper_links % level_bytes != 0


def set_aside(state_folder: Path, collection: str) -> None:
    """Move a collection's index out of Chroma's sight: the tables, with all text, are read on."""
    folder = index_folder(state_folder, collection)
    if folder is not None:
        folder.rename(folder.with_name(f"{folder.name}.damaged-{time.time_ns()}"))
        durable.sync(folder.parent)


def sweep(state_folder: Path) -> int:
    """Delete what belongs to no collection: the bytes of the index folders that went.

    To be called by the writer only. A folder that holds anything else is left alone.
    """
    _ask(state_folder, _CLEAR_LISTS, mode="rw")
    used = {index_id for index_id, _ in _indexes(state_folder)}
    freed = 0
    for folder in (state_folder / CHROMA).iterdir():
        if folder.name in used or not _INDEX.fullmatch(folder.name) or not folder.is_dir():
            continue
        if {path.name for path in folder.iterdir()} <= _INDEX_FILES:
            size = size_bytes(folder)
            shutil.rmtree(folder, ignore_errors=True)  # a reader's open files bar it on Windows
            freed += 0 if folder.exists() else size
    return freed


def vacuum(state_folder: Path) -> None:
    """Rewrite the SQLite file without its free pages; nobody else may have it open.

    Raises:
        CollectionError: another program is using it, or there is too little room on the disk.
    """
    path = database(state_folder)
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S)) as connection:
            connection.isolation_level = None  # VACUUM runs in no transaction
            with contextlib.suppress(sqlite3.OperationalError):  # an SQLite without FTS5
                connection.execute(_FORGET_DELETED_WORDS)
            connection.execute("VACUUM")
    except sqlite3.Error as error:
        raise CollectionError(f"{path} cannot be rewritten: {error}.") from error


def size_bytes(folder: Path) -> int:
    """Bytes of the files below a folder; those that vanish meanwhile do not count."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _indexes(state_folder: Path) -> list[tuple[str, str]]:
    """Index folder and collection of every index that Chroma's tables name."""
    answer = _ask(state_folder, _LIST_INDEXES, mode="ro")
    return [(str(index_id), str(name)) for index_id, name in json.loads(answer)]


def _ask(state_folder: Path, script: str, *, mode: Literal["ro", "rw"]) -> bytes:
    """What a script says that works on the SQLite file, in a process of its own.

    An SQLite library that closes a file drops the locks that another one in the same process,
    such as Chroma's, holds on it (sqlite.org/howtocorrupt).
    """
    path = database(state_folder).absolute()
    command = [sys.executable, "-I", "-c", script, f"{path.as_uri()}?mode={mode}"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise CollectionError(f"{path} cannot be used: {lines[-1] if lines else 'no answer'}.")
    return done.stdout
