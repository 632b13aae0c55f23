"""What an index says of itself: a file beside the engine's own for each commit.

A row of the index would count as a chunk in BM25's statistics, and so would each of its old
versions until they are merged away. The engine numbers its commits: the file is named by that.
"""

import contextlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

POINTER = "meta.json"
"""The engine's file that a commit replaces, by renaming."""
UNKNOWN_REVISION = -1
"""Of a commit whose writer died before it said which it was, or is about to say so."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a commit says of itself."""

    revision: int
    """The collection's that it is of."""
    token: str
    """Tells that revision from another of the same number."""
    identity: str
    """How texts are analysed, which every commit of a folder has in common."""


def commit_number(folder: Path) -> int:
    """The engine's number of the last commit.

    Raises:
        OSError, ValueError, KeyError, TypeError: there is none that can be read.
    """
    return int(json.loads((folder / POINTER).read_bytes())["opstamp"])


def read(folder: Path, number: int) -> Facts:
    """What a commit says of itself; of an unknown revision where it has not said so.

    Raises:
        OSError, ValueError, KeyError, TypeError: the folder is none of ours.
    """
    if _path(folder, number).exists():
        return _parse(_path(folder, number))
    others = sorted(folder.glob("facts-*.json"))
    if not others:
        raise ValueError("it does not say what it is of")
    return replace(_parse(others[-1]), revision=UNKNOWN_REVISION, token="")


def write(folder: Path, number: int, facts: Facts) -> None:
    """Say what a commit is of, whole or not at all, and forget what earlier ones were of."""
    part = folder / "facts.part"
    part.write_text(json.dumps(asdict(facts)), encoding="utf-8")
    os.replace(part, _path(folder, number))
    for path in folder.glob("facts-*.json"):
        if path != _path(folder, number):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _path(folder: Path, number: int) -> Path:
    return folder / f"facts-{number}.json"


def _parse(path: Path) -> Facts:
    held = json.loads(path.read_text(encoding="utf-8"))
    return Facts(
        revision=int(held["revision"]), token=str(held["token"]), identity=str(held["identity"])
    )
