"""Models that run on torch: the contract, the arithmetic, the prompts; slow, for torch is."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_models import write_pipeline, write_transformer

from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.errors import EmbeddingRejected, SettingsError
from retriever.protocols import Embedder
from retriever.testing import EmbedderContract
from retriever.testing.embedder_contract import TEXTS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prompts = {"query": "query: ", "document": "passage: "}
    return write_pipeline(tmp_path_factory.mktemp("models") / "tiny-pipeline", prompts=prompts)


@pytest.fixture(scope="session")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_transformer(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="session")
def pipeline_embedder(pipeline: Path) -> Embedder:
    return open_embedder(EmbedderOptions(model=str(pipeline), batch_tokens=200))


@pytest.fixture(scope="session")
def transformer_embedder(transformer: Path) -> Embedder:
    return open_embedder(EmbedderOptions(model=str(transformer), batch_tokens=200))


class TestSentenceTransformersEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self, pipeline_embedder: Embedder) -> Embedder:
        return pipeline_embedder


class TestTransformersEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self, transformer_embedder: Embedder) -> Embedder:
        return transformer_embedder


def test_the_folder_decides_the_backend(pipeline: Path, transformer: Path) -> None:
    embedder = open_embedder(EmbedderOptions(model="tiny", path=pipeline))
    assert embedder.fingerprint.backend == "sentence-transformers"
    embedder = open_embedder(EmbedderOptions(model="tiny", path=transformer))
    assert embedder.fingerprint.backend == "transformers"


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_pooling_equals_pooling_by_hand_to_1e_5(transformer: Path, pooling: str) -> None:
    """Each text alone, without padding: what the masked mean of a padded batch must equal."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(transformer)
    model = AutoModel.from_pretrained(transformer).eval()
    by_hand = []
    texts = [text for text in TEXTS if len(tokenizer(text)["input_ids"]) <= 72]
    for text in texts:
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        pooled = (hidden[0] if pooling == "cls" else hidden.mean(dim=0)).numpy()
        by_hand.append(pooled / np.linalg.norm(pooled))
    options = EmbedderOptions(
        model="tiny",
        path=transformer,
        pooling=pooling,
        precision="float32",  # type: ignore[arg-type]
    )
    np.testing.assert_allclose(open_embedder(options).embed_chunks(texts), by_hand, atol=1e-5)


def test_a_pipeline_gives_what_sentence_transformers_gives(pipeline: Path) -> None:
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(pipeline), device="cpu")
    texts = ["the cat sat on the mat", "invoices are due", "a"]
    embedder = open_embedder(EmbedderOptions(model="tiny", path=pipeline, precision="float32"))
    np.testing.assert_allclose(
        embedder.embed_chunks(texts), reference.encode_document(texts), atol=1e-5
    )
    np.testing.assert_allclose(
        embedder.embed_query(texts[0]), reference.encode_query(texts[0]), atol=1e-5
    )


def test_tokens_are_counted_as_the_pipeline_counts_them(pipeline: Path) -> None:
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(pipeline), device="cpu")
    texts = ["the cat sat", "", "naïve Ünïcode, x=1; 日本"]
    prompted = ["passage: " + text for text in texts]
    expected = reference.preprocess(prompted)["attention_mask"].sum(dim=1).tolist()
    embedder = open_embedder(EmbedderOptions(model="tiny", path=pipeline))
    assert embedder.count_tokens(texts) == expected


def test_a_prefix_that_is_switched_off_is_off(pipeline: Path) -> None:
    """An empty prefix in the settings wins over the prompts that are stored in the model."""
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(pipeline), device="cpu", prompts={})
    options = EmbedderOptions(
        model="tiny", path=pipeline, precision="float32", query_prefix="", chunk_prefix=""
    )
    np.testing.assert_allclose(
        open_embedder(options).embed_query("the cat"),
        reference.encode("the cat", prompt=""),
        atol=1e-5,
    )


def test_a_model_without_tokenizer_json_is_counted_all_the_same(
    transformer: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(transformer, tmp_path / "old"))
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (folder / "tokenizer.json").unlink()
    pieces = sorted(vocabulary["vocab"], key=vocabulary["vocab"].get)
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "BertTokenizer", "do_lower_case": true, "model_max_length": 72}',
        encoding="utf-8",
    )
    old = open_embedder(EmbedderOptions(model="tiny", path=folder))
    new = open_embedder(EmbedderOptions(model="tiny", path=transformer))
    assert old.count_tokens(TEXTS) == new.count_tokens(TEXTS)
    assert old.count_tokens([]) == []
    np.testing.assert_allclose(old.embed_chunks(TEXTS), new.embed_chunks(TEXTS), atol=1e-5)
    assert old.embed_query("the cat sat on the mat " * 40).shape == (32,)


def test_a_device_that_is_not_here_is_a_settings_error(transformer: Path) -> None:
    embedder = open_embedder(EmbedderOptions(model="tiny", path=transformer, device="cuda:7"))
    with pytest.raises(SettingsError, match="Set it to auto or cpu"):
        embedder.embed_query("cat")


def test_weights_that_are_missing_are_not_made_up(transformer: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    damaged = tmp_path / "damaged"
    shutil.copytree(transformer, damaged)
    weights = load_file(damaged / "model.safetensors")
    removed = next(key for key in weights if "layer.0" in key)
    save_file({k: v for k, v in weights.items() if k != removed}, damaged / "model.safetensors")
    embedder = open_embedder(EmbedderOptions(model="tiny", path=damaged))
    with pytest.raises(EmbeddingRejected, match="random numbers"):
        embedder.embed_query("cat")


@pytest.mark.model
def test_the_default_model_knows_that_a_feline_is_a_cat() -> None:
    embedder = open_embedder(EmbedderOptions(model="all-MiniLM-L6-v2", runtime="torch"))
    cat, feline, automobile = embedder.embed_chunks(["cat", "feline", "automobile"])
    assert cat @ feline > cat @ automobile + 0.2


@pytest.mark.model
def test_the_default_model_gives_its_published_vectors() -> None:
    from sentence_transformers import SentenceTransformer

    from retriever.embedding.weights import find_model

    options = EmbedderOptions(model="all-MiniLM-L6-v2", runtime="torch")
    reference = SentenceTransformer(str(find_model(options)), device="cpu").encode(list(TEXTS))
    vectors = open_embedder(options).embed_chunks(TEXTS)
    assert np.sum(vectors * reference, axis=1).min() > 0.999


@pytest.mark.parametrize("kind", ["pipeline", "transformer"])
@pytest.mark.parametrize("damage", ["weights that break off", "a type that is none"])
def test_a_damaged_model_is_an_error_that_names_its_folder(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, damage: str
) -> None:
    folder = Path(shutil.copytree(request.getfixturevalue(kind), tmp_path / "damaged"))
    if damage == "weights that break off":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:100])
    else:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps(config | {"dtype": "x"}), encoding="utf-8")
    embedder = open_embedder(EmbedderOptions(model=str(folder), runtime="torch"))
    with pytest.raises(EmbeddingRejected, match=re.escape(str(folder))):
        embedder.embed_chunks(["a cat"])
