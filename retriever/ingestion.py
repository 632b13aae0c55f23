"""Folders into a collection: look, plan, apply, report."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from retriever import assembly, planning, roots
from retriever.applying import Line, Outcome, PlanApplication, Progress, find_unfinished
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState, differences
from retriever.collection.store import Store
from retriever.errors import FingerprintMismatch, LoadingError
from retriever.loading.loader import hash_file
from retriever.loading.walking import walk
from retriever.planning import Plan
from retriever.records import ChunkCounts, DocumentRecord, Fingerprint, IngestReport, Root
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


def ingest(
    folders: str | Path | Sequence[str | Path],
    settings: Settings | None = None,
    *,
    options: IngestOptions | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Bring a collection up to date with folders of files.

    Unchanged files cost a look at their size and time; of a changed file only the chunks
    whose text changed are embedded; the chunks of removed files are deleted. Nothing outside
    the folders is touched.

    Args:
        folders: one or more folders, each a path or `NAME=PATH`.
        settings: from `Settings.load`; the defaults and the environment where None.
        options: what is asked of this run.
        progress: called from time to time with how far the run has come.

    Returns:
        What was done: every file that was found is counted once.

    Raises:
        SettingsError: a folder is not there, or its name is taken.
        CollectionLocked: another process is writing to the same state folder.
        FingerprintMismatch: the collection was built with another model or other chunks.
        DeletionRefused: more would be deleted than is usual.
        LoadingError: a file could not be read and `options.strict` is set.
        EmbeddingError: text could not be embedded; the next run goes on where this one ended.
    """
    started = time.monotonic()
    settings = settings or Settings.load()
    options = options or IngestOptions()
    requested = [folders] if isinstance(folders, (str, Path)) else list(folders)
    with assembly.open_writing_store(settings) as store, assembly.open_loader(settings) as loader:
        embedder = assembly.open_configured_embedder(settings)
        chunker = assembly.open_chunker(settings, embedder)
        line = Line(
            loader=loader,
            chunker=chunker,
            embedder=embedder,
            cache=assembly.open_cache(settings),
            commit_chunks=settings.ingestion.commit_chunks,
            strict=options.strict,
            progress=progress,
        )
        report = _bring_up_to_date(
            requested, store, line, settings, options, assembly.fingerprint(embedder, chunker)
        )
    return replace(report, seconds=round(time.monotonic() - started, 3))


def _bring_up_to_date(
    requested: Sequence[str | Path],
    store: Store,
    line: Line,
    settings: Settings,
    options: IngestOptions,
    fingerprint: Fingerprint,
) -> IngestReport:
    state = _open_collection(store, settings.collection, fingerprint)
    data = store.physical(state.live) if state else None
    known = state.roots if state else {}
    run_roots, remembered = roots.resolve(requested, known, moved=options.moved_roots)
    manifest = {record.source: record for record in data.manifest()} if data else {}
    interrupted = data is not None and state is not None and state.run is not None
    unfinished = find_unfinished(data, manifest) if interrupted and data else {}
    plan = planning.plan(
        walk(_present(run_roots), assembly.loading_options(settings)),
        run_roots,
        manifest,
        reading=line.loader.reading,
        hash_file=hash_file,
        unfinished=unfinished,
    )
    _check(plan, run_roots, manifest, settings, options)
    if state is None or data is None:
        state = store.create(settings.collection, fingerprint)
        data = store.physical(state.live)
    outcome = Outcome()
    if not plan.changes_nothing or state.run or remembered != state.roots:
        application = PlanApplication(store, data, line)
        outcome = application.apply(plan, replace(state, roots=remembered), unfinished=unfinished)
    elif plan.touched:
        data.touch_documents(plan.touched)
    return _report(settings.collection, plan, outcome, data)


def _open_collection(store: Store, name: str, now: Fingerprint) -> CollectionState | None:
    """The collection, if it is there and was built as the settings say."""
    state = store.find(name)
    if state is None:
        return None
    data = store.physical(state.live)
    built = data.fingerprint
    differing = differences(built.embedding, now.embedding)
    differing |= differences(built.chunking, now.chunking)
    if not differing:
        return state
    if data.chunk_count() == 0:
        store.drop(state)
        return None
    raise FingerprintMismatch(
        name,
        differing,
        advice="Ingest with the config that built it, or into another collection: "
        "--collection NAME.",
    )


def _present(run_roots: Sequence[Root]) -> list[Root]:
    """The roots that are there: of one that is not, nothing is found, which is asked about."""
    return [root for root in run_roots if (root.path / root.within).exists()]


def _check(
    plan: Plan,
    run_roots: Sequence[Root],
    manifest: Mapping[str, DocumentRecord],
    settings: Settings,
    options: IngestOptions,
) -> None:
    unreadable = [one for one in plan.skipped if one.source in manifest]
    if options.strict and unreadable:
        first = unreadable[0]
        raise LoadingError(first.reason, source=first.source)
    if not options.allow_delete:
        planning.guard_deletions(
            plan,
            run_roots,
            sum(record.status == "complete" for record in manifest.values()),
            most_fraction=settings.ingestion.max_deleted_fraction,
        )


def _report(name: str, plan: Plan, outcome: Outcome, data: PhysicalCollection) -> IngestReport:
    unread = {one.source for one in outcome.skipped}
    totals = outcome.totals
    return IngestReport(
        collection=name,
        added=sum(file.source not in unread for file in plan.added),
        updated=sum(file.source not in unread for file in plan.updated),
        unchanged=len(plan.unchanged),
        deleted=len(plan.deleted),
        skipped=tuple(sorted((*plan.skipped, *outcome.skipped), key=lambda one: one.source)),
        chunks=ChunkCounts(
            embedded=totals.embedded,
            reused=totals.reused,
            deleted=totals.deleted,
            total=data.chunk_count(),
        ),
        tokens=totals.tokens,
        tokens_cut=totals.tokens_cut,
        warnings=tuple(outcome.warnings),
    )
