"""A plan, applied: read, cut, embed and write, each stage ahead of the next.

The files' texts are read while earlier ones are embedded, and each batch is written while
the next is embedded. A run is marked in the collection's state until it has ended, so that
the next one knows to look for what an interrupted one left.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from retriever import assembly
from retriever.chunking import Chunker
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState, Run
from retriever.collection.store import Store
from retriever.embedding.cache import VectorCache
from retriever.embedding.catalogue import find_row
from retriever.embedding.speeds import SpeedLog
from retriever.errors import LoadingError
from retriever.indexing import Upkeep
from retriever.ingestion.batching import Batch, Prepared, Totals
from retriever.ingestion.embedding import EmbeddingStage
from retriever.ingestion.planning import Plan
from retriever.ingestion.selecting import embeddable
from retriever.loading.loader import DocumentLoader
from retriever.protocols import Embedder, SelectiveEmbedder
from retriever.records import CorpusFile, IngestProgress, Skipped
from retriever.timing import carried, stage

Progress = Callable[[IngestProgress], None]

ENOUGH_TOKENS = 5_000
"""Fewer say nothing about how fast a model is."""


@dataclass(frozen=True, slots=True)
class Line:
    """The wired parts through which a document goes."""

    loader: DocumentLoader
    chunker: Chunker
    embedder: Embedder
    cache: VectorCache | None
    commit_chunks: int
    strict: bool = False
    progress: Progress | None = None


@dataclass(slots=True)
class Outcome:
    """What became of a plan."""

    totals: Totals = field(default_factory=Totals)
    skipped: list[Skipped] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def prepare(files: Sequence[CorpusFile], line: Line) -> Iterator[Prepared]:
    """Read and cut files one by one; a file that cannot be read or embedded becomes its reason.

    Raises:
        LoadingError: a file cannot be read and the line is strict.
    """
    return embeddable(_cut(files, line), line.embedder)


def _cut(files: Sequence[CorpusFile], line: Line) -> Iterator[Prepared]:
    reading = line.loader.reading
    for file in files:
        try:
            with stage("read"):
                document = line.loader.load(file)
        except LoadingError as error:
            if line.strict:
                raise
            yield Prepared(file=file, document=None, reason=error.reason, reading=reading)
            continue
        with stage("chunk"):
            chunks = tuple(line.chunker.chunk(document))
        yield Prepared(file=file, document=document, chunks=chunks, reading=reading)


@contextlib.contextmanager
def _ends_parsing(loader: DocumentLoader) -> Iterator[None]:
    """Where a run stops early, end the file that is being parsed too: nobody waits for it."""
    try:
        yield
    except BaseException:
        loader.close()
        raise


def _awaited(pending: Future[CollectionState]) -> CollectionState:
    with stage("wait for writing"):
        return pending.result()


class PlanApplication:
    """Applies one plan to one collection."""

    def __init__(self, store: Store, data: PhysicalCollection, line: Line, lexical: Upkeep) -> None:
        self._store = store
        self._data = data
        self._line = line
        self._lexical = lexical
        self._outcome = Outcome()
        self._embedding_s = 0.0
        self._waited_s = 0.0
        self._ended_s = 0.0
        self._embedding = EmbeddingStage(data, line.embedder, line.cache)

    def apply(
        self, plan: Plan, state: CollectionState, *, unfinished: Mapping[str, bool]
    ) -> Outcome:
        """Do what the plan says; `unfinished` is what an interrupted run left."""
        state = self._store.save(replace(state, run=Run.now()))
        self._delete((*plan.deleted, *plan.forgotten))
        self._data.touch_documents(plan.touched)
        files = (*plan.updated, *plan.added)
        state = self._write(files, state)
        handled = {file.source for file in files} | set(plan.deleted)
        left = {source: known for source, known in unfinished.items() if source not in handled}
        orphans = [source for source, known in left.items() if not known]
        self._delete(orphans)
        run = None if len(orphans) == len(left) else state.run
        ended = state.next(run=run, tokens_per_s=self._rate(state.tokens_per_s))
        self._lexical.commit(ended)
        # While the run's mark still stands, so that the next run would complete it.
        self._lexical.forget_deleted(self._data, ended)
        self._store.save(ended)
        self._outcome.warnings.extend(self._lexical.warnings)
        if isinstance(self._line.embedder, SelectiveEmbedder):
            self._outcome.warnings.extend(self._line.embedder.notes())
        return self._outcome

    def _save(self, state: CollectionState) -> CollectionState:
        """Commit: the lexical index may be ahead of the collection, never behind it."""
        self._lexical.commit(state)
        return self._store.save(state)

    def _rate(self, before: float) -> float:
        """Tokens a second on their way through the model, if there were enough to tell."""
        tokens = self._outcome.totals.tokens
        if tokens < ENOUGH_TOKENS or self._embedding_s == 0.0:
            return before
        rate, model = tokens / self._embedding_s, self._line.embedder.fingerprint.model
        # Where files were waited for more than vectors, it is no measure of the model.
        if find_row(model) is not None and 2 * self._waited_s > self._embedding_s:
            SpeedLog(assembly.user_cache_folder()).note(model, rate)
        return round(rate, 1)

    def _delete(self, sources: Sequence[str]) -> None:
        """Chunks first: a record without chunks is seen and mended, the reverse is not."""
        stored = self._data.stored_chunks(sources)
        chunk_ids = [chunk_id for chunks in stored.values() for chunk_id in chunks]
        self._data.delete_chunks(chunk_ids)
        self._data.delete_documents(sources)
        self._lexical.delete(chunk_ids)
        self._outcome.totals.deleted += len(chunk_ids)

    def _note_time(self, batch: Batch) -> None:
        """Batches overlap: each counts from the end of the one before it."""
        now_s = time.monotonic()
        if batch.totals.tokens:
            self._embedding_s += now_s - max(batch.begun_s, self._ended_s)
            self._waited_s += batch.waited_s
        self._ended_s = now_s

    def _write(self, files: Sequence[CorpusFile], state: CollectionState) -> CollectionState:
        """Embed each batch while the one before it is being written."""
        pending: Future[CollectionState] | None = None
        done = 0
        with (
            ThreadPoolExecutor(1, thread_name_prefix="retriever-write") as writer,
            self._embedding.embedded(
                prepare(files, self._line),
                most_chunks=self._line.commit_chunks,
                files=len(files),
            ) as ready,
            _ends_parsing(self._line.loader),
        ):
            for batch in ready:
                self._note_time(batch)
                if pending is not None:
                    state = _awaited(pending)
                    pending = None
                pending = writer.submit(carried(self._commit), batch, state)
                done += len(batch.prepared)
                self._tell(batch, done, len(files))
            if pending is not None:
                state = _awaited(pending)
                self._tell(batch, done, len(files))  # with the last batch's chunks
            return state

    def _commit(self, batch: Batch, state: CollectionState) -> CollectionState:
        with stage("write"):
            batch.write(self._data, dimension=self._line.embedder.fingerprint.dimension)
        self._outcome.totals.add(batch.totals)
        for one in batch.prepared:
            if one.document is None:
                kept = one.keeps_stored and bool(batch.stored[one.file.source])
                reason = one.reason + (" (the version ingested before is kept)" if kept else "")
                self._outcome.skipped.append(Skipped(one.file.source, reason))
            else:
                self._outcome.warnings.extend(
                    f"{one.file.source}: {warning}" for warning in one.document.warnings
                )
        with stage("index words"):
            for entries in batch.reworded():
                self._lexical.put(entries)
            self._lexical.delete(batch.stale)
        with stage("commit"):
            return self._save(state.next())

    def _tell(self, batch: Batch, done: int, total: int) -> None:
        if self._line.progress is not None:
            totals = self._outcome.totals
            self._line.progress(
                IngestProgress(
                    files_done=done,
                    files_total=total,
                    chunks_done=totals.embedded + totals.reused,
                    tokens_done=totals.tokens,
                    source=batch.prepared[-1].file.source,
                )
            )
