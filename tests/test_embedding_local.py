"""What local models share, without torch: files, windows, batches, order, token counts."""

import errno
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_models import write_pipeline_files, write_tokenizer

from retriever.embedding.local import Batch, LocalEmbedder, TokenStates, batches
from retriever.embedding.model_files import read_model
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.precision import choose
from retriever.embedding.revision import weights_revision
from retriever.embedding.tokenizing import FastTokenizer, split_to_fit
from retriever.errors import SettingsError
from retriever.protocols import Embedder, Vectors
from retriever.testing import EmbedderContract


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline's files with weights that nobody loads."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    write_pipeline_files(folder, prompts={"query": "query: ", "document": "passage: "})
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "tiny"))


class BagRunner:
    """A model that reads the token ids it is given: the bag of them, with the side."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def run(self, batch: Batch) -> NDArray[np.float32]:
        self.batches.append(batch)
        vectors = np.zeros((len(batch.texts), 32), dtype=np.float32)
        for vector, ids in zip(vectors, batch.ids, strict=True):
            np.add.at(vector, np.array(ids) % 31, 1.0)
        return vectors


def opened(folder: Path, runner: BagRunner, batch_tokens: int = 200) -> LocalEmbedder:
    model = read_model(EmbedderOptions(model="tiny"), folder)
    tokenizer = FastTokenizer(folder / "tokenizer.json", lower_case=False)
    return LocalEmbedder(
        model, tokenizer, lambda: runner, batch_tokens=batch_tokens, load_tokens=_no_tokens
    )


def _no_tokens() -> TokenStates:
    raise AssertionError("token vectors were not asked for")


class TestLocalEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self, folder: Path) -> Embedder:
        return opened(folder, BagRunner())


def test_the_files_say_everything(folder: Path) -> None:
    model = read_model(EmbedderOptions(model="tiny"), folder)
    assert model.fingerprint.dimension == 32
    assert model.fingerprint.window_tokens == 64
    assert model.fingerprint.pooling == "mean"
    assert (model.fingerprint.query_prefix, model.fingerprint.chunk_prefix) == (
        "query: ",
        "passage: ",
    )


def test_the_settings_overrule_the_models_prompts(folder: Path) -> None:
    options = EmbedderOptions(model="tiny", query_prefix="", chunk_prefix="text: ")
    fingerprint = read_model(options, folder).fingerprint
    assert (fingerprint.query_prefix, fingerprint.chunk_prefix) == ("", "text: ")


def test_the_catalogue_overrules_the_models_prompts(folder: Path) -> None:
    fingerprint = read_model(EmbedderOptions(model="bge-small-en-v1.5"), folder).fingerprint
    assert fingerprint.query_prefix.startswith("Represent this sentence")
    assert fingerprint.chunk_prefix == ""
    assert fingerprint.model == "BAAI/bge-small-en-v1.5"


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
    ],
)
def test_the_window_is_bounded_by_the_positions(
    copied: Path, config: dict[str, object], limit: int
) -> None:
    (copied / "config.json").write_text(json.dumps(config | {"hidden_size": 32}), encoding="utf-8")
    (copied / "sentence_bert_config.json").write_text('{"max_seq_length": 99999}', encoding="utf-8")
    assert read_model(EmbedderOptions(model="tiny"), copied).fingerprint.window_tokens == limit
    with pytest.raises(SettingsError, match=str(limit)):
        read_model(EmbedderOptions(model="tiny", window_tokens=limit + 1), copied)


def test_a_model_that_was_not_trained_for_it_is_not_cut_short(folder: Path) -> None:
    with pytest.raises(SettingsError, match="not trained"):
        read_model(EmbedderOptions(model="tiny", dimension=16), folder)


def test_code_that_comes_with_a_model_is_not_run_unless_trusted(copied: Path) -> None:
    modules = json.loads((copied / "modules.json").read_text(encoding="utf-8"))
    modules[0]["type"] = "os.path"
    (copied / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    with pytest.raises(SettingsError, match="trust_remote_code"):
        read_model(EmbedderOptions(model="tiny"), copied)


@pytest.mark.parametrize("content", ["{", "[1, 2", "\xff"])
def test_a_damaged_file_is_named(copied: Path, content: str) -> None:
    (copied / "sentence_bert_config.json").write_text(content, encoding="latin-1")
    with pytest.raises(SettingsError, match=r"sentence_bert_config\.json"):
        read_model(EmbedderOptions(model="tiny"), copied)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", {"hidden_size": 32, "model_type": [], "max_position_embeddings": 9}),
        ("config.json", {"text_config": "x"}),
        ("config_sentence_transformers.json", {"prompts": "x"}),
        ("1_Pooling/config.json", {"word_embedding_dimension": "x"}),
        ("1_Pooling/config.json", {"word_embedding_dimension": 1e300}),
    ],
)
def test_files_that_hold_what_no_model_has_are_an_error_that_names_the_folder(
    copied: Path, name: str, content: object
) -> None:
    (copied / name).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(SettingsError, match=re.escape(str(copied))):
        read_model(EmbedderOptions(model="tiny"), copied)


def test_copies_of_a_model_share_a_revision_and_changed_weights_do_not(
    folder: Path, copied: Path, tmp_path: Path
) -> None:
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    (copied / "config.json").write_text(
        json.dumps(config | {"transformers_version": "9.9"}), encoding="utf-8"
    )
    assert weights_revision(copied, tmp_path) == weights_revision(folder, tmp_path)
    (copied / "model.safetensors").write_bytes(b"weightz")
    assert weights_revision(copied, tmp_path) != weights_revision(folder, tmp_path)


def test_a_damaged_memo_of_hashes_is_only_slower(folder: Path, tmp_path: Path) -> None:
    expected = weights_revision(folder, None)
    (tmp_path / "weights.json").write_text('{"a": [1,', encoding="utf-8")
    assert weights_revision(folder, tmp_path) == expected
    (tmp_path / "weights.json").write_text("[]", encoding="utf-8")
    assert weights_revision(folder, tmp_path) == expected


def test_equal_texts_are_run_once_and_batches_hold_similar_lengths(folder: Path) -> None:
    runner = BagRunner()
    texts = ["the cat sat on the mat " * (i % 8) for i in range(64)]
    opened(folder, runner).embed_chunks(texts)
    ran = [text for batch in runner.batches for text in batch.texts]
    assert sorted(ran) == sorted(set(texts))
    for batch in runner.batches:
        lengths = [len(ids) for ids in batch.ids]
        assert len(lengths) == 1 or max(lengths) * len(lengths) <= 200


class AheadRunner(BagRunner):
    """The same model, which works when it is begun and tells who waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_for = 0
        self.cancelled = 0

    def begin(self, batch: Batch) -> "Work":
        return Work(self, self.run(batch))


