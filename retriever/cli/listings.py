"""Tables: the collections of a store, the models of the catalogue, the settings."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from retriever import assembly
from retriever.cli.terminal import one_line, printable, show, show_styled
from retriever.embedding.cache import VectorCache
from retriever.embedding.catalogue import ROWS, ModelRow
from retriever.embedding.options import EmbedderOptions
from retriever.errors import CollectionNotFound, RetrieverError
from retriever.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

_MASK = "**********"
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")

Row = dict[str, object]


def collection_rows(settings: Settings) -> list[Row]:
    """Every collection of the store; none where nothing was ever ingested."""
    try:
        store = assembly.open_store(settings)
    except CollectionNotFound:
        return []
    with store:
        return [
            {
                "collection": one.state.name,
                "chunks": one.chunk_count,
                "model": one.fingerprint.embedding.model,
                "dimension": one.fingerprint.embedding.dimension,
                "revision": one.state.revision,
                "roots": dict(one.state.roots),
            }
            for one in store.summaries()
        ]


def show_collections(rows: Sequence[Row], place: str) -> None:
    """Print the collections for people."""
    if not rows:
        show(f"No collections in {one_line(place)}. Make one with: retriever ingest FOLDER")
        return
    table = _table("collection", "chunks", "model", "dimension", "revision", "roots")
    for row in rows:
        roots = row["roots"]
        names = ", ".join(roots) if isinstance(roots, Mapping) else ""
        cells = [row["collection"], f"{row['chunks']:,}", row["model"]]
        _add(table, [*cells, row["dimension"], row["revision"], names])
    show_styled(table)


def model_rows() -> list[Row]:
    """Every model of the catalogue."""
    return [
        {
            "model": row.name,
            "config": f"{row.config}.toml",
            "backend": row.backend,
            "dimension": row.dimension,
            "window_tokens": row.window_tokens,
            "languages": row.languages,
            "licence": row.licence,
            "price_usd_per_million_tokens": row.price_usd_per_million_tokens,
            "mteb_average": row.mteb_average,
            "mteb_source": row.mteb_source,
            "on_this_machine": _is_here(row),
        }
        for row in ROWS
    ]


def show_models(rows: Sequence[Row]) -> None:
    """Print the catalogue for people."""
    table = _table(
        "model", "config", "dim.", "window", "languages", "licence", "$/M tokens", "MTEB", "here"
    )
    for row in rows:
        price = row["price_usd_per_million_tokens"]
        cells = [row["model"], row["config"], row["dimension"], row["window_tokens"]]
        cells += [row["languages"], row["licence"], f"{price:.2f}" if price else "-"]
        _add(table, [*cells, row["mteb_average"] or "-", _WHERE[row["on_this_machine"]]])
    show_styled(table)
    show(
        "Any other sentence-transformers model works by name. "
        "MTEB: mean over its English tasks as published; --json names each source.",
    )


_WHERE: Mapping[object, str] = {True: "yes", False: "no", None: "API"}


def _is_here(row: ModelRow) -> bool | None:
    """Whether the model's weights are on this machine; None where it runs elsewhere."""
    if row.backend != "sentence-transformers":
        return None
    from retriever.embedding.weights import find_model_here

    options = EmbedderOptions(model=row.name, cache_dir=assembly.user_cache_folder())
    try:
        return find_model_here(options) is not None
    except RetrieverError:
        return False


def cache_rows(cache: VectorCache) -> list[Row]:
    """What the vector cache holds, by fingerprint."""
    return [asdict(one) for one in cache.contents()]


def show_cache(rows: Sequence[Row]) -> None:
    """Print the vector cache's contents for people."""
    if not rows:
        show("The cache is empty.")
        return
    table = _table("model", "vectors", "MB", "fingerprint")
    for row in rows:
        size_mb = f"{float(str(row['size_bytes'])) / 1e6:,.1f}"
        _add(table, [row["model"], f"{row['count']:,}", size_mb, row["fingerprint"]])
    show_styled(table)


def setting_rows(settings: Settings) -> list[Row]:
    """Every setting, secrets masked."""
    return [
        {"key": key, "value": _masked(value), "origin": origin, "description": description}
        for key, value, origin, description in settings.describe()
    ]


def show_settings(rows: Sequence[Row]) -> None:
    """Print the settings for people."""
    table = _table("setting", "value", "from", "what it is for")
    for row in rows:
        value = row["value"]
        text = "-" if value is None else json.dumps(value, ensure_ascii=False)
        _add(table, [row["key"], text, row["origin"], row["description"]])
    show_styled(table)


def _masked(value: object) -> object:
    """A value as JSON can hold it, without secrets."""
    if isinstance(value, SecretStr):
        return _MASK
    if isinstance(value, Mapping):
        return {str(key): _masked(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_masked(item) for item in value]
    if isinstance(value, (str, Path)):
        return _URL_CREDENTIALS.sub(_MASK, str(value))
    return value


def _table(*headings: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _add(table: "Table", cells: Iterable[object]) -> None:
    table.add_row(*(printable(str(cell)) for cell in cells))
