"""Damage to collections on disk is mended: same rows and vectors as before, or what is left."""

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
    lines_of,
    same,
    state_of,
)

from retriever import assembly
from retriever.checking import inspecting, isolation
from retriever.checking.checks import check
from retriever.collection import segments
from retriever.collection.state import Run
from retriever.errors import (
    CollectionDamaged,
    CollectionError,
    EmbeddingUnavailable,
    FingerprintMismatch,
)
from retriever.ingestion import ingest
from retriever.protocols import Vectors
from retriever.repairing import mending
from retriever.repairing.repairs import RepairReport, repair
from retriever.retrieval import Retriever
from retriever.settings import Settings
from retriever.swapping.returning import rollback
from retriever.swapping.swaps import swap
from retriever.testing import HashingEmbedder

PUMP = "corpus/pump.md"


def corpus_of(settings: Settings) -> str:
    return state_of(settings).roots["corpus"]


def ids_of(settings: Settings, source: str) -> list[str]:
    rows, _ = contents(settings)
    return [one for one, (_, row) in rows.items() if row["source"] == source]


def without_cache(settings: Settings) -> Settings:
    embedding = settings.embedding.model_copy(update={"cache": False})
    return settings.model_copy(update={"embedding": embedding})


def with_embedder(settings: Settings, name: str) -> Settings:
    embedding = settings.embedding.model_copy(update={"backend": f"{__name__}:{name}"})
    return settings.model_copy(update={"embedding": embedding})


def expect_healed(settings: Settings, before: tuple[Any, ...], report: RepairReport) -> None:
    """Nothing is left, rows and vectors are as they were, and the next run has nothing to do."""
    assert report.found
    assert report.left == check(settings).findings == ()
    assert same(contents(settings), before)
    assert ingest(corpus_of(settings), settings).unchanged == DOCUMENTS


def test_a_whole_collection_is_left_as_it_is(whole: Settings) -> None:
    before = state_of(whole)
    report = repair(whole)
    assert (report.found, report.left) == ((), ())
    assert state_of(whole) == before


def test_a_removed_index_is_rebuilt_from_the_cache(whole: Settings) -> None:
    before = contents(whole)
    shutil.rmtree(index_folder(whole))
    report = repair(whole)
    assert report.vectors_from_cache > 0
    assert report.vectors_embedded == 0
    expect_healed(whole, before, report)


@pytest.mark.slow
def test_without_a_cache_the_stored_text_is_embedded_again(whole: Settings) -> None:
    before = contents(whole)
    shutil.rmtree(index_folder(whole))
    report = repair(without_cache(whole))
    assert report.vectors_embedded > 0
    expect_healed(whole, before, report)


@pytest.mark.slow
def test_the_index_of_the_documents_is_rebuilt_too(whole: Settings) -> None:
    before = contents(whole)
    shutil.rmtree(index_folder(whole, documents=True))
    report = repair(whole)
    assert "document vector" in kinds(report.found)
    expect_healed(whole, before, report)


