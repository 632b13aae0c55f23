"""Another model for a collection, without downtime: built beside the live one, then switched.

The new generation is brought into step with the live one document by document, so a swap
that was stopped is taken up where it ended, and one that fails has changed nothing that
readers see. The switch, and the switch back, is one change of the pointer's metadata.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from retriever import assembly
from retriever.chunking import Chunker, ChunkingOptions
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState, Run, differences
from retriever.collection.store import Store
from retriever.embedding.cache import VectorCache
from retriever.embedding.catalogue import find_row
from retriever.errors import (
    CollectionError,
    EmbeddingError,
    MissingDependencyError,
    SettingsError,
)
from retriever.evaluation.questions import Question
from retriever.indexing import save_in_step
from retriever.ingestion.batching import Batch, Prepared, Totals, batches
from retriever.ingestion.embedding import EmbeddingStage
from retriever.ingestion.selecting import embeddable, has_left_out
from retriever.ingestion.surveying import refuse_unfinished
from retriever.ingestion.tallying import Tally
from retriever.protocols import Embedder, SelectiveEmbedder
from retriever.records import Fingerprint, IngestProgress, Skipped
from retriever.repairing.recovering import open_sound_store
from retriever.settings import Settings
from retriever.swapping.comparing import answerable_questions, overlap, success
from retriever.swapping.rebuilding import (
    check_copy,
    find_begun,
    forget,
    from_files,
    from_stored_text,
)

Progress = Callable[[IngestProgress], None]


@dataclass(frozen=True, slots=True)
class SwapPlan:
    """What a swap would do."""

    collection: str
    model_before: str
    model_after: str
    from_files: bool
    """Whether the chunker changed, so that files are read and cut again."""
    documents: int
    chunks: int
    tokens: int
    """Tokens to embed, those of vectors that are there left out."""
    cached: int
    """Those whose vectors the cache or a stopped swap left, or an equal text before them leaves."""
    price_usd: float
    left_out: tuple[Skipped, ...]
    """Documents of which the new model cannot embed all, or nothing, and why."""


@dataclass(frozen=True, slots=True)
class SwapReport:
    """What a swap did."""

    collection: str
    live: str
    previous: str
    documents: int
    chunks: int
    embedded: int
    tokens: int
    comparison: "Comparison | None"
    """None where the old model is not to be had."""
    left_out: tuple[Skipped, ...] = ()
    """Documents of which the new model could not embed all, or nothing, and why."""
    warnings: tuple[str, ...] = ()
    """What the new model could not read in what it embedded."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the generation before and the one after answer the same queries."""

    overlap_at_10: float
    """Mean share of the top 10 that both agree on, over sampled queries; 0 to 1."""
    questions: int = 0
    """Judged questions that were asked."""
    success_before: float | None = None
    """Success@10 on them, 0 to 1."""
    success_after: float | None = None


def plan_swap(settings: Settings) -> SwapPlan:
    """What `swap` would do with these settings; nothing is changed.

    Raises:
        CollectionNotFound: there is no such collection.
        CollectionError: the settings are those that built it.
    """
    with assembly.open_store(settings) as store:
        swap_ = _Swap(store, settings)
        documents, most_chunks = swap_.document_count(), settings.ingestion.commit_chunks
        begun, left_out = swap_.begun(), list[Skipped]()
        tally = Tally(keeps_texts=assembly.has_cache(settings))
        for batch in batches(swap_.prepared(), most_chunks=most_chunks, files=documents):
            tally.add(batch, swap_.known(batch, begun))
            left_out += (
                Skipped(one.file.source, one.reason) for one in batch.prepared if has_left_out(one)
            )
        row = find_row(settings.embedding.model)
        return SwapPlan(
            collection=settings.collection,
            model_before=swap_.built.embedding.model,
            model_after=swap_.wanted.embedding.model,
            from_files=swap_.from_files,
            documents=documents,
            chunks=tally.chunks,
            tokens=tally.tokens,
            cached=tally.cached,
            price_usd=tally.tokens * (row.price_usd_per_million_tokens if row else 0.0) / 1e6,
            left_out=tuple(left_out),
        )


def swap(
    settings: Settings,
    *,
    questions: Sequence[Question] | None = None,
    progress: Progress | None = None,
) -> SwapReport:
    """Rebuild a collection as the settings say, beside the live one, and switch to it.

    Both generations are compared on sampled queries, and on `questions` where there are any:
    those of the file that `evaluation.questions` names where None.
    Readers are served by the old generation until the switch and by the new one from their
    next query on. The old generation is kept, see `returning`; one before it is deleted.

    Raises:
        SettingsError: the file of questions cannot be read.
        QueryError: the filter of a question cannot be asked.
        CollectionLocked: another process is writing.
        CollectionError: the settings are those that built it, or a file is not at hand.
        EmbeddingError: text could not be embedded; the next swap goes on from there.
    """
    answerable = answerable_questions(settings, questions)
    with open_sound_store(settings, existing=True) as store:
        return _Swap(store, settings).run(answerable, progress)


