"""A collection's vectors and what they stand for, read in pages.

Vectors go through a temporary file: up to 100,000 are then held in memory, more are mapped
from it, and only the part that is worked on is in memory.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from retriever.analysis.clustering import MOST_ROWS_AT_ONCE
from retriever.checking.observing import observe
from retriever.collection import rows
from retriever.collection.physical import PhysicalCollection
from retriever.embedding.vectors import normalise
from retriever.errors import QueryError
from retriever.protocols import Vectors
from retriever.repairing.recovering import refuse_torn
from retriever.settings import Settings

Unit = Literal["documents", "passages"]


@dataclass(frozen=True, slots=True)
class Point:
    """What one vector stands for."""

    name: str
    """Of a document its source, of a passage its citation."""
    source: str
    title: str
    key: str
    """Of a document its source, of a passage its id."""


@dataclass(frozen=True, slots=True)
class Points:
    """The vectors of a collection, and what row i of them stands for."""

    unit: Unit
    points: tuple[Point, ...]
    vectors: Vectors
    """float32, unit length, (len(points), dimension); mapped from a file above 100,000 rows."""


@contextmanager
def open_collection(settings: Settings) -> Iterator[PhysicalCollection]:
    """The live data of the collection, which holds still until the context is left.

    Raises:
        CollectionNotFound: nothing was ingested under that name.
        CollectionLocked: a writer is at work, or was meanwhile.
        CollectionDamaged: a writer was killed while it wrote the index.
    """
    with observe(settings) as (store, state):
        with store.guard():
            refuse_torn(store, state.live)
            data = store.physical(state.live)
            data.chunk_count()  # has Chroma open the index
        yield data


def read_points(data: PhysicalCollection, unit: Unit) -> Points:
    """All vectors of one kind, in the order of their sources.

    Above 100,000 they stay in the order in which they were stored.

    Raises:
        QueryError: the collection is empty.
        CollectionDamaged: the index lacks a vector.
    """
    points: list[tuple[str, int, Point]] = []
    dimension = data.fingerprint.embedding.dimension
    with tempfile.TemporaryFile() as file:
        for page, vectors in _document_pages(data) if unit == "documents" else _chunk_pages(data):
            points += page
            file.write(np.ascontiguousarray(normalise(vectors)).tobytes())
        file.flush()
        if not points:
            raise QueryError(f"The collection holds no {unit}. Ingest a folder first.")
        shape = (len(points), dimension)
        if len(points) > MOST_ROWS_AT_ONCE:
            mapped = np.memmap(file, dtype=np.float32, mode="r", shape=shape)
            return Points(unit, tuple(point for _, _, point in points), mapped)
        file.seek(0)
        held = np.frombuffer(file.read(), dtype=np.float32).reshape(shape)
    order = sorted(range(len(points)), key=lambda row: points[row][:2])
    return Points(unit, tuple(points[row][2] for row in order), held[order])


Page = tuple[list[tuple[str, int, Point]], Vectors]


def _document_pages(data: PhysicalCollection) -> Iterator[Page]:
    for page in data.document_pages():
        kept = [row for row, record in enumerate(page.records) if record.chunk_count > 0]
        found = (page.records[row] for row in kept)
        points = [
            (one.source, 0, Point(one.source, one.source, one.title, one.source)) for one in found
        ]
        yield points, page.vectors[kept]


def _chunk_pages(data: PhysicalCollection) -> Iterator[Page]:
    for page in data.chunk_pages(with_vectors=True):
        kept = [
            row
            for row, (metadata, text) in enumerate(zip(page.rows, page.texts, strict=True))
            if rows.is_chunk_row(metadata, text)
        ]
        points = []
        for row in kept:
            one = rows.passage(page.ids[row], page.rows[row], "", score=0.0)
            point = Point(one.citation, one.source, one.title, one.id)
            points.append((one.source, int(page.rows[row]["ordinal"]), point))
        yield points, page.vectors[kept]


def texts(data: PhysicalCollection) -> Iterator[tuple[str, str, rows.Row, str]]:
    """Every passage's id, source, row and text."""
    for page in data.chunk_pages(with_vectors=False):
        for chunk_id, row, text in zip(page.ids, page.rows, page.texts, strict=True):
            if rows.is_chunk_row(row, text):
                yield chunk_id, str(row["source"]), row, text
