"""The vector cache's file, looked at from outside: whether it can be read."""

import contextlib
import sqlite3
from pathlib import Path

from retriever.embedding.cache import BUSY_TIMEOUT_S, FILE_NAME


def find_fault(folder: Path) -> str:
    """What is wrong with the cache in a folder; empty where it is whole or there is none.

    Reads the whole file and changes nothing.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return ""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
        ) as connection:
            answer = connection.execute("PRAGMA quick_check(1)").fetchone()
            connection.execute("SELECT fingerprint, text, vector, made_at FROM vectors LIMIT 1")
            connection.execute("SELECT fingerprint, fields FROM fingerprints LIMIT 1")
    except sqlite3.Error as error:
        return str(error)
    return "" if answer and answer[0] == "ok" else f"{answer[0] if answer else 'no answer'}"
