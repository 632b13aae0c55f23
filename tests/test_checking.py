"""A check finds each kind of damage, names what is hurt, and is silent about a whole collection."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damaged_collections import (
    CHUNKS,
    DOCUMENTS,
    INDEX_FILES,
    behind_its_back,
    contents,
    drop_documents,
    examine_in_process,
    index_folder,
    kinds,
    state_of,
)

from retriever import assembly
from retriever.checking import inspecting, isolation
from retriever.checking.checks import CheckReport, check
from retriever.checking.spans import locate
from retriever.chunking import Chunker, ChunkingOptions, compose_embedded_text
from retriever.collection.state import CollectionState, Run
from retriever.embedding.options import EmbedderOptions
from retriever.errors import CollectionDamaged, CollectionLocked, CollectionNotFound
from retriever.ingestion import ingest
from retriever.protocols import Vectors
from retriever.records import DocumentRecord
from retriever.settings import Settings
from retriever.testing import HashingEmbedder

PUMP = "corpus/pump.md"


def found(settings: Settings) -> dict[str, list[str]]:
    return kinds(check(settings).findings)


def ids_of(settings: Settings, source: str) -> list[str]:
    rows, _ = contents(settings)
    return [one for one, (_, row) in rows.items() if row["source"] == source]


def test_a_whole_collection_has_no_findings(whole: Settings) -> None:
    report = check(whole)
    assert report == replace(
        CheckReport("docs", report.revision, DOCUMENTS, CHUNKS, (), (), report.seconds)
    )


def test_a_collection_that_was_edited_and_pruned_has_no_findings(
    settings: Settings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examine_in_process(monkeypatch)
    ingest(corpus, settings)
    (corpus / "notes.txt").unlink()
    (corpus / "pump.md").write_text("# Pump\n\nAnother text about the pump.\n", "utf-8")
    (corpus / "broken.pdf").write_bytes(b"%PDF-1.7 this is no PDF")
    ingest(corpus, settings)
    assert check(settings).findings == ()


def test_a_check_writes_nothing(whole: Settings) -> None:
    """Index files, cache, state and rows are as they were; Chroma itself notes an opening."""

    def held() -> tuple[object, ...]:
        files = [*index_folder(whole).iterdir(), whole.storage.path / "vectors.sqlite3"]
        return {file.name: file.read_bytes() for file in files}, state_of(whole), contents(whole)[0]

    before = held()
    check(whole)
    assert held() == before


def test_a_collection_that_is_not_there_is_not_found(make_settings: Any, tmp_path: Path) -> None:
    with pytest.raises(CollectionNotFound):
        check(make_settings())
    assert not (tmp_path / "state").exists()


def test_lost_vectors_are_named_by_document_though_the_count_is_right(whole: Settings) -> None:
    shutil.rmtree(index_folder(whole))
    report = check(whole)
    assert report.chunks == CHUNKS
    assert PUMP in kinds(report.findings)["vector"]
    assert all(finding.mendable for finding in report.findings)


def test_vectors_that_cannot_be_right_are_found(whole: Settings) -> None:
    one, two = ids_of(whole, PUMP)[:2]
    twice = 2 * contents(whole)[1][one]
    behind_its_back(whole, lambda chunks, *_: chunks.update(ids=[one], embeddings=[twice]))
    behind_its_back(whole, lambda chunks, *_: chunks.update(ids=[two], embeddings=[0 * twice]))
    (finding,) = [one for one in check(whole).findings if one.kind == "vector"]
    assert str(finding) == f"{PUMP}: 2 chunks have vectors that cannot be right"


def test_a_sound_vector_of_another_text_disagrees_with_its_document(whole: Settings) -> None:
    mine, other = ids_of(whole, PUMP)[0], ids_of(whole, "corpus/valve.md")[0]
    vector = contents(whole)[1][other]
    behind_its_back(whole, lambda chunks, *_: chunks.update(ids=[mine], embeddings=[vector]))
    assert found(whole) == {"document vector": [PUMP]}


def test_chunks_deleted_behind_its_back_are_found(whole: Settings) -> None:
    gone = ids_of(whole, PUMP)[:2]
    behind_its_back(whole, lambda chunks, *_: chunks.delete(ids=gone))
    assert [str(one) for one in check(whole).findings] == [
        f"{PUMP}: its record tells of 3 chunks, 1 are there"
    ]


def test_a_record_deleted_behind_its_back_is_found(whole: Settings) -> None:
    behind_its_back(whole, lambda *given: given[2].delete_documents([PUMP]))
    assert [str(one) for one in check(whole).findings] == [f"{PUMP}: it has 3 chunks and no record"]


def test_chunks_of_another_version_are_found(whole: Settings) -> None:
    one = ids_of(whole, PUMP)[:1]
    row = {"document_hash": "0" * 64}
    behind_its_back(whole, lambda chunks, *_: chunks.update(ids=one, metadatas=[row]))
    assert found(whole) == {"record": [PUMP]}


def test_an_altered_text_title_or_heading_is_found(whole: Settings) -> None:
    one, two, three = ids_of(whole, PUMP)

    vector = contents(whole)[1][one]

    def alter(chunks: Any, *_: object) -> None:
        chunks.update(ids=[one], documents=["Another text."], embeddings=[vector])
        chunks.update(ids=[two], metadatas=[{"title": "The valve"}])
        chunks.update(ids=[three], metadatas=[{"heading_path": "Elsewhere"}])

    behind_its_back(whole, alter)
    (finding,) = [one for one in check(whole, corpus=False).findings]
    assert str(finding) == f"{PUMP}: 3 chunks hold another text than was stored"


def test_rows_of_somebody_else_are_found(whole: Settings) -> None:
    vector = np.eye(1, 256, dtype=np.float32)

    def add(chunks: Any, documents: Any, _: object) -> None:
        chunks.add(ids=["alien"], embeddings=vector, documents=["Text."])
        chunks.add(ids=["mute"], embeddings=vector, metadatas=[{"source": PUMP}])
        documents.add(ids=["alien"], embeddings=vector, metadatas=[{"content_hash": "x"}])

    behind_its_back(whole, add)
    assert found(whole) == {"row": ["alien", "alien", "mute"]}


def test_a_span_that_is_no_slice_of_its_file_is_found(whole: Settings) -> None:
    one = ids_of(whole, PUMP)[:1]
    row = {"start": 1, "end": 1 + len(contents(whole)[0][one[0]][0])}
    behind_its_back(whole, lambda chunks, *_: chunks.update(ids=one, metadatas=[row]))
    assert found(whole) == {"span": [PUMP]}
    assert check(whole, corpus=False).findings == ()


def test_a_file_that_changed_since_proves_nothing(
    settings: Settings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examine_in_process(monkeypatch)
    ingest(corpus, settings)
    pump = corpus / "pump.md"
    pump.write_text(pump.read_text("utf-8").replace("Friday", "Monday"), "utf-8")
    assert check(settings).findings == ()


@pytest.mark.parametrize("inside", ["../outside.md", "link.md", "", "gone.md"])
def test_only_files_inside_a_root_are_read(tmp_path: Path, inside: str) -> None:
    """Whatever a collection says of its sources, no other file is opened."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.md").write_text("secret", "utf-8")
    (root / "link.md").symlink_to(tmp_path / "outside.md")
    record = DocumentRecord(
        **{name: "" for name in DocumentRecord.__slots__}  # type: ignore[arg-type]
        | {"source": f"root/{inside}", "size_bytes": 6}
    )
    assert locate(record, {"root": str(root)}) is None
    assert locate(replace(record, source="other/a.md"), {"root": str(root)}) is None
    assert locate(replace(record, source="root/a\0b"), {"root": str(root)}) is None
    assert locate(record, {"root": f"{root}\0"}) is None
    (root / "a.md").write_text("public", "utf-8")
    assert locate(replace(record, source="root/a.md"), {"root": str(root)}) is not None


