"""A collection as a map: places, colours, and the passages that stand there."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from retriever.analysis.clustering import sample
from retriever.analysis.clusters import group, name_groups
from retriever.analysis.drawing import Drawing, refuse_unwritable, write_drawing
from retriever.analysis.projecting import can_umap, project
from retriever.analysis.reading import Points, Unit, open_collection, read_points, texts
from retriever.collection.rows import Row
from retriever.errors import QueryError
from retriever.settings import Settings

MOST_POINTS = 20_000
MOST_COLOURS = 20
"""More groups than eyes can tell apart are one: the smallest."""
LONGEST_TEXT_CHARACTERS = 400
_OTHERS = "others"
_NONE = "none"
_LONGEST_NAME = 80
_TERMS_IN_NAME = 4


@dataclass(frozen=True, slots=True)
class MapReport:
    """What was drawn."""

    collection: str
    file: Path
    unit: Unit
    points: int
    """In the collection."""
    drawn: int
    method: Literal["UMAP", "PCA"]
    colour: str
    groups: int
    note: str


def draw_map(  # noqa: PLR0913  # each is one choice of the caller's
    file: str | Path,
    settings: Settings | None = None,
    *,
    colour: str = "cluster",
    count: int | Literal["auto"] = "auto",
    unit: Unit = "passages",
    most: int = MOST_POINTS,
    seed: int = 0,
    overwrite: bool = False,
) -> MapReport:
    """Draw a collection into one file: a page that works offline (.html), or a picture (.png).

    Args:
        file: where to.
        settings: say which collection; the defaults where None.
        colour: `cluster`, `folder` (the first of a source, the root's name in front), `source`,
            or a key of the metadata, such as `format`.
        count: of clusters, or `auto`.
        unit: what a point is.
        most: points; of more, a sample is drawn.
        seed: the same one draws the same map.
        overwrite: replace the file if it is there.

    Raises:
        QueryError: the collection is empty, the key is in no passage, or the file has another
            ending or is there already.
        MissingDependencyError: a picture needs the extra `map`.
        CollectionError: the collection is not there, or a writer is at work.
    """
    path = Path(file)
    refuse_unwritable(path, overwrite=overwrite)
    settings = settings or Settings.load()
    points, held, total = _read(settings, unit, most=most, seed=seed)
    labels, names = _colours(points, held, colour, count=count, seed=seed)
    projection = project(points.vectors, seed=seed)
    drawing = Drawing(
        title=settings.collection,
        places=projection.places,
        method=projection.method,
        labels=labels,
        groups=names,
        names=[point.name for point in points.points],
        titles=[point.title for point in points.points],
        texts=[held.first[point.key] for point in points.points],
    )
    write_drawing(drawing, path)
    return MapReport(
        collection=settings.collection,
        file=path,
        unit=unit,
        points=total,
        drawn=len(points.points),
        method=projection.method,
        colour=colour,
        groups=len(names),
        note="" if can_umap() else "UMAP shows more: pip install 'rag-retriever[map]'",
    )


def _read(settings: Settings, unit: Unit, *, most: int, seed: int) -> tuple[Points, "_Held", int]:
    """The points to draw, what is told of them, and how many there are in all."""
    with open_collection(settings) as data:
        everything = read_points(data, unit)
        chosen = sample(len(everything.points), most, seed=seed)
        points = Points(
            unit,
            tuple(everything.points[row] for row in chosen),
            np.asarray(everything.vectors[chosen]),
        )
        return points, _Held.read(points, texts(data)), len(everything.points)


@dataclass(frozen=True, slots=True)
class _Held:
    """What is kept of the passages of the points that are drawn."""

    first: dict[str, str]
    """By a point's key, the beginning of its text."""
    rows: dict[str, Row]
    passages: list[tuple[str, str, str]]
    """Id, source and the beginning of the text, for the names of clusters."""

    @classmethod
    def read(cls, points: Points, stored: Iterable[tuple[str, str, Row, str]]) -> "_Held":
        wanted = {point.key for point in points.points}
        held = cls(dict.fromkeys(wanted, ""), {}, [])
        places: dict[str, int] = {}
        for chunk_id, source, row, text in stored:
            key = source if points.unit == "documents" else chunk_id
            if key not in wanted:
                continue
            beginning = text[:LONGEST_TEXT_CHARACTERS]
            held.passages.append((chunk_id, source, beginning))
            if int(row["ordinal"]) <= places.get(key, int(row["ordinal"])):
                places[key] = int(row["ordinal"])
                held.first[key], held.rows[key] = beginning, row
        return held


def _colours(
    points: Points, held: _Held, colour: str, *, count: int | Literal["auto"], seed: int
) -> tuple[list[int], list[str]]:
    """The group of each point, and the groups' names, the largest first."""
    if colour == "cluster":
        enough = len(points.points) >= 3
        labels, _ = group(points, count=count if enough else 1, seed=seed)
        terms = name_groups(points, labels, held.passages)
        values = [
            ", ".join(terms[label][:_TERMS_IN_NAME]) or f"group {label + 1}"
            for label in labels.tolist()
        ]
    elif colour == "folder":
        values = ["/".join(point.source.split("/")[:-1][:2]) for point in points.points]
    elif colour == "source":
        values = [point.source for point in points.points]
    else:
        values = _metadata(points, held, colour)
    return _ranked(values)


def _metadata(points: Points, held: _Held, key: str) -> list[str]:
    rows = [held.rows.get(point.key, {}) for point in points.points]
    if not any(key in row for row in rows):
        known = sorted({name for row in rows for name in row} - _UNUSEFUL)
        raise QueryError(
            f"No {points.unit[:-1]} has the key {key!r}. There are: cluster, folder, source, "
            f"{', '.join(known)}."
        )
    found = (row.get(key, _NONE) for row in rows)
    return [", ".join(map(str, one)) if isinstance(one, list) else str(one) for one in found]


_UNUSEFUL = frozenset({"document_hash", "embedded_hash", "start", "end", "source"})


def _ranked(values: Sequence[str]) -> tuple[list[int], list[str]]:
    """Numbers for values, the most frequent first; beyond the colours there are, one for all."""
    ranked = [
        value for value, _ in sorted(Counter(values).items(), key=lambda one: (-one[1], one[0]))
    ]
    if len(ranked) > MOST_COLOURS:
        kept = ranked[: MOST_COLOURS - 1]
        numbers = {value: number for number, value in enumerate(kept)}
        return [numbers.get(value, len(kept)) for value in values], [
            *(_short(value) for value in kept),
            _OTHERS,
        ]
    numbers = {value: number for number, value in enumerate(ranked)}
    return [numbers[value] for value in values], [_short(value) for value in ranked]


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST_NAME else f"{value[: _LONGEST_NAME - 3]}..."
