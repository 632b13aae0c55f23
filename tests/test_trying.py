"""Trying a model: what it says of itself, how fast it is, and what that costs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import run
from hypothesis import given
from hypothesis import strategies as st
from provider_servers import DIMENSION, Fault, ProviderServer, provider_server

from retriever import assembly
from retriever.embedding import retrying
from retriever.embedding.speeds import FILE_NAME, LONGEST_FILE_BYTES, SpeedLog
from retriever.errors import EmbeddingRejected, SettingsError
from retriever.settings import Settings
from retriever.trying import try_model

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 0.001)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with provider_server() as running:
        yield running


def served(server: ProviderServer, **changes: Any) -> Settings:
    values = {
        "embedding.backend": "openai",
        "embedding.model": "served-model",
        "embedding.base_url": server.url,
        "embedding.dimension": DIMENSION,
        "embedding.window_tokens": 500,
    }
    return Settings.load(**(values | changes))


def hashing(**changes: Any) -> Settings:
    values = {"embedding.backend": "retriever.testing:HashingEmbedder", "embedding.model": "mine"}
    return Settings.load(**(values | changes))


def speeds() -> SpeedLog:
    return SpeedLog(assembly.user_cache_folder())


def test_a_trial_names_what_the_fingerprint_names() -> None:
    found = try_model(hashing(**{"embedding.query_prefix": "query: ", "embedding.dimension": 64}))
    assert (found.model, found.backend, found.dimension) == ("mine", "hashing", 64)
    assert (found.query_prefix, found.chunk_prefix) == ("query: ", "")
    assert found.sides_cosine < 1.0


def test_a_model_without_sides_gives_the_same_vector_for_both() -> None:
    assert try_model(hashing()).sides_cosine == 1.0


def test_the_speed_of_a_local_model_is_measured_and_remembered() -> None:
    found = try_model(hashing())
    assert found.tokens_per_s is not None
    assert found.tokens_per_s > 0
    assert speeds().read()["mine"].tokens_per_s == found.tokens_per_s


def test_a_provider_is_asked_for_the_canary_twice_and_not_timed(server: ProviderServer) -> None:
    found = try_model(served(server))
    assert len(server.requests) == 2
    assert found.tokens_per_s is None
    assert speeds().read() == {}


def test_a_provider_of_another_width_than_the_settings_say_is_an_error(
    server: ProviderServer,
) -> None:
    with pytest.raises(EmbeddingRejected, match="64"):
        try_model(served(server, **{"embedding.dimension": DIMENSION + 1}))


def test_a_key_that_is_refused_is_an_error(server: ProviderServer) -> None:
    server.faults = [Fault(status=401)]
    with pytest.raises(EmbeddingRejected, match="401"):
        try_model(served(server))


def test_a_wrong_name_is_met_with_the_nearest_known_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SettingsError, match="Did you mean text-embedding-3-small"):
        try_model(Settings.load(**{"embedding.model": "text-embedding-3-smal"}))


def test_the_command_line_shows_each_finding_on_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETRIEVER_EMBEDDING__BACKEND", "retriever.testing:HashingEmbedder")
    monkeypatch.setenv("RETRIEVER_EMBEDDING__QUERY_PREFIX", "query: \x1b[31m")
    code, out, _ = run(capsys, ["models", "--check", "mine"])
    assert code == 0
    assert "256 tokens" in out
    assert "query prefix" in out
    assert "\x1b" not in out


def test_json_of_a_trial_holds_every_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETRIEVER_EMBEDDING__BACKEND", "retriever.testing:HashingEmbedder")
    found = run(capsys, ["models", "--check", "mine", "--json"]).json
    assert found["dimension"] == found["window_tokens"] == 256
    assert found["tokens_per_s"] > 0


def test_the_list_of_models_tells_the_speed_that_was_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    speeds().note(MINILM, 1234.56)
    rows = run(capsys, ["models", "--json"]).json
    row = next(row for row in rows if row["model"] == MINILM)
    assert row["tokens_per_s"] == 1234.6
    assert row["measured_on"].count("-") == 2
    _, out, _ = run(capsys, ["models"])
    assert "1,235" in out
    assert row["mteb_source"] in out


def test_the_last_speed_of_a_model_is_the_one_that_is_known(tmp_path: Path) -> None:
    log = SpeedLog(tmp_path / "new" / "folder")
    log.note("a", 1.0)
    log.note("b", 2.0)
    log.note("a", 3.0)
    assert {name: one.tokens_per_s for name, one in log.read().items()} == {"a": 3.0, "b": 2.0}


@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
            max_leaves=8,
        ).map(lambda value: json.dumps({"m": value, "n": {"tokens_per_s": value}}).encode()),
    )
)
def test_a_log_of_anything_else_counts_as_empty(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("log")
    (folder / FILE_NAME).write_bytes(content)
    assert SpeedLog(folder).read() == {}


def test_a_log_without_end_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / FILE_NAME).open("wb") as file:
        file.truncate(LONGEST_FILE_BYTES + 1)
    assert SpeedLog(tmp_path).read() == {}


def test_a_log_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    SpeedLog(tmp_path / "file").note("a", 1.0)