def test_missing_documents_and_chunks_are_told_apart(whole: Settings) -> None:
    drop_documents(whole)
    assert found(whole)["documents"] == ["docs.1"]
    with assembly.open_store(whole) as store:
        store._client.delete_collection("docs.1")
    (finding,) = check(whole).findings
    assert (finding.kind, finding.mendable) == ("chunks", False)


def test_a_collection_that_forgot_how_it_was_built_is_told(whole: Settings) -> None:
    behind_its_back(whole, lambda chunks, *_: chunks.modify(metadata={"x": 1}))
    (finding,) = check(whole).findings
    assert (finding.kind, finding.mendable) == ("fingerprint", False)


class ChangedEmbedder(HashingEmbedder):
    """Has the fingerprint of another embedder, and other weights."""

    def _vector(self, text: str) -> Vectors:
        return np.roll(super()._vector(text), 1)


def test_a_model_that_changed_under_its_name_is_found(whole: Settings) -> None:
    embedding = whole.embedding.model_copy(update={"backend": f"{__name__}:ChangedEmbedder"})
    changed = whole.model_copy(update={"embedding": embedding})
    (finding,) = check(changed).findings
    assert finding.kind == "canary"
    assert "canary cosine" in finding.text
    assert check(changed, canary=False).findings == ()


class AbsentEmbedder(HashingEmbedder):
    """A model that is not to be had."""

    def __init__(self, options: EmbedderOptions) -> None:
        raise CollectionDamaged("no model here")


def test_a_model_that_is_not_at_hand_is_no_damage(whole: Settings) -> None:
    embedding = whole.embedding.model_copy(update={"backend": f"{__name__}:AbsentEmbedder"})
    report = check(whole.model_copy(update={"embedding": embedding}))
    assert report.findings == ()
    assert report.notes == ("Its model could not be checked: no model here",)


