"""One generation of a collection in Chroma: its chunks and its documents.

Every read is paged and every write batched within what Chroma allows. Distances become
scores here: score = 1 - cosine distance, from -1 to 1, higher is better.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.collection import rows
from retriever.collection.access import Access
from retriever.collection.index import candidates, rows_to_ask
from retriever.collection.inheriting import inherited
from retriever.collection.pages import ChunkPage, DocumentPage, parts, slices
from retriever.collection.state import Canary, build_metadata, read_canary, read_fingerprint
from retriever.records import Candidate, DocumentRecord, Fingerprint, Passage

Vectors = NDArray[np.float32]

PAGE_IDS = 50_000
"""Ids of one read: some 5 MB."""
PAGE_ROWS = 2_000
"""Rows of one read: far below what SQLite can bind, small enough for bounded memory."""


class PhysicalCollection:
    """The chunks and documents of one generation. Made by `Store`.

    Args:
        name: its name in Chroma.
        chunks: Chroma's collection of chunks.
        documents: Chroma's collection of documents.
        batch_rows: most rows of one write.
        access: entered around every read and every write.
    """

    def __init__(
        self,
        name: str,
        chunks: Any,
        documents: Any,
        *,
        access: Access,
        batch_rows: int,
    ) -> None:
        self.name = name
        self._chunks = chunks
        self._documents = documents
        self._access = access
        self._batch_rows = batch_rows

    @property
    def id(self) -> str:
        """What Chroma calls it: unlike its name, never given twice."""
        return str(self._chunks.id)

    @property
    def fingerprint(self) -> Fingerprint:
        """How it was built."""
        return read_fingerprint(self.name, self._chunks.metadata)

    @property
    def canary(self) -> Canary | None:
        """The text and vector that tell whether the model is still the same."""
        return read_canary(self._chunks.metadata)

    def chunk_count(self) -> int:
        """How many chunks it holds."""
        with self._access.reading(self._chunks.id):
            return int(self._chunks.count())

    def manifest(self) -> Iterator[DocumentRecord]:
        """Every document that it remembers, skipped ones included."""
        for page in self._pages(self._documents, include=["metadatas"]):
            yield from rows.records(page["metadatas"])

    def stored_chunks(self, sources: Sequence[str]) -> dict[str, dict[str, rows.StoredChunk]]:
        """For each of the sources, its stored chunks by id."""
        found: dict[str, dict[str, rows.StoredChunk]] = {source: {} for source in sources}
        for batch in parts(sources, 200):
            where = {"source": {"$in": list(batch)}}
            for page in self._pages(self._chunks, include=["metadatas"], where=where):
                for chunk_id, row in zip(page["ids"], page["metadatas"], strict=True):
                    found[row["source"]][chunk_id] = rows.StoredChunk(id=chunk_id, row=row)
        return found

    def version_counts(self) -> Counter[tuple[str, str]]:
        """How many chunks each (source, document hash) has."""
        counts: Counter[tuple[str, str]] = Counter()
        for page in self._pages(self._chunks, include=["metadatas"]):
            ours = (row for row in page["metadatas"] if row and "document_hash" in row)
            counts.update((row["source"], row["document_hash"]) for row in ours)
        return counts

    def chunk_pages(
        self,
        *,
        with_vectors: bool,
        with_texts: bool = True,
        ids: Sequence[str] | None = None,
    ) -> Iterator[ChunkPage]:
        """Every chunk, or those of the ids that are there, in pages.

        Raises:
            CollectionDamaged: vectors were asked for and the index lacks one.
        """
        include = ["metadatas", *["documents"] * with_texts, *["embeddings"] * with_vectors]
        pages = self._pages(self._chunks, include=include)
        for page in pages if ids is None else self._by_ids(self._chunks, ids, include):
            texts = page["documents"] if with_texts else []
            vectors = page["embeddings"] if with_vectors else np.zeros((len(page["ids"]), 0))
            yield ChunkPage(page["ids"], texts, page["metadatas"], np.asarray(vectors, np.float32))

    def all_vectors(self) -> tuple[list[str], Vectors]:
        """Every id and its vector, in one read."""
        with self._access.reading(self._chunks.id):
            page = self._chunks.get(include=["embeddings"])
        return page["ids"], np.asarray(page["embeddings"], dtype=np.float32)

    def document_pages(self) -> Iterator[DocumentPage]:
        """Every document and its mean vector, in pages.

        Raises:
            CollectionDamaged: the index lacks a vector.
        """
        for page in self._pages(self._documents, include=["metadatas", "embeddings"]):
            ours = [p for p, row in enumerate(page["metadatas"]) if rows.is_document_row(row)]
            yield DocumentPage(
                records=rows.records(page["metadatas"]),
                vectors=np.asarray(page["embeddings"], dtype=np.float32)[ours],
            )

    def document_rows(self) -> Iterator[dict[str, rows.Row]]:
        """Every document's row by its id, in pages, as it is stored: it may be none of ours."""
        for page in self._pages(self._documents, include=["metadatas"]):
            yield {one: row or {} for one, row in zip(page["ids"], page["metadatas"], strict=True)}

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, Vectors]:
        """The vectors of chunks, by id; ids that are not there are left out.

        Raises:
            CollectionDamaged: the index lacks one.
        """
        return self._vectors(self._chunks, chunk_ids)

    def document_vectors(self, document_ids: Sequence[str]) -> dict[str, Vectors]:
        """The mean vectors of documents, by the id of their rows; otherwise as `vectors`."""
        return self._vectors(self._documents, document_ids)

    def _vectors(self, collection: Any, ids: Sequence[str]) -> dict[str, Vectors]:
        found: dict[str, Vectors] = {}
        for page in self._by_ids(collection, ids, ["embeddings"]):
            found |= zip(page["ids"], np.asarray(page["embeddings"], np.float32), strict=True)
        return found

    def rank(
        self, queries: Vectors, *, count: int, where: Mapping[str, object] | None
    ) -> list[list[Candidate]]:
        """The nearest chunks of each query, best first.

        Args:
            queries: float32, shape (number of queries, dimension), unit length.
            count: most candidates a query.
            where: a filter in Chroma's form.
        """
        filtered = {"where": dict(where)} if where else {}
        asked = rows_to_ask(self._chunks.configuration_json, count)
        with self._access.reading(self._chunks.id):
            answer = self._chunks.query(
                query_embeddings=queries, n_results=asked, include=["distances"], **filtered
            )
        return [
            candidates(ids[:count], distances[:count])
            for ids, distances in zip(answer["ids"], answer["distances"], strict=True)
        ]

    def matching_ids(self, where: Mapping[str, object] | None) -> frozenset[str]:
        """The ids of the chunks that a filter in Chroma's form holds for, in one read."""
        filtered = {"where": dict(where)} if where else {}
        with self._access.reading(self._chunks.id):
            return frozenset(self._chunks.get(include=[], **filtered)["ids"])

    def passages(self, scores: Mapping[str, float]) -> dict[str, Passage]:
        """The chunks of the ids in `scores` as unranked passages; rows of others are left out."""
        return {
            chunk_id: rows.passage(chunk_id, row, text, score=scores[chunk_id])
            for chunk_id, row, text in self.chunk_texts(ids=list(scores))
        }

    def chunk_texts(
        self, *, ids: Sequence[str] | None = None, where: Mapping[str, object] | None = None
    ) -> Iterator[tuple[str, rows.Row, str]]:
        """Id, row and text of the chunks of these ids, or of all that a filter holds for."""
        wanted = ["metadatas", "documents"]
        pages = self._pages(self._chunks, include=wanted, where=where)
        for page in pages if ids is None else self._by_ids(self._chunks, ids, wanted):
            for one in zip(page["ids"], page["metadatas"], page["documents"], strict=True):
                if rows.is_chunk_row(*one[1:]):
                    yield one

    def _by_ids(self, collection: Any, ids: Sequence[str], include: list[str]) -> Iterator[Any]:
        for batch in parts(ids, PAGE_ROWS):
            with self._access.reading(collection.id):
                page = collection.get(ids=list(batch), include=include)
            yield page

    def set_canary(self, canary: Canary) -> None:
        """Store the canary."""
        with self._access.writing(self.name):
            self._chunks.modify(metadata=build_metadata(self.fingerprint, canary))

    def put_chunks(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        vectors: Vectors,
        metadata: Sequence[rows.Row],
    ) -> None:
        """Insert chunks, or replace those of the same id; `vectors` has one row a chunk."""
        for part in slices(len(ids), self._batch_rows):
            with self._access.writing(self.name):
                self._chunks.upsert(
                    ids=list(ids[part]),
                    documents=list(texts[part]),
                    embeddings=vectors[part],
                    metadatas=list(metadata[part]),
                )
            self._disinherit(dict(zip(ids[part], metadata[part], strict=True)))

    def _disinherit(self, written: Mapping[str, rows.Row]) -> None:
        for page in self._by_ids(self._chunks, list(written), ["metadatas"]):
            if surplus := inherited(page["ids"], page["metadatas"], written):
                self.update_rows(list(surplus), list(surplus.values()))

    def update_rows(self, ids: Sequence[str], metadata: Sequence[rows.Row]) -> None:
        """Change the metadata of chunks; a value of None removes its key."""
        for part in slices(len(ids), self._batch_rows):
            with self._access.writing(self.name):
                self._chunks.update(ids=list(ids[part]), metadatas=list(metadata[part]))

    def put_documents(self, records: Sequence[DocumentRecord], vectors: Vectors) -> None:
        """Insert or replace documents; `vectors` holds the mean vector of each."""
        for part in slices(len(records), self._batch_rows):
            batch = records[part]
            with self._access.writing(self.name):
                self._documents.upsert(
                    ids=[rows.document_id(record.source) for record in batch],
                    embeddings=vectors[part],
                    metadatas=[rows.document_row(record) for record in batch],
                )

    def touch_documents(self, records: Sequence[DocumentRecord]) -> None:
        """Change what is remembered of documents; their vectors stay."""
        for part in slices(len(records), self._batch_rows):
            batch = records[part]
            with self._access.writing(self.name):
                self._documents.update(
                    ids=[rows.document_id(record.source) for record in batch],
                    metadatas=[rows.document_row(record) for record in batch],
                )

    def delete_chunks(self, ids: Sequence[str]) -> None:
        """Delete chunks by id."""
        self._delete(self._chunks, ids)

    def delete_documents(self, sources: Sequence[str]) -> None:
        """Delete documents' records; their chunks are deleted before."""
        self.delete_document_rows([rows.document_id(source) for source in sources])

    def delete_document_rows(self, ids: Sequence[str]) -> None:
        """Delete rows of the manifest by their ids."""
        self._delete(self._documents, ids)

    def _delete(self, collection: Any, ids: Sequence[str]) -> None:
        for batch in parts(ids, PAGE_ROWS):
            with self._access.writing(self.name):
                collection.delete(ids=list(batch))

    def _pages(
        self, collection: Any, *, include: list[str], where: Mapping[str, object] | None = None
    ) -> Iterator[Any]:
        """Rows in pages. Chroma walks over those before an offset, so ids are read in long ones."""
        filtered = {"where": dict(where)} if where else {}
        with self._access.reading(collection.id):
            first = collection.get(limit=PAGE_ROWS, include=include, **filtered)
        yield from [first] if first["ids"] else []
        offset, is_more = PAGE_ROWS, len(first["ids"]) == PAGE_ROWS
        while is_more:
            with self._access.reading(collection.id):
                ids = collection.get(limit=PAGE_IDS, offset=offset, include=[], **filtered)["ids"]
            yield from filter(itemgetter("ids"), self._by_ids(collection, ids, include))
            offset, is_more = offset + PAGE_IDS, len(ids) == PAGE_IDS
