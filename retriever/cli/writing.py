"""Files that a command writes at its end, looked at before it begins."""

import os
from pathlib import Path

import typer


def refuse_unwritable(path: Path | None, option: str) -> None:
    """See that a file can be written, before any work is done for it; None is no file.

    Raises:
        BadParameter: it is a folder, or its folder is not there or may not be written into.
    """
    if path is None:
        return
    folder = path.absolute().parent
    if path.is_dir():
        what = "it is a folder; name a file"
    elif not folder.is_dir():
        what = f"there is no folder {folder}; make it first"
    elif not os.access(folder, os.W_OK):
        what = f"{folder} may not be written into"
    else:
        return
    raise typer.BadParameter(f"{path} cannot be written: {what}.", param_hint=option)
