"""Collections to damage: real ones on disk, whose vectors are in index files as in a large one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retriever import assembly, compacting
from retriever.checking import inspecting, isolation
from retriever.collection import segments, store
from retriever.collection.physical import PhysicalCollection
from retriever.collection.state import CollectionState
from retriever.moving import moves as moving
from retriever.repairing import mending
from retriever.settings import Settings

TOPICS = ("pump", "boiler", "valve", "turbine", "fuse", "gasket")
DOCUMENTS = len(TOPICS)
CHUNKS = 3 * DOCUMENTS
PROOFS = ("turn", "clean", "press")
INDEX_FILES = (
    "data_level0.bin",
    "header.bin",
    "length.bin",
    "link_lists.bin",
    "index_metadata.pickle",
)


def write_corpus(folder: Path) -> Path:
    """Documents of three chunks each."""
    folder.mkdir(parents=True)
    for number, topic in enumerate(TOPICS):
        sections = [
            f"## {part} of the {topic}\n\nThe {topic} needs {part} at {number} hundred hours: "
            f"{proof} it and write {part} {topic} down.\n"
            for part, proof in zip(("Cleaning", "Testing", "Storage"), PROOFS, strict=True)
        ]
        text = f"# The {topic}\n\n" + "\n".join(sections)
        (folder / f"{topic}.md").write_text(text, encoding="utf-8")
    return folder


def hashing_settings(state_folder: Path) -> Settings:
    """Settings of a collection in a folder, whose embedder needs no model."""
    return Settings.load(
        **{
            "storage.path": state_folder,
            "embedding.backend": "retriever.testing:HashingEmbedder",
            "embedding.model": "hashing",
            "chunking.tokens": 64,
            "retrieval.merge_neighbours": False,
        }
    )


def write_small_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Chroma write its index files every few rows; by itself it does so every 1,000."""
    hnsw = store.INDEX["hnsw"]
    monkeypatch.setitem(hnsw, "sync_threshold", 4)
    monkeypatch.setitem(hnsw, "batch_size", 4)


def examine_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare a test the second that a process takes to start."""
    for module in (inspecting, mending, compacting, moving):
        monkeypatch.setattr(module, "examine_generation", isolation.examine_here)


def state_of(settings: Settings) -> CollectionState:
    with assembly.open_store(settings) as opened:
        return opened.state(settings.collection)


def index_folder(settings: Settings, *, documents: bool = False) -> Path:
    """The folder of the live index."""
    name = state_of(settings).live + (".documents" if documents else "")
    found = segments.index_folder(settings.storage.path, name)
    assert found is not None
    return found


def contents(settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Texts and metadata of the live generation, and its vectors, by id."""
    rows: dict[str, Any] = {}
    vectors: dict[str, Any] = {}
    with assembly.open_store(settings) as opened:
        data = opened.physical(opened.state(settings.collection).live)
        for page in data.chunk_pages(with_vectors=True):
            rows |= dict(zip(page.ids, zip(page.texts, page.rows, strict=True), strict=True))
            vectors |= dict(zip(page.ids, page.vectors, strict=True))
    return rows, vectors


def same(one: tuple[dict[str, Any], ...], other: tuple[dict[str, Any], ...]) -> bool:
    """Whether two contents are equal, vectors but for what float32 rounds."""
    (rows, vectors), (other_rows, other_vectors) = one, other
    return rows == other_rows and all(
        np.allclose(vectors[chunk_id], other_vectors[chunk_id], atol=1e-6) for chunk_id in rows
    )


def behind_its_back(
    settings: Settings, work: Callable[[Any, Any, PhysicalCollection], object]
) -> None:
    """Do something to the live chunks and documents with collections of Chroma's own."""
    with assembly.open_store(settings) as opened:
        name = opened.state(settings.collection).live
        data = opened.physical(name)
        work(data._chunks, data._documents, data)


def drop_documents(settings: Settings) -> None:
    """Delete the collection of documents with a client of Chroma's own."""
    with assembly.open_store(settings) as opened:
        name = opened.state(settings.collection).live
        opened._client.delete_collection(f"{name}.documents")


def kinds(findings: Any) -> dict[str, list[str]]:
    """The subjects of findings by their kind."""
    found: dict[str, list[str]] = {}
    for one in findings:
        found.setdefault(one.kind, []).append(one.subject)
    return {kind: sorted(subjects) for kind, subjects in found.items()}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
