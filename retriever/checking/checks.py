"""Proof that the parts of a collection agree: manifest, rows, vectors, search, files, model."""

import time
from dataclasses import dataclass

from retriever import assembly
from retriever.canary import check_canary
from retriever.checking.inspecting import Finding, inspect
from retriever.checking.observing import observe
from retriever.collection.state import CollectionState, differences
from retriever.collection.store import Store
from retriever.errors import FingerprintMismatch, RetrieverError
from retriever.settings import Settings


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was looked at and what is wrong; no findings means that all of it agrees."""

    collection: str
    revision: int
    documents: int
    """Documents that it remembers, skipped ones included."""
    chunks: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """What is no damage, and what could not be looked at."""
    seconds: float


def check(
    settings: Settings | None = None, *, corpus: bool = True, canary: bool = True
) -> CheckReport:
    """Prove that a collection is whole, or say in findings what is not.

    Every row and vector is read, documents are compared with their chunks, up to 1,000 chunks
    are searched for by their own vector. Nothing is written. Index files are read in a process
    of its own, which a broken one may end.

    Args:
        settings: from `Settings.load`; the defaults and the environment where None.
        corpus: compare chunks with the files that they were cut from, where these are at hand
            and unchanged.
        canary: load the model and see that it still makes the vectors that it once made; one
            text is embedded.

    Raises:
        CollectionNotFound: nothing has been ingested under that name.
        CollectionLocked: a writer is at work, so that no answer would be true.
        CollectionError: the store cannot be opened.
    """
    started_s = time.monotonic()
    settings = settings or Settings.load()
    with observe(settings) as (store, state):
        inspection = inspect(store, state, settings, corpus=corpus)
        findings, notes = list(inspection.findings), list(inspection.notes)
        if canary and not {"chunks", "fingerprint"} & {one.kind for one in findings}:
            _check_model(store, state, settings, findings, notes)
    return CheckReport(
        collection=state.name,
        revision=state.revision,
        documents=inspection.diagnosis.documents,
        chunks=inspection.diagnosis.chunks,
        findings=tuple(findings),
        notes=tuple(notes),
        seconds=round(time.monotonic() - started_s, 3),
    )


def _check_model(
    store: Store,
    state: CollectionState,
    settings: Settings,
    findings: list[Finding],
    notes: list[str],
) -> None:
    """Embed the canary again; a model that is not at hand is no damage."""
    data = store.remains(state.live)
    canary, built = data.canary, data.fingerprint.embedding
    if canary is None:
        if data.chunk_count():
            notes.append("It has no canary, so its model cannot be checked.")
        return
    try:
        embedder = assembly.open_collection_embedder(settings, built, follow=True)
        other = ", ".join(differences(built, embedder.fingerprint))
        if other:
            notes.append(f"Its model was not checked: the one at hand differs in {other}.")
        else:
            check_canary(embedder, canary, collection=state.name)
    except FingerprintMismatch as error:
        findings.append(Finding("canary", state.name, str(error), mendable=False))
    except RetrieverError as error:
        notes.append(f"Its model could not be checked: {error}")