class Work:
    def __init__(self, runner: AheadRunner, vectors: Vectors) -> None:
        self._runner = runner
        self._vectors = vectors

    def result(self) -> Vectors:
        self._runner.waited_for += 1
        return self._vectors

    def cancel(self) -> None:
        self._runner.cancelled += 1


def test_batches_are_begun_before_they_are_waited_for(folder: Path) -> None:
    runner = AheadRunner()
    texts = [f"the cat sat on the mat {i}" for i in range(40)]
    embedder = opened(folder, runner)
    kept: dict[str, Vectors] = {}
    pending = embedder.begin_chunks([*texts, *texts], kept.update)
    assert (len(runner.batches), runner.waited_for) == (3, 0)
    found = pending.result()
    np.testing.assert_array_equal(found, opened(folder, BagRunner()).embed_chunks([*texts, *texts]))
    assert kept.keys() == set(texts)
    assert all(np.array_equal(kept[text], row) for text, row in zip(texts, found, strict=False))
    assert runner.cancelled == 0


def test_what_cannot_be_kept_stops_what_was_begun(folder: Path) -> None:
    runner = AheadRunner()
    pending = opened(folder, runner, batch_tokens=20).begin_chunks(
        [f"the cat sat on the mat {i}" for i in range(40)], keep_on_a_full_disk
    )
    begun = len(runner.batches)
    with pytest.raises(OSError, match="No space left"):
        pending.result()
    assert runner.waited_for == 1
    assert runner.cancelled == begun


def keep_on_a_full_disk(part: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_parts_are_kept_under_the_texts_that_were_given(folder: Path) -> None:
    kept: dict[str, Vectors] = {}
    opened(folder, BagRunner()).begin_chunks(["a\udcff b", "a? b"], kept.update).result()
    assert list(kept) == ["a\udcff b", "a? b"]


@given(st.lists(st.integers(1, 500)), st.integers(1, 2000))
def test_batches_hold_each_place_once_within_their_tokens(
    lengths: list[int], batch_tokens: int
) -> None:
    found = list(batches(lengths, batch_tokens))
    assert sorted(place for batch in found for place in batch) == list(range(len(lengths)))
    for batch in found:
        longest = max(lengths[place] for place in batch)
        assert len(batch) == 1 or len(batch) * longest <= batch_tokens


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> FastTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return FastTokenizer(folder / "tokenizer.json", lower_case=False)


WORDS = st.sampled_from(["cat", "mat", "unknownword", "x" * 40, "日本語", "\n", "...", "a"])


@given(st.lists(WORDS, max_size=60), st.integers(16, 40))
def test_a_long_query_is_cut_into_windows_that_hold_all_of_it(
    tokenizer: FastTokenizer, words: Sequence[str], window: int
) -> None:
    text = " ".join(words)
    parts = split_to_fit(tokenizer, text, prefix="query: ", window_tokens=window)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(len(ids) <= window for ids in tokenizer.ids(["query: " + part for part in parts]))


def test_text_that_is_not_unicode_is_counted_and_embedded(folder: Path) -> None:
    embedder = opened(folder, BagRunner())
    assert embedder.count_tokens(["a\udcff b"]) == embedder.count_tokens(["a? b"])
    assert embedder.embed_query("a\udcff b").shape == (32,)


def test_arithmetic_that_changes_vectors_is_refused_with_a_warning() -> None:
    exact = np.eye(10, 32)
    other = exact + 0.05
    with pytest.warns(RuntimeWarning, match="float32 is used"):
        chosen = choose(
            "auto", "bfloat16", lambda p: exact if p == "float32" else other, model="tiny"
        )
    assert chosen == "float32"
    assert choose("auto", "bfloat16", lambda _: exact, model="tiny") == "bfloat16"
    assert choose("float32", "bfloat16", lambda _: exact, model="tiny") == "float32"
