"""Marks of writes: a process that dies within one leaves its mark beside the collections.

Chroma rewrites its index files in place. A process killed meanwhile leaves files that are torn:
they give wrong answers, or end the process that reads them or writes to them, and not all of
that can be seen by reading. So what was being rewritten at such an end is not trusted.

Nor does Chroma force its index files to the disk, while its SQLite file, from which it drops
what an index file holds, is forced. So a mark is on the disk before a write begins, and it goes
when the index files are there too. A mark that the machine has been started since is one of a
power failure: whatever the files look like, they may lack what was written last.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from retriever.collection import durable
from retriever.collection.index import DOCUMENTS
from retriever.collection.segments import CHROMA, find_cut_short

_SUFFIX = ".writing"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NO_BOOT = "unknown"
"""What a mark says where the system does not tell: then every mark may be of a power failure."""


@contextlib.contextmanager
def mark(folder: Path, generation: str) -> Iterator[None]:
    """A mark for as long as a write lasts; an older one, of a process that died, is left.

    What the write did to index files is on the disk when the context is left.
    """
    path = _path(folder, generation)
    is_new = _make(path)
    began_ns = path.stat().st_mtime_ns
    try:
        yield
    finally:
        _sync_indexes(folder, since_ns=began_ns)
        if is_new:
            path.unlink(missing_ok=True)


def find_torn(folder: Path) -> list[str]:
    """The generations whose index files are not to be trusted.

    A process died after it began to rewrite them, or they are shorter than they say. To be
    called with the index lock or the writer's lock held, so that nobody is writing.
    """
    torn = {name.removesuffix(DOCUMENTS) for name in find_cut_short(folder)}
    for path in folder.glob(f"*{_SUFFIX}"):
        outlived = path.read_text(encoding="utf-8") not in ("", boot())
        if outlived or any(_changed(folder, since_ns=path.stat().st_mtime_ns)):
            torn.add(path.name.removesuffix(_SUFFIX))
    return sorted(torn)


def any_left(folder: Path) -> bool:
    """Whether a process died within a write, harmless or not."""
    return next(folder.glob(f"*{_SUFFIX}"), None) is not None


def distrust(folder: Path, generation: str) -> None:
    """Have a generation be torn until it is cleared, whatever its files look like by then."""
    path = _path(folder, generation)
    part = path.with_name(f"{path.name}.part")
    part.write_text(_NO_BOOT, encoding="utf-8")
    durable.sync(part)
    part.replace(path)
    durable.sync(folder)


def clear(folder: Path, generation: str) -> None:
    """Forget how the last write to a generation ended: it was mended or deleted."""
    _path(folder, generation).unlink(missing_ok=True)


def clear_harmless(folder: Path) -> None:
    """Forget ends in which no index file was touched. For the writer."""
    torn = find_torn(folder)
    for path in folder.glob(f"*{_SUFFIX}"):
        if path.name.removesuffix(_SUFFIX) not in torn:
            path.unlink(missing_ok=True)


def boot() -> str:
    """What tells one start of the machine from the next; empty where the system does not say."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _make(path: Path) -> bool:
    """Have a mark on the disk: whether there was none."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(boot() or _NO_BOOT)
    except FileExistsError:
        return False
    durable.sync(path)
    durable.sync(path.parent)
    return True


def _sync_indexes(folder: Path, *, since_ns: int) -> None:
    changed = list(_changed(folder, since_ns=since_ns))
    for path in changed:
        durable.sync(path)
    for parent in {path.parent for path in changed}:
        durable.sync(parent)
        durable.sync(parent.parent)


def _changed(folder: Path, *, since_ns: int) -> Iterator[Path]:
    """The index files that were written since a moment of the file system's clock."""
    files = (folder / CHROMA).glob("*/*.*")
    return (file for file in files if file.stat().st_mtime_ns >= since_ns)


def _path(folder: Path, generation: str) -> Path:
    return folder / f"{generation}{_SUFFIX}"
