"""An export holds all of a collection; an import believes nothing that it has not checked."""

import base64
import gzip
import itertools
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damaged_collections import (
    CHUNKS,
    DOCUMENTS,
    behind_its_back,
    contents,
    examine_in_process,
    hashing_settings,
    lines_of,
    same,
    state_of,
)
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from retriever import assembly
from retriever.checking.checks import check
from retriever.collection.physical import PhysicalCollection
from retriever.collection.rows import document_id
from retriever.errors import CollectionDamaged, CollectionError, CollectionLocked
from retriever.ingestion import ingest
from retriever.moving import exports, filling, moves
from retriever.moving.believing import Refusal
from retriever.moving.exports import ExportedChunk, ExportedDocument
from retriever.moving.moves import export, import_
from retriever.retrieval import Retriever
from retriever.settings import Settings

DIMENSION = 256
QUERY = "cleaning of the pump"


@pytest.fixture
def exported(whole: Settings, tmp_path: Path) -> Path:
    """The lines of a whole collection."""
    file = tmp_path / "docs.jsonl"
    export(whole, file)
    return file


@pytest.fixture
def elsewhere(whole: Settings, tmp_path: Path) -> Settings:
    """Settings of another machine: a state folder of its own, no cache of ours."""
    storage = whole.storage.model_copy(update={"path": tmp_path / "elsewhere"})
    return whole.model_copy(update={"storage": storage})


def scores(settings: Settings) -> list[float]:
    with Retriever.open(settings) as retriever:
        return [one.score for one in retriever.retrieve(QUERY, top_k=CHUNKS)]


def write_lines(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name", ["docs.jsonl.gz", pytest.param("docs.jsonl", marks=pytest.mark.slow)]
)
def test_what_was_exported_is_imported_elsewhere_and_answers_the_same(
    whole: Settings, elsewhere: Settings, tmp_path: Path, name: str
) -> None:
    written = export(whole, tmp_path / name)
    read = import_(elsewhere, tmp_path / name)
    assert (written.chunks, written.documents) == (CHUNKS, DOCUMENTS)
    assert (read.chunks, read.documents) == (CHUNKS, DOCUMENTS)
    assert same(contents(elsewhere), contents(whole))
    assert check(elsewhere).findings == ()
    assert scores(elsewhere) == pytest.approx(scores(whole), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "most"), [("_ROWS_AT_ONCE", 7), ("_BYTES_AT_ONCE", 5_000)])
def test_an_import_in_many_parts_is_the_same(
    whole: Settings,
    elsewhere: Settings,
    exported: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    most: int,
) -> None:
    monkeypatch.setattr(filling, name, most)
    import_(elsewhere, exported)
    assert same(contents(elsewhere), contents(whole))


def test_words_are_indexed_in_whatever_order_the_chunks_come(
    whole: Settings, elsewhere: Settings, exported: Path
) -> None:
    header, *rest = lines_of(exported)
    chunks = sorted(filter(lambda line: "chunk" in line, rest), key=lambda line: line["chunk"])
    sources = [line["row"]["source"] for line in chunks]
    assert len(set(sources)) < sum(a != b for a, b in itertools.pairwise(sources))
    others = [line for line in rest if "chunk" not in line]
    import_(elsewhere, write_lines(exported, [header, *chunks, *others]))
    assert check(elsewhere).findings == ()
    assert scores(elsewhere) == pytest.approx(scores(whole), abs=1e-5)


def test_the_next_run_goes_on_from_an_import(
    whole: Settings, elsewhere: Settings, exported: Path
) -> None:
    import_(elsewhere, exported)
    assert state_of(elsewhere).roots == state_of(whole).roots
    run = ingest(state_of(whole).roots["corpus"], elsewhere)
    assert (run.unchanged, run.chunks.embedded) == (DOCUMENTS, 0)


@pytest.mark.slow
def test_an_export_of_an_import_says_the_same(elsewhere: Settings, exported: Path) -> None:
    import_(elsewhere, exported)
    again = exported.with_name("again.jsonl")
    export(elsewhere, again)
    first, second = lines_of(exported), lines_of(again)
    for line in (*first, *second):
        line.pop("vector", None)  # Chroma rounds their last bit
    assert second == first


