"""class Retriever: queries in, scored passages out."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from retriever import assembly
from retriever.collection.filters import translate
from retriever.context import compose_context
from retriever.errors import CollectionDamaged, CollectionError, QueryError
from retriever.protocols import BatchQueryEmbedder, Embedder, Vectors
from retriever.records import Candidate, Context, Passage
from retriever.retrieval.snapshots import Snapshot, Snapshots
from retriever.settings import Settings

MOST_TOP_K = 10_000
_ATTEMPTS = 4


class Retriever:
    """Answers queries from one collection. Threads may share one; close it when done.

    with Retriever.open() as retriever:
        for passage in retriever.retrieve("How do I reset the pump?"):
            print(passage)
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._snapshots = Snapshots(settings)

    @classmethod
    def open(cls, settings: Settings | str | Path | None = None) -> Self:
        """Open the collection that the settings name.

        Args:
            settings: settings, or a config file, or None for defaults and environment.

        Raises:
            SettingsError: the settings cannot be used.
            CollectionNotFound: nothing has been ingested under that name.
            FingerprintMismatch: the settings name another model than the one that built it.
        """
        if isinstance(settings, (str, Path)):
            settings = Settings.load(settings)
        return cls(settings or Settings.load())

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

    def retrieve(
        self,
        query: str,
        *,
        top_k: int | None = None,
        where: Mapping[str, object] | None = None,
        min_score: float | None = None,
    ) -> list[Passage]:
        """The passages nearest to a query, best first.

        Args:
            query: any text that is not blank.
            top_k: most passages; the settings' `retrieval.top_k` (5) where None.
            where: a filter on metadata, see `retriever.collection.filters`.
            min_score: passages that score lower are left out.

        Returns:
            Passages with `score` = cosine similarity, from -1 to 1, 1 is best.
            Empty where nothing is found.

        Raises:
            QueryError: the query is blank, `top_k` is below 1, the filter cannot be run.
            EmbeddingError: the query could not be embedded.
        """
        return self.retrieve_many([query], top_k=top_k, where=where, min_score=min_score)[0]

    def retrieve_many(
        self,
        queries: Sequence[str],
        *,
        top_k: int | None = None,
        where: Mapping[str, object] | None = None,
        min_score: float | None = None,
    ) -> list[list[Passage]]:
        """Answer several queries, embedded in one batch; see `retrieve`."""
        wanted = self._wanted(top_k)
        least = self._settings.retrieval.min_score if min_score is None else min_score
        texts = [_checked(query) for query in queries]
        condition = translate(where)
        if not texts:
            return []
        for attempt in range(_ATTEMPTS):
            with self._snapshots.newest() as snapshot:
                vectors = _embed(snapshot.embedder, texts)
                try:
                    answers = _answer(snapshot, vectors, wanted, condition)
                except CollectionError:  # the snapshot's collection may just have been swapped
                    if attempt == _ATTEMPTS - 1:
                        raise
                    answers = None
                if answers is not None:
                    return [_ranked(answer, least) for answer in answers]
                self._snapshots.refresh(snapshot)
        raise CollectionDamaged(
            f"Collection {self._settings.collection!r} lost rows that its index still names. "
            "Ingest its folders again."
        )

    async def aretrieve(
        self,
        query: str,
        *,
        top_k: int | None = None,
        where: Mapping[str, object] | None = None,
        min_score: float | None = None,
    ) -> list[Passage]:
        """`retrieve`, on a thread, so that an event loop goes on."""
        return await asyncio.to_thread(
            self.retrieve, query, top_k=top_k, where=where, min_score=min_score
        )

    def _wanted(self, top_k: int | None) -> int:
        wanted = self._settings.retrieval.top_k if top_k is None else top_k
        if not 1 <= wanted <= MOST_TOP_K:
            raise QueryError(f"top_k is {wanted}; it must be from 1 to {MOST_TOP_K}.")
        return wanted


def build_context(
    passages: Sequence[Passage],
    *,
    budget_tokens: int = 2_000,
    count_tokens: Callable[[str], int] | None = None,
) -> Context:
    """Build the block of a prompt that quotes passages: numbered, delimited, escaped, cited.

    Args:
        passages: as `Retriever.retrieve` returned them.
        budget_tokens: most tokens of the block.
        count_tokens: tokens of a text by the tokenizer of the model that will read the
            prompt; where None, that of the default embedding model counts.

    Returns:
        The block as `text`, with the map from number to source and span.

    Raises:
        QueryError: the budget is below 1.
    """
    counter = count_tokens or assembly.default_token_counter()
    return compose_context(passages, budget_tokens=budget_tokens, count_tokens=counter)


def _checked(query: str) -> str:
    if not isinstance(query, str):
        raise QueryError(f"A query is text, not {type(query).__name__}.")
    text = query.encode("utf-8", "replace").decode("utf-8").replace("\x00", " ").strip()
    if not text:
        raise QueryError("The query is empty. Ask for something.")
    return text


def _embed(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    if len(texts) > 1 and isinstance(embedder, BatchQueryEmbedder):
        return embedder.embed_queries(texts)
    return np.stack([embedder.embed_query(text) for text in texts])


def _answer(
    snapshot: Snapshot, vectors: Vectors, wanted: int, where: Mapping[str, object] | None
) -> list[list[Passage]] | None:
    """The passages of each query, best first; None where the index named rows that are gone."""
    answers = []
    for ranking in snapshot.data.rank(vectors, count=wanted, where=where):
        passages = _passages(snapshot, ranking)
        if len(passages) < len(ranking):
            return None
        answers.append(passages)
    return answers


def _passages(snapshot: Snapshot, ranking: Sequence[Candidate]) -> list[Passage]:
    found = snapshot.data.passages({one.chunk_id: one.score for one in ranking})
    return [
        replace(found[one.chunk_id], candidates=(one,)) for one in ranking if one.chunk_id in found
    ]


def _ranked(passages: Sequence[Passage], least: float | None) -> list[Passage]:
    kept = [one for one in passages if least is None or one.score >= least]
    return [replace(one, rank=rank) for rank, one in enumerate(kept, start=1)]
