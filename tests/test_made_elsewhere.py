"""Vectors made elsewhere come in with their texts, if the configured model makes the same."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damaged_collections import examine_in_process

from retriever import assembly
from retriever.checking.checks import check
from retriever.collection.index import INDEX
from retriever.errors import CollectionError, CollectionNotFound
from retriever.moving import filling
from retriever.moving.elsewhere import read_pair
from retriever.moving.exports import ExportedChunk
from retriever.moving.moves import import_
from retriever.retrieval import Retriever
from retriever.settings import Settings

LINES: list[dict[str, Any]] = [
    {"source": "manual/pump.md", "text": "Hold the red button\nfor five seconds."},
    {"source": "manual/pump.md", "text": "Rinse the filter with cold water."},
    {
        "source": "nature/bees.md",
        "text": "Bees make honey from nectar.",
        "metadata": {"year": 2024, "tags": ["bees", "food"]},
    },
]


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    examine_in_process(monkeypatch)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write(tmp_path / "chunks.jsonl", LINES)


@pytest.fixture
def made(settings: Settings) -> np.ndarray:
    """The model's own vectors."""
    embedder = assembly.open_configured_embedder(settings)
    return embedder.embed_chunks([line["text"] for line in LINES])


def write(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f8"])
def test_texts_with_their_vectors_become_a_collection_that_answers(
    settings: Settings, texts: Path, made: np.ndarray, tmp_path: Path, dtype: str
) -> None:
    vectors = save(tmp_path / "vectors.npy", (made * 3).astype(dtype))
    report = import_(settings, texts, vectors=vectors)
    assert (report.chunks, report.documents) == (3, 2)
    assert check(settings).findings == ()
    with Retriever.open(settings) as retriever:
        found = retriever.retrieve("honey of bees", top_k=1, where={"year": 2024})[0]
    assert (found.text, found.source) == (LINES[2]["text"], "nature/bees.md")
    assert found.metadata == {"year": 2024, "tags": ("bees", "food")}


def test_spans_and_lines_are_those_of_the_texts_with_a_blank_line_between(
    settings: Settings, made: np.ndarray, tmp_path: Path
) -> None:
    vectors = save(tmp_path / "vectors.npy", made)
    _, lines = read_pair(settings, (json.dumps(one).encode() for one in LINES), vectors)
    chunks = [one for one, _ in lines if isinstance(one, ExportedChunk)]
    whole = "\n\n".join(line["text"] for line in LINES[:2])
    assert [whole[one.row["start"] : one.row["end"]] for one in chunks[:2]] == [
        line["text"] for line in LINES[:2]
    ]
    assert [(one.row["line_start"], one.row["line_end"]) for one in chunks] == [
        (1, 2),
        (4, 4),
        (1, 1),
    ]


def _spoilt(change: Callable[[np.ndarray], object]) -> Callable[[np.ndarray], np.ndarray]:
    def spoil(made: np.ndarray) -> np.ndarray:
        spoilt = made.copy()
        change(spoilt)
        return spoilt

    return spoil


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda made: np.roll(made, 1, axis=0), "makes another vector of line 1"),
        (lambda made: made[:2], "there are only 2 vectors"),
        (lambda made: np.vstack([made, made]), "there are 6 vectors and 3 lines"),
        (lambda made: made[:, :100], "shape \\(3, 100\\)"),
        (lambda made: made[0], "shape \\(256,\\)"),
        (lambda made: made.astype("i4"), "int32"),
        (lambda made: made.astype("O"), "Python objects"),
        (lambda made: made.astype("c8"), "complex64"),
        (_spoilt(lambda made: made[1].fill(np.nan)), "line 2 is zero or not finite"),
        (_spoilt(lambda made: made[2].fill(0.0)), "line 3 is zero or not finite"),
    ],
)
def test_vectors_that_cannot_be_of_these_texts_change_nothing(
    settings: Settings,
    texts: Path,
    made: np.ndarray,
    tmp_path: Path,
    spoil: Callable[[np.ndarray], np.ndarray],
    why: str,
) -> None:
    vectors = save(tmp_path / "vectors.npy", spoil(made))
    with pytest.raises(CollectionError, match=why):
        import_(settings, texts, vectors=vectors)
    assert_nothing_is_there(settings)


HEADER = b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 256), }"