@pytest.fixture
def apart(whole: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Examined in processes of their own, as outside of tests: broken files may end them."""
    for module in (inspecting, mending):
        monkeypatch.setattr(module, "examine_generation", isolation.examine_generation)
    return whole


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["truncated", "scribbled"])
@pytest.mark.parametrize(
    ("file", "documents"),
    [*((file, False) for file in INDEX_FILES), ("header.bin", True), ("data_level0.bin", True)],
)
def test_an_index_file_that_cannot_be_read_is_replaced(
    apart: Settings, file: str, damage: str, documents: bool
) -> None:
    before = contents(apart)
    path = index_folder(apart, documents=documents) / file
    size_bytes = path.stat().st_size
    kept = path.read_bytes()[: size_bytes // 20]
    noise = np.random.default_rng(7).bytes(size_bytes)
    path.write_bytes(kept if damage == "truncated" else noise)
    report = repair(apart)
    assert report.left == ()
    assert same(contents(apart), before)
    assert check(apart).findings == ()


def test_chunks_deleted_behind_its_back_come_back_with_the_next_run(whole: Settings) -> None:
    """A repair cannot know the lost text; it has the file read again, which embeds nothing."""
    before = contents(whole)
    gone = ids_of(whole, PUMP)[:2]
    behind_its_back(whole, lambda chunks, *_: chunks.delete(ids=gone))
    report = repair(whole)
    assert kinds(report.left) == {"unread": [PUMP]}
    assert "ingest its folder again" in report.left[0].text
    run = ingest(corpus_of(whole), whole)
    assert (run.updated, run.unchanged) == (1, DOCUMENTS - 1)
    assert run.chunks.embedded == 0
    assert check(whole).findings == ()
    assert same(contents(whole), before)


def test_a_lost_record_is_rebuilt_from_the_chunks(whole: Settings) -> None:
    before = contents(whole)
    behind_its_back(whole, lambda *given: given[2].delete_documents([PUMP]))
    assert kinds(repair(whole).left) == {"unread": [PUMP]}
    assert ingest(corpus_of(whole), whole).chunks.embedded == 0
    assert check(whole).findings == ()
    assert same(contents(whole), before)


def test_missing_documents_are_rebuilt_and_no_text_is_embedded_again(whole: Settings) -> None:
    before = contents(whole)
    drop_documents(whole)
    report = repair(whole)
    assert len(kinds(report.left)["unread"]) == DOCUMENTS
    with Retriever.open(whole) as retriever:
        assert retriever.retrieve("cleaning of the pump")[0].source == PUMP
    run = ingest(corpus_of(whole), whole)
    assert (run.added, run.updated, run.chunks.embedded) == (0, DOCUMENTS, 0)
    assert check(whole).findings == ()
    assert same(contents(whole), before)


@pytest.mark.parametrize("place", [0, 8_192])
def test_a_damaged_database_is_told_with_the_way_out_which_embeds_nothing(
    whole: Settings, place: int
) -> None:
    """Nothing can be read then: not the state of a collection, nor its texts."""
    roots = corpus_of(whole)
    with segments.database(whole.storage.path).open("r+b") as file:
        file.seek(place)
        file.write(b"scribble" * 4_000)
    with pytest.raises(CollectionError, match="move its folder `chroma` away"):
        repair(whole)
    (whole.storage.path / "chroma").rename(whole.storage.path / "away")
    run = ingest(roots, whole)
    assert (run.added, run.chunks.embedded) == (DOCUMENTS, 0)
    assert check(whole).findings == ()


def test_a_collection_without_its_chunks_is_made_anew_by_the_next_run(whole: Settings) -> None:
    """Nothing of it is left to mend: readers and check say so, and the cache has its vectors."""
    before = contents(whole)
    with assembly.open_store(whole) as opened:
        opened._client.delete_collection(state_of(whole).live)
    with pytest.raises(CollectionDamaged, match="is gone, which a collection needs"):
        Retriever.open(whole)
    (finding,) = repair(whole).left
    assert (finding.kind, "ingest its folder again" in finding.text) == ("chunks", True)
    run = ingest(corpus_of(whole), whole)
    assert (run.added, run.chunks.embedded, run.chunks.reused) == (DOCUMENTS, 0, CHUNKS)
    assert check(whole).findings == ()
    assert same(contents(whole), before)


def test_chunks_that_are_gone_are_not_made_anew_where_there_is_a_way_back(whole: Settings) -> None:
    embedding = whole.embedding.model_copy(update={"model": "other"})
    other = whole.model_copy(update={"embedding": embedding})
    swap(other)
    with assembly.open_store(other) as opened:
        opened._client.delete_collection(state_of(other).live)
    with pytest.raises(CollectionDamaged, match="is gone, which a collection needs"):
        ingest(corpus_of(other), other)
    assert "retriever rollback goes back" in repair(other).left[0].text
    assert rollback(other).live == "docs.1"
    assert check(whole).findings == ()


@pytest.mark.slow
def test_a_document_whose_file_is_gone_goes_with_the_next_run(
    settings: Settings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examine_in_process(monkeypatch)
    ingest(corpus, settings)
    behind_its_back(settings, lambda *given: given[2].delete_documents(["corpus/notes.txt"]))
    repair(settings)
    (corpus / "notes.txt").unlink()
    assert ingest(corpus, settings).deleted == 1
    assert check(settings).findings == ()


def test_an_altered_text_is_written_again_by_the_next_run(whole: Settings) -> None:
    before = contents(whole)
    (one, *_) = ids_of(whole, PUMP)
    vector = before[1][one]
    behind_its_back(
        whole,
        lambda chunks, *_: chunks.update(ids=[one], documents=["x"], embeddings=[vector]),
    )
    assert kinds(repair(whole).left) == {"unread": [PUMP]}
    ingest(corpus_of(whole), whole)
    assert check(whole).findings == ()
    assert same(contents(whole), before)


def test_a_shifted_span_is_put_right_by_the_next_run(whole: Settings) -> None:
    before = contents(whole)
    (one, *_) = ids_of(whole, PUMP)
    row = {"start": 1, "end": 1 + len(before[0][one][0])}
    behind_its_back(whole, lambda chunks, *_: chunks.update(ids=[one], metadatas=[row]))
    assert kinds(repair(whole).left) == {"unread": [PUMP]}
    ingest(corpus_of(whole), whole)
    assert check(whole).findings == ()
    assert same(contents(whole), before)


@pytest.mark.slow
def test_an_altered_text_without_a_vector_that_is_too_long_is_kept(whole: Settings) -> None:
    (one, *_) = ids_of(whole, PUMP)
    vector = contents(whole)[1][one]
    text = "word " * 1000
    behind_its_back(
        whole,
        lambda chunks, *_: chunks.update(ids=[one], documents=[text], embeddings=[0 * vector]),
    )
    assert kinds(repair(whole).left) == {"unread": [PUMP]}
    assert contents(whole)[0][one][0] == text
    ingest(corpus_of(whole), whole)
    assert check(whole).findings == ()


@pytest.mark.slow
def test_wrong_vectors_are_made_again(whole: Settings) -> None:
    before = contents(whole)
    (one, two, *_) = ids_of(whole, PUMP)
    behind_its_back(
        whole, lambda chunks, *_: chunks.update(ids=[one, two], embeddings=np.zeros((2, 256)))
    )
    report = repair(whole)
    assert report.vectors_from_cache == 2
    expect_healed(whole, before, report)


@pytest.mark.slow
def test_a_stale_second_client_costs_no_vector(whole: Settings) -> None:
    """A opens, B adds, A adds: the index that A writes lacks what B added."""
    with assembly.open_store(whole) as first, assembly.open_store(whole) as second:
        live = state_of(whole).live
        stale, fresh = first.physical(live), second.physical(live)
        axis = np.eye(1, 256, dtype=np.float32)
        for data in (stale, fresh):
            data.rank(axis, count=1, where=None)
        page = next(fresh.chunk_pages(with_vectors=True))
        half = CHUNKS // 2
        for data, part in ((fresh, slice(0, half)), (stale, slice(half, None))):
            for place in range(CHUNKS)[part]:
                copy = slice(place, place + 1)
                data.put_chunks(
                    [f"{place:032x}"], page.texts[copy], page.vectors[copy], page.rows[copy]
                )
    lost = sum(one.kind == "vector" for one in check(whole).findings)
    assert lost
    before = len(contents_without_vectors(whole))
    report = repair(whole)
    assert len(contents(whole)[0]) == before == 2 * CHUNKS
    assert set(kinds(report.left)) == {"unread"}
    assert ingest(corpus_of(whole), whole).chunks.deleted == CHUNKS
    assert check(whole).findings == ()


def contents_without_vectors(settings: Settings) -> list[str]:
    with assembly.open_store(settings) as opened:
        data = opened.physical(opened.state(settings.collection).live)
        return [one for page in data.chunk_pages(with_vectors=False) for one in page.ids]


def test_rows_of_somebody_else_are_kept_in_a_file(whole: Settings) -> None:
    before = contents(whole)
    vector = np.eye(1, 256, dtype=np.float32)

    def add(chunks: Any, documents: Any, _: object) -> None:
        chunks.add(ids=["alien"], embeddings=vector, documents=["Their text."])
        documents.add(ids=["other"], embeddings=vector, metadatas=[{"content_hash": "x"}])

    behind_its_back(whole, add)
    report = repair(whole)
    (kept,) = report.set_aside
    assert lines_of(Path(kept)) == [
        {"collection": "chunks", "id": "alien", "text": "Their text.", "row": None},
        {"collection": "documents", "id": "other", "row": {"content_hash": "x"}},
    ]
    expect_healed(whole, before, report)


@pytest.mark.parametrize("part", [slice(0, 4096), slice(8192, None)], ids=["head", "body"])
def test_a_scribbled_cache_is_set_aside(whole: Settings, part: slice) -> None:
    before = contents(whole)
    cache = whole.storage.path / "vectors.sqlite3"
    data = bytearray(cache.read_bytes())
    data[part] = b"\xa5" * len(data[part])
    cache.write_bytes(data)
    report = repair(whole)
    (aside,) = report.set_aside
    assert Path(aside).read_bytes() == data
    expect_healed(whole, before, report)


def test_a_scribbled_cache_is_set_aside_wherever_the_settings_keep_it(
    whole: Settings, tmp_path: Path
) -> None:
    """The cache in the state folder, which is another one then, stays where it is."""
    before = contents(whole)
    embedding = whole.embedding.model_copy(update={"cache_path": tmp_path / "kept"})
    elsewhere = whole.model_copy(update={"embedding": embedding})
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "vectors.sqlite3").write_bytes(b"\xa5" * 50_000)
    report = repair(elsewhere)
    assert [Path(one).parent for one in report.set_aside] == [tmp_path / "kept"]
    assert list(whole.storage.path.glob("vectors.sqlite3"))
    expect_healed(elsewhere, before, report)


@pytest.mark.slow
def test_a_scribbled_cache_does_not_spoil_what_is_rebuilt(whole: Settings) -> None:
    before = contents(whole)
    shutil.rmtree(index_folder(whole))
    (whole.storage.path / "vectors.sqlite3").write_bytes(b"\xa5" * 50_000)
    report = repair(whole)
    assert report.vectors_embedded > 0
    expect_healed(whole, before, report)


def test_an_interrupted_run_is_wound_up(
    settings: Settings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks without a record stay searchable; their file is read again."""
    from retriever.collection.physical import PhysicalCollection

    examine_in_process(monkeypatch)
    ingest(corpus, settings)
    (corpus / "extra.md").write_text("# Extra\n\nSomething extra.\n", "utf-8")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(PhysicalCollection, "put_documents", die)
        with pytest.raises(KeyboardInterrupt):
            ingest(corpus, settings)
    assert kinds(check(settings).findings) == {"record": ["corpus/extra.md"], "run": ["docs"]}
    assert kinds(repair(settings).left) == {"unread": ["corpus/extra.md"]}
    assert state_of(settings).run is None
    assert ingest(corpus, settings).chunks.embedded == 0
    assert check(settings).findings == ()


def test_leftovers_are_dropped_and_an_unfinished_swap_is_kept(whole: Settings) -> None:
    with assembly.open_writing_store(whole) as store:
        state = store.state("docs")
        built = store.physical(state.live).fingerprint
        other = replace(built, embedding=replace(built.embedding, model="other"))
        for fingerprint in (built, other):
            store.add_generation(state, fingerprint)
        store.save(replace(state, run=Run.now()))
    report = repair(whole)
    assert kinds(report.left) == {"leftover": ["docs.3"]}
    with assembly.open_store(whole) as store:
        assert store.generations(store.state("docs")) == ["docs.1", "docs.3"]


class UnreachableEmbedder(HashingEmbedder):
    """A provider that does not answer."""

    def embed_chunks(self, texts: Any) -> Vectors:
        raise EmbeddingUnavailable("no answer")


class OtherEmbedder(HashingEmbedder):
    """Another model under the same name."""

    def _vector(self, text: str) -> Vectors:
        return np.roll(super()._vector(text), 1)


@pytest.mark.parametrize(
    ("embedder", "error"),
    [
        ("UnreachableEmbedder", EmbeddingUnavailable),
        pytest.param("OtherEmbedder", FingerprintMismatch, marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_made_again_is_not_given_up(
    whole: Settings, embedder: str, error: type[Exception]
) -> None:
    before = contents(whole)
    (one, *_) = ids_of(whole, PUMP)
    behind_its_back(
        whole, lambda chunks, *_: chunks.update(ids=[one], embeddings=np.zeros((1, 256)))
    )
    lacking = with_embedder(without_cache(whole), embedder)
    with pytest.raises(error):
        repair(lacking)
    assert contents(whole)[0] == before[0]
    with assembly.open_store(whole) as store:
        assert store.generations(store.state("docs")) == ["docs.1"]
    expect_healed(whole, before, repair(whole))


@pytest.mark.slow
def test_readers_go_on_while_their_collection_is_rebuilt(whole: Settings) -> None:
    with Retriever.open(whole) as retriever:
        asked: Callable[[], list[str]] = lambda: [  # noqa: E731
            one.source for one in retriever.retrieve("cleaning of the pump", top_k=1)
        ]
        assert asked() == [PUMP]
        shutil.rmtree(index_folder(whole))
        repair(whole)
        assert asked() == [PUMP]
        assert state_of(whole).live == "docs.2"


def test_damage_that_cannot_be_mended_is_left_and_named(whole: Settings) -> None:
    behind_its_back(whole, lambda chunks, *_: chunks.modify(metadata={"x": 1}))
    report = repair(whole)
    assert report.found == report.left
    assert kinds(report.left) == {"fingerprint": ["docs.1"]}
