"""The stage that everything else waits for: documents in, batches with their vectors out."""

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator

from retriever.canary import checked_embedder, make_canary
from retriever.collection.physical import PhysicalCollection
from retriever.embedding.cache import VectorCache
from retriever.embedding.caching import CachingEmbedder
from retriever.errors import EmbeddingError
from retriever.ingestion.batching import Batch, Prepared, ahead_of_time, batches
from retriever.protocols import Embedder
from retriever.timing import stage, staged


class EmbeddingStage:
    """Embeds what a collection lacks of documents."""

    def __init__(
        self, data: PhysicalCollection, embedder: Embedder, cache: VectorCache | None
    ) -> None:
        """Embed by `embedder`, behind the cache and the check of the collection's canary."""
        self._data = data
        self._plain = embedder
        checked = checked_embedder(embedder, data)
        self._embedder = CachingEmbedder(checked, cache) if cache else checked
        self._cache = cache

    @contextlib.contextmanager
    def embedded(
        self, prepared: Iterable[Prepared], *, most_chunks: int, files: int
    ) -> Iterator[Iterator[Batch]]:
        """So many documents in batches, in order, each with the vectors that are lacking.

        Documents are read while earlier ones are embedded, and the next batch is begun before
        this one's vectors are waited for, so that the model is never without work. Where the
        context is left early, what was begun is stopped.
        """
        begun: deque[Batch] = deque()
        with ahead_of_time(prepared) as read:
            made = staged("wait for chunks", batches(read, most_chunks=most_chunks, files=files))
            try:
                yield self._in_turn(made, begun)
            finally:
                for batch in begun:
                    batch.cancel()

    def _in_turn(self, made: Iterable[Batch], begun: deque[Batch]) -> Iterator[Batch]:
        for batch in made:
            with stage("compare"):
                missing = batch.find_missing(self._data)
            # A text that both have is embedded once, and found in the cache by the second.
            if begun and begun[0].shares_texts(batch):
                yield _ended(begun)
            try:
                with stage("embed"):
                    self._begin(batch, missing)
            except EmbeddingError:
                if begun:
                    yield _ended(begun)
                raise
            begun.append(batch)
            if len(begun) > 1:
                yield _ended(begun)
        if begun:
            yield _ended(begun)

    def _begin(self, batch: Batch, missing: list[str]) -> None:
        """Begin a batch; the first that lacks a vector leaves the collection's canary."""
        if not missing:
            return
        if self._data.canary is None:
            self._data.set_canary(make_canary(self._embedder, plain=self._plain))
        cached = self._cache.get_many(self._embedder.fingerprint, missing) if self._cache else {}
        batch.begin_embedding(self._embedder, cached.keys())


def _ended(begun: deque[Batch]) -> Batch:
    with stage("embed"):
        begun[0].end_embedding()
    return begun.popleft()
