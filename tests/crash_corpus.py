"""The corpus of the crash tests in its three versions: as first written, changed, thinned out."""

import os
import shutil
from pathlib import Path

OLD_TIME_NS = 1_600_000_000_000_000_000
"""Files of a fixed, old time are remembered by it, so that runs can be compared field by field."""
DOCUMENTS = 20
_WORDS = ("valve", "pump", "boiler", "sensor", "panel", "filter", "tank", "meter", "motor", "fan")


def _section(number: int, section: int) -> str:
    words = [f"{_WORDS[(number + place * section) % 10]}{number}s{section}" for place in range(24)]
    return f"## Part {section} of {number}\n\n" + " ".join(words) + ".\n"


def _write(folder: Path, number: int, text: str, *, age: int) -> None:
    name = f"part{number % 3}/{number:02}.md"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(OLD_TIME_NS + age, OLD_TIME_NS + age))


def _text(number: int) -> str:
    front = f"---\nauthor: Ada{number}\n---\n" if number % 4 == 0 else ""
    return f"{front}# Document {number}\n\n" + "\n".join(_section(number, one) for one in range(3))


def write_first(folder: Path) -> None:
    """Twenty documents of three sections."""
    for number in range(DOCUMENTS):
        _write(folder, number, _text(number), age=0)


def write_changed(folder: Path) -> None:
    """Sections changed, text inserted above others, files renamed, copied, touched, added."""
    write_first(folder)
    for number in range(5):
        _write(folder, number, _text(number).replace("s1", "t1"), age=1)
    for number in range(5, 9):
        changed = _text(number).replace(f"# Document {number}\n", f"# Document {number}\n\nNew.\n")
        _write(folder, number, changed, age=1)
    _write(folder, 9, _text(9), age=1)
    _write(folder, 12, _text(12).replace("author: Ada12", "editor: Bob"), age=1)
    (folder / "part1" / "10.md").rename(folder / "part1" / "renamed.md")
    shutil.copy2(folder / "part2" / "11.md", folder / "part2" / "copy.md")
    (folder / "part1" / "13.md").unlink()
    for number in range(DOCUMENTS, DOCUMENTS + 5):
        _write(folder, number, _text(number), age=1)


def write_thinned(folder: Path) -> None:
    """The changed corpus without one of its three folders."""
    write_changed(folder)
    shutil.rmtree(folder / "part1")


VERSIONS = {"first": write_first, "changed": write_changed, "thinned": write_thinned}
