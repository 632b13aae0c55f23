"""Marks of writes: a process that dies within one leaves its mark beside the collections.

Chroma rewrites its index files in place. A process killed meanwhile leaves files that are torn:
they give wrong answers, or end the process that reads them or writes to them, and not all of
that can be seen by reading. So what was being rewritten at such an end is not trusted.

Nor does Chroma force its index files to the disk, while its SQLite file, from which it drops
what an index file holds, is forced. So a mark is on the disk before a write begins, and it goes
when the index files are there too. A mark that the machine has been started since is one of a
power failure: whatever the files look like, they may lack what was written last.

A mark holds what the machine says of its start and, from the second line on, sizes and times of
the index files: whether one was rewritten since is seen also where the clock was set back.
"""

import contextlib
import json
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
    try:
        yield
    finally:
        _sync_indexes(folder, since=path)
        if is_new:
            path.unlink(missing_ok=True)


def find_torn(folder: Path) -> list[str]:
    """The generations whose index files are not to be trusted.

    A process died after it began to rewrite them, or they are shorter than they say. To be
    called with the index lock or the writer's lock held, so that nobody is writing.
    """
    torn = {name.removesuffix(DOCUMENTS) for name in find_cut_short(folder)}
    for path in folder.glob(f"*{_SUFFIX}"):
        began, _ = _read(path)
        if began not in ("", boot()) or any(_changed(folder, since=path)):
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
            file.write(f"{boot() or _NO_BOOT}\n{json.dumps(_stamps(path.parent))}")
    except FileExistsError:
        return False
    durable.sync(path)
    durable.sync(path.parent)
    return True


def _read(path: Path) -> tuple[str, str]:
    """What a mark holds: the machine's start, and the stamps as JSON or nothing."""
    began, _, stamps = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    return began, stamps


def _sync_indexes(folder: Path, *, since: Path) -> None:
    changed = list(_changed(folder, since=since))
    for path in changed:
        durable.sync(path)
    for parent in {path.parent for path in changed}:
        durable.sync(parent)
        durable.sync(parent.parent)


def _changed(folder: Path, *, since: Path) -> Iterator[Path]:
    """The index files that were written since a mark was made, or may have been.

    A rewrite within one tick of the file system's clock leaves the time as it was, so one from
    the mark's own moment on counts; so does another size or time than the mark says.
    """
    began_ns = since.stat().st_mtime_ns
    _, written = _read(since)
    try:
        before = json.loads(written) if written else None
    except ValueError:  # a kill while the mark was made
        before = {}
    for name, stamp in _stamps(folder).items():
        if stamp[1] >= began_ns or (before is not None and before.get(name) != stamp):
            yield folder / CHROMA / name


def _stamps(folder: Path) -> dict[str, list[int]]:
    """Size and time, in nanoseconds, of each index file, by its place in Chroma's folder."""
    root = folder / CHROMA
    found = ((path, path.stat()) for path in root.glob("*/*.*"))
    return {path.relative_to(root).as_posix(): [of.st_size, of.st_mtime_ns] for path, of in found}


def _path(folder: Path, generation: str) -> Path:
    return folder / f"{generation}{_SUFFIX}"
