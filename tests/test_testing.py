"""The embedder without a model, and the kit that embedders have to pass."""

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from retriever.embedding.options import EmbedderOptions
from retriever.protocols import Embedder
from retriever.testing import EmbedderContract, HashingEmbedder


class TestHashingEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self) -> Embedder:
        return HashingEmbedder()


class TestHashingEmbedderWithPrefixes(EmbedderContract):
    @pytest.fixture
    def embedder(self) -> Embedder:
        options = EmbedderOptions(
            model="hashing-64",
            dimension=64,
            window_tokens=80,
            query_prefix="question: ",
            chunk_prefix="passage: ",
        )
        return HashingEmbedder(options)


def test_shared_words_bring_texts_together() -> None:
    embedder = HashingEmbedder()
    chunks = embedder.embed_chunks(
        ["How to cancel a subscription", "How to bake bread", "The history of the harbour"]
    )
    scores = chunks @ embedder.embed_query("cancel my subscription")
    assert int(np.argmax(scores)) == 0


def test_vectors_are_the_same_in_every_process() -> None:
    script = (
        "from retriever.testing import HashingEmbedder;"
        "print(HashingEmbedder().embed_query('cat on the mat').sum())"
    )
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert float(found) == pytest.approx(
        float(HashingEmbedder().embed_query("cat on the mat").sum())
    )


def test_the_kit_needs_no_pytest() -> None:
    script = "import sys, retriever.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("tokens", "test"), [(3, "a_chunk_beyond_the"), (99, "a_text_that_counts")]
)
def test_counts_that_do_not_depend_on_the_text_fail_the_kit_in_place_of_holding_it(
    monkeypatch: pytest.MonkeyPatch, tokens: int, test: str
) -> None:
    embedder = HashingEmbedder(window=16)
    asked = iter(range(20))

    def count(texts: Sequence[str]) -> list[int]:
        if next(asked, None) is None:
            pytest.fail("the kit asks without end")
        return [tokens for _ in texts]

    monkeypatch.setattr(embedder, "count_tokens", count)
    kit = EmbedderContract()
    name = next(one for one in dir(kit) if one.startswith(f"test_{test}"))
    with pytest.raises(AssertionError, match=f"{tokens} tokens for"):
        getattr(kit, name)(embedder)
