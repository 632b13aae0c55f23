"""Folders into a collection: look, plan, apply, report."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from retriever import assembly
from retriever.collection.store import Store
from retriever.embedding.cache import VectorCache
from retriever.embedding.catalogue import find_row
from retriever.errors import CollectionNotFound, DeletionRefused
from retriever.indexing import kept_in_step
from retriever.ingestion.applying import Line, Outcome, PlanApplication, Progress, prepare
from retriever.ingestion.batching import batches
from retriever.ingestion.glancing import find_unchanged
from retriever.ingestion.roots import resolve
from retriever.ingestion.surveying import IngestOptions, Survey, refuse_deletions, survey
from retriever.ingestion.tallying import Tally
from retriever.records import ChunkCounts, IngestReport, Skipped
from retriever.repairing.recovering import open_sound_store
from retriever.settings import Settings
from retriever.timing import stage

__all__ = ["IngestEstimate", "IngestOptions", "estimate", "ingest"]

Folders = str | Path | Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class IngestEstimate:
    """What `ingest` would do, as `retriever plan` shows it."""

    collection: str
    added: tuple[str, ...]
    """Sources, as in the three fields below."""
    updated: tuple[str, ...]
    deleted: tuple[str, ...]
    unchanged: int
    skipped: tuple[Skipped, ...]
    chunks: int
    """Chunks to embed: those of added and changed files that the collection lacks."""
    cached: int
    """Those among them whose vectors the cache holds, or an equal text before them leaves."""
    tokens: int
    """Tokens to embed, those of cached chunks left out."""
    price_usd: float
    """By the model's listed price; 0 for a model on one's own machine."""
    seconds: float | None
    """By the rate of the collection's last run; None before the first."""
    needs_allow_delete: bool
    """Whether `ingest` would refuse this without `--allow-delete`."""


