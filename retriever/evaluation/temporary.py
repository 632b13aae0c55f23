"""Collections that are built to be asked and then removed. Their vectors stay in the cache.

Each has a state folder of its own, so that neither the user's collections nor their lock are
touched. What was embedded once, for them or for the user's own, is not embedded again.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from retriever import assembly
from retriever.embedding.catalogue import find_row
from retriever.evaluation.beir import ROOT, write_corpus
from retriever.ingestion import IngestOptions, ingest
from retriever.ingestion.applying import Progress
from retriever.records import IngestReport
from retriever.settings import Settings
from retriever.settings.tree import LoadingSettings, StorageSettings

COLLECTION = "evaluation"
KEPT_FOLDER = "evaluation"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a collection costs to build."""

    documents: int = 0
    chunks: int = 0
    tokens: int = 0
    """Of all its chunks, as if there were no cache."""
    tokens_embedded: int = 0
    """In this run: the others came from the cache, were there before, or are of equal texts."""
    price_usd: float = 0.0
    """Of all its tokens, by the model's listed price; 0 for a model on one's own machine."""
    seconds: float = 0.0
    """What this run's ingest took; 0 for a collection that was there before."""


@dataclass(frozen=True, slots=True)
class Built:
    """A collection that stands ready to be asked."""

    settings: Settings
    cost: Cost
    ids: Mapping[str, str] = field(default_factory=dict)
    """Source to the id that its judges gave it; empty where sources are the ids."""
    skipped: int = 0
    """Documents that hold no text, so that nothing can find them."""


@contextlib.contextmanager
def built_from_set(
    folder: Path, settings: Settings, *, keep: bool = False, progress: Progress | None = None
) -> Iterator[Built]:
    """Ingest a judged set's documents; removed afterwards unless `keep` is asked for."""
    loading = LoadingSettings(max_file_mb=settings.loading.max_file_mb)
    settings = settings.model_copy(update={"loading": loading})
    with _folder(folder, settings, keep=keep) as work:
        ids = write_corpus(folder, work / ROOT)
        own = _own(settings, work / "state")
        report = ingest(f"{ROOT}={work / ROOT}", own, options=_UNGUARDED, progress=progress)
        yield Built(own, cost_of(own, report), ids, skipped=len(report.skipped))


@contextlib.contextmanager
def built_from_roots(
    roots: Mapping[str, str], settings: Settings, *, progress: Progress | None = None
) -> Iterator[Built]:
    """Ingest folders anew under the names of their roots; removed afterwards."""
    with _folder(None, settings, keep=False) as work:
        own = _own(settings, work / "state")
        folders = [f"{name}={path}" for name, path in roots.items()]
        report = ingest(folders, own, options=_UNGUARDED, progress=progress)
        yield Built(own, cost_of(own, report), skipped=len(report.skipped))


def cost_of(settings: Settings, report: IngestReport | None = None) -> Cost:
    """What a collection costs; `report` is that of the run which built it."""
    with assembly.open_store(settings) as store:
        data = store.physical(store.state(settings.collection).live)
        row = find_row(data.fingerprint.embedding.model)
        manifest = [record for record in data.manifest() if record.status == "complete"]
    tokens = sum(record.token_count for record in manifest)
    return Cost(
        documents=len(manifest),
        chunks=sum(record.chunk_count for record in manifest),
        tokens=tokens,
        tokens_embedded=report.tokens if report else 0,
        price_usd=tokens * (row.price_usd_per_million_tokens if row else 0.0) / 1e6,
        seconds=report.seconds if report else 0.0,
    )


_UNGUARDED = IngestOptions(allow_delete=True)


def _own(settings: Settings, state: Path) -> Settings:
    """The same settings for a collection in a folder of its own, with the user's vector cache."""
    embedding = settings.embedding
    if settings.storage.mode != "memory":
        embedding = embedding.model_copy(update={"cache_path": assembly.cache_folder(settings)})
    return settings.model_copy(
        update={
            "collection": COLLECTION,
            "storage": StorageSettings(path=state),
            "embedding": embedding,
        }
    )


@contextlib.contextmanager
def _folder(source: Path | None, settings: Settings, *, keep: bool) -> Iterator[Path]:
    if source is not None and keep:
        yield settings.storage.path / KEPT_FOLDER / _kept_name(source, settings)
        return
    with tempfile.TemporaryDirectory(prefix="retriever-", ignore_cleanup_errors=True) as work:
        yield Path(work)


def _kept_name(source: Path, settings: Settings) -> str:
    """The same for the same set cut and embedded in the same way."""
    built = (str(source.resolve()), repr(settings.chunking), repr(settings.embedding))
    identity = hashlib.sha256("\n".join(built).encode("utf-8", "replace")).hexdigest()[:12]
    safe = "".join(letter if letter.isalnum() else "-" for letter in source.resolve().name)[:40]
    return f"{safe}-{identity}"
