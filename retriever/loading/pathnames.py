"""What a path says about its file: patterns such as `{year}/{company} {quarter}.pdf`.

A field takes at least one character, a `*` any number, neither takes a `/`. A pattern that begins
with `**/` matches below any folder. Fields and stars have text between them, and each ends at the
first place where that text stands: no file name makes matching slow.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retriever.errors import SettingsError
from retriever.loading.metadata import bounded
from retriever.records import MetadataValue

MOST_PATTERNS, MOST_FIELDS = 50, 8
_PART = re.compile(r"\{([^{}]*)\}|(\*)|([^{}*]+)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,35}")
_WHOLE = re.compile(r"0|[1-9][0-9]{0,17}")
_ANYWHERE = "**/"


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a pattern: text, a field with a name, or a star."""

    text: str = ""
    name: str = ""

    @property
    def is_open(self) -> bool:
        return not self.text


@dataclass(frozen=True, slots=True)
class _Pattern:
    parts: tuple[_Part, ...]
    anywhere: bool


class PathPatterns:
    """Patterns in the order of the settings: the first that matches a path is taken.

    Raises:
        SettingsError: one of them is no pattern.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        if len(patterns) > MOST_PATTERNS:
            raise SettingsError(f"loading.path_metadata has more than {MOST_PATTERNS} patterns.")
        self._patterns = [_parse(one) for one in patterns]

    def read(self, source: str) -> Mapping[str, MetadataValue]:
        """What the path of a source says, less the name of its root; whole numbers as numbers."""
        path = source.partition("/")[2]
        for pattern in self._patterns:
            found = _match(pattern, path)
            if found is not None:
                fields: dict[object, object] = {name: _value(one) for name, one in found.items()}
                return bounded(fields)[0]
        return {}


def _parse(text: str) -> _Pattern:
    anywhere = text.startswith(_ANYWHERE)
    rest = text.removeprefix(_ANYWHERE)
    parts = [_Part(text=literal or "", name=name or "") for name, _, literal in _PART.findall(rest)]
    names = [part.name for part in parts if part.name]
    joined = "".join(found.group() for found in _PART.finditer(rest))
    touching = any(a.is_open and b.is_open for a, b in itertools.pairwise(parts))
    usable = (
        joined == rest
        and not touching
        and 0 < len(names) <= MOST_FIELDS
        and len(set(names)) == len(names)
        and all(_NAME.fullmatch(name) for name in names)
        and "{}" not in rest
    )
    if not usable:
        raise SettingsError(
            f"loading.path_metadata: {text!r} is no pattern. Write one such as "
            "'{year}/{company} {quarter}.pdf': one or more different names in braces, with text "
            "or a slash between them; * stands for anything within a name, **/ in front for any "
            "folders."
        )
    return _Pattern(tuple(parts), anywhere)


def _match(pattern: _Pattern, path: str) -> dict[str, str] | None:
    if not pattern.anywhere:
        return _match_from(pattern.parts, path)
    starts = [0, *(found.end() for found in re.finditer("/", path))]
    tried = (_match_from(pattern.parts, path[start:]) for start in starts)
    return next((found for found in tried if found is not None), None)


def _match_from(parts: Sequence[_Part], path: str) -> dict[str, str] | None:
    """The fields' values where the whole path matches, else None."""
    found: dict[str, str] = {}
    place = 0
    waiting: _Part | None = None
    for number, part in enumerate(parts):
        if part.is_open:
            waiting = part
            continue
        least = place + bool(waiting and waiting.name)
        is_last = number == len(parts) - 1
        start = len(path) - len(part.text) if is_last else path.find(part.text, least)
        if start < least or not path.startswith(part.text, start):
            return None
        if waiting is None and start != place:
            return None
        if waiting is not None and not _take(waiting, path[place:start], found):
            return None
        place, waiting = start + len(part.text), None
    if waiting is None:
        return found if place == len(path) else None
    return found if _take(waiting, path[place:], found) else None


def _take(part: _Part, text: str, found: dict[str, str]) -> bool:
    """Give a field or a star its text; whether it may have it."""
    if "/" in text or (part.name and not text.strip()):
        return False
    if part.name:
        found[part.name] = text.strip()
    return True


def _value(text: str) -> str | int:
    return int(text) if _WHOLE.fullmatch(text) else text
