"""Marks of writes: a process that dies within one leaves its mark beside the collections.

Chroma rewrites its index files in place. A process killed meanwhile leaves files that are torn:
they give wrong answers, or end the process that reads them or writes to them, and not all of
that can be seen by reading. So what was being rewritten at such an end is not trusted.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from retriever.collection.segments import CHROMA

_SUFFIX = ".writing"


@contextlib.contextmanager
def mark(folder: Path, generation: str) -> Iterator[None]:
    """A mark for as long as a write lasts; an older one, of a process that died, is left."""
    path = _path(folder, generation)
    try:
        path.open("x").close()
    except FileExistsError:
        yield
        return
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find_torn(folder: Path) -> list[str]:
    """The generations in which a process died after it began to rewrite index files.

    To be called with the index lock or the writer's lock held, so that nobody is writing.
    """
    torn = []
    for path in folder.glob(f"*{_SUFFIX}"):
        began_ns = path.stat().st_mtime_ns
        files = (folder / CHROMA).glob("*/*.*")
        if any(file.stat().st_mtime_ns >= began_ns for file in files):
            torn.append(path.name.removesuffix(_SUFFIX))
    return sorted(torn)


def any_left(folder: Path) -> bool:
    """Whether a process died within a write, harmless or not."""
    return next(folder.glob(f"*{_SUFFIX}"), None) is not None


def clear(folder: Path, generation: str) -> None:
    """Forget how the last write to a generation ended: it was mended or deleted."""
    _path(folder, generation).unlink(missing_ok=True)


def clear_harmless(folder: Path) -> None:
    """Forget ends in which no index file was touched. For the writer."""
    torn = find_torn(folder)
    for path in folder.glob(f"*{_SUFFIX}"):
        if path.name.removesuffix(_SUFFIX) not in torn:
            path.unlink(missing_ok=True)


def _path(folder: Path, generation: str) -> Path:
    return folder / f"{generation}{_SUFFIX}"
