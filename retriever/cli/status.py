"""What a collection holds, how it was built and how its last run ended."""

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from retriever import assembly
from retriever.checking.inspecting import strays
from retriever.cli.terminal import one_line, show
from retriever.collection.state import CollectionState, CollectionSummary, Run
from retriever.collection.store import Store
from retriever.embedding import cache
from retriever.errors import CollectionDamaged
from retriever.indexing import LexicalSummary, summarise
from retriever.records import Fingerprint
from retriever.repairing.recovering import refuse_torn
from retriever.settings import Settings

_STRAYS = {
    "upkeep": "made by a compaction, repair or import that is at work or was interrupted; the next "
    "run deletes it",
    "swap": "begun by a swap; retriever swap goes on with it, retriever prune deletes it",
}


@dataclass(frozen=True, slots=True)
class Status:
    """A collection and the place that holds it, as `status --json` prints it."""

    place: str
    collection: str
    revision: int
    documents: int
    skipped: int
    chunks: int
    tokens: int
    roots: Mapping[str, str]
    last_ingested_at: str | None
    """When a document was last added or changed, ISO 8601, UTC."""
    run: Mapping[str, object] | None
    """The run that is at work or was interrupted: its kind, when and where it began, whether it
    lives, and what completes it."""
    strays: Mapping[str, str]
    """Copies that are not live, and whose they are: of a swap, or of other work on it."""
    fingerprint: Fingerprint
    size_bytes: int | None
    """Bytes of the state folder, a vector cache in it included; None where there is none."""
    cache_bytes: int | None
    cache_folder: str
    """Where the vector cache is."""
    lexical: LexicalSummary


def read_status(settings: Settings) -> Status:
    """Look at the collection that the settings name.

    Raises:
        CollectionNotFound: nothing has been ingested under that name.
        CollectionDamaged: its index files cannot be trusted; it tells of an interrupted run, too.
    """
    with assembly.open_store(settings) as store:
        state = store.state(settings.collection)
        with store.guard():
            _refuse_torn(store, state)
            data = store.physical(state.live)
            data.chunk_count()  # has Chroma open the index
        records = list(data.manifest())
        summary = CollectionSummary(state, data.fingerprint, data.chunk_count())
        lexical = summarise(settings, store, data)
        left_over, unfinished = strays(store, state)
        place, mode = store.options.place, store.options.mode
    folder = settings.storage.path if mode == "embedded" else None
    cache_folder = assembly.cache_folder(settings)
    complete = [record for record in records if record.status == "complete"]
    return Status(
        place=place,
        collection=state.name,
        revision=state.revision,
        documents=len(complete),
        skipped=len(records) - len(complete),
        chunks=summary.chunk_count,
        tokens=sum(record.token_count for record in complete),
        roots=dict(state.roots),
        last_ingested_at=max((record.ingested_at for record in records), default=None),
        run=_run_of(state),
        strays=dict.fromkeys(left_over, "upkeep") | dict.fromkeys(unfinished, "swap"),
        fingerprint=summary.fingerprint,
        size_bytes=_size_bytes(folder, "**/*") if folder else None,
        cache_bytes=_size_bytes(cache_folder, f"{cache.FILE_NAME}*"),
        cache_folder=str(cache_folder),
        lexical=lexical,
    )


def _refuse_torn(store: Store, state: CollectionState) -> None:
    try:
        refuse_torn(store, state.live)
    except CollectionDamaged as error:
        told = "".join(f" {label}: {text}." for label, text in _run_row(_run_of(state)))
        raise CollectionDamaged(f"{error}{told}") from error


def _run_of(state: CollectionState) -> Mapping[str, object] | None:
    return _described(state.run) if state.run else None