def ingest(
    folders: Folders,
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
    if settings.storage.mode == "embedded" and not settings.storage.path.exists():
        resolve(_each(folders), {})  # a mistyped folder leaves no state folder behind
    with _line(settings, options, assembly.open_cache) as line:
        with stage("look"):
            found = find_unchanged(
                _each(folders),
                settings,
                options,
                fingerprint=assembly.fingerprint(line.embedder, line.chunker),
                reading=line.loader.reading,
            )
        if found is not None:
            report = _report(found, Outcome(), settings.collection, total=found.chunk_count)
        else:
            report = _change(folders, replace(line, progress=progress), settings, options)
    return replace(report, seconds=round(time.monotonic() - started, 3))


def estimate(
    folders: Folders, settings: Settings | None = None, *, options: IngestOptions | None = None
) -> IngestEstimate:
    """What `ingest` with the same arguments would do. Changed files are read and cut.

    Raises:
        SettingsError, FingerprintMismatch, LoadingError: as `ingest` would.
    """
    settings = settings or Settings.load()
    options = options or IngestOptions()
    with (
        _store_if_any(settings) as store,
        _line(settings, options, assembly.find_cache) as line,
    ):
        found = _survey(folders, store, line, settings, options)
        return _estimate(found, line, settings)


def _change(
    folders: Folders, line: Line, settings: Settings, options: IngestOptions
) -> IngestReport:
    with open_sound_store(settings) as store:
        found = _survey(folders, store, line, settings, options)
        if not options.allow_delete:
            refuse_deletions(found, settings)
        return _apply(found, store, line, settings)


@contextlib.contextmanager
def _store_if_any(settings: Settings) -> Iterator[Store | None]:
    """The store, or None before the first ingest: an estimate leaves nothing behind."""
    try:
        store = assembly.open_store(settings)
    except CollectionNotFound:
        yield None
        return
    with store:
        yield store


@contextlib.contextmanager
def _line(
    settings: Settings,
    options: IngestOptions,
    open_cache: Callable[[Settings], VectorCache | None],
) -> Iterator[Line]:
    embedder = assembly.open_configured_embedder(settings)
    chunker = assembly.open_chunker(settings, embedder)
    with contextlib.ExitStack() as stack:
        cache = open_cache(settings)
        if cache is not None:
            stack.callback(cache.close)
        yield Line(
            loader=stack.enter_context(assembly.open_loader(settings)),
            chunker=chunker,
            embedder=embedder,
            cache=cache,
            commit_chunks=settings.ingestion.commit_chunks,
            strict=options.strict,
        )


def _survey(
    folders: Folders, store: Store | None, line: Line, settings: Settings, options: IngestOptions
) -> Survey:
    with stage("look"):
        return survey(
            _each(folders),
            store,
            settings,
            options,
            fingerprint=assembly.fingerprint(line.embedder, line.chunker),
            reading=line.loader.reading,
        )


def _each(folders: Folders) -> list[str | Path]:
    return [folders] if isinstance(folders, (str, Path)) else list(folders)


def _apply(found: Survey, store: Store, line: Line, settings: Settings) -> IngestReport:
    state, data = found.state, found.data
    if state is None or data is None:
        if found.replaces is not None:
            store.drop(found.replaces)
        fingerprint = assembly.fingerprint(line.embedder, line.chunker)
        state = store.create(settings.collection, fingerprint)
        data = store.physical(state.live)
    outcome = Outcome()
    if not found.plan.changes_nothing or state.run or found.roots != state.roots:
        with kept_in_step(settings, store, state, data) as lexical:
            application = PlanApplication(store, data, line, lexical)
            state = replace(state, roots=found.roots)
            outcome = application.apply(found.plan, state, unfinished=found.unfinished)
    elif found.plan.touched:
        data.touch_documents(found.plan.touched)
    else:  # asking Chroma would load the index
        return _report(found, outcome, settings.collection, total=found.chunk_count)
    return _report(found, outcome, settings.collection, total=data.chunk_count())


def _report(found: Survey, outcome: Outcome, collection: str, *, total: int) -> IngestReport:
    plan, totals = found.plan, outcome.totals
    unread = {one.source for one in outcome.skipped}
    return IngestReport(
        collection=collection,
        added=sum(file.source not in unread for file in plan.added),
        updated=sum(file.source not in unread for file in plan.updated),
        unchanged=len(plan.unchanged),
        deleted=len(plan.deleted),
        skipped=tuple(sorted((*plan.skipped, *outcome.skipped), key=lambda one: one.source)),
        chunks=ChunkCounts(
            embedded=totals.embedded,
            reused=totals.reused,
            deleted=totals.deleted,
            total=total,
        ),
        tokens=totals.tokens,
        tokens_cut=totals.tokens_cut,
        warnings=tuple(outcome.warnings),
    )


def _estimate(found: Survey, line: Line, settings: Settings) -> IngestEstimate:
    plan = found.plan
    unread: dict[str, str] = {}
    tally = Tally(keeps_texts=assembly.has_cache(settings))
    fingerprint = line.embedder.fingerprint
    files = (*plan.updated, *plan.added)
    most_chunks = settings.ingestion.commit_chunks
    for batch in batches(prepare(files, line), most_chunks=most_chunks, files=len(files)):
        unread.update(
            {one.file.source: one.reason for one in batch.prepared if one.document is None}
        )
        texts = batch.find_missing(found.data)
        known = line.cache.get_many(fingerprint, texts) if line.cache else {}
        tally.add(batch, known)
    row = find_row(settings.embedding.model)
    rate = found.state.tokens_per_s if found.state else 0.0
    skipped = (*plan.skipped, *(Skipped(*one) for one in unread.items()))
    return IngestEstimate(
        collection=settings.collection,
        added=tuple(file.source for file in plan.added if file.source not in unread),
        updated=tuple(file.source for file in plan.updated if file.source not in unread),
        deleted=plan.deleted,
        unchanged=len(plan.unchanged),
        skipped=tuple(sorted(skipped, key=lambda one: one.source)),
        chunks=tally.chunks,
        cached=tally.cached,
        tokens=tally.tokens,
        price_usd=tally.tokens * (row.price_usd_per_million_tokens if row else 0.0) / 1e6,
        seconds=round(tally.tokens / rate, 1) if rate else None,
        needs_allow_delete=_is_refused(found, settings),
    )


def _is_refused(found: Survey, settings: Settings) -> bool:
    try:
        refuse_deletions(found, settings)
    except DeletionRefused:
        return True
    return False
