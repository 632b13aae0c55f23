"""Whether a model is still the one that built a collection."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retriever import assembly
from retriever.canary import (
    CanaryLog,
    CheckedEmbedder,
    check_canary,
    checked_embedder,
    make_canary,
)
from retriever.errors import EmbeddingRejected, FingerprintMismatch
from retriever.ingestion import ingest
from retriever.protocols import Embedder, Keep, Vectors
from retriever.records import EmbeddingFingerprint
from retriever.settings import Settings
from retriever.testing import EmbedderContract, HashingEmbedder


class Counted(HashingEmbedder):
    """Counts its calls, and calls itself what it is told to."""

    def __init__(self, backend: str = "hashing") -> None:
        super().__init__()
        self.calls: list[list[str]] = []
        self._backend = backend

    @property
    def fingerprint(self) -> EmbeddingFingerprint:
        return replace(super().fingerprint, backend=self._backend)

    def embed_chunks(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(list(texts))
        return super().embed_chunks(texts)


class Four:
    """An embedder of a user's own: its four members and no more."""

    def __init__(self) -> None:
        model = HashingEmbedder()
        self.fingerprint = model.fingerprint
        self.count_tokens, self.embed_chunks = model.count_tokens, model.embed_chunks
        self.embed_query = model.embed_query


@pytest.mark.parametrize("model", [HashingEmbedder, Four])
class TestCheckedEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self, model: Callable[[], Embedder]) -> Embedder:
        return CheckedEmbedder(model(), lambda _: None)


def test_the_same_model_is_recognised_with_a_cosine_of_one() -> None:
    canary = make_canary(HashingEmbedder())
    assert check_canary(HashingEmbedder(), canary, collection="docs") == pytest.approx(1.0)


def test_another_model_is_refused_with_the_number() -> None:
    canary = make_canary(HashingEmbedder())
    other = replace(canary, vector=np.roll(canary.vector, 3))
    with pytest.raises(FingerprintMismatch, match=r"canary cosine.*0\."):
        check_canary(HashingEmbedder(), other, collection="docs")


def test_a_canary_that_is_no_number_proves_no_model_the_same() -> None:
    canary = make_canary(HashingEmbedder())
    broken = replace(canary, vector=canary.vector * np.float32("nan"))
    with pytest.raises(FingerprintMismatch, match="canary cosine"):
        check_canary(HashingEmbedder(), broken, collection="docs")


class Answering(Four):
    """An embedder of a user's own, whose answers are changed."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        super().__init__()
        model = HashingEmbedder()
        self.embed_chunks = lambda texts: change(model.embed_chunks(texts))
        self.embed_query = lambda text: change(model.embed_chunks([text]))[0]


class Keeping(Answering):
    """One that gives parts, too."""

    def embed_chunks_keeping(self, texts: Sequence[str], keep: Keep) -> Vectors:
        vectors = self.embed_chunks(texts)
        keep(dict(zip(texts, vectors, strict=False)))
        return vectors


@pytest.mark.parametrize("kind", [Answering, Keeping])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda vectors: vectors[:, :-1], "was expected"),
        (lambda vectors: vectors * np.float32("nan"), "finite"),
        (lambda vectors: vectors * 0, "zeros"),
        (lambda vectors: [["a word"] for _ in vectors], "was expected"),
    ],
    ids=["narrow", "nan", "zero", "words"],
)
def test_what_is_no_vector_is_refused_of_an_embedder_of_ones_own_and_never_kept(
    kind: Callable[[Any], Embedder], change: Callable[[Any], Any], words: str
) -> None:
    embedder = CheckedEmbedder(kind(change), lambda _: None)
    kept: list[Mapping[str, Vectors]] = []
    for asked in (
        lambda: embedder.embed_chunks(["cat", "dog"]),
        lambda: embedder.embed_chunks_keeping(["cat", "dog"], kept.append),
        lambda: embedder.begin_chunks(["cat", "dog"], kept.append).result(),
        lambda: embedder.embed_query("cat"),
        lambda: embedder.embed_queries(["cat", "dog"]),
    ):
        with pytest.raises(EmbeddingRejected, match=words):
            asked()
    assert not kept
    with pytest.raises(EmbeddingRejected, match=words):
        check_canary(kind(change), make_canary(HashingEmbedder()), collection="docs")


@pytest.mark.parametrize("kind", [Answering, Keeping])
def test_as_many_vectors_as_texts_are_expected_of_an_embedder_of_ones_own(
    kind: Callable[[Any], Embedder],
) -> None:
    embedder = CheckedEmbedder(kind(lambda vectors: vectors[:-1]), lambda _: None)
    with pytest.raises(EmbeddingRejected, match="for 2 texts"):
        embedder.embed_chunks_keeping(["cat", "dog"], lambda _: None)


@pytest.mark.parametrize("kind", [Answering, Keeping])
@pytest.mark.parametrize("change", [lambda vectors: vectors * 7, lambda vectors: vectors.tolist()])
def test_vectors_of_any_length_and_lists_of_numbers_become_unit_vectors(
    kind: Callable[[Any], Embedder], change: Callable[[Any], Any]
) -> None:
    embedder = CheckedEmbedder(kind(change), lambda _: None)
    kept: dict[str, Vectors] = {}
    expected = HashingEmbedder().embed_chunks(["cat", "dog"])
    for vectors in (
        embedder.embed_chunks(["cat", "dog"]),
        embedder.embed_chunks_keeping(["cat", "dog"], kept.update),
        np.stack(list(kept.values())),
        embedder.embed_queries(["cat", "dog"]),
        np.stack([embedder.embed_query("cat"), embedder.embed_query("dog")]),
    ):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_vectors_that_keep_the_promise_stay_as_they_are_bit_by_bit() -> None:
    expected = HashingEmbedder().embed_chunks(["cat", "dog"])
    vectors = CheckedEmbedder(HashingEmbedder(), lambda _: None).embed_chunks(["cat", "dog"])
    np.testing.assert_array_equal(vectors, expected)


@pytest.mark.parametrize(("backend", "checks"), [("hashing", 2), ("openai", 1)])
def test_a_local_model_is_checked_by_every_process_and_a_paid_one_once_a_day(
    settings: Settings, corpus: Path, tmp_path: Path, backend: str, checks: int
) -> None:
    ingest(corpus, settings)
    log = CanaryLog(tmp_path / "canaries.json")
    seen = 0
    with assembly.open_store(settings) as store:
        data = store.physical("docs.1")
        for _ in range(2):
            embedder = Counted(backend)
            ready = checked_embedder(embedder, data, log=log)
            for _ in range(3):
                ready.embed_chunks(["text"])
            seen += len(embedder.calls) - 3
    assert seen == checks


def test_a_check_is_due_again_after_a_day_and_where_the_log_is_damaged(tmp_path: Path) -> None:
    log = CanaryLog(tmp_path / "folder" / "canaries.json")
    assert log.is_due("docs.1 x", now_s=1_000_000)
    log.note("docs.1 x", now_s=1_000_000)
    assert not log.is_due("docs.1 x", now_s=1_080_000)
    assert log.is_due("docs.1 x", now_s=1_090_000)
    assert log.is_due("docs.1 x", now_s=900_000)
    assert log.is_due("docs.1 y", now_s=1_000_000)
    for damage in ("", "[]", '{"docs.1 x": "soon"}', "{"):
        (tmp_path / "folder" / "canaries.json").write_text(damage, encoding="utf-8")
        assert log.is_due("docs.1 x", now_s=1_000_001)
