"""One vector a token: the model's own last hidden states, at the places where the words stand."""

from pathlib import Path

import numpy as np
import pytest
from tiny_models import write_pipeline, write_transformer

from retriever.canary import CheckedEmbedder
from retriever.embedding.local import LocalEmbedder, within
from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.errors import EmbeddingRejected
from retriever.protocols import TokenEmbedder
from retriever.testing import HashingEmbedder

TEXTS = ["the cat sat on the mat", "Feline.", "", "invoices are due within thirty days \ud800"]


@pytest.fixture(scope="session")
def token_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prompts = {"query": "query: ", "document": "passage: "}
    return write_pipeline(tmp_path_factory.mktemp("models") / "tiny", prompts=prompts)


def open_local(folder: Path, **options: object) -> LocalEmbedder:
    embedder = open_embedder(EmbedderOptions(model=str(folder), batch_tokens=40, **options))  # type: ignore[arg-type]
    assert isinstance(embedder, LocalEmbedder)
    return embedder


@pytest.mark.slow
@pytest.mark.parametrize(("side", "prefix"), [("query", "query: "), ("chunk", "passage: ")])
def test_token_vectors_equal_those_by_hand_to_1e_5(
    token_model: Path, side: str, prefix: str
) -> None:
    """Each text alone, through transformers: prefix and special tokens read, then left out."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(token_model)
    model = AutoModel.from_pretrained(token_model).eval()
    found = open_local(token_model).embed_tokens(TEXTS, side=side)  # type: ignore[arg-type]
    before = len(tokenizer(prefix, add_special_tokens=False)["input_ids"])
    for text, each in zip(TEXTS, found, strict=True):
        whole = prefix + text.replace("\ud800", "?")
        with torch.no_grad():
            hidden = model(**tokenizer(whole, return_tensors="pt")).last_hidden_state[0].numpy()
        np.testing.assert_allclose(each.matrix, hidden[1 + before : -1], atol=1e-5)
        assert each.matrix.dtype == np.float32
        assert len(each.spans) == len(each.matrix)


@pytest.mark.slow
def test_spans_say_where_each_token_stands(token_model: Path) -> None:
    (found,) = open_local(token_model).embed_tokens(["the CAT sat"], side="chunk")
    assert ["the CAT sat"[start:end] for start, end in found.spans] == ["the", "CAT", "sat"]


@pytest.mark.slow
def test_a_text_beyond_the_window_is_refused_not_cut(token_model: Path) -> None:
    with pytest.raises(EmbeddingRejected, match="beyond the window"):
        open_local(token_model).embed_tokens(["cat " * 80], side="chunk")


@pytest.mark.slow
def test_a_plain_transformer_gives_token_vectors_too(tmp_path: Path) -> None:
    embedder = open_local(write_transformer(tmp_path / "bert"))
    assert embedder.embed_tokens([], side="query") == []
    assert embedder.embed_tokens(["a cat"], side="query")[0].matrix.shape == (2, 32)


@pytest.mark.model
@pytest.mark.slow
def test_the_default_models_tokens_pool_to_its_text_vectors() -> None:
    """The mean of all states is the text's vector; without the two special tokens, nearly."""
    options = EmbedderOptions(model="sentence-transformers/all-MiniLM-L6-v2", runtime="torch")
    embedder = open_embedder(options)
    assert isinstance(embedder, LocalEmbedder)
    text = "Attention lets each token weigh every other token of the sequence. " * 3
    (tokens,) = embedder.embed_tokens([text], side="chunk")
    mean = tokens.matrix.mean(axis=0)
    assert mean @ embedder.embed_query(text) / np.linalg.norm(mean) > 0.99


def test_tokens_of_the_prefix_and_special_ones_are_left_out() -> None:
    """A token that reaches out of the prefix belongs to the text from its beginning."""
    states = np.arange(10, dtype=np.float32).reshape(5, 2)
    found = within(states, [(0, 0), (0, 5), (5, 9), (9, 12), (12, 12)], 7)
    assert found.spans == ((0, 2), (2, 5))
    np.testing.assert_array_equal(found.matrix, states[2:4])


def test_the_embedder_without_a_model_gives_equal_words_equal_vectors() -> None:
    one, two = HashingEmbedder().embed_tokens(["Cat, dog", "a cat"], side="query")
    assert one.spans == ((0, 3), (3, 4), (5, 8))
    np.testing.assert_array_equal(one.matrix[0], two.matrix[1])


def test_the_check_before_first_use_holds_for_token_vectors_too() -> None:
    checked: list[object] = []
    embedder = CheckedEmbedder(HashingEmbedder(), checked.append)
    assert isinstance(embedder, TokenEmbedder)
    assert len(embedder.embed_tokens(["a cat"], side="query")) == 1
    assert len(checked) == 1


def test_an_embedder_without_token_vectors_says_so() -> None:
    class Pooled:
        fingerprint = HashingEmbedder().fingerprint

    embedder = CheckedEmbedder(Pooled(), lambda _: None)  # type: ignore[arg-type]
    with pytest.raises(EmbeddingRejected, match="no vectors of single tokens"):
        embedder.embed_tokens(["a cat"], side="query")
