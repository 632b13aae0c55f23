"""The corpus's roots: named folders whose name and place a collection remembers.

A source is `<root name>/<path inside the root>`, the same on every machine. So a name
stands for one folder, and a folder inside a known root is a part of that root.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from retriever.errors import SettingsError
from retriever.records import Root

_SEPARATOR = "="


def resolve(
    requested: Sequence[str | Path],
    known: Mapping[str, str],
    *,
    moved: Sequence[str] = (),
) -> tuple[list[Root], dict[str, str]]:
    """The roots of a run, and all roots as the collection is to remember them.

    Args:
        requested: folders, each a path or `NAME=PATH`.
        known: name and absolute path of the roots that the collection remembers.
        moved: `NAME=PATH` for known roots that are in another place now.

    Raises:
        SettingsError: no folder was named, one is not there, or a name is taken by another.
    """
    remembered = dict(known)
    for entry in moved:
        name, path = _split(entry)
        if name is None or name not in remembered:
            raise SettingsError(
                f"--move-root takes NAME=PATH with the name of a known root, not {entry!r}. "
                f"Known roots: {', '.join(remembered) or 'none'}."
            )
        remembered[name] = str(_folder(path))
    if not requested:
        raise SettingsError("No folder was named. Name the folders to ingest.")
    roots = [_root(entry, remembered) for entry in requested]
    remembered.update({root.name: str(root.path) for root in roots})
    return _without_repeats(roots), remembered


def covers(root: Root, source: str) -> bool:
    """Whether a source lies in the part of the root that a run covers."""
    prefix = f"{root.name}/{root.within}".rstrip("/")
    return source == prefix or source.startswith(f"{prefix}/")


def _root(entry: str | Path, remembered: dict[str, str]) -> Root:
    name, path = _split(entry)
    folder = _absolute(path)
    for known_name, known_path in remembered.items():
        inside = _inside(folder, Path(known_path))
        if inside is not None and name in (None, known_name):
            return Root(name=known_name, path=Path(known_path), within=inside)
    folder = _folder(path)
    chosen = folder.name if name is None else name
    _check_name(chosen)
    if chosen in remembered:
        raise SettingsError(
            f"The root {chosen!r} is {remembered[chosen]}, not {folder}. If the folder has "
            f"moved: --move-root {chosen}={folder}. If it is another one, give it a name of its "
            f"own: NAME={folder}."
        )
    if name is None:
        _refuse_parent(folder, remembered)
    remembered[chosen] = str(folder)
    return Root(name=chosen, path=folder)


def _refuse_parent(folder: Path, remembered: Mapping[str, str]) -> None:
    for known_name, known_path in remembered.items():
        if _inside(Path(known_path), folder) is not None:
            raise SettingsError(
                f"{folder} contains the root {known_name!r} ({known_path}), whose files would be "
                "ingested twice. Ingest that root and its neighbours one by one, use another "
                f"--collection, or insist with a name: NAME={folder}."
            )


def _split(entry: str | Path) -> tuple[str | None, str]:
    """Name and path of `NAME=PATH`; a path that exists as it is has no name."""
    text = os.fspath(entry)
    name, separator, path = text.partition(_SEPARATOR)
    if isinstance(entry, Path) or not separator or os.path.exists(text):
        return None, text
    return name, path


def _absolute(path: str) -> Path:
    """A path as the working folder completes it; a home folder that is not known stays a name."""
    if not path:  # a variable of a shell that is not set; it would be the working folder
        raise SettingsError("A folder's path is empty. Name one; the working folder is `.`.")
    return Path(os.path.abspath(os.path.expanduser(path)))


def _folder(path: str) -> Path:
    folder = _absolute(path)
    if folder.is_file():
        raise SettingsError(f"{folder} is a file. Ingest its folder: {folder.parent}")
    if not folder.is_dir():
        raise SettingsError(f"There is no folder {folder}. Check the path, or mount it first.")
    return folder


def _inside(folder: Path, root: Path) -> str | None:
    """The path of `folder` inside `root` with `/`, empty for the root itself, None elsewhere."""
    for base, inner in ((root, folder), (Path(os.path.realpath(root)), folder.resolve())):
        if inner == base or base in inner.parents:
            within = inner.relative_to(base).as_posix()
            return "" if within == "." else within
    return None


def _check_name(name: str) -> None:
    if not name or "/" in name or "\\" in name or name in (".", "..") or not name.isprintable():
        raise SettingsError(
            f"{name!r} cannot name a root: a name has no slash and is not empty. "
            "Give one: NAME=PATH."
        )


def _without_repeats(roots: Sequence[Root]) -> list[Root]:
    """The roots without those that another of them covers."""
    unique = list(dict.fromkeys(roots))
    return [
        root
        for root in unique
        if not any(
            other != root
            and other.name == root.name
            and covers(other, f"{root.name}/{root.within}".rstrip("/"))
            for other in unique
        )
    ]
