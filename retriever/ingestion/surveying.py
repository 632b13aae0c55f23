"""What a run finds: the collection, its roots, and a plan. Reads alone; nothing is changed."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retriever import assembly
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState, differences
from retriever.collection.store import Store
from retriever.errors import (
    CollectionDamaged,
    CollectionError,
    FingerprintMismatch,
    LoadingError,
)
from retriever.ingestion import planning, roots
from retriever.ingestion.planning import Plan
from retriever.ingestion.roots import covers
from retriever.loading.loader import hash_file
from retriever.loading.walking import walk
from retriever.records import CorpusFile, DocumentRecord, Fingerprint, Root, Skipped
from retriever.settings import Settings


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """What a caller may ask of one run."""

    strict: bool = False
    """A file that cannot be read is an error."""
    allow_delete: bool = False
    """Delete even where a root is empty or most documents are gone."""
    moved_roots: tuple[str, ...] = ()
    """`NAME=PATH` of known roots that are in another place now."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a run found and what it will do."""

    state: CollectionState | None
    """None where there is no collection yet, or an empty one that was built differently."""
    data: PhysicalCollection | None
    roots: Mapping[str, str]
    """Every root as the collection is to remember it."""
    run_roots: Sequence[Root]
    plan: Plan
    unfinished: Mapping[str, bool]
    """Sources that an interrupted run left half written, and whether each has a record."""
    document_count: int
    """Documents that the collection holds."""
    chunk_count: int
    """Their chunks."""
    replaces: CollectionState | None = None
    """An empty collection that was built differently and has to make way."""


def survey(
    folders: Sequence[str | Path],
    store: Store | None,
    settings: Settings,
    options: IngestOptions,
    *,
    fingerprint: Fingerprint,
    reading: str,
) -> Survey:
    """Look at collection and corpus, and plan; `store` is None where there is none yet.

    Raises:
        SettingsError: a folder is not there, or its name is taken.
        FingerprintMismatch: the collection was built with another model or other chunks.
    """
    found = store.find(settings.collection) if store else None
    state, data = _usable(store, found, fingerprint) if store and found else (None, None)
    known = state.roots if state else {}
    run_roots, remembered = roots.resolve(folders, known, moved=options.moved_roots)
    manifest = {record.source: record for record in data.manifest()} if data else {}
    unfinished = find_unfinished(data, manifest) if data and state and state.run else {}
    plan = planning.plan(
        corpus_files(run_roots, settings),
        run_roots,
        manifest,
        reading=reading,
        hash_file=hash_file,
        unfinished=unfinished,
    )
    warn_of_nothing(run_roots, manifest, plan)
    if options.strict:
        _refuse_unreadable(plan, manifest)
    return Survey(
        state=state,
        data=data,
        roots=remembered,
        run_roots=run_roots,
        plan=plan,
        unfinished=unfinished,
        document_count=sum(record.status == "complete" for record in manifest.values()),
        chunk_count=sum(record.chunk_count for record in manifest.values()),
        replaces=found if state is None else None,
    )


def corpus_files(run_roots: Sequence[Root], settings: Settings) -> Iterator[CorpusFile | Skipped]:
    """What the roots hold; of one that is not there nothing is found, which is asked about."""
    present = [root for root in run_roots if (root.path / root.within).exists()]
    return walk(present, assembly.loading_options(settings), not_into=assembly.own_paths(settings))


def warn_of_nothing(
    run_roots: Sequence[Root], manifest: Mapping[str, DocumentRecord], plan: Plan
) -> None:
    """Warn of folders in which nothing was found, and of which the collection holds nothing.

    It is no error: a part that is gone, and whose documents were deleted, may be named again.
    """
    for root in run_roots:
        if plan.finds_in(root) or any(covers(root, source) for source in manifest):
            continue
        place = root.path / root.within
        text = f"There is no folder {place}, and the collection holds nothing of it."
        if place.exists():
            text = f"No file was found: {place} {planning.EMPTY}."
        warnings.warn(f"{text} Check the path.", stacklevel=2)


def refuse_deletions(survey: Survey, settings: Settings) -> None:
    """Stop a run that would delete more than a person usually means to.

    Raises:
        DeletionRefused: a root is empty or not there, or too many documents are gone.
    """
    planning.guard_deletions(
        survey.plan,
        survey.run_roots,
        survey.document_count,
        most_fraction=settings.ingestion.max_deleted_fraction,
    )


def refuse_unfinished(state: CollectionState, data: PhysicalCollection) -> None:
    """See that a collection can be copied: that no run ended in the middle of its documents.

    Raises:
        CollectionError: one did; the next ingest completes it.
    """
    if state.run is None:
        return
    unfinished = find_unfinished(data, {record.source: record for record in data.manifest()})
    if unfinished:
        raise CollectionError(
            f"A run that began {state.run.started_at} was interrupted: {len(unfinished)} documents "
            f"of {state.name!r} are half written. Ingest its folders first, which completes them."
        )


def find_unfinished(
    data: PhysicalCollection, manifest: Mapping[str, DocumentRecord]
) -> dict[str, bool]:
    """The sources whose chunks and record disagree, and whether each has a record."""
    counts = data.version_counts()
    unfinished: dict[str, bool] = {}
    for source, content_hash in counts:
        record = manifest.get(source)
        if record is None or record.content_hash != content_hash:
            unfinished[source] = record is not None
    for record in manifest.values():
        if counts[record.source, record.content_hash] != record.chunk_count:
            unfinished[record.source] = True
    return unfinished


def _usable(
    store: Store, state: CollectionState, now: Fingerprint
) -> tuple[CollectionState | None, PhysicalCollection | None]:
    """The collection, if it is there and was built as the settings say."""
    try:
        data = store.physical(state.live)
    except CollectionDamaged:
        if state.previous is None and state.live in store.missing_parts(state.live):
            return None, None  # no chunk is left, and no way back: it is made anew
        raise
    built = data.fingerprint
    differing = differences(built.embedding, now.embedding)
    differing |= differences(built.chunking, now.chunking)
    if not differing:
        return state, data
    if data.chunk_count() == 0:
        return None, None
    raise FingerprintMismatch(
        state.name,
        differing,
        advice="Ingest with the config that built it, rebuild it with the new one (retriever swap "
        "--config FILE), or ingest into another collection (--collection NAME).",
    )


def _refuse_unreadable(plan: Plan, manifest: Mapping[str, DocumentRecord]) -> None:
    """Files that were skipped before, and would be again without being read."""
    for one in plan.skipped:
        if one.source in manifest:
            raise LoadingError(one.reason, source=one.source)
