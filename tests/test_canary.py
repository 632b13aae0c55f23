"""Whether a model is still the one that built a collection."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

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
from retriever.errors import FingerprintMismatch
from retriever.ingestion import ingest
from retriever.protocols import Embedder, Vectors
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
