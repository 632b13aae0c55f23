"""The shortest run: a look at collection and corpus which shows that nothing changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from retriever import assembly
from retriever.collection.glancing import Glance, glance
from retriever.collection.state import differences
from retriever.ingestion import planning, roots
from retriever.ingestion.surveying import (
    IngestOptions,
    Survey,
    corpus_files,
    warn_of_nothing,
)
from retriever.records import Fingerprint
from retriever.settings import Settings


class _Changed(Exception):  # no error: it ends a look that has seen enough
    """A file's size or time is not what the manifest says."""


def find_unchanged(
    folders: Sequence[str | Path],
    settings: Settings,
    options: IngestOptions,
    *,
    fingerprint: Fingerprint,
    reading: str,
) -> Survey | None:
    """What `survey` would find, where that is: nothing to do. Chroma is not loaded for it.

    None where there is something to do, to mend or to refuse, or where this cannot tell.

    Raises:
        SettingsError: a folder is not there, or its name is taken.
        CollectionLocked: another process is writing.
    """
    with glance(assembly.storage_options(settings), settings.collection) as seen:
        if seen is None or _built_otherwise(seen.fingerprint, fingerprint):
            return None
        return _survey(folders, seen, settings, options, reading)


def _survey(
    folders: Sequence[str | Path],
    seen: Glance,
    settings: Settings,
    options: IngestOptions,
    reading: str,
) -> Survey | None:
    run_roots, remembered = roots.resolve(folders, seen.state.roots, moved=options.moved_roots)
    if remembered != seen.state.roots:
        return None
    try:
        plan = planning.plan(
            corpus_files(run_roots, settings),
            run_roots,
            seen.manifest,
            reading=reading,
            hash_file=_stop,
        )
    except _Changed:
        return None
    if not plan.changes_nothing or (options.strict and plan.skipped):
        return None
    warn_of_nothing(run_roots, seen.manifest, plan)
    return Survey(
        state=seen.state,
        data=None,
        roots=remembered,
        run_roots=run_roots,
        plan=plan,
        unfinished={},
        document_count=sum(one.status == "complete" for one in seen.manifest.values()),
        chunk_count=sum(one.chunk_count for one in seen.manifest.values()),
    )


def _built_otherwise(built: Fingerprint, now: Fingerprint) -> bool:
    differing = differences(built.embedding, now.embedding)
    return bool(differing or differences(built.chunking, now.chunking))


def _stop(_: Path) -> NoReturn:
    raise _Changed