@pytest.mark.slow
def test_a_collection_moves_from_folder_to_memory(
    whole: Settings, exported: Path, make_settings: Any
) -> None:
    memory = make_settings(**{"storage.mode": "memory", "collection": "moved"})
    import_(memory, exported)
    assert same(contents(memory), contents(whole))


@pytest.mark.slow
def test_metadata_of_every_kind_survives(
    settings: Settings, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examine_in_process(monkeypatch)
    text = (
        "---\ntags: [a, b]\nyear: 2021\nrate: 0.5\ndraft: true\nname: Ünï 日本\n---\nText here.\n"
    )
    (corpus / "meta.md").write_text(text, encoding="utf-8")
    ingest(corpus, settings)
    export(settings, tmp_path / "x.jsonl")
    moved = settings.model_copy(update={"collection": "moved"})
    import_(moved, tmp_path / "x.jsonl")
    assert same(contents(moved), contents(settings))


def test_an_export_holds_no_key(whole: Settings, tmp_path: Path) -> None:
    embedding = whole.embedding.model_copy(update={"api_key": "sk-secret-1"})
    export(whole.model_copy(update={"embedding": embedding}), tmp_path / "x.jsonl")
    assert "sk-secret" not in (tmp_path / "x.jsonl").read_text("utf-8")


def test_a_file_that_is_there_is_replaced_only_if_asked(whole: Settings, tmp_path: Path) -> None:
    file = tmp_path / "precious.txt"
    file.write_text("precious", encoding="utf-8")
    with pytest.raises(CollectionError, match="there already"):
        export(whole, file)
    assert file.read_text("utf-8") == "precious"
    export(whole, file, overwrite=True)
    assert len(lines_of(file)) == 1 + CHUNKS + DOCUMENTS + 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")
def test_only_a_regular_file_is_replaced(whole: Settings, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    folder = tmp_path / "folder"
    folder.mkdir()
    for place in (pipe, folder):
        with pytest.raises(CollectionError, match="no regular file"):
            export(whole, place, overwrite=True)
    assert pipe.is_fifo()
    assert folder.is_dir()


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")
def test_an_export_over_a_link_replaces_the_file_that_it_leads_to(
    whole: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "there" / "docs.jsonl"
    file.parent.mkdir()
    file.write_text("old", encoding="utf-8")
    link = tmp_path / "link.jsonl"
    link.symlink_to(file)
    export(whole, link, overwrite=True)
    assert link.is_symlink()
    assert len(lines_of(file)) == 1 + CHUNKS + DOCUMENTS + 1
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")
def test_a_private_file_stays_private_when_it_is_replaced(whole: Settings, tmp_path: Path) -> None:
    file = tmp_path / "private.jsonl"
    file.write_text("old", encoding="utf-8")
    file.chmod(0o600)
    export(whole, file, overwrite=True)
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_export_that_fails_leaves_no_file(
    whole: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise CollectionDamaged("half way")

    monkeypatch.setattr(PhysicalCollection, "document_pages", fail)
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(CollectionDamaged, match="half way"):
        export(whole, folder / "x.jsonl")
    assert list(folder.iterdir()) == []


def test_an_export_beside_a_commit_is_given_up(
    whole: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = moves.examine_generation

    def meanwhile(*given: Any) -> Any:
        with assembly.open_writing_store(whole) as store:
            store.save(store.state("docs").next())
        return original(*given)

    monkeypatch.setattr(moves, "examine_generation", meanwhile)
    with pytest.raises(CollectionLocked):
        export(whole, tmp_path / "x.jsonl")
    assert not (tmp_path / "x.jsonl").exists()


def test_a_damaged_collection_is_not_exported(whole: Settings, tmp_path: Path) -> None:
    one = next(iter(contents(whole)[0]))
    behind_its_back(whole, lambda chunks, *_: chunks.delete(ids=[one]))
    with pytest.raises(CollectionDamaged, match="retriever repair"):
        export(whole, tmp_path / "x.jsonl")


def test_a_place_that_cannot_be_written_is_an_error_in_words(
    whole: Settings, tmp_path: Path
) -> None:
    with pytest.raises(CollectionError, match="cannot be written"):
        export(whole, tmp_path / "no folder" / "x.jsonl")


def test_a_collection_that_holds_something_is_not_imported_into(
    whole: Settings, exported: Path
) -> None:
    before = contents(whole)
    with pytest.raises(CollectionError, match=f"holds {CHUNKS} chunks"):
        import_(whole, exported)
    assert same(contents(whole), before)


def test_an_interrupted_import_is_begun_anew(
    elsewhere: Settings, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was killed leaves an empty collection and a copy that is half full."""
    header = exports.read_header(exported.read_bytes().splitlines()[0])
    with assembly.open_writing_store(elsewhere) as store:
        state = store.create("docs", header.fingerprint)
        store.add_generation(state, header.fingerprint)
    import_(elsewhere, exported)
    with assembly.open_store(elsewhere) as store:
        assert store.generations(store.state("docs")) == ["docs.2"]
    assert check(elsewhere).findings == ()


Change = Callable[[list[dict[str, Any]]], Any]


def built(header: dict[str, Any], part: str, **fields: object) -> None:
    key = f"fingerprint_{part}"
    header["built"][key] = json.dumps(json.loads(header["built"][key]) | fields)


def vector(values: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


AXIS = np.eye(1, DIMENSION)[0]

HOSTILE_LINES: dict[str, Change] = {
    "another format": lambda lines: lines[0].update(format="something else"),
    "another version": lambda lines: lines[0].update(version=2),
    "another layout": lambda lines: lines[0]["built"].update(fingerprint_layout=2),
    "no fingerprint": lambda lines: lines[0]["built"].pop("fingerprint_embedding"),
    "a class to load": lambda lines: built(lines[0], "embedding", backend="os:system"),
    "a dimension of text": lambda lines: built(lines[0], "embedding", dimension="256"),
    "a dimension too far": lambda lines: built(lines[0], "embedding", dimension=10**9),
    "a broken canary": lambda lines: lines[0]["built"].update(canary_vector="~~~"),
    "a short canary": lambda lines: lines[0]["built"].update(canary_vector=""),
    "a root outside": lambda lines: lines[0].update(roots={"../x": "/"}),
    "a root of no path": lambda lines: lines[0].update(roots={"corpus": "/a\0b"}),
    "roots of numbers": lambda lines: lines[0].update(roots={"x": 1}),
    "an id of words": lambda lines: lines[1].update(chunk="one"),
    "a shorter text": lambda lines: lines[1].update(text="x"),
    "half a character": lambda lines: lines[1].update(text="\ud800" * len(lines[1]["text"])),
    "a text of numbers": lambda lines: lines[1].update(text=7),
    "a source outside": lambda lines: lines[1]["row"].update(source="corpus/../../etc/passwd"),
    "an absolute source": lambda lines: lines[1]["row"].update(source="/etc/passwd"),
    "a negative span": lambda lines: lines[1]["row"].update(start=-5, end=5),
    "a span beyond any text": lambda lines: lines[1]["row"].update(
        start=2**40, end=2**40 + len(lines[1]["text"])
    ),
    "a line beyond any text": lambda lines: lines[1]["row"].update(line_start=2**62),
    "a line below zero": lambda lines: lines[1]["row"].update(line_start=-1),
    "a last line beyond any text": lambda lines: lines[1]["row"].update(line_end=2**40),
    "a page below zero": lambda lines: lines[1]["row"].update(page=-5),
    "an ordinal below zero": lambda lines: lines[1]["row"].update(ordinal=-3),
    "tokens beyond any text": lambda lines: lines[1]["row"].update(tokens=2**62),
    "a page of words": lambda lines: lines[1]["row"].update(page="one"),
    "a nested value": lambda lines: lines[1]["row"].update(x={"y": 1}),
    "an empty list": lambda lines: lines[1]["row"].update(x=[]),
    "a mixed list": lambda lines: lines[1]["row"].update(x=["a", 1]),
    "a huge number": lambda lines: lines[1]["row"].update(x=2**70),
    "not a number": lambda lines: lines[1]["row"].update(x=math.nan),
    "no value": lambda lines: lines[1]["row"].update(x=None),
    "a reserved key": lambda lines: lines[1]["row"].update({"$where": "x"}),
    "chroma's own key": lambda lines: lines[1]["row"].update({"chroma:document": "x"}),
    "too many keys": lambda lines: lines[1]["row"].update({f"k{n}": n for n in range(300)}),
    "a short vector": lambda lines: lines[1].update(vector=vector(AXIS[:-1])),
    "a long vector": lambda lines: lines[1].update(vector=vector(2 * AXIS)),
    "an endless vector": lambda lines: lines[1].update(vector=vector(np.full(DIMENSION, math.inf))),
    "a giant vector": lambda lines: lines[1].update(vector=vector(np.full(DIMENSION, 3e38))),
    "no base64": lambda lines: lines[1].update(vector="@@@@"),
    "a hash of words": lambda lines: lines[-2]["document"].update(content_hash="x"),
    "a status of words": lambda lines: lines[-2]["document"].update(status="perhaps"),
    "a count below zero": lambda lines: lines[-2]["document"].update(size_bytes=-1),
    "a field too many": lambda lines: lines[-2]["document"].update(x=1),
    "a list": lambda lines: lines.insert(1, []),
    "an unknown line": lambda lines: lines.insert(1, {"what": 1}),
}

HOSTILE_FILES: dict[str, Change] = {
    "no header": lambda lines: lines.pop(0),
    "no end": lambda lines: lines.pop(),
    "more after the end": lambda lines: lines.append(lines[1]),
    "a wrong end": lambda lines: lines[-1]["end"].update(chunks=1),
    "a lost chunk": lambda lines: (lines.pop(1), lines[-1]["end"].update(chunks=CHUNKS - 1)),
    "a lost document": lambda lines: (lines.pop(-2), lines[-1]["end"].update(documents=5)),
    "a chunk twice": lambda lines: (
        lines.insert(1, lines[1]),
        lines[-1]["end"].update(chunks=CHUNKS + 1),
    ),
    "a changed text": lambda lines: lines[1].update(text="x" * len(lines[1]["text"])),
    "another's vector": lambda lines: lines[1].update(vector=vector(AXIS)),
    "a document of nobody": lambda lines: lines[-2]["document"].update(source="corpus/none.md"),
    "another dimension": lambda lines: built(lines[0], "embedding", dimension=128),
}


@pytest.fixture(scope="session")
def lines(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The lines of an export, as JSON: each test spoils its own copy."""
    file = tmp_path_factory.mktemp("lines") / "docs.jsonl"
    export(hashing_settings(pristine / "state"), file)
    return json.dumps(lines_of(file))


@pytest.mark.parametrize("change", HOSTILE_LINES.values(), ids=HOSTILE_LINES.keys())
def test_a_hostile_line_is_refused(lines: str, change: Change) -> None:
    spoiled = json.loads(lines)
    change(spoiled)
    with pytest.raises(Refusal):
        believe(spoiled)


def believe(lines: list[dict[str, Any]]) -> None:
    for number, line in enumerate(lines):
        data = json.dumps(line).encode()
        exports.read_line(data, DIMENSION) if number else exports.read_header(data)


def test_the_lines_that_are_spoiled_are_sound_before(lines: str) -> None:
    believe(json.loads(lines))


FAST = "a chunk twice"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(change, id=name, marks=[] if name == FAST else pytest.mark.slow)
        for name, change in HOSTILE_FILES.items()
    ],
)
def test_a_hostile_file_is_refused_by_name_and_line_and_changes_nothing(
    elsewhere: Settings, tmp_path: Path, lines: str, change: Change
) -> None:
    spoiled = json.loads(lines)
    change(spoiled)
    file = write_lines(tmp_path / "docs.jsonl", spoiled)
    with pytest.raises(CollectionError, match=r"docs\.jsonl, line [0-9]+: .*Nothing was imported"):
        import_(elsewhere, file)
    with assembly.open_writing_store(elsewhere) as store:
        assert store._client.list_collections() == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\x00\xff\xfe",
        b"[" * 100_000,
        b"{}",
        b'{"format": 1e999}',
        gzip.compress(b"{}\n"),
        gzip.compress(b"{}\n" * 1000)[:30],
        b"\x1f\x8b and no gzip",
        b"9" * 10_000,
    ],
    ids=range(10),
)
def test_a_file_that_is_no_export_is_refused_and_leaves_no_state_folder(
    elsewhere: Settings, tmp_path: Path, data: bytes
) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(data)
    with pytest.raises(CollectionError, match=r"x\.jsonl"):
        import_(elsewhere, file)
    assert not elsewhere.storage.path.exists(), "a file that was refused left a state folder"


def test_a_truncated_file_is_refused(elsewhere: Settings, exported: Path) -> None:
    data = gzip.compress(exported.read_bytes())
    exported.write_bytes(data[: len(data) // 2])
    with pytest.raises(CollectionError, match="cannot be read"):
        import_(elsewhere, exported)


def test_a_line_without_end_costs_no_memory(
    elsewhere: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MOST_LINE_BYTES", 1000)
    file = tmp_path / "x.jsonl"
    file.write_bytes(gzip.compress(b" " * 10_000_000))
    with pytest.raises(CollectionError, match="too long"):
        import_(elsewhere, file)


def test_a_file_that_is_not_there_is_an_error_in_words(elsewhere: Settings, tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="cannot be read"):
        import_(elsewhere, tmp_path / "none.jsonl")
    with pytest.raises(CollectionError, match="cannot be read"):
        import_(elsewhere, tmp_path)


def lines_to_spoil() -> st.SearchStrategy[Any]:
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )
    keys = st.sampled_from(["chunk", "document", "end", "row", "text", "vector", "format", "built"])
    return st.dictionaries(keys, values, max_size=5) | values


@given(lines_to_spoil() | st.binary(max_size=50))
def test_no_line_raises_anything_but_a_refusal(line: Any) -> None:
    data = line if isinstance(line, bytes) else json.dumps(line).encode()
    with pytest.raises(Refusal):
        exports.read_header(data)
    if not isinstance(line, bytes) and isinstance(line, dict) and set(line) <= {"end"}:
        return  # `end` with two counts is a line
    with pytest.raises(Refusal):
        exports.read_line(data, DIMENSION)


WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow])
@given(WORDS, st.dictionaries(WORDS.map(lambda word: f"k{word}"), WORDS, max_size=3), st.data())
def test_a_chunk_is_read_as_it_was_written(text: str, user: dict[str, str], data: Any) -> None:
    numbers = data.draw(st.lists(st.integers(0, 9), min_size=4, max_size=4))
    row = {
        **user,
        "source": "root/a.md",
        "document_hash": "0" * 64,
        "embedded_hash": "1" * 32,
        "format": "plain",
        "start": 3,
        "end": 3 + len(text),
        **dict(zip(("ordinal", "line_start", "line_end", "tokens"), numbers, strict=True)),
    }
    components = np.random.default_rng(numbers[0]).normal(size=DIMENSION)
    unit = (components / np.linalg.norm(components)).astype(np.float32)
    chunk = ExportedChunk(id="a" * 32, text=text, row=row, vector=unit)
    read = exports.read_line(exports.write_chunk(chunk), DIMENSION)
    assert isinstance(read, ExportedChunk)
    assert (read.id, read.text, read.row) == (chunk.id, chunk.text, chunk.row)
    assert np.array_equal(read.vector, chunk.vector)


def test_the_ids_of_documents_are_made_anew(exported: Path) -> None:
    """A file cannot put a record under the id of another source."""
    line = exported.read_bytes().splitlines()[-2]
    read = exports.read_line(line, DIMENSION)
    assert isinstance(read, ExportedDocument)
    assert "id" not in json.loads(line)["document"]
    assert len(document_id(read.record.source)) == 32
