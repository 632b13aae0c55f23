"""class Retriever: queries in, scored passages out."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from retriever import assembly
from retriever.collection.filters import translate
from retriever.collection.index import SEMANTIC
from retriever.errors import CollectionError, FingerprintMismatch
from retriever.fusion import fuse_rewritings
from retriever.lexical.index import LEXICAL
from retriever.records import Passage
from retriever.retrieval.explaining import Told, explained
from retriever.retrieval.probability import Probabilities
from retriever.retrieval.ranking import is_cut, rank
from retriever.retrieval.refining import Wanted, read_refining, refine, runs_short
from retriever.retrieval.reordering import Reordering
from retriever.retrieval.requests import (
    Mode,
    Request,
    checked_list,
    checked_min_score,
    checked_mode,
    checked_query,
    checked_text,
    checked_top_k,
)
from retriever.retrieval.snapshots import Snapshot, Snapshots
from retriever.rewriting import Rewrite
from retriever.settings import Settings

_ATTEMPTS = 4


class Retriever:
    """Answers queries from one collection. Threads may share one; close it when done.

    with Retriever.open() as retriever:
        for passage in retriever.retrieve("How do I reset the pump?"):
            print(passage)
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._probabilities = Probabilities(settings)
        self._snapshots = Snapshots(settings)
        self._refining = read_refining(settings)
        self._reordering = Reordering(
            lambda embedder: assembly.open_configured_reranker(settings, embedder),
            timeout_s=settings.reranking.timeout_s,
        )

    @classmethod
    def open(
        cls,
        settings: Settings | str | Path | None = None,
        *,
        collections: Sequence[str] | None = None,
    ) -> "Retriever":
        """Open the collection that the settings name, or several to be asked as one.

        Args:
            settings: settings, or a config file, or None for defaults and environment.
            collections: names, in place of the settings' one; see `retriever.retrieval.joint`
                for how answers of several are put together.

        Raises:
            SettingsError: the settings cannot be used.
            CollectionNotFound: nothing has been ingested under that name.
            FingerprintMismatch: the settings name another model than the one that built it.
        """
        if isinstance(settings, (str, Path)):
            settings = Settings.load(settings)
        settings = settings or Settings.load()
        if collections is None:
            return cls(settings)
        from retriever.retrieval.joint import open_joint

        return open_joint(settings, collections)

    def __enter__(self) -> Self:
        """The retriever itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Free the index; queries at work are finished first. Safe to repeat."""
        self._snapshots.close()
        self._reordering.close()

    def retrieve(
        self,
        query: str,
        *,
        top_k: int | None = None,
        where: Mapping[str, object] | None = None,
        min_score: float | None = None,
        mode: Mode | None = None,
        rewrite: Rewrite | None = None,
    ) -> list[Passage]:
        """The passages nearest to a query, best first.

        Args:
            query: any text that is not blank.
            top_k: most passages; the settings' `retrieval.top_k` (5) where None.
            where: a filter on metadata, see `retriever.collection.filters`.
            min_score: passages that score lower are left out.
            mode: which rankers answer; the settings' `retrieval.mode` (hybrid) where None.
            rewrite: gives further texts to look for, see `retriever.rewriting`; a passage's
                score is then the mean over the query and them.

        Returns:
            Passages by falling `score` (with `retrieval.mmr_balance` in the order in which they
            add to what came before; asked of several collections, by `score` again), of which 1
            is the best possible; each says in
            `candidates` what the rankers thought of it. The score is
            in mode hybrid that of `retriever.fusion.fuse`, from 0 to 1; a query of whose words
            the collection holds none is fused from the semantic ranking alone, so that its
            first passage has its cosine;
            in mode semantic the cosine similarity, from -1 to 1;
            in mode lexical BM25 / (BM25 + 10), from 0 to 1; no model is needed then.
            Reranked passages have the reranker's score, from 0 to 1, whatever the mode.
            With `retrieval.calibration` each tells its `probability` to answer, too.
            Empty where nothing is found. Chunks that follow one another are one passage, and
            further ones take their place, up to twice `top_k` chunks.

        Raises:
            QueryError: the query is blank, `top_k` is below 1, the filter cannot be run.
            EmbeddingError: the query could not be embedded.
            RerankingError: the reranker failed for good; a passing failure is a warning.
        """
        rewritings = [] if rewrite is None else checked_list(rewrite(checked_query(query)))
        worded = [query, *filter(None, map(checked_text, rewritings))]
        request = self._request(worded, top_k, where, min_score, mode)
        return self._answer(replace(request, is_one_query=True))[0]

    def retrieve_many(
        self,
        queries: Sequence[str],
        *,
        top_k: int | None = None,
        where: Mapping[str, object] | None = None,
        min_score: float | None = None,
        mode: Mode | None = None,
    ) -> list[list[Passage]]:
        """Answer several queries, embedded in one batch; see `retrieve`."""
        request = self._request(checked_list(queries), top_k, where, min_score, mode)
        if not request.queries:
            return []
        return self._answer(request)

    def explain(
        self,
        query: str,
        *,
        top_k: int | None = None,
        where: Mapping[str, object] | None = None,
        min_score: float | None = None,
        mode: Mode | None = None,
    ) -> list[Passage]:
        """The passages of `retrieve`; each says in `explanation` why it stands where it stands."""
        request = self._request([query], top_k, where, min_score, mode)
        return self._answer(replace(request, is_one_query=True, explains=True))[0]

    async def aretrieve(
        self,
        query: str,
        *,
        top_k: int | None = None,
        where: Mapping[str, object] | None = None,
        min_score: float | None = None,
        mode: Mode | None = None,
        rewrite: Rewrite | None = None,
    ) -> list[Passage]:
        """`retrieve`, on a thread, so that an event loop goes on."""
        return await asyncio.to_thread(
            self.retrieve,
            query,
            top_k=top_k,
            where=where,
            min_score=min_score,
            mode=mode,
            rewrite=rewrite,
        )

    def _answer(self, request: Request) -> list[list[Passage]]:
        """Ask the newest snapshot; a failure may be that of one that has just been swapped."""
        for attempt in range(_ATTEMPTS):
            with self._snapshots.newest() as snapshot:
                try:
                    return self._refined(snapshot, request)
                except FingerprintMismatch:
                    raise
                except CollectionError:
                    if attempt == _ATTEMPTS - 1:
                        raise
                self._snapshots.refresh(snapshot)
        raise AssertionError("the last attempt returns or raises")

    def _refined(self, snapshot: Snapshot, request: Request) -> list[list[Passage]]:
        ranked = rank(snapshot, request)
        rankings = [one.fused for one in ranked]
        if request.is_one_query:
            rankings = [fuse_rewritings(rankings)]
        refined = [
            refine(
                snapshot,
                fused,
                Wanted(query, request.top_k, request.min_score),
                self._refining,
                reordering=self._reordering,
            )
            for query, fused in zip(request.queries, rankings, strict=False)
        ]
        if request.explains:
            index = None if request.mode == "semantic" else snapshot.lexical()
            told = Told(request, ranked, rankings[0], index)
            refined = [explained(one, told) for one in refined]
        model = snapshot.data.fingerprint.embedding.model
        answers = [self._probabilities.add(one, mode=request.mode, model=model) for one in refined]
        wider = None if self._refining.rerank_count else request.wider()
        if wider is None:
            return answers
        for place, fused in enumerate(rankings):
            own = ranked if request.is_one_query else ranked[place : place + 1]
            if is_cut(own, request) and runs_short(answers[place], fused, request):
                asked = request.queries if request.is_one_query else (request.queries[place],)
                answers[place] = self._refined(snapshot, replace(wider, queries=asked))[0]
        return answers

    def _request(
        self,
        queries: Sequence[str],
        top_k: int | None,
        where: Mapping[str, object] | None,
        min_score: float | None,
        mode: Mode | None,
    ) -> Request:
        chosen = self._settings.retrieval
        wanted = checked_top_k(chosen.top_k if top_k is None else top_k)
        return Request(
            queries=tuple(checked_query(query) for query in queries),
            mode=chosen.mode if mode is None else checked_mode(mode),
            top_k=wanted,
            candidate_count=max(wanted, chosen.candidate_count, self._refining.rerank_count),
            where=translate(where),
            min_score=chosen.min_score if min_score is None else checked_min_score(min_score),
            weights={SEMANTIC: chosen.semantic_weight, LEXICAL: chosen.lexical_weight},
        )
