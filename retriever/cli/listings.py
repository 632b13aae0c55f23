"""Tables: the collections of a store, the models of the catalogue, the settings."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import SecretStr

from retriever import assembly
from retriever.cli.terminal import console, one_line, printable, show, show_styled
from retriever.embedding.cache import VectorCache
from retriever.embedding.catalogue import NO_LIMIT_TOKENS, ROWS, ModelRow
from retriever.embedding.masking import HIDDEN, URL_CREDENTIALS
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.speeds import SpeedLog
from retriever.errors import CollectionNotFound, RetrieverError
from retriever.settings import Settings

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
    columns = {"collection": 0, "chunks": 0, "model": 0, "dim.": 0, "revision": 80, "roots": 100}
    _show_table(
        columns,
        (
            (
                row["collection"],
                f"{row['chunks']:,}",
                row["model"],
                row["dimension"],
                row["revision"],
                ", ".join(row["roots"]) if isinstance(row["roots"], Mapping) else "",
            )
            for row in rows
        ),
    )


def model_rows() -> list[Row]:
    """Every model of the catalogue, and how fast it was on this machine."""
    speeds = SpeedLog(assembly.user_cache_folder()).read()
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
            "tokens_per_s": speeds[row.name].tokens_per_s if row.name in speeds else None,
            "measured_on": speeds[row.name].measured_on if row.name in speeds else "",
        }
        for row in ROWS
    ]


def show_models(rows: Sequence[Row]) -> None:
    """Print the catalogue for people."""
    columns = {"model": 0, "dim.": 0, "window": 0, "$/M": 0, "MTEB": 0, "here": 0}
    columns |= {"tokens/s": 107, "languages": 118, "licence": 131, "config": 159}
    sources = list(dict.fromkeys(source for row in rows if (source := row["mteb_source"])))
    _show_table(
        columns,
        (
            (
                row["model"],
                row["dimension"],
                "any" if row["window_tokens"] == NO_LIMIT_TOKENS else row["window_tokens"],
                f"{price:.2f}" if (price := row["price_usd_per_million_tokens"]) else "-",
                f"{mean} [{sources.index(row['mteb_source']) + 1}]"
                if (mean := row["mteb_average"])
                else "-",
                _WHERE[row["on_this_machine"]],
                f"{speed:,.0f}" if (speed := row["tokens_per_s"]) else "-",
                row["languages"],
                row["licence"],
                row["config"],
            )
            for row in rows
        ),
    )
    show(
        "",
        "Any other sentence-transformers model works by name. $/M: list price of a million tokens.",
        "MTEB: mean over its English tasks, as published by",
        *(f"  [{number}] {source}" for number, source in enumerate(sources, start=1)),
        "tokens/s: measured on this machine, by the last ingest or by --check NAME.",
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
    _show_table(
        {"model": 0, "vectors": 0, "MB": 0, "fingerprint": 0},
        (
            (
                row["model"],
                f"{row['count']:,}",
                f"{float(str(row['size_bytes'])) / 1e6:,.1f}",
                row["fingerprint"],
            )
            for row in rows
        ),
    )


def setting_rows(settings: Settings) -> list[Row]:
    """Every setting, secrets masked."""
    return [
        {"key": key, "value": _masked(value), "origin": origin, "description": description}
        for key, value, origin, description in settings.describe()
    ]


def show_settings(rows: Sequence[Row]) -> None:
    """Print the settings for people."""
    _show_table(
        {"setting": 0, "value": 0, "from": 0, "what it is for": 110},
        (
            (
                row["key"],
                "-" if row["value"] is None else json.dumps(row["value"], ensure_ascii=False),
                row["origin"],
                row["description"],
            )
            for row in rows
        ),
    )


def _masked(value: object) -> object:
    """A value as JSON can hold it, without secrets."""
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(key): _masked(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_masked(item) for item in value]
    if isinstance(value, (str, Path)):
        return URL_CREDENTIALS.sub(f"{HIDDEN}@", str(value))
    return value


def _show_table(columns: Mapping[str, int], rows: Iterable[Sequence[object]]) -> None:
    """Print a table for people.

    Args:
        columns: each heading, and the width of the terminal below which it is left out.
        rows: the cells of each row, one for every column.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    width = console().width
    kept = [number for number, least in enumerate(columns.values()) if width >= least]
    for number, heading in enumerate(columns):
        if number in kept:
            table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(printable(str(row[number])) for number in kept))
    show_styled(table)
