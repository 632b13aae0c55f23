"""What disagrees in a collection, rebuilt from what is left of it; no text is given up.

Vectors come from the index, else from the cache, else from the stored text. What only the
files know is left to the next run, which reads those files again and embeds what is new.
"""

import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from retriever import assembly
from retriever.checking.diagnosis import PARTS, Diagnosis
from retriever.checking.inspecting import Inspection
from retriever.checking.isolation import examine_generation
from retriever.collection.generations import fresh_generation
from retriever.collection.pages import ChunkPage
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState, Run
from retriever.collection.store import Store
from retriever.embedding import cache
from retriever.embedding.vectors import document_vector
from retriever.indexing import save_in_step, switch
from retriever.protocols import Vectors
from retriever.records import DocumentRecord
from retriever.repairing.restoring import VectorRestorer
from retriever.settings import Settings

_DOCUMENTS_AT_ONCE = 64
_UNKNOWN_TEXT = {"embedded_hash": ""}
"""Marks a chunk whose text was altered: it equals none that the next run cuts from the file."""


class Mending:
    """One repair. The old generation answers until all of the new one is there."""

    def __init__(
        self, store: Store, state: CollectionState, settings: Settings, *, run: Run | None = None
    ) -> None:
        self._store = store
        self._state = state
        self._settings = settings
        self._run = run
        self.changed = False
        self.vectors_from_cache = 0
        self.vectors_embedded = 0
        self.set_aside: list[str] = []

    def mend(self, inspection: Inspection) -> None:
        """Do all that can be done about what was found."""
        self.changed = True
        if inspection.cache_fault:
            folder = assembly.cache_folder(self._settings)
            self.set_aside.append(str(cache.set_aside(folder)))
        for name in inspection.leftovers:
            self._store.drop_generation(name)
        diagnosis = self._without_fault(inspection.diagnosis)
        if diagnosis.fault:
            return
        if inspection.documents_missing:
            self._store.make_documents(self._state.live)
        data = self._store.physical(self._state.live)
        corrections = _corrections(diagnosis, inspection.misplaced, data)
        self._keep_foreign(data, diagnosis)
        if diagnosis.needs_rebuilding:
            self._rebuild(data, diagnosis, corrections)
        else:
            self._correct(data, diagnosis, corrections)

    def _correct(
        self,
        data: PhysicalCollection,
        diagnosis: Diagnosis,
        corrections: Mapping[str, DocumentRecord],
    ) -> None:
        """Put rows right where they are: the indexes are sound."""
        altered = [one for ids in diagnosis.altered.values() for one in ids]
        data.update_rows(altered, [_UNKNOWN_TEXT for _ in altered])
        data.delete_chunks(diagnosis.foreign)
        data.delete_document_rows(diagnosis.foreign_documents)
        _write_records(data, iter(corrections.values()))
        self._store.clear_torn(self._state.live)  # before readers may be sent there
        save_in_step(self._settings, self._store, self._state.next(run=self._run), data)

    def _without_fault(self, diagnosis: Diagnosis) -> Diagnosis:
        """Take broken index files away, so that what the tables hold can be read."""
        if self._state.live in self._store.torn():
            for part in PARTS:
                self._store.set_aside_index(self._state.live, part)
            return examine_generation(self._store, self._state.live)
        for _ in PARTS:
            if diagnosis.fault:
                self._store.set_aside_index(self._state.live, diagnosis.faulty)
                diagnosis = examine_generation(self._store, self._state.live)
        return diagnosis

    def _rebuild(
        self,
        data: PhysicalCollection,
        diagnosis: Diagnosis,
        corrections: Mapping[str, DocumentRecord],
    ) -> None:
        """Copy what is sound into a generation of its own, fill in the rest, switch to it."""
        restorer = VectorRestorer(data, self._settings)
        with fresh_generation(self._store, self._state, data.fingerprint, data.canary) as target:
            select = _Selection.of(diagnosis)
            for page in data.chunk_pages(with_vectors=False):
                _copy_page(page, data, target, restorer, select)
            known = {one.source for one in data.manifest()}
            records = (corrections.get(one.source, one) for one in data.manifest())
            orphans = (one for source, one in corrections.items() if source not in known)
            _write_records(target, itertools.chain(records, orphans))
            target = self._store.settle(target.name)
        self.vectors_from_cache = restorer.from_cache
        self.vectors_embedded = restorer.embedded
        switch(self._settings, self._store, self._state, target, run=self._run)

    def _keep_foreign(self, data: PhysicalCollection, diagnosis: Diagnosis) -> None:
        """Write rows that are none of ours to a file, before they are left out."""
        if not diagnosis.foreign and not diagnosis.foreign_documents:
            return
        folder = self._settings.storage.path
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"set-aside-{self._state.name}-{time.time_ns()}.jsonl"
        _write_lines(path, _foreign_rows(data, diagnosis))
        self.set_aside.append(str(path))