def array_file(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + bytes([128, 0]) + header.ljust(127) + b"\n" + bytes(64)


def zip_file(version: int) -> bytes:
    """An array that numpy wrote with others, of which a reader has to know a version of ZIP."""
    stream = io.BytesIO()
    np.savez(stream, np.zeros(3))
    entry = stream.getvalue().index(b"PK\x01\x02")
    return stream.getvalue()[: entry + 6] + bytes([version]) + stream.getvalue()[entry + 7 :]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array at all",
        b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        array_file(HEADER),
        array_file(HEADER.replace(b"999999999999", b"-4")),
        array_file(HEADER.replace(b"'<f4'", b"('<f4',)")),
        array_file(b"{[]: 1}"),
        b"PK\x03\x04 and no ZIP file",
        zip_file(version=20)[:-30],
        zip_file(version=255),
        b"\x93NUMPY\x01\x00" + bytes([16, 0]) + b"__import__('os')",
        b"\x93NUMPY\x03\x00\xff\xff\xff\x7f" + bytes(64),
    ],
)
def test_a_file_that_is_no_array_is_refused_and_never_unpickled(
    settings: Settings, texts: Path, tmp_path: Path, content: bytes
) -> None:
    vectors = tmp_path / "vectors.npy"
    vectors.write_bytes(content)
    with pytest.raises(CollectionError, match=r"vectors\.npy cannot be read"):
        import_(settings, texts, vectors=vectors)
    assert_nothing_is_there(settings)
    assert not settings.storage.path.exists()


def test_a_file_of_several_arrays_is_refused(
    settings: Settings, texts: Path, made: np.ndarray, tmp_path: Path
) -> None:
    np.savez(tmp_path / "vectors.npz", made)
    with pytest.raises(CollectionError, match="several arrays"):
        import_(settings, texts, vectors=tmp_path / "vectors.npz")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"id": 7, "source": "a/b", "text": "x"}, "line 3: 'id' is none of its keys"),
        ({"source": "b.md", "text": "x"}, "line 3: the source 'b.md' is not of the form"),
        ({"source": "a/../b", "text": "x"}, "line 3: the source"),
        ({"source": "a/b"}, "line 3: None is no text"),
        ({"source": "a/b", "text": " \n"}, "line 3: its text is blank"),
        ({"source": "a/b", "text": "x", "metadata": {"#no": 1}}, "line 3: '#no' cannot name"),
        ({"source": "a/b", "text": "x", "metadata": {"n": None}}, "line 3: 'n' has a value"),
        ([1, 2], "line 3: it is no JSON object"),
        ({"source": "manual/pump.md", "text": "x"}, "'manual/pump.md' stand in several places"),
        ({"source": "a/b", "text": "word " * 600}, "line 3 has 6.. tokens"),
    ],
)
def test_a_line_that_cannot_be_believed_is_named_and_changes_nothing(
    settings: Settings, made: np.ndarray, tmp_path: Path, line: object, why: str
) -> None:
    lines = [LINES[0], {**LINES[2], "metadata": {}}, line]
    order = made[[0, 2, 1]]
    embedder = assembly.open_configured_embedder(settings)
    if isinstance(line, dict) and line.get("text") == "x":
        order[2] = embedder.embed_chunks(["x"])[0]
    with pytest.raises(CollectionError, match=why):
        import_(
            settings,
            write(tmp_path / "chunks.jsonl", lines),
            vectors=save(tmp_path / "vectors.npy", order),
        )
    assert_nothing_is_there(settings)


def assert_nothing_is_there(settings: Settings) -> None:
    """Neither a collection nor, where it was refused before the first line, a state folder."""
    with pytest.raises(CollectionNotFound), assembly.open_store(settings) as store:
        store.state(settings.collection)


@pytest.mark.slow
def test_a_filled_collection_leaves_little_for_a_reader_to_replay(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chroma's log holds what no index file holds: 1 row of 2,100, and all answer."""
    monkeypatch.setattr(filling, "_ROWS_AT_ONCE", 700)
    draw = np.random.default_rng(7)
    texts = [" ".join(f"w{word}" for word in draw.integers(0, 3_000, 12)) for _ in range(2_100)]
    vectors = assembly.open_configured_embedder(settings).embed_chunks(texts)
    lines = [
        {"source": f"made/{number // 10}.txt", "text": one} for number, one in enumerate(texts)
    ]
    import_(
        settings,
        write(tmp_path / "chunks.jsonl", lines),
        vectors=save(tmp_path / "vectors.npy", vectors),
    )
    with assembly.open_store(settings) as store:
        data = store.physical(store.state(settings.collection).live)
        hnsw = data._chunks.configuration_json["hnsw"]
        found = data.rank(vectors[:1], count=1, where=None)[0]
        assert [one.chunk_id for one in found] == data._chunks.get(limit=1)["ids"]
    assert hnsw["sync_threshold"] == INDEX["hnsw"]["sync_threshold"]
    assert pending(settings) < INDEX["hnsw"]["sync_threshold"]


def pending(settings: Settings) -> int:
    """Rows that are only in Chroma's log, of all collections."""
    import sqlite3

    database = settings.storage.path / "chroma" / "chroma.sqlite3"
    with sqlite3.connect(database) as tables:
        return int(tables.execute("SELECT count(*) FROM embeddings_queue").fetchone()[0])
