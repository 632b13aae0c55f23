"""The fast runtime: the same vectors without torch and telemetry, whatever becomes of its files."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import write_pipeline, write_transformer

from retriever.embedding.local import batches
from retriever.embedding.opening import open_embedder
from retriever.embedding.openvino import import_openvino
from retriever.embedding.openvino_running import CALL_TOKENS, in_calls
from retriever.embedding.options import EmbedderOptions
from retriever.errors import SettingsError
from retriever.protocols import Embedder, Vectors
from retriever.testing import EmbedderContract
from retriever.testing.embedder_contract import TEXTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("openvino") is None, reason="needs the extra `openvino`"
    ),
]

EMBED = """
import sys
from pathlib import Path
from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
embedder = open_embedder(EmbedderOptions(model="tiny", path=Path(sys.argv[1]),
                                         cache_dir=Path(sys.argv[2]), runtime="openvino"))
embedder.embed_query("the cat sat on the mat")
loaded = {name.partition(".")[0] for name, module in sys.modules.items() if module}
print(*sorted(loaded & {"torch", "transformers", "sentence_transformers", "scipy", "openvino",
                        "openvino_telemetry", "requests"}))
"""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pipeline(tmp_path_factory.mktemp("models") / "tiny-pipeline")


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_transformer(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def opened(folder: Path, cache_dir: Path | None, **changes: object) -> Embedder:
    values: dict[str, object] = {"runtime": "openvino", "precision": "float32"}
    options = EmbedderOptions(
        model="tiny",
        path=folder,
        cache_dir=cache_dir,
        **(values | changes),  # type: ignore[arg-type]
    )
    return open_embedder(options)


def in_torch(folder: Path, **changes: object) -> Vectors:
    return opened(folder, None, runtime="torch", **changes).embed_chunks(TEXTS)


class TestConvertedPipeline(EmbedderContract):
    @pytest.fixture
    def embedder(self, pipeline: Path, cache_dir: Path) -> Embedder:
        return opened(pipeline, cache_dir, precision="auto")


def test_a_converted_pipeline_gives_the_same_vectors(pipeline: Path, cache_dir: Path) -> None:
    vectors = opened(pipeline, cache_dir).embed_chunks(TEXTS)
    np.testing.assert_allclose(vectors, in_torch(pipeline), atol=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_converted_transformer_gives_the_same_vectors(
    transformer: Path, cache_dir: Path, pooling: str
) -> None:
    vectors = opened(transformer, cache_dir, pooling=pooling).embed_chunks(TEXTS)
    np.testing.assert_allclose(vectors, in_torch(transformer, pooling=pooling), atol=1e-4)


@pytest.mark.parametrize("architecture", ["mpnet", "xlm-roberta", "distilbert", "modernbert"])
def test_other_architectures_convert_too(
    transformer: Path, tmp_path: Path, architecture: str
) -> None:
    folder = write_transformer(tmp_path / architecture, architecture=architecture)
    vectors = opened(folder, tmp_path / "cache").embed_chunks(TEXTS)
    np.testing.assert_allclose(vectors, in_torch(folder), atol=1e-4)


def test_neither_torch_nor_telemetry_is_imported_after_conversion(
    pipeline: Path, cache_dir: Path, tmp_path: Path
) -> None:
    opened(pipeline, cache_dir, precision="auto").embed_query("convert")
    environment = os.environ | {"HOME": str(tmp_path)}
    command = [sys.executable, "-c", EMBED, str(pipeline), str(cache_dir)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.split() == ["openvino"]
    assert not (tmp_path / "intel").exists(), "OpenVINO's telemetry has written its client id"


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.bin", cut_short),
        ("model.bin", flip_a_byte),
        ("model.xml", Path.unlink),
        ("verdict.json", cut_short),
        ("*.blob", cut_short),
        ("*.blob", flip_a_byte),
    ],
)
def test_what_is_damaged_is_rebuilt(
    pipeline: Path, cache_dir: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    opened(pipeline, cache_dir).embed_query("convert")
    shutil.copytree(cache_dir / "openvino", tmp_path / "openvino")
    expected = opened(pipeline, tmp_path).embed_chunks(TEXTS)
    damaged = list((tmp_path / "openvino").rglob(name))
    assert damaged
    for file in damaged:
        damage(file)
    vectors = opened(pipeline, tmp_path).embed_chunks(TEXTS)
    np.testing.assert_allclose(vectors, expected, atol=1e-4)


def test_a_part_that_cannot_be_converted_runs_on_torch_and_says_so(
    pipeline: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(pipeline, tmp_path / "odd"))
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    modules[2] = modules[2] | {"type": "sentence_transformers.models.Dropout", "path": "2_Dropout"}
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "2_Dropout").mkdir()
    (folder / "2_Dropout" / "config.json").write_text('{"dropout": 0.2}', encoding="utf-8")
    with pytest.warns(RuntimeWarning, match="runs on torch"):
        vectors = opened(folder, tmp_path / "cache").embed_chunks(TEXTS)
    np.testing.assert_allclose(vectors, in_torch(pipeline), atol=1e-4)


def test_where_the_cache_folder_cannot_be_written_torch_runs_the_model_until_it_can(
    pipeline: Path, tmp_path: Path
) -> None:
    cache_dir = tmp_path / "cache"
    cache_dir.write_text("a file where the folder should be", encoding="utf-8")
    with pytest.warns(RuntimeWarning, match="openvino cannot be written"):
        vectors = opened(pipeline, cache_dir).embed_chunks(TEXTS)
    np.testing.assert_allclose(vectors, in_torch(pipeline), atol=1e-4)
    cache_dir.unlink()
    opened(pipeline, cache_dir).embed_query("converted now, without a warning")


def test_a_model_that_could_not_be_written_once_is_converted_the_next_time(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(import_openvino(), "save_model", full)
        with pytest.warns(RuntimeWarning, match="cannot be written"):
            opened(pipeline, tmp_path).embed_query("on torch")
    assert not list(tmp_path.rglob("refusal.json"))
    opened(pipeline, tmp_path).embed_query("converted now, without a warning")
    assert list(tmp_path.rglob("verdict.json"))


def test_a_gpu_cannot_run_it(pipeline: Path, cache_dir: Path) -> None:
    with pytest.raises(SettingsError, match="runs on the CPU"):
        opened(pipeline, cache_dir, device="cuda").embed_query("cat")


@pytest.mark.model
def test_the_default_model_agrees_with_torch_to_0_9999(tmp_path: Path) -> None:
    options = {"model": "all-MiniLM-L6-v2", "precision": "float32"}
    exact = open_embedder(EmbedderOptions(**options, runtime="torch"))  # type: ignore[arg-type]
    fast = open_embedder(
        EmbedderOptions(model="all-MiniLM-L6-v2", runtime="openvino", cache_dir=tmp_path)
    )
    cosines = np.sum(exact.embed_chunks(TEXTS) * fast.embed_chunks(TEXTS), axis=1)
    assert cosines.min() > 0.9995
    assert fast.fingerprint == exact.fingerprint


@given(st.lists(st.integers(1, 256), min_size=1, max_size=80), st.integers(1, 8))
def test_a_call_is_no_larger_than_a_lanes_share_and_no_text_is_lost(
    lengths: list[int], lanes: int
) -> None:
    calls = list(in_calls(lengths, lanes=lanes))
    assert sorted(place for call in calls for place in call) == list(range(len(lengths)))
    most = min(CALL_TOKENS, -(-sum(lengths) // lanes))
    longest = [max(lengths[place] for place in call) for call in calls]
    assert all(
        len(call) == 1 or len(call) * length <= most
        for call, length in zip(calls, longest, strict=True)
    )


def test_less_than_a_twentieth_of_what_is_computed_is_padding() -> None:
    draw = np.random.default_rng(5)
    lengths = draw.integers(13, 161, 1_024).tolist()  # as the chunks of a manual are
    computed = 0
    for batch in batches(lengths, EmbedderOptions(model="any").batch_tokens):
        its = [lengths[place] for place in batch]
        computed += sum(len(call) * its[call[0]] for call in in_calls(its, lanes=2))
    assert sum(lengths) > 0.95 * computed


def test_batches_that_are_begun_together_come_out_as_they_would_alone(
    pipeline: Path, cache_dir: Path
) -> None:
    embedder = opened(pipeline, cache_dir)
    first, second = TEXTS * 40, [f"{text} again" for text in TEXTS * 40]
    kept: dict[str, np.ndarray] = {}
    begun = [embedder.begin_chunks(texts, kept.update) for texts in (first, second)]
    results = [pending.result() for pending in reversed(begun)]
    np.testing.assert_array_equal(results[1], embedder.embed_chunks(first))
    np.testing.assert_array_equal(results[0], embedder.embed_chunks(second))
    assert kept.keys() == {*first, *second}
    assert all(np.array_equal(kept[text], row) for text, row in zip(first, results[1], strict=True))


def test_what_is_cancelled_ends_soon_and_harms_nothing_else(
    pipeline: Path, cache_dir: Path
) -> None:
    embedder = opened(pipeline, cache_dir)
    texts = [f"{text} {number}" for number in range(300) for text in TEXTS]
    expected = embedder.embed_chunks(texts)
    for _ in range(3):
        stopped = embedder.begin_chunks(texts, lambda part: None)
        pending = embedder.begin_chunks(texts, lambda part: None)
        stopped.cancel()
        np.testing.assert_array_equal(pending.result(), expected)
        pending.cancel()
        stopped.cancel()


def test_threads_share_a_compiled_model(pipeline: Path, cache_dir: Path) -> None:
    embedder = opened(pipeline, cache_dir)
    texts = [f"{text} {number}" for number in range(60) for text in TEXTS]
    expected, query = embedder.embed_chunks(texts), embedder.embed_query("cat")
    with ThreadPoolExecutor(4) as pool:
        many = [pool.submit(embedder.embed_chunks, texts) for _ in range(6)]
        few = [pool.submit(embedder.embed_query, "cat") for _ in range(60)]
        assert all(np.array_equal(one.result(), expected) for one in many)
        assert all(np.array_equal(one.result(), query) for one in few)
