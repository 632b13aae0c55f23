"""What is forced to the disk, so that no power failure takes it back."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Have a file's content, or a folder's list of names, on the disk when this returns.

    Windows offers that for files alone; there a folder's names are the file system's care.
    """
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, to be found again after a power failure."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for one in missing:
        sync(one.parent)