class _Swap:
    """One swap: the live generation, and how the new one is to be built."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self.state = store.state(settings.collection)
        self._live = store.physical(self.state.live)
        self._embedder: Embedder = assembly.open_configured_embedder(settings)
        self._chunker: Chunker = assembly.open_chunker(settings, self._embedder)
        self._cache: VectorCache | None = assembly.open_cache(settings)
        self.built: Fingerprint = self._live.fingerprint
        self.wanted = assembly.fingerprint(self._embedder, self._chunker)
        if self.built == self.wanted:
            raise CollectionError(
                f"Collection {self.state.name!r} was built with these settings already: there is "
                "nothing to swap. Name the new model's config: --config configs/NAME.toml."
            )
        # What the old model could not embed is in the files alone.
        self.from_files = self.built.chunking != self.wanted.chunking or any(
            has_left_out(record) for record in self._live.manifest()
        )

    def known(self, batch: Batch, begun: PhysicalCollection | None) -> set[str]:
        """Of a batch, which then lacks all its chunks, the texts whose vectors are there."""
        lacking = batch.find_missing(begun)
        texts = batch.find_missing(None)
        cached = self._cache.get_many(self.wanted.embedding, texts) if self._cache else {}
        return (set(texts) - set(lacking)) | cached.keys()

    def begun(self) -> PhysicalCollection | None:
        """What a stopped swap left for this one to go on with."""
        name = find_begun(self._store, self.state, self.wanted)
        return self._store.physical(name) if name else None

    def document_count(self) -> int:
        """Documents of the live generation, skipped ones included."""
        return sum(1 for _ in self._live.manifest())

    def prepared(self) -> Iterator[Prepared]:
        """Every document of the live generation, cut as the new one is to be."""
        return embeddable(self._cut(), self._embedder)

    def _cut(self) -> Iterator[Prepared]:
        if not self.from_files:
            options = ChunkingOptions(**assembly.values(self._settings.chunking))
            yield from from_stored_text(self._live, options, self._embedder)
            return
        with assembly.open_loader(self._settings) as loader:
            yield from from_files(
                self._live, self.state.roots, loader=loader, chunker=self._chunker
            )

    def run(self, questions: Sequence[Question], progress: Progress | None) -> SwapReport:
        """Build, check, compare, switch."""
        refuse_unfinished(self.state, self._live)
        state = self._store.save(replace(self.state, run=Run.now("swap")))
        name = self._target(state)
        target = self._store.physical(name)
        totals, documents = self._build(target, progress)
        target = self._store.settle(name)
        self._live = self._store.physical(self.state.live)
        chunks = check_copy(self._live, target, documents=documents)
        compared = self._compare(target, questions)
        switched = state.next(live=name, previous=state.live, run=None, previous_run=None)
        save_in_step(self._settings, self._store, switched, target)
        if state.previous is not None:
            self._store.drop_generation(state.previous)  # there is one way back
        return SwapReport(
            collection=state.name,
            live=name,
            previous=state.live,
            documents=documents,
            chunks=chunks,
            embedded=totals.embedded,
            tokens=totals.tokens,
            comparison=compared,
            left_out=tuple(
                Skipped(one.source, one.reason) for one in target.manifest() if has_left_out(one)
            ),
            warnings=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        used = self._embedder
        return tuple(used.notes()) if isinstance(used, SelectiveEmbedder) else ()

    def _compare(
        self, target: PhysicalCollection, questions: Sequence[Question]
    ) -> Comparison | None:
        try:
            old = assembly.open_collection_embedder(
                self._settings, self.built.embedding, follow=True
            )
            if differences(self.built.embedding, old.fingerprint):
                return None
            before, after = (self._live, old), (target, self._embedder)
            agreed = overlap(before, after, by_chunk=not self.from_files)
            if not questions:
                return Comparison(overlap_at_10=agreed)
            return Comparison(
                overlap_at_10=agreed,
                questions=len(questions),
                success_before=success(before, questions),
                success_after=success(after, questions),
            )
        except (EmbeddingError, SettingsError, MissingDependencyError):
            return None

    def _target(self, state: CollectionState) -> str:
        """The generation to build: one that a stopped swap began, or a new one."""
        begun = find_begun(self._store, state, self.wanted)
        for name in self._store.generations(state):
            if name not in (state.live, state.previous, begun):
                self._store.drop_generation(name)
        return begun or self._store.add_generation(state, self.wanted)

    def _build(self, target: PhysicalCollection, progress: Progress | None) -> tuple[Totals, int]:
        totals, done = Totals(), 0
        manifest = list(self._live.manifest())
        forget(target, [record.source for record in manifest if record.status == "skipped"])
        sources: set[str] = set()
        most_chunks = self._settings.ingestion.commit_chunks
        embedding = EmbeddingStage(target, self._embedder, self._cache)
        with embedding.embedded(
            self.prepared(), most_chunks=most_chunks, files=len(manifest)
        ) as ready:
            for batch in ready:
                batch.write(target, dimension=self.wanted.embedding.dimension)
                totals.add(batch.totals)
                done += len(batch.prepared)
                sources.update(one.file.source for one in batch.prepared)
                if progress is not None:
                    progress(
                        IngestProgress(
                            files_done=done,
                            files_total=len(manifest),
                            chunks_done=totals.embedded + totals.reused,
                            tokens_done=totals.tokens,
                            source=batch.prepared[-1].file.source,
                        )
                    )
        forget(target, [one.source for one in target.manifest() if one.source not in sources])
        return totals, done
