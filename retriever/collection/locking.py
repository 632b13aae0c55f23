"""Locks between processes, released by the operating system when their holder dies."""

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import portalocker

from retriever.collection import durable
from retriever.collection.marks import mark
from retriever.errors import FREE_ROOM, CollectionError, CollectionLocked

FILES = ("index.lock", "open.lock", "writer.json", "writer.lock")
"""What is made in a state folder for the locks."""
_SHARED = portalocker.LockFlags.SHARED
_FREE_FOR_ALL = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING


@contextlib.contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Hold the state folder for writing.

    Raises:
        CollectionLocked: another process or thread holds it; with its pid and start time.
        CollectionError: the folder cannot be made or written to.
    """
    holder = folder / "writer.json"
    with _opened(folder, "writer.lock") as file:
        try:
            portalocker.lock(file, _FREE_FOR_ALL)
        except portalocker.exceptions.LockException as error:
            pid, since = _read_holder(holder)
            raise CollectionLocked(str(folder), pid=pid, since=since) from error
        try:
            started = {"pid": os.getpid(), "since": datetime.now(UTC).isoformat()}
            holder.write_text(json.dumps(started), encoding="utf-8")
            yield
        finally:
            holder.unlink(missing_ok=True)
            portalocker.unlock(file)


@contextlib.contextmanager
def index_lock(folder: Path, *, writing: str | None = None) -> Iterator[None]:
    """Hold the index files: while they are written, and while they are opened.

    Chroma rewrites its index files in place, so a process that opens them meanwhile could
    load half of one state and half of another. Waits until the lock is free.

    Args:
        folder: the state folder.
        writing: the generation that is written to; a process that dies in the context leaves
            its mark.
    """
    with _opened(folder, "index.lock") as file:
        portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE)
        try:
            with mark(folder, writing) if writing else contextlib.nullcontext():
                yield
        finally:
            portalocker.unlock(file)


def find_writer(folder: Path) -> tuple[int | None, datetime | None] | None:
    """The writer that holds the state folder, as (pid, since), or None where there is none."""
    try:
        with (folder / "writer.lock").open("rb") as file:
            portalocker.lock(file, _SHARED | portalocker.LockFlags.NON_BLOCKING)
            portalocker.unlock(file)
    except FileNotFoundError:
        return None
    except portalocker.exceptions.LockException:
        return _read_holder(folder / "writer.json")
    return None


@contextlib.contextmanager
def presence(folder: Path) -> Iterator[None]:
    """Tell others that the collections are open here; many may be at once.

    Waits while one process has them for itself.
    """
    with _opened(folder, "open.lock") as file:
        portalocker.lock(file, _SHARED)
        try:
            yield
        finally:
            portalocker.unlock(file)


@contextlib.contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Have the collections for oneself: whoever opens them meanwhile waits.

    Raises:
        CollectionLocked: they are open elsewhere, or twice here.
    """
    with _opened(folder, "open.lock") as file:
        try:
            portalocker.lock(file, _FREE_FOR_ALL)
        except portalocker.exceptions.LockException as error:
            raise CollectionLocked(str(folder), pid=None, since=None) from error
        try:
            yield
        finally:
            portalocker.unlock(file)


@contextlib.contextmanager
def try_hold(path: Path) -> Iterator[bool]:
    """Hold a lock file if nobody else does: whether it is held in the context.

    Raises:
        OSError: the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        try:
            portalocker.lock(file, _FREE_FOR_ALL)
        except portalocker.exceptions.LockException:
            yield False
            return
        try:
            yield True
        finally:
            portalocker.unlock(file)


def _opened(folder: Path, name: str) -> BinaryIO:
    """A file in a state folder to lock, which is made with its folder where there is none.

    Raises:
        CollectionError: that cannot be done here.
    """
    try:
        with contextlib.suppress(FileNotFoundError):
            return (folder / name).open("a+b")
        durable.make_folder(folder)
        return (folder / name).open("a+b")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CollectionError(f"{folder}: {error.strerror}. {FREE_ROOM}") from error
        raise CollectionError(
            f"{folder} cannot be used: {error.strerror or error} ({name}). Collections are locked "
            "there by whoever reads or writes them: let this user write to that folder, or name "
            "another one (storage.path)."
        ) from error


def _read_holder(holder: Path) -> tuple[int | None, datetime | None]:
    try:
        started = json.loads(holder.read_text(encoding="utf-8"))
        return int(started["pid"]), datetime.fromisoformat(started["since"]).astimezone()
    except (OSError, ValueError, KeyError, TypeError):
        return None, None
