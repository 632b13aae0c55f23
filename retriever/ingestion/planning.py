"""A corpus against what a collection remembers: what a run would do. Nothing is changed here.

A file whose size and time are those of the last run is unchanged; if they differ, or its time
proves nothing, its hash decides. A file that was skipped is read again only when it, or the way
files are read, changed, or where its time proves nothing.
"""

import itertools
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from retriever.errors import DeletionRefused, LoadingError
from retriever.ingestion.roots import covers
from retriever.records import CorpusFile, DocumentRecord, Root, Skipped

RACY_NS = 2_000_000_000
"""A file changed this shortly before it was read may change again within the same tick of its
time stamp, so that its time proves nothing."""
EMPTY = "is empty, or all of it is left out (hidden files, ignore files, --include, --exclude)"
"""Said of a folder that is there and in which no file was found."""
_UNTRUSTED_NS = 0
"""The time of a record whose file's time proves nothing: the file's hash decides, also where
archives and image layers gave the file this very time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do; every file that was found is in exactly one place."""

    added: tuple[CorpusFile, ...] = ()
    updated: tuple[CorpusFile, ...] = ()
    unchanged: tuple[str, ...] = ()
    touched: tuple[DocumentRecord, ...] = ()
    """Unchanged documents whose file has a new time or size record, to be remembered."""
    deleted: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    """Files that could not be read before and are gone now."""
    skipped: tuple[Skipped, ...] = ()

    @property
    def changes_nothing(self) -> bool:
        """Whether the collection holds what the corpus says already."""
        return not (self.added or self.updated or self.deleted or self.forgotten)

    def finds_in(self, root: Root) -> bool:
        """Whether anything was found in what the run covers of a root."""
        files = (file.source for file in (*self.added, *self.updated))
        found = itertools.chain(files, self.unchanged, (one.source for one in self.skipped))
        return any(covers(root, source) for source in found)


@dataclass(slots=True)
class _Sorting:
    """A plan in the making."""

    added: list[CorpusFile] = field(default_factory=list)
    updated: list[CorpusFile] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    touched: list[DocumentRecord] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def plan(
    found: Iterable[CorpusFile | Skipped],
    roots: Sequence[Root],
    manifest: Mapping[str, DocumentRecord],
    *,
    reading: str,
    hash_file: Callable[[Path], str],
    unfinished: Collection[str] = (),
) -> Plan:
    """Sort what the walk found into what a run has to do.

    Args:
        found: what the walk over the roots found.
        roots: the roots of this run; nothing outside them is deleted.
        manifest: the collection's documents by source.
        reading: identity of the loaders and settings that read files now.
        hash_file: SHA-256 of a file's bytes.
        unfinished: sources that an interrupted run left half written.
    """
    sorting = _Sorting()
    seen: set[str] = set()
    for one in found:
        seen.add(one.source)
        if isinstance(one, Skipped):
            sorting.skipped.append(one)
        else:
            _sort(one, manifest.get(one.source), reading, hash_file, unfinished, sorting)
    shielded = {one.source for one in sorting.skipped}
    gone = [
        source
        for source in manifest
        if source not in seen
        and any(covers(root, source) for root in roots)
        and not _under(source, shielded)
    ]
    return Plan(
        added=tuple(sorting.added),
        updated=tuple(sorting.updated),
        unchanged=tuple(sorting.unchanged),
        touched=tuple(sorting.touched),
        deleted=tuple(source for source in gone if manifest[source].status == "complete"),
        forgotten=tuple(source for source in gone if manifest[source].status == "skipped"),
        skipped=tuple(sorting.skipped),
    )


def guard_deletions(
    plan: Plan, roots: Sequence[Root], existing: int, *, most_fraction: float
) -> None:
    """Stop a plan that would delete much more than a person usually means to.

    Deleting a single document is never questioned, unless it empties a root.

    Args:
        plan: what the run would do.
        roots: the roots of this run.
        existing: documents that the collection holds.
        most_fraction: the largest share of them that may be deleted unasked, 0 to 1.

    Raises:
        DeletionRefused: a root is empty or not there, or the share is larger.
    """
    for root in roots:
        lost = sum(covers(root, source) for source in plan.deleted)
        if lost and not plan.finds_in(root):
            place = root.path / root.within
            state = EMPTY if place.exists() else "is not there (is it mounted?)"
            raise DeletionRefused(f"{place} {state}", deleted=lost, existing=existing)
    if len(plan.deleted) > 1 and len(plan.deleted) > most_fraction * existing:
        raise DeletionRefused(
            f"More than {most_fraction:.0%} of the collection is gone from its folders",
            deleted=len(plan.deleted),
            existing=existing,
        )


def _sort(
    file: CorpusFile,
    record: DocumentRecord | None,
    reading: str,
    hash_file: Callable[[Path], str],
    unfinished: Collection[str],
    sorting: _Sorting,
) -> None:
    if record is None:
        sorting.added.append(file)
        return
    if file.source in unfinished or record.reading != reading:
        _changed(file, record, sorting)
        return
    same_stat = (file.size_bytes, file.mtime_ns) == (record.size_bytes, record.mtime_ns)
    if not same_stat or record.mtime_ns == _UNTRUSTED_NS:
        try:
            content_hash = hash_file(file.path)
        except LoadingError as error:
            sorting.skipped.append(Skipped(file.source, error.reason))
            return
        if content_hash != record.content_hash:
            _changed(file, record, sorting)
            return
        noted = replace(record, size_bytes=file.size_bytes, mtime_ns=trusted_mtime_ns(file))
        if noted != record:
            sorting.touched.append(noted)
    if record.status == "skipped":
        sorting.skipped.append(Skipped(file.source, record.reason))
    else:
        sorting.unchanged.append(file.source)


def _changed(file: CorpusFile, record: DocumentRecord, sorting: _Sorting) -> None:
    """A file that could not be read before counts as added once it can be."""
    target = sorting.added if record.status == "skipped" else sorting.updated
    target.append(file)


def trusted_mtime_ns(file: CorpusFile) -> int:
    """The file's time as a record keeps it: 0 where it changed too recently to prove anything."""
    return file.mtime_ns if file.mtime_ns < time.time_ns() - RACY_NS else _UNTRUSTED_NS


def _under(source: str, folders: Collection[str]) -> bool:
    """Whether a source is one of the folders or lies in one."""
    parts = source.split("/")
    return any("/".join(parts[:end]) in folders for end in range(1, len(parts) + 1))
