"""Compacting frees room, changes nothing that a reader sees, and never gives up the only copy."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from damaged_collections import (
    CHUNKS,
    DOCUMENTS,
    contents,
    examine_in_process,
    index_folder,
    same,
    state_of,
)

from retriever import assembly
from retriever.checking.checks import check
from retriever.collection import segments
from retriever.collection.physical import PhysicalCollection
from retriever.compacting import compact
from retriever.errors import CollectionDamaged, CollectionLocked
from retriever.ingestion import IngestOptions, ingest
from retriever.records import DocumentRecord
from retriever.retrieval import Retriever
from retriever.settings import Settings


def manifest(settings: Settings) -> list[DocumentRecord]:
    with assembly.open_store(settings) as store:
        return list(store.physical(store.state("docs").live).manifest())


def test_a_compacted_collection_is_the_same_and_whole(whole: Settings) -> None:
    before, records = contents(whole), manifest(whole)
    report = compact(whole)
    assert (report.live, report.chunks, report.documents) == ("docs.2", CHUNKS, DOCUMENTS)
    assert same(contents(whole), before)
    assert manifest(whole) == records
    assert check(whole).findings == ()
    assert ingest(state_of(whole).roots["corpus"], whole).unchanged == DOCUMENTS


def test_what_deleted_rows_held_is_given_back(
    settings: Settings, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examine_in_process(monkeypatch)
    for number in range(40):
        text = f"# Text {number}\n\n" + f"Something rather long about {number}. " * 30
        (corpus / f"{number}.md").write_text(text, encoding="utf-8")
    ingest(corpus, settings)
    for path in corpus.glob("[0-9]*.md"):
        path.unlink()
    ingest(corpus, settings, options=IngestOptions(allow_delete=True))
    report = compact(settings)
    assert report.bytes_before is not None
    assert report.bytes_after is not None
    assert report.bytes_after < report.bytes_before / 2
    assert report.note == ""


def test_index_folders_of_the_old_generation_are_gone(whole: Settings) -> None:
    old = index_folder(whole)
    compact(whole)
    assert not old.exists()
    assert index_folder(whole).exists()


def test_a_reader_goes_on_and_what_it_reads_is_not_rewritten(whole: Settings) -> None:
    with Retriever.open(whole) as retriever:
        before = retriever.retrieve("cleaning of the pump")
        report = compact(whole)
        assert "open elsewhere" in report.note
        after = retriever.retrieve("cleaning of the pump")
    assert after[0].source == before[0].source == "corpus/pump.md"
    scores = [one.score for one in before]
    assert [one.score for one in after] == pytest.approx(scores, abs=1e-5)  # ties may swap
    assert compact(whole).note == ""


@pytest.mark.slow
def test_the_way_back_to_an_earlier_model_stays(whole: Settings) -> None:
    from dataclasses import replace

    with assembly.open_writing_store(whole) as store:
        state = store.state("docs")
        name = store.add_generation(state, store.physical(state.live).fingerprint)
        store.save(replace(state, previous=name))
    compact(whole)
    assert state_of(whole).previous == name
    with assembly.open_store(whole) as store:
        assert store.generations(store.state("docs")) == [name, "docs.3"]


def test_a_damaged_collection_is_refused_and_left_as_it_is(whole: Settings) -> None:
    shutil.rmtree(index_folder(whole))
    before = state_of(whole)
    with pytest.raises(CollectionDamaged, match="retriever repair"):
        compact(whole)
    assert state_of(whole) == before


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_copy_that_fails_is_dropped(
    whole: Settings, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    before = contents(whole)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(PhysicalCollection, "put_documents", fail)
    with pytest.raises(error):
        compact(whole)
    assert same(contents(whole), before)
    with assembly.open_store(whole) as store:
        assert store.generations(store.state("docs")) == ["docs.1"]


def test_a_copy_that_lacks_something_is_not_switched_to(
    whole: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = PhysicalCollection.chunk_pages

    def forgetful(self: PhysicalCollection, *, with_vectors: bool) -> Iterator[Any]:
        pages = list(original(self, with_vectors=with_vectors))
        return iter(pages[:-1] if with_vectors else pages)

    monkeypatch.setattr(PhysicalCollection, "chunk_pages", forgetful)
    with pytest.raises(CollectionDamaged):
        compact(whole)
    assert state_of(whole).live == "docs.1"


def test_beside_a_writer_nothing_is_compacted(whole: Settings) -> None:
    with assembly.open_writing_store(whole), pytest.raises(CollectionLocked):
        compact(whole)


def test_what_a_killed_compaction_left_behind_is_gone_after_the_next(whole: Settings) -> None:
    with assembly.open_writing_store(whole) as store:
        state = store.state("docs")
        store.add_generation(state, store.physical(state.live).fingerprint)
    compact(whole)
    with assembly.open_store(whole) as store:
        assert len(store.generations(store.state("docs"))) == 1
    assert check(whole).findings == ()


def test_a_drop_that_failed_leaves_what_the_next_compaction_sweeps(
    whole: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray = whole.storage.path / segments.CHROMA / "0a1b2c3d-0000-4000-8000-000000000000"
    stray.mkdir()
    (stray / "header.bin").write_bytes(b"x" * 1000)
    other = stray.with_name("0a1b2c3d-0000-4000-8000-000000000001")
    other.mkdir()
    (other / "letters.txt").write_text("not an index", encoding="utf-8")
    compact(whole)
    assert not stray.exists()
    assert other.exists()


@pytest.mark.slow
def test_memory_is_compacted_too(make_settings: Any, corpus: Path) -> None:
    settings = make_settings(**{"storage.mode": "memory"})
    ingest(corpus, settings)
    before = contents(settings)
    report = compact(settings)
    assert (report.bytes_before, report.note) == (None, "")
    after = contents(settings)
    assert after[0] == before[0]
    assert same(after, before)
