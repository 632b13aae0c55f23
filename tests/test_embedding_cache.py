"""The vector cache: nothing is embedded twice, whatever happens to the file."""

import contextlib
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retriever.embedding.cache import FILE_NAME, VectorCache, fingerprint_key
from retriever.embedding.caching import CachingEmbedder
from retriever.embedding.options import EmbedderOptions
from retriever.errors import EmbeddingError, EmbeddingUnavailable
from retriever.protocols import Embedder, Vectors
from retriever.testing import EmbedderContract, HashingEmbedder

WIDTH = HashingEmbedder().fingerprint.dimension


class CountingEmbedder(HashingEmbedder):
    """Remembers which texts it was asked to embed; can be told to fail after some calls."""

    def __init__(self, options: EmbedderOptions | None = None) -> None:
        super().__init__(options)
        self.asked: list[str] = []
        self.calls_left = 10**6

    def embed_chunks(self, texts: Sequence[str]) -> Vectors:
        if self.calls_left == 0:
            raise EmbeddingUnavailable("the network went away")
        self.calls_left -= 1
        self.asked.extend(texts)
        return super().embed_chunks(texts)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[VectorCache]:
    cache = VectorCache(tmp_path)
    yield cache
    cache.close()


class TestCachingEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self, cache: VectorCache) -> Embedder:
        return CachingEmbedder(HashingEmbedder(), cache, slice_texts=3)


def test_no_text_is_embedded_twice(cache: VectorCache) -> None:
    inner = CountingEmbedder()
    caching = CachingEmbedder(inner, cache)
    first = caching.embed_chunks(["cat", "dog", "cat"])
    again = caching.embed_chunks(["dog", "cat", "bird"])
    assert inner.asked == ["cat", "dog", "bird"]
    assert (caching.hits, caching.misses) == (2, 3)
    np.testing.assert_array_equal(first[0], again[1])


def test_vectors_come_back_bit_for_bit(cache: VectorCache) -> None:
    embedder = HashingEmbedder()
    vectors = embedder.embed_chunks(["one two", "three"])
    cache.put_many(embedder.fingerprint, {"one two": vectors[0], "three": vectors[1]})
    found = cache.get_many(embedder.fingerprint, ["three", "one two", "four"])
    assert set(found) == {"one two", "three"}
    np.testing.assert_array_equal(found["one two"], vectors[0])


@pytest.mark.parametrize(
    "changed",
    [
        b"\x01\x02",
        "text",
        12,
        bytes(4 * WIDTH),
        b"\xff\xff\x7f\x7f" * WIDTH,
    ],
    ids=["cut", "text", "number", "zeros", "far too long"],
)
def test_a_vector_that_the_disk_has_changed_is_embedded_again(
    cache: VectorCache, tmp_path: Path, changed: object
) -> None:
    inner = CountingEmbedder()
    caching = CachingEmbedder(inner, cache)
    expected = caching.embed_chunks(["cat"])
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute("UPDATE vectors SET vector = ?", (changed,))
    np.testing.assert_array_equal(caching.embed_chunks(["cat"]), expected)
    assert inner.asked == ["cat", "cat"]


@pytest.mark.parametrize(
    "change", [{"model": "other"}, {"chunk_prefix": "passage: "}, {"revision": "2"}]
)
def test_another_fingerprint_finds_nothing(cache: VectorCache, change: dict[str, str]) -> None:
    embedder = HashingEmbedder()
    cache.put_many(embedder.fingerprint, {"cat": embedder.embed_chunks(["cat"])[0]})
    assert cache.get_many(replace(embedder.fingerprint, **change), ["cat"]) == {}


def test_what_was_embedded_before_a_failure_is_kept(cache: VectorCache) -> None:
    inner = CountingEmbedder()
    inner.calls_left = 2
    texts = [f"text number {i}" for i in range(30)]
    with pytest.raises(EmbeddingUnavailable):
        CachingEmbedder(inner, cache, slice_texts=10).embed_chunks(texts)
    inner.calls_left = 10**6
    inner.asked.clear()
    CachingEmbedder(inner, cache, slice_texts=10).embed_chunks(texts)
    assert inner.asked == texts[20:]


def test_more_texts_than_sqlite_has_variables(cache: VectorCache) -> None:
    embedder = HashingEmbedder(dimension=4)
    texts = [str(i) for i in range(3000)]
    cache.put_many(
        embedder.fingerprint, dict(zip(texts, embedder.embed_chunks(texts), strict=True))
    )
    assert len(cache.get_many(embedder.fingerprint, texts)) == 3000


