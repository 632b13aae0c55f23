"""A collection as a whole: what is wrong with it, in findings that a person understands."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from retriever import assembly
from retriever.checking.diagnosis import Diagnosis
from retriever.checking.isolation import examine_generation
from retriever.checking.spans import find_misplaced
from retriever.collection.state import CollectionState
from retriever.collection.store import Store
from retriever.embedding import cache, cache_file
from retriever.errors import CollectionDamaged
from retriever.indexing import find_fault, find_lag
from retriever.settings import Settings

Kind = Literal[
    "chunks",
    "documents",
    "fingerprint",
    "index",
    "vector",
    "search",
    "row",
    "text",
    "record",
    "unread",
    "document vector",
    "span",
    "canary",
    "run",
    "leftover",
    "cache",
    "lexical",
]
"""What a finding is about: `chunks` and `documents` stand for a whole missing collection."""

INGEST_AGAIN = "ingest its folder again"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a collection."""

    kind: Kind
    subject: str
    """What it is wrong with: a source, or a collection of Chroma's, or a file."""
    text: str
    """What is wrong and, if `repair` cannot mend it, what to do."""
    mendable: bool
    """Whether `repair` mends it, or leaves it to the next run in a way that loses nothing."""

    def __str__(self) -> str:
        """On one line."""
        return f"{self.subject}: {self.text}"


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything that was found, and what a repair needs to know of it."""

    findings: tuple[Finding, ...]
    diagnosis: Diagnosis
    notes: tuple[str, ...] = ()
    """What is no damage, and what could not be looked at."""
    misplaced: tuple[str, ...] = ()
    """Sources with chunks that are no slice of their file."""
    documents_missing: bool = False
    leftovers: tuple[str, ...] = ()
    """Generations that an interrupted compaction, repair or import left behind."""
    cache_fault: str = ""


def inspect(
    store: Store, state: CollectionState, settings: Settings, *, corpus: bool
) -> Inspection:
    """Look at all of a collection; nothing is changed and no model is loaded.

    Args:
        store: holds the collection; nobody writes to it meanwhile.
        state: of the collection.
        settings: say where its cache is, and how files are read.
        corpus: whether chunks are compared with their files, where these are at hand.
    """
    missing = store.missing_parts(state.live)
    if state.live in missing:
        return Inspection((_lost_chunks(state),), Diagnosis())
    torn_names = store.torn()
    torn = state.live in torn_names
    try:
        diagnosis = Diagnosis() if torn else examine_generation(store, state.live)
    except CollectionDamaged as error:
        return Inspection((Finding("fingerprint", state.live, str(error), False),), Diagnosis())
    misplaced: Mapping[str, int] = {}
    readable = not missing and not torn and not diagnosis.fault
    if corpus and readable:
        with assembly.open_loader(settings) as loader:
            misplaced = dict(find_misplaced(store.physical(state.live), state.roots, loader))
    leftovers, others = strays(store, state)
    cache_fault = _cache_fault(settings)
    lexical_fault, lag = _lexical(store, state, settings, diagnosis) if readable else ("", "")
    findings = [
        *([_lost_documents(state)] if missing else []),
        *([_torn_index(state)] if torn else []),
        *_generation_findings(diagnosis, state.live),
        *_document_findings({} if missing else diagnosis.disagreeing, diagnosis),
        *(_misplaced(source, count) for source, count in misplaced.items()),
        *_state_findings(state, leftovers, others),
        *([Finding("cache", cache.FILE_NAME, cache_fault, True)] if cache_fault else []),
        *([Finding("lexical", state.live, lexical_fault, True)] if lexical_fault else []),
    ]
    return Inspection(
        findings=tuple(findings),
        diagnosis=diagnosis,
        notes=tuple(_notes(diagnosis, state, torn_names, lag)),
        misplaced=tuple(misplaced),
        documents_missing=bool(missing),
        leftovers=tuple(leftovers),
        cache_fault=cache_fault,
    )


def _cache_fault(settings: Settings) -> str:
    if not assembly.has_cache(settings):
        return ""
    return cache_file.find_fault(assembly.cache_folder(settings))


def _lexical(
    store: Store, state: CollectionState, settings: Settings, diagnosis: Diagnosis
) -> tuple[str, str]:
    """What is wrong with the lexical index, and how a replica of it is behind, which is no fault.

    Its contents are compared with a sound collection only: with a damaged one they differ anyway.
    """
    data = store.physical(state.live)
    fault = find_fault(settings, store, data, contents=diagnosis.is_clean)
    lag = find_lag(settings, store, state, data)
    if lag and store.options.mode == "embedded":
        return f"the lexical index: {fault or lag}", ""
    behind = f"This machine's lexical index: {lag}. The next search brings it up to date."
    return f"the lexical index: {fault}" if fault and not lag else "", behind if lag else ""


def strays(store: Store, state: CollectionState) -> tuple[list[str], list[str]]:
    """Generations that nothing leads to: those like the live one, and those of another model."""
    built = store.physical(state.live).fingerprint if not store.missing_parts(state.live) else None
    leftovers: list[str] = []
    others: list[str] = []
    for name in store.generations(state):
        if name in (state.live, state.previous):
            continue
        try:
            alike = store.remains(name).fingerprint == built
        except CollectionDamaged:
            alike = False
        (leftovers if alike else others).append(name)
    return leftovers, others


def _lost_chunks(state: CollectionState) -> Finding:
    back = "retriever rollback goes back to the one before" if state.previous else INGEST_AGAIN
    return Finding("chunks", state.live, f"the collection of its chunks is gone: {back}", False)


def _lost_documents(state: CollectionState) -> Finding:
    return Finding("documents", state.live, "the collection of its documents is gone", True)


def _torn_index(state: CollectionState) -> Finding:
    text = (
        "its index files cannot be trusted: they were cut short, or a writer was killed while it "
        "rewrote them"
    )
    return Finding("index", state.live, text, True)


def _generation_findings(diagnosis: Diagnosis, name: str) -> Iterator[Finding]:
    if diagnosis.fault:
        text = f"the index of its {diagnosis.faulty} cannot be read: {diagnosis.fault}"
        yield Finding("index", name, text, True)
    for source, ids in diagnosis.lost.items():
        yield Finding("vector", source, f"{_chunks(ids)} lost their vectors", True)
    for source, ids in diagnosis.wrong.items():
        yield Finding("vector", source, f"{_chunks(ids)} have vectors that cannot be right", True)
    if diagnosis.search_fails:
        text = f"{diagnosis.unfound} of {diagnosis.probed} chunks do not find themselves"
        yield Finding("search", name, text, True)
    for row_id in diagnosis.foreign:
        yield Finding("row", row_id, "a row that is no chunk of this package", True)
    for row_id in diagnosis.foreign_documents:
        yield Finding("row", row_id, "a row that is no document of this package", True)
    for source, ids in diagnosis.altered.items():
        yield Finding("text", source, f"{_chunks(ids)} hold another text than was stored", True)


def _document_findings(disagreeing: Mapping[str, str], diagnosis: Diagnosis) -> Iterator[Finding]:
    for source, difference in disagreeing.items():
        yield Finding("record", source, difference, True)
    for source in diagnosis.unread:
        text = f"what is there was kept, its file has to be read again: {INGEST_AGAIN}"
        yield Finding("unread", source, text, False)
    for source in diagnosis.vectorless:
        yield Finding("document vector", source, "its vector is lost or out of date", True)


def _misplaced(source: str, count: int) -> Finding:
    return Finding("span", source, f"{count} chunks are no slice of the file", True)


def _state_findings(
    state: CollectionState, leftovers: Sequence[str], others: Sequence[str]
) -> Iterator[Finding]:
    if state.run is not None:
        began = f"{state.run.started_at} by process {state.run.pid} on {state.run.host}"
        text = f"the {state.run.kind} that began {began} has not ended: {state.run.completion}"
        yield Finding("run", state.name, text, True)
    for name in leftovers:
        yield Finding("leftover", name, "an interrupted run left this copy behind", True)
    for name in others:
        text = "built for another model and not live: retriever swap goes on, prune removes it"
        yield Finding("leftover", name, text, False)


def _notes(
    diagnosis: Diagnosis, state: CollectionState, torn: Sequence[str], lag: str
) -> Iterator[str]:
    if diagnosis.fault or state.live in torn:
        yield "Its index has to be mended before the rest can be looked at."
    if diagnosis.unfound and not diagnosis.search_fails:
        yield (
            f"The search is approximate: {diagnosis.unfound} of {diagnosis.probed} chunks that "
            "were searched for by their own vector were not found. A new index may find more: "
            "retriever compact makes one."
        )
    if lag:
        yield lag
    if state.previous in torn:
        yield (
            f"The index files of {state.previous}, the earlier generation, cannot be trusted. What "
            "answers now is of other files. retriever rollback mends them before it goes back, "
            "retriever prune deletes them."
        )


def _chunks(ids: Sequence[str]) -> str:
    return f"{len(ids)} chunk{'s' * (len(ids) != 1)}"
