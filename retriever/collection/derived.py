"""Folders of what is derived from a generation and can be made from it again."""

import atexit
import contextlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from retriever.collection.client import StorageOptions

LEXICAL = "lexical"
_temporary: dict[Path, Path] = {}
_lock = threading.Lock()


def lexical_root(options: StorageOptions) -> Path:
    """Where lexical indexes are kept; a collection in memory has none on the disk that lasts."""
    if options.mode == "memory":
        return temporary_root(options.path)
    return options.path / LEXICAL


def temporary_root(state_folder: Path) -> Path:
    """The same for this process alone, which takes it along when it ends."""
    key = state_folder.absolute()
    with _lock:
        if key not in _temporary:
            made = Path(tempfile.mkdtemp(prefix="retriever-"))
            atexit.register(_remove, made, os.getpid())
            _temporary[key] = made
        return _temporary[key]


def generation_folder(root: Path, name: str, generation_id: str) -> Path:
    """The folder of one generation: named for people, and by its id for good."""
    return root / f"{name}-{generation_id}"


def lock_file(folder: Path) -> Path:
    """Held by whoever writes to a generation's folder."""
    return folder.with_name(f"{folder.name}.lock")


def drop(options: StorageOptions, name: str) -> None:
    """Delete what was derived from a generation that is deleted."""
    roots = {lexical_root(options), _temporary.get(options.path.absolute())}
    for root in filter(None, roots):
        for path in root.glob(f"{name}-*"):
            _delete(path)


def sweep(root: Path, collection: str, ids: Mapping[str, str]) -> None:
    """Delete what was derived from generations of a collection that are there no more.

    Args:
        root: from `lexical_root`.
        collection: its name.
        ids: of the generations that there are, by name.
    """
    used = {generation_folder(root, name, one) for name, one in ids.items()}
    used |= {lock_file(folder) for folder in used}
    pattern = re.compile(rf"{re.escape(collection)}\.[0-9]+-.+")
    for path in root.glob(f"{collection}.*"):
        if path not in used and pattern.fullmatch(path.name):
            _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)  # a reader's open files bar it on Windows
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child has its parent's list of things to do at its end
        shutil.rmtree(folder, ignore_errors=True)