def test_texts_that_are_not_valid_unicode_are_cached_too(cache: VectorCache) -> None:
    embedder = HashingEmbedder()
    cache.put_many(embedder.fingerprint, {"a\udcffb": embedder.embed_chunks(["a"])[0]})
    assert set(cache.get_many(embedder.fingerprint, ["a\udcffb"])) == {"a\udcffb"}


@pytest.mark.parametrize("damage", ["head", "middle", "empty"])
def test_a_damaged_file_is_set_aside_and_rebuilt(tmp_path: Path, damage: str) -> None:
    embedder = HashingEmbedder()
    cache = VectorCache(tmp_path)
    texts = [f"text {i}" for i in range(500)]
    cache.put_many(
        embedder.fingerprint, dict(zip(texts, embedder.embed_chunks(texts), strict=True))
    )
    cache.close()
    file = tmp_path / FILE_NAME
    content = bytearray(file.read_bytes())
    if damage == "head":
        content[:100] = b"\xff" * 100
    elif damage == "middle":
        content[4096:-4096] = b"\xff" * (len(content) - 8192)
    else:
        content.clear()
    file.write_bytes(content)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reopened = VectorCache(tmp_path)
        found = reopened.get_many(embedder.fingerprint, texts)
    if damage != "empty":  # to SQLite, an empty file is a new one
        assert "set aside" in str(caught[0].message)
        assert list(tmp_path.glob(f"{FILE_NAME}.damaged-*"))
    assert found == {}
    reopened.put_many(embedder.fingerprint, {"cat": embedder.embed_chunks(["cat"])[0]})
    assert len(reopened.get_many(embedder.fingerprint, ["cat"])) == 1
    reopened.close()


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(EmbeddingError, match=r"embedding\.cache = false"):
        VectorCache(tmp_path / "file" / "cache")


def test_contents_are_counted_by_fingerprint_and_pruned(cache: VectorCache) -> None:
    small, large = HashingEmbedder(dimension=8), HashingEmbedder(dimension=64)
    for embedder in (small, large):
        vectors = embedder.embed_chunks(["a", "b"])
        cache.put_many(embedder.fingerprint, {"a": vectors[0], "b": vectors[1]})
    largest, smallest = cache.contents()
    assert (largest.count, largest.size_bytes, largest.model) == (2, 2 * 64 * 4, "hashing")
    assert smallest.fingerprint == fingerprint_key(small.fingerprint)
    assert cache.prune() == 0
    assert cache.prune(older_than_days=1) == 0
    assert cache.prune(fingerprint=largest.fingerprint) == 2
    assert cache.prune(older_than_days=-1) == 2
    assert cache.contents() == []


def test_threads_share_one_cache(cache: VectorCache) -> None:
    embedder = CachingEmbedder(HashingEmbedder(), cache)

    def work(seed: int) -> None:
        for i in range(20):
            embedder.embed_chunks([f"text {seed} {i}", f"shared {i}"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert cache.contents()[0].count == 4 * 20 + 20


def test_processes_share_one_file(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path;"
        "from retriever.embedding.cache import *; from retriever.embedding.caching import *;"
        "from retriever.testing import HashingEmbedder;"
        "e = CachingEmbedder(HashingEmbedder(), VectorCache(Path(sys.argv[1])), slice_texts=5);"
        "e.embed_chunks([f'{sys.argv[2]} {i}' for i in range(100)])"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), name]) for name in "ab"
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    cache = VectorCache(tmp_path)
    assert cache.contents()[0].count == 200
    cache.close()


def test_a_full_disk_is_an_error_that_says_to_free_some_room(cache: VectorCache) -> None:
    cache._connection.execute("PRAGMA max_page_count = 10")
    texts = [f"text {number}" for number in range(200)]
    with pytest.raises(EmbeddingError, match=r"is full\. Free some room") as caught:
        CachingEmbedder(HashingEmbedder(), cache).embed_chunks(texts)
    assert "readable and writable" not in str(caught.value)


@pytest.mark.parametrize("value", [0.0, 9.0, np.nan])
def test_a_cached_vector_that_no_embedder_makes_is_made_again(
    cache: VectorCache, value: float
) -> None:
    inner = CountingEmbedder()
    caching = CachingEmbedder(inner, cache)
    made = caching.embed_chunks(["cat"])
    damaged = np.full_like(made[0], value).tobytes()
    cache._connection.execute("UPDATE vectors SET vector = ?", (damaged,))
    np.testing.assert_array_equal(caching.embed_chunks(["cat"]), made)
    np.testing.assert_array_equal(caching.embed_chunks(["cat"]), made)
    assert inner.asked == ["cat", "cat"]