def _corrections(
    diagnosis: Diagnosis, misplaced: Sequence[str], data: PhysicalCollection
) -> dict[str, DocumentRecord]:
    """Records that tell what is there, and have the next run read their files."""
    corrections = {
        source: DocumentRecord(**values) for source, values in diagnosis.corrections.items()
    }
    wanted = set(misplaced) - corrections.keys()
    for record in data.manifest() if wanted else ():
        if record.source in wanted:
            corrections[record.source] = replace(record, content_hash="", mtime_ns=0, reading="")
    return corrections


@dataclass(frozen=True, slots=True)
class _Selection:
    """Ids of chunks that are not copied as they are."""

    refill: frozenset[str]
    altered: frozenset[str]
    foreign: frozenset[str]

    @classmethod
    def of(cls, diagnosis: Diagnosis) -> "_Selection":
        groups = (*diagnosis.lost.values(), *diagnosis.wrong.values())
        return cls(
            refill=frozenset(itertools.chain(*groups)),
            altered=frozenset(itertools.chain(*diagnosis.altered.values())),
            foreign=frozenset(diagnosis.foreign),
        )


def _copy_page(
    page: ChunkPage,
    data: PhysicalCollection,
    target: PhysicalCollection,
    restorer: VectorRestorer,
    select: _Selection,
) -> None:
    """Copy our own rows of a page; a vector that is lost or wrong is made again."""
    places = [place for place, one in enumerate(page.ids) if one not in select.foreign]
    if not places:
        return
    ids = [page.ids[place] for place in places]
    texts = [page.texts[place] for place in places]
    held = [page.rows[place] for place in places]
    vectors = data.vectors([one for one in ids if one not in select.refill])
    missing = [place for place, one in enumerate(ids) if one not in vectors]
    if missing:
        made = restorer.restore([(held[place], texts[place]) for place in missing])
        vectors |= {ids[place]: vector for place, vector in zip(missing, made, strict=True)}
    marked = [
        row | _UNKNOWN_TEXT if one in select.altered else row
        for one, row in zip(ids, held, strict=True)
    ]
    target.put_chunks(ids, texts, np.stack([vectors[one] for one in ids]), marked)


def _write_records(data: PhysicalCollection, records: Iterator[DocumentRecord]) -> None:
    """Write records with the mean vectors of their chunks."""
    dimension = data.fingerprint.embedding.dimension
    while group := list(itertools.islice(records, _DOCUMENTS_AT_ONCE)):
        stored = data.stored_chunks([record.source for record in group])
        vectors = data.vectors([one for chunks in stored.values() for one in chunks])
        means: list[Vectors] = [
            document_vector([vectors[one] for one in stored[record.source]], dimension)
            for record in group
        ]
        data.put_documents(group, np.stack(means))


def _foreign_rows(data: PhysicalCollection, diagnosis: Diagnosis) -> Iterator[dict[str, Any]]:
    chunks, documents = set(diagnosis.foreign), set(diagnosis.foreign_documents)
    for page in data.chunk_pages(with_vectors=False):
        for one, text, row in zip(page.ids, page.texts, page.rows, strict=True):
            if one in chunks:
                yield {"collection": "chunks", "id": one, "text": text, "row": row}
    for rows in data.document_rows():
        for one in documents & rows.keys():
            yield {"collection": "documents", "id": one, "row": rows[one]}


def _write_lines(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    with path.open("x", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
