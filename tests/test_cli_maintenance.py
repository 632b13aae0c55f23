"""check, repair, compact, export and import on the command line: exit codes, JSON, one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Command, run, use_settings
from damaged_collections import CHUNKS, DOCUMENTS, behind_its_back, contents, same

from retriever import assembly
from retriever.settings import Settings


@pytest.fixture
def retriever(
    whole: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Calls the command line on a whole collection of the test's own."""
    use_settings(monkeypatch, whole)

    return lambda *words: run(capsys, words)


def delete_a_chunk(settings: Settings) -> str:
    """Delete a chunk behind the collection's back: the source that it was of."""
    rows, _ = contents(settings)
    chunk_id, (_, row) = next(iter(rows.items()))
    behind_its_back(settings, lambda chunks, *_: chunks.delete(ids=[chunk_id]))
    return str(row["source"])


def test_a_check_of_a_whole_collection_ends_with_0(retriever: Command) -> None:
    ended = retriever("check")
    assert ended.code == 0
    assert ended.out.startswith("docs: nothing is wrong (6 documents, 18 chunks, ")
    report = json.loads(retriever("check", "--json", "--no-corpus", "--no-canary").out)
    assert report.keys() == {
        *("collection", "revision", "documents", "chunks", "findings", "notes", "seconds")
    }


def test_a_check_with_findings_ends_with_1_and_a_line_for_each(
    retriever: Command, whole: Settings
) -> None:
    source = delete_a_chunk(whole)
    line = f"{source}: its record tells of 3 chunks, 2 are there"
    ended = retriever("check")
    assert ended.code == 1
    assert "docs: 1 finding (" in ended.out
    assert f"  {line}\n" in ended.out
    assert "retriever repair" in ended.out
    ended = retriever("check", "--json")
    assert ended.code == 1
    (finding,) = json.loads(ended.out)["findings"]
    assert finding == {
        "kind": "record",
        "subject": source,
        "text": line.partition(": ")[2],
        "mendable": True,
    }


def test_a_repair_ends_with_1_if_something_is_left(retriever: Command, whole: Settings) -> None:
    delete_a_chunk(whole)
    ended = retriever("repair")
    assert ended.code == 1
    assert "docs: 1 finding, 1 left (" in ended.out
    assert "ingest its folder again" in ended.out
    report = json.loads(retriever("repair", "--json").out)
    assert [one["kind"] for one in report["left"]] == ["unread"]


def test_a_repair_of_nothing_ends_with_0(retriever: Command) -> None:
    ended = retriever("repair")
    assert ended.code == 0
    assert ended.out.startswith("docs: nothing was wrong")


def test_hostile_names_in_findings_are_shown_and_not_obeyed(
    retriever: Command, whole: Settings
) -> None:
    def add(chunks: Any, *_: object) -> None:
        chunks.add(ids=["\x1b[2J[red]evil"], embeddings=[[1.0] + 255 * [0.0]], documents=["x"])

    behind_its_back(whole, add)
    ended = retriever("check")
    assert ended.code == 1
    assert "\x1b" not in ended.out
    assert "\\x1b[2J[red]evil: a row that is no chunk" in ended.out


def test_compact_tells_what_it_freed(retriever: Command) -> None:
    ended = retriever("compact")
    assert ended.code == 0
    assert f"{CHUNKS} chunks of {DOCUMENTS} documents copied, docs.2 answers now" in ended.out
    assert "on disk: " in ended.out
    assert json.loads(retriever("compact", "--json").out)["live"] == "docs.3"


def test_a_collection_is_exported_and_imported(
    retriever: Command, whole: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "docs.jsonl.gz"
    ended = retriever("export", str(file))
    assert ended.code == 0
    assert f"{CHUNKS} chunks of {DOCUMENTS} documents written to {file}" in ended.out
    ended = retriever("import", str(file), "--collection", "moved", "--json")
    assert ended.code == 0
    report = json.loads(ended.out)
    assert (report["collection"], report["chunks"], report["file"]) == ("moved", CHUNKS, str(file))
    assert same(contents(whole.model_copy(update={"collection": "moved"})), contents(whole))


def test_vectors_made_elsewhere_are_imported_if_they_are_those_of_the_model(
    retriever: Command, whole: Settings, tmp_path: Path
) -> None:
    texts, vectors = tmp_path / "chunks.jsonl", tmp_path / "vectors.npy"
    texts.write_text('{"source": "manual/pump.md", "text": "Hold the red button."}\n')
    embedder = assembly.open_configured_embedder(whole)
    np.save(vectors, embedder.embed_chunks(["Rinse it."]))
    named = ("import", str(texts), "--vectors", str(vectors), "--collection", "made")
    ended = retriever(*named)
    assert (ended.code, ended.out) == (1, "")
    assert "hashing makes another vector of line 1" in ended.err
    np.save(
        vectors, assembly.open_configured_embedder(whole).embed_chunks(["Hold the red button."])
    )
    ended = retriever(*named)
    assert (ended.code, ended.err) == (0, "")
    assert "made: 1 chunks of 1 documents read from" in ended.out


def test_what_cannot_be_exported_or_imported_is_an_error_in_a_line(
    retriever: Command, tmp_path: Path
) -> None:
    file = tmp_path / "docs.jsonl"
    file.write_text("precious", encoding="utf-8")
    ended = retriever("export", str(file))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: ")
    assert "there already" in ended.err
    ended = retriever("import", str(file), "--collection", "moved")
    assert ended.code == 1
    assert "docs.jsonl, line 1: it is no JSON" in ended.err
    assert retriever("export", str(file), "--overwrite").code == 0
    assert retriever("import", str(file)).code == 1


@pytest.mark.parametrize("command", ["check", "repair", "compact", "rollback", "prune", "swap"])
def test_where_nothing_was_ingested_there_is_nothing_to_look_after(
    retriever: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    """An error in a line that says how to begin, and nothing is left behind."""
    place = tmp_path / "elsewhere"
    monkeypatch.setenv("RETRIEVER_STORAGE__PATH", str(place))
    ended = retriever(command)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"error: There is no collection 'docs' in {place}.")
    assert "retriever ingest FOLDER" in ended.err
    assert not place.exists()


def test_a_swap_a_rollback_and_a_prune_tell_what_answers_now(
    retriever: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RETRIEVER_EMBEDDING__MODEL", "other")
    told = retriever("swap")
    assert told.out.startswith("docs: docs.2 answers now, docs.1 is kept")
    assert "The top 10 of both models agree to " in told.out
    corpus = tmp_path / "more"
    corpus.mkdir()
    (corpus / "later.md").write_text("Written after the swap.\n", encoding="utf-8")
    assert retriever("ingest", str(corpus)).code == 0
    told = retriever("rollback")
    assert told.out.startswith("docs: docs.1 answers again; docs.2 is kept.")
    assert "Ingested since, and not found now:\n  more/later.md\n" in told.out
    assert "Found now" not in told.out
    report = json.loads(retriever("rollback", "--json").out)
    assert report["difference"] == {"missed": [], "returned": ["more/later.md"]}
    assert retriever("prune").out == "docs: deleted docs.1.\n"
    assert "no earlier generation" in retriever("rollback").err