def show_status(status: Status) -> None:
    """Print a status for people."""
    embedding, chunking = status.fingerprint.embedding, status.fingerprint.chunking
    rows = [
        ("collection", f"{status.collection} in {status.place}, revision {status.revision}"),
        ("documents", f"{status.documents:,} complete, {status.skipped:,} skipped"),
        ("chunks", f"{status.chunks:,} ({status.tokens:,} tokens)"),
        *(("root", f"{name} = {path}") for name, path in status.roots.items()),
        ("last change", _moment(status.last_ingested_at)),
        *_run_row(status.run),
        *_stray_rows(status),
        ("model", f"{embedding.model} ({embedding.backend}, weights {embedding.revision[:12]})"),
        (
            "vectors",
            f"{embedding.dimension} dimensions, window {embedding.window_tokens:,} tokens, "
            f"{embedding.pooling} pooling",
        ),
        *_prefix_rows(embedding.query_prefix, embedding.chunk_prefix),
        (
            "chunking",
            f"{chunking.chunker}, {chunking.tokens} tokens, {chunking.overlap_tokens} of overlap, "
            f"title {_is_embedded(chunking.embed_title)}, "
            f"headings {_is_embedded(chunking.embed_headings)}",
        ),
        ("lexical index", _lexical_row(status.lexical)),
        *_size_row(status),
    ]
    width = max(len(label) for label, _ in rows)
    show(*(f"{label:<{width}}  {one_line(value)}" for label, value in rows))


def in_megabytes(size_bytes: int) -> str:
    """A size for people: `0.4 MB`."""
    return f"{size_bytes / 1e6:,.1f} MB"


def _run_row(run: Mapping[str, object] | None) -> list[tuple[str, str]]:
    if run is None:
        return []
    began = f"began {_moment(str(run['started_at']))} (process {run['pid']} on {run['host']})"
    if run["alive"]:
        return [("run", f"{run['kind']} at work, {began}")]
    return [("run", f"{run['kind']} interrupted, {began}; {run['completion']}")]


def _stray_rows(status: Status) -> list[tuple[str, str]]:
    if status.run is not None and status.run["alive"]:
        return []
    return [("copy", f"{name}: {_STRAYS[kind]}") for name, kind in status.strays.items()]


def _prefix_rows(query_prefix: str, chunk_prefix: str) -> list[tuple[str, str]]:
    if not query_prefix and not chunk_prefix:
        return []
    return [("prefixes", f"query {query_prefix!r}, chunk {chunk_prefix!r}")]


def _size_row(status: Status) -> list[tuple[str, str]]:
    if status.size_bytes is None:
        return []
    size, of_cache = in_megabytes(status.size_bytes), in_megabytes(status.cache_bytes or 0)
    if not status.cache_bytes:
        return [("on disk", size)]
    if Path(status.cache_folder).is_relative_to(status.place):
        return [("on disk", f"{size}, of which the vector cache {of_cache}")]
    return [("on disk", f"{size}, and the vector cache {of_cache} in {status.cache_folder}")]


def _lexical_row(lexical: LexicalSummary) -> str:
    if lexical.revision is None or lexical.revision < 0:
        return "none that can be used: the next search makes it"
    size = in_megabytes(lexical.size_bytes)
    return f"{lexical.chunks:,} chunks, revision {lexical.revision}, {size}"


def _moment(iso: str | None) -> str:
    return iso.replace("T", " ").replace("+00:00", " UTC") if iso else "never"


def _is_embedded(embedded: bool) -> str:
    return "embedded" if embedded else "not embedded"


def _described(run: Run) -> dict[str, object]:
    return asdict(run) | {"alive": _is_alive(run), "completion": run.completion}


def _is_alive(run: Run) -> bool:
    """Whether a run's process lives; False where that cannot be seen from here."""
    if run.host != socket.gethostname() or os.name != "posix":
        return False
    try:
        os.kill(run.pid, 0)  # signal 0 only asks
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _size_bytes(folder: Path, pattern: str) -> int | None:
    """Bytes of a folder's files of a pattern; files that vanish meanwhile do not count."""
    if not folder.is_dir():
        return None
    total = 0
    for path in folder.glob(pattern):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