def set_state(settings: Settings, **changes: Any) -> CollectionState:
    with assembly.open_writing_store(settings) as store:
        return store.save(replace(store.state(settings.collection), **changes))


def test_an_interrupted_run_is_told_with_its_time(whole: Settings) -> None:
    set_state(whole, run=Run(started_at="2026-01-02T03:04:05+00:00", pid=7, host="there"))
    (finding,) = check(whole).findings
    assert finding.kind == "run"
    assert "2026-01-02T03:04:05+00:00 by process 7 on there" in finding.text


def test_generations_that_nothing_leads_to_are_found(whole: Settings) -> None:
    with assembly.open_writing_store(whole) as store:
        state = store.state("docs")
        built = store.physical(state.live).fingerprint
        other = replace(built, embedding=replace(built.embedding, model="other"))
        names = [store.add_generation(state, one) for one in (built, other, built)]
        store.save(replace(state, previous=names[2]))
    leftovers = [one for one in check(whole).findings if one.kind == "leftover"]
    assert [(one.subject, one.mendable) for one in leftovers] == [
        ("docs.2", True),
        ("docs.3", False),
    ]


@pytest.mark.parametrize("part", [slice(0, 4096), slice(8192, None)])
def test_a_scribbled_cache_is_found_and_left_where_it_is(whole: Settings, part: slice) -> None:
    cache = whole.storage.path / "vectors.sqlite3"
    data = bytearray(cache.read_bytes())
    data[part] = b"\xa5" * len(data[part])
    cache.write_bytes(data)
    assert found(whole) == {"cache": ["vectors.sqlite3"]}
    assert cache.read_bytes() == data


def test_a_cache_with_a_folder_of_its_own_is_looked_at_for_a_collection_in_memory(
    make_settings: Callable[..., Settings],
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    examine_in_process(monkeypatch)
    folder = tmp_path / "cache"
    settings = make_settings(**{"storage.mode": "memory", "embedding.cache_path": folder})
    ingest(corpus, settings)
    assert found(settings) == {}
    (folder / "vectors.sqlite3").write_bytes(b"no database" * 1_000)
    for left in folder.glob("*-wal"):
        left.unlink()
    assert found(settings) == {"cache": ["vectors.sqlite3"]}


def test_a_missing_cache_is_no_damage(whole: Settings) -> None:
    for path in whole.storage.path.glob("vectors*"):
        path.unlink()
    assert check(whole).findings == ()
    assert not list(whole.storage.path.glob("vectors*"))


def test_beside_a_writer_there_is_no_answer_but_its_pid(whole: Settings) -> None:
    with assembly.open_writing_store(whole), pytest.raises(CollectionLocked) as caught:
        check(whole)
    assert caught.value.pid is not None


def test_a_commit_meanwhile_makes_the_answer_void(
    whole: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retriever.checking import checks as checking

    original = checking.inspect

    def interrupted(*given: Any, **named: Any) -> Any:
        answer = original(*given, **named)
        set_state(whole, revision=99)
        return answer

    monkeypatch.setattr(checking, "inspect", interrupted)
    with pytest.raises(CollectionLocked):
        check(whole)


def test_memory_is_checked_too(make_settings: Any, corpus: Path) -> None:
    settings = make_settings(**{"storage.mode": "memory"})
    ingest(corpus, settings)
    assert check(settings).findings == ()


def test_every_embedded_text_can_be_made_again_from_a_row(whole: Settings) -> None:
    """The rule by which a check recognises altered texts is the chunker's own."""
    options = ChunkingOptions(tokens=64, overlap_tokens=0, embed_title=True, embed_headings=True)
    embedder = HashingEmbedder()
    chunker = Chunker(options, count_tokens=embedder.count_tokens, window_tokens=256)
    root = Path(state_of(whole).roots["corpus"])
    with assembly.open_loader(whole) as loader:
        from retriever.loading.walking import walk
        from retriever.records import CorpusFile, Root

        files = walk([Root("corpus", root)], assembly.loading_options(whole))
        documents = [loader.load(one) for one in files if isinstance(one, CorpusFile)]
    chunks = [chunk for document in documents for chunk in chunker.chunk(document)]
    assert len(chunks) == CHUNKS
    for one in chunks:
        rebuilt = compose_embedded_text(one.title, one.heading_path, one.text, options)
        assert rebuilt == one.embedded_text


@pytest.mark.slow
@pytest.mark.parametrize("file", INDEX_FILES)
def test_a_scribbled_index_ends_only_the_process_that_looks(
    whole: Settings, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setattr(inspecting, "examine_generation", isolation.examine_generation)
    path = index_folder(whole) / file
    noise = np.random.default_rng(5).bytes(path.stat().st_size)
    path.write_bytes(noise)
    findings = check(whole).findings
    if file == "link_lists.bin":
        return  # so few chunks are linked without it
    assert findings
    assert {one.kind for one in findings} <= {"index", "vector", "search", "document vector"}
