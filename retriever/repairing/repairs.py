"""Damage, mended: a check, a mending of what it finds, and a check again."""

import time
from dataclasses import dataclass

from retriever import assembly
from retriever.checking.inspecting import Finding, inspect
from retriever.checking.observing import observe
from retriever.repairing.mending import Mending
from retriever.settings import Settings


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What was wrong and what was done about it."""

    collection: str
    found: tuple[Finding, ...]
    left: tuple[Finding, ...]
    """What is wrong still, and says what to do; empty where a check is clean now."""
    vectors_from_cache: int = 0
    vectors_embedded: int = 0
    set_aside: tuple[str, ...] = ()
    """Files that hold what was taken out of the way."""
    seconds: float = 0.0


def repair(settings: Settings | None = None, *, corpus: bool = True) -> RepairReport:
    """Mend what a check finds, and check again.

    Lost vectors come from the cache, else the stored text is embedded again. A document whose
    chunks are incomplete keeps those that it has, and its file is read again by the next run.
    Rows that are none of this package's are written to a file before they are taken out.
    Readers go on meanwhile.

    Args:
        settings: from `Settings.load`; the defaults and the environment where None.
        corpus: compare chunks with the files that they were cut from, too.

    Raises:
        CollectionNotFound: nothing has been ingested under that name.
        CollectionLocked: a writer is at work.
        FingerprintMismatch: vectors have to be made and the model is another one now.
        EmbeddingError: vectors have to be made and cannot be. The old generation still answers.
    """
    started_s = time.monotonic()
    settings = settings or Settings.load()
    with assembly.open_writing_store(settings, existing=True) as store:
        state = store.state(settings.collection)
        before = inspect(store, state, settings, corpus=corpus)
        mending = Mending(store, state, settings)
        if any(finding.mendable for finding in before.findings):
            mending.mend(before)
    left = before.findings
    if mending.changed:
        with observe(settings) as (fresh, now):
            left = inspect(fresh, now, settings, corpus=corpus).findings
    return RepairReport(
        collection=state.name,
        found=before.findings,
        left=left,
        vectors_from_cache=mending.vectors_from_cache,
        vectors_embedded=mending.vectors_embedded,
        set_aside=tuple(mending.set_aside),
        seconds=round(time.monotonic() - started_s, 3),
    )
