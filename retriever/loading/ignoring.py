"""Gitignore-style patterns: those of the settings, and those of ignore files at every level."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self, cast

from pathspec import GitIgnoreSpec

from retriever.loading import brackets
from retriever.loading.decoding import storable

IGNORE_FILES = (".gitignore", ".retrieverignore")
"""Read in this order: where they disagree, the second has the last word."""
MAX_IGNORE_FILE_BYTES = 1 << 20
_MAX_WILDCARDS_IN_A_NAME = 4  # each one multiplies the time that a name takes to be refused
_WILDCARD = re.compile(rf"\*+|\?+|{brackets.STAND_IN.pattern}")


class Patterns:
    """A list of gitignore-style patterns; the last one that matches decides."""

    def __init__(self, lines: Iterable[str]) -> None:
        rules: list[tuple[re.Pattern[str], bool]] = []
        self.refused: list[str] = []
        """Patterns that are not used: malformed, or so many wildcards that they take for ever."""
        for line in lines:
            try:
                rules.extend(_rules_of(line))
            except (ValueError, TypeError, re.error):
                self.refused.append(line)
        self._rules = rules[::-1]

    def __bool__(self) -> bool:
        """Whether there is any pattern."""
        return bool(self._rules)

    def decide(self, path: str) -> bool | None:
        """True where the path itself matches, False where a `!` pattern takes it back, else None.

        A folder's path ends with `/`. What lies within a folder that matches does not match for
        that: whoever walks does not enter it. (pathspec's own check of `*`, `!*/`, `!*.md` does
        not find the Markdown files.)
        """
        for regex, include in self._rules:
            if any(_is_path_itself(match, path) for match in regex.finditer(path)):
                return include
        return None

    def holds(self, path: str) -> bool:
        """Whether a file or a folder that it lies in is among what the patterns name."""
        return next(
            (include for regex, include in self._rules if regex.search(path)),
            False,
        )


def _is_path_itself(match: re.Match[str], path: str) -> bool:
    """Whether a pattern matched a path, not a folder above it, after which it marks the `/`."""
    if match.groupdict().get("ps_d") is not None:
        return match.end("ps_d") == len(path)
    return match.end() < len(path) or not path.endswith("/")  # `a/**` is what lies in `a/`


def _rules_of(line: str) -> Iterator[tuple[re.Pattern[str], bool]]:
    """The regular expression of a line and whether it leaves out; none of a comment.

    Raises:
        ValueError, TypeError, re.error: the line is malformed, or would take for ever.
    """
    if line.startswith("#"):
        return
    pattern, expressions = brackets.take_out(line)
    most = max(len(_WILDCARD.findall(name)) for name in pattern.split("/"))
    if max(most, pattern.count("**")) > _MAX_WILDCARDS_IN_A_NAME:
        raise ValueError("too many wildcards")
    for found in GitIgnoreSpec.from_lines([pattern]).patterns:
        if found.include is not None:  # as it is for empty lines
            regex = cast("re.Pattern[str]", found.regex).pattern
            yield re.compile(brackets.put_back(regex, expressions)), found.include


@dataclass(frozen=True, slots=True)
class Rules:
    """The ignore files that hold in a folder, the nearest last."""

    levels: tuple[tuple[str, Patterns], ...] = ()
    """Path inside the root of the folder that holds them, and their patterns."""

    def below(self, path: str, inside: str) -> tuple[Self, list[tuple[str, str]]]:
        """The rules in a folder, and (file name, reason) for what of its files is not used."""
        levels = list(self.levels)
        problems: list[tuple[str, str]] = []
        for name in IGNORE_FILES:
            try:
                patterns = Patterns(_read_lines(os.path.join(path, name)))
            except OSError as error:
                problems.append((name, f"ignore file not used: {error.strerror}"))
                continue
            if patterns:
                levels.append((inside, patterns))
            if patterns.refused:
                shown = ", ".join(repr(line[:60]) for line in patterns.refused[:3])
                problems.append((name, f"patterns not used: {shown}"))
        return type(self)(tuple(levels)), problems

    def exclude(self, inside: str) -> bool:
        """Whether the nearest ignore file with an opinion leaves out a path inside the root."""
        for folder, patterns in reversed(self.levels):
            decided = patterns.decide(inside[len(folder) + 1 :] if folder else inside)
            if decided is not None:
                return decided
        return False


def _read_lines(path: str) -> Sequence[str]:
    """The lines of an ignore file; none where there is no such file."""
    if not os.path.isfile(path):
        return ()
    with open(path, "rb") as stream:
        data = stream.read(MAX_IGNORE_FILE_BYTES)
    return storable(data.decode("utf-8-sig", errors="replace")).replace("\r\n", "\n").split("\n")
