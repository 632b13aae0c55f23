"""Static models: what numpy makes of them is what sentence-transformers and model2vec make."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tiny_models import write_tokenizer

from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.static import StaticEmbedder
from retriever.errors import EmbeddingRejected, SettingsError
from retriever.protocols import Embedder
from retriever.testing import EmbedderContract
from retriever.testing.embedder_contract import TEXTS

DIMENSION = 24


def matrix(rows: int = 180) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(9).normal(size=(rows, DIMENSION)).astype(np.float32)


def write_model2vec(folder: Path, *, mapped: bool = False, modules: bool = False) -> Path:
    """A folder as model2vec saves it: with `mapped`, rows are shared and tokens weighted."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    if mapped:
        chance = np.random.default_rng(4)
        tensors = {
            "embeddings": matrix(40).astype(np.float16),
            "mapping": chance.integers(0, 40, size=180),
            "weights": chance.random(180),
        }
    else:
        tensors = {"embeddings": matrix()}
    save_file(tensors, folder / "model.safetensors")
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if modules:
        kinds = ["StaticEmbedding", "Normalize"]
        listed = [
            {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for n, (kind, path) in enumerate(zip(kinds, (".", "1_Normalize"), strict=True))
        ]
        (folder / "modules.json").write_text(json.dumps(listed), encoding="utf-8")
    return folder


def write_pipeline(folder: Path) -> Path:
    """A folder as sentence-transformers saves it; imports torch."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    folder.mkdir(parents=True)
    write_tokenizer(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    module = StaticEmbedding(tokenizer, embedding_weights=matrix())
    prompts = {"query": "query: ", "document": "passage: "}
    SentenceTransformer(modules=[module], prompts=prompts).save(str(folder / "saved"))
    return folder / "saved"


def opened(folder: Path, **changes: Any) -> StaticEmbedder:
    embedder = open_embedder(EmbedderOptions(model=str(folder), **changes))
    assert isinstance(embedder, StaticEmbedder)
    return embedder


class TestModel2Vec(EmbedderContract):
    @pytest.fixture
    def embedder(self, tmp_path: Path) -> Embedder:
        return opened(write_model2vec(tmp_path / "m", mapped=True), window_tokens=500)


class TestWithPrefixes(EmbedderContract):
    @pytest.fixture
    def embedder(self, tmp_path: Path) -> Embedder:
        folder = write_model2vec(tmp_path / "m", modules=True)
        prefixes = {"query_prefix": "query ", "chunk_prefix": "passage "}
        return opened(folder, window_tokens=500, **prefixes)


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("modules", [False, True])
def test_a_folder_of_model2vec_gives_the_vectors_of_model2vec(
    tmp_path: Path, mapped: bool, modules: bool
) -> None:
    model2vec = pytest.importorskip("model2vec")
    folder = write_model2vec(tmp_path / "m", mapped=mapped, modules=modules)
    theirs = model2vec.StaticModel.from_pretrained(folder).encode(list(TEXTS))
    np.testing.assert_allclose(
        opened(folder).embed_chunks(TEXTS), theirs, atol=2e-3 if mapped else 1e-6
    )


@pytest.mark.slow  # it imports torch
def test_a_pipeline_gives_the_vectors_of_sentence_transformers(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = write_pipeline(tmp_path / "m")
    theirs = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    ours = opened(folder)
    assert (ours.fingerprint.query_prefix, ours.fingerprint.chunk_prefix) == (
        "query: ",
        "passage: ",
    )
    chunks = theirs.encode_document(list(TEXTS), normalize_embeddings=True)
    np.testing.assert_allclose(ours.embed_chunks(TEXTS), chunks, atol=1e-6)
    query = theirs.encode_query(TEXTS[0], normalize_embeddings=True)
    np.testing.assert_allclose(ours.embed_query(TEXTS[0]), query, atol=1e-6)


def test_no_torch_is_loaded(tmp_path: Path) -> None:
    folder = write_model2vec(tmp_path / "m", modules=True)
    code = (
        "import sys; from retriever.embedding.opening import open_embedder as o;"
        "from retriever.embedding.options import EmbedderOptions as E;"
        "o(E(model=sys.argv[1])).embed_query('a cat');"
        "print(sorted({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_text_of_unknown_tokens_is_refused(tmp_path: Path) -> None:
    embedder = opened(write_model2vec(tmp_path / "m"))
    assert embedder.refusals(["\u4e2d", "cat", ""]) == [
        "no token that m knows",
        "",
        "no token that m knows",
    ]
    with pytest.raises(EmbeddingRejected, match="no token that m knows"):
        embedder.embed_query("\u4e2d")


def test_any_length_is_read_whole(tmp_path: Path) -> None:
    embedder = opened(write_model2vec(tmp_path / "m"))
    one, other = embedder.embed_chunks(["the " * 600 + "cat", "the " * 600 + "dog"])
    assert not np.array_equal(one, other)


def test_a_shorter_dimension_is_refused_where_the_model_is_not_known_for_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError, match="dimension"):
        opened(write_model2vec(tmp_path / "m"), dimension=8)


HEADER = b'{"embeddings":{"dtype":"F32","shape":[%d,%d],"data_offsets":[0,%d]}}'
LIES = {
    "empty": b"",
    "header longer than the file": (2**60).to_bytes(8, "little") + b"{}",
    "not JSON": (2).to_bytes(8, "little") + b"{]",
    "no matrix": (2).to_bytes(8, "little") + b"{}",
    "nested without end": (10**5).to_bytes(8, "little") + b"[" * 10**5,
    "infinite": HEADER.replace(b"%d,%d", b"%d,Infinity") % (4, 16),
    "more rows than bytes": HEADER % (10**12, 300, 4 * 300 * 10**12),
    "shape and bytes differ": HEADER % (4, 4, 16),
    "fewer rows than tokens": HEADER % (1, 2, 8) + b"\0" * 8,
}


@pytest.mark.parametrize("content", LIES.values(), ids=LIES.keys())
def test_a_matrix_that_lies_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    folder = write_model2vec(tmp_path / "m")
    if content.startswith(b'{"emb'):
        end = content.index(b"}}") + 2
        content = end.to_bytes(8, "little") + content
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(SettingsError, match=r"model\.safetensors"):
        opened(folder).embed_query("a cat")
