"""Roots -> files: what is there, in a stable order, and what is left out with a reason."""

import os
import stat
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from retriever.loading.content import BYTES_PER_MB, LoadingOptions
from retriever.loading.ignoring import IGNORE_FILES, Patterns, Rules
from retriever.loading.loader import unreadable
from retriever.records import CorpusFile, Root, Skipped

Found = CorpusFile | Skipped
MAX_DEPTH = 200


def walk(
    roots: Sequence[Root], options: LoadingOptions, *, not_into: Collection[Path] = ()
) -> Iterator[Found]:
    """Find the files of some roots, sorted by their names' bytes within each folder.

    Files that patterns or ignore files exclude are not mentioned. Hidden files and folders,
    links that leave the root, files that are too large, and what cannot be read are reported
    once each. Links within the root are followed; one that leads back above itself, or stands
    in a folder that was itself reached through a link, is reported instead.

    Args:
        roots: what to walk, in this order; `Root.within` limits the walk to a part of one.
        options: patterns and the size limit.
        not_into: files and folders that are passed over in silence, such as the state folder.

    Yields:
        A `CorpusFile` for each file to read, a `Skipped` for each thing that was left out. No
        two files of a root have one source.
    """
    barred = frozenset(os.path.realpath(path) for path in not_into)
    for root in roots:
        yield from _Walk(root, options, barred).run()


def source_of(root_name: str, inside: str) -> str:
    """The source of a path inside a root.

    A name that is not valid Unicode is written with its bytes escaped (`caf\\xe9.txt`), the
    same way each time.
    """
    source = f"{root_name}/{inside}" if inside else root_name
    return source.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    inside: str
    """Path inside the root with `/`, empty for the root."""
    rules: Rules
    above: frozenset[str]
    """Real paths of this folder and of those above it."""
    through_link: bool = False
    depth: int = 0


class _Walk:
    """The walk over one root."""

    def __init__(self, root: Root, options: LoadingOptions, barred: frozenset[str]) -> None:
        self._root = root
        self._options = options
        self._barred = barred
        self._barred_names = frozenset(os.path.basename(path) for path in barred)
        self._real_root = os.path.realpath(root.path)
        self._include = Patterns(options.include)
        self._exclude = Patterns(options.exclude)
        self._max_bytes = options.max_file_mb * BYTES_PER_MB
        self._ambiguous: set[str] = set()
        """Sources found that an escaped name and one spelt with backslashes can share."""

    def run(self) -> Iterator[Found]:
        """Walk from `within` on, having read the ignore files above it."""
        parts = [part for part in self._root.within.split("/") if part not in {"", "."}]
        start = os.path.join(self._root.path, *parts)
        if ".." in parts or not self._is_inside(os.path.realpath(start)):
            yield self._skipped("/".join(parts), "outside of its root")
            return
        is_file = os.path.isfile(start)
        if not is_file and not os.path.isdir(start):
            yield self._skipped("/".join(parts), "folder not found")
            return
        rules = yield from self._rules_above(parts, is_file=is_file)
        if rules is None:
            return
        if is_file:
            yield from self._file(start, "/".join(parts))
        else:
            above = frozenset({os.path.realpath(start)})
            yield from self._folder(_Folder(start, "/".join(parts), rules, above))

    def _rules_above(
        self, parts: Sequence[str], *, is_file: bool
    ) -> Generator[Skipped, None, Rules | None]:
        """The rules of the folders above the part to walk; None where they leave it out."""
        rules = Rules()
        for count, part in enumerate(parts):
            folder = "/".join(parts[:count])
            path = os.path.join(self._root.path, *parts[:count])
            rules, problems = self._rules_in(path, folder, rules)
            yield from problems
            is_last = count == len(parts) - 1
            inside = _joined(folder, part) + ("" if is_last and is_file else "/")
            if self._is_excluded(inside, rules):
                return None
        return rules

    def _rules_in(self, path: str, inside: str, rules: Rules) -> tuple[Rules, list[Skipped]]:
        if not self._options.use_ignore_files:
            return rules, []
        rules, problems = rules.below(path, inside)
        return rules, [self._skipped(_joined(inside, name), reason) for name, reason in problems]

    def _folder(self, folder: _Folder) -> Iterator[Found]:
        try:
            with os.scandir(folder.path) as listing:
                entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            yield self._skipped(folder.inside, f"folder {unreadable(error)}")
            return
        rules, problems = self._rules_in(folder.path, folder.inside, folder.rules)
        yield from problems
        for entry in entries:
            yield from self._entry(entry, folder, rules)

    def _entry(self, entry: os.DirEntry[str], folder: _Folder, rules: Rules) -> Iterator[Found]:
        inside = _joined(folder.inside, entry.name)
        try:
            is_folder = entry.is_dir()
            is_link = entry.is_symlink()
        except OSError as error:
            yield self._skipped(inside, unreadable(error))
            return
        if self._is_excluded(inside + "/" * is_folder, rules):
            return
        may_be_barred = entry.name in self._barred_names
        real = os.path.realpath(entry.path) if is_link or is_folder or may_be_barred else ""
        if real in self._barred or (entry.name in IGNORE_FILES and self._options.use_ignore_files):
            return
        if is_link and not self._is_inside(real):
            yield self._skipped(inside, "link that leaves its root")
        elif entry.name.startswith("."):
            yield self._skipped(inside, "hidden folder" if is_folder else "hidden file")
        elif not is_folder:
            yield from self._file(entry.path, inside)
        elif reason := _no_way(folder, real, is_link):
            yield self._skipped(inside, reason)
        else:
            yield from self._folder(
                _Folder(
                    entry.path,
                    inside,
                    rules,
                    folder.above | {real},
                    folder.through_link or is_link,
                    folder.depth + 1,
                )
            )

    def _file(self, path: str, inside: str) -> Iterator[Found]:
        try:
            status = os.stat(path)
        except OSError as error:
            yield self._skipped(inside, unreadable(error))
            return
        if not stat.S_ISREG(status.st_mode):
            yield self._skipped(inside, "not a regular file")
        elif status.st_size > self._max_bytes:
            yield self._skipped(inside, f"larger than {self._options.max_file_mb:g} MB")
        elif (source := source_of(self._root.name, inside)) in self._ambiguous:
            yield Skipped(source, "another file has the same name once escaped: rename one of them")
        else:
            if "\\" in source:
                self._ambiguous.add(source)
            yield CorpusFile(source, Path(path), status.st_size, status.st_mtime_ns)

    def _is_excluded(self, inside: str, rules: Rules) -> bool:
        """Whether patterns or ignore files leave out a path (a folder's ends with `/`)."""
        if self._exclude.decide(inside) or rules.exclude(inside):
            return True
        is_folder = inside.endswith("/")
        return bool(self._options.include) and not is_folder and not self._include.holds(inside)

    def _is_inside(self, real: str) -> bool:
        return real == self._real_root or real.startswith(self._real_root.rstrip(os.sep) + os.sep)

    def _skipped(self, inside: str, reason: str) -> Skipped:
        return Skipped(source_of(self._root.name, inside), reason)


def _no_way(folder: _Folder, real: str, is_link: bool) -> str:
    """Why a folder is not entered; empty where it is."""
    if is_link and real in folder.above:
        return "link to a folder that holds it"
    if is_link and folder.through_link:
        return "link within a linked folder"
    return "folders nested too deeply" if folder.depth >= MAX_DEPTH else ""


def _joined(inside: str, name: str) -> str:
    return f"{inside}/{name}" if inside else name
