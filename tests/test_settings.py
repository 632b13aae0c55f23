"""Settings: what is read, what wins, and what is refused with which words."""

import os
import traceback
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from retriever.errors import SettingsError
from retriever.settings import Settings
from retriever.settings.keys import each_field

SECRET = "sk-do-not-print-1234567890"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("RETRIEVER_", "OPENAI_", "CO_API", "CHROMA_")):
            monkeypatch.delenv(name)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def origin_of(settings: Settings, key: str) -> str:
    return next(origin for name, _, origin, _ in settings.describe() if name == key)


def refusal(*files: Path, **overrides: object) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.load(*files, **overrides)
    return str(caught.value)


def test_later_files_win_then_the_environment_then_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write(tmp_path, "a.toml", "[retrieval]\ntop_k = 1\n[chunking]\ntokens = 101\n")
    second = write(tmp_path, "b.toml", "[retrieval]\ntop_k = 2\n")
    assert Settings.load(first, second).retrieval.top_k == 2
    assert Settings.load(first, second).chunking.tokens == 101
    monkeypatch.setenv("RETRIEVER_RETRIEVAL__TOP_K", "3")
    assert Settings.load(first, second).retrieval.top_k == 3
    assert Settings.load(first, second, retrieval__top_k=4).retrieval.top_k == 4
    assert Settings.load(first, retrieval={"top_k": 5}).retrieval.top_k == 5


def test_every_value_knows_where_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, "a.toml", "collection = 'notes'\n[retrieval]\ntop_k = 2\n")
    monkeypatch.setenv("RETRIEVER_CHUNKING__TOKENS", "99")
    monkeypatch.setenv("RETRIEVER_STORAGE", '{"port": 9000}')
    monkeypatch.setenv("RETRIEVER_STORAGE__HEADERS__X_CHROMA_TOKEN", SECRET)
    settings = Settings.load(file, retrieval__top_k=7)
    assert origin_of(settings, "collection") == str(file)
    assert origin_of(settings, "retrieval.top_k") == "argument"
    assert origin_of(settings, "chunking.tokens") == "RETRIEVER_CHUNKING__TOKENS"
    assert origin_of(settings, "storage.port") == "RETRIEVER_STORAGE"
    assert origin_of(settings, "storage.headers") == "RETRIEVER_STORAGE__HEADERS__X_CHROMA_TOKEN"
    assert origin_of(settings, "embedding.model") == "default"


def test_every_setting_says_what_it_is_for() -> None:
    assert all(description.endswith(".") for *_, description in Settings.load().describe())


def test_no_file_and_no_environment_give_the_defaults() -> None:
    assert Settings.load() == Settings()
    assert Settings.load().embedding.model == "sentence-transformers/all-MiniLM-L6-v2"


def test_an_empty_environment_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    without = Settings.load()
    monkeypatch.setenv("RETRIEVER_EMBEDDING__MODEL", "")
    monkeypatch.setenv("RETRIEVER_RETRIEVAL__TOP_K", "")
    settings = Settings.load()
    assert settings == without
    assert origin_of(settings, "embedding.model") == "default"


def test_an_override_of_none_leaves_the_setting_as_it_is(tmp_path: Path) -> None:
    file = write(tmp_path, "a.toml", "collection = 'notes'\n[storage]\nhost = 'h'\n")
    settings = Settings.load(file, collection=None, storage={"host": None, "port": 1})
    assert (settings.collection, settings.storage.host, settings.storage.port) == ("notes", "h", 1)


def test_a_list_in_the_environment_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVER_LOADING__INCLUDE", '["*.md", "*.pdf"]')
    assert Settings.load().loading.include == ("*.md", "*.pdf")
    monkeypatch.setenv("RETRIEVER_LOADING__INCLUDE", "*.md")
    message = refusal()
    assert "RETRIEVER_LOADING__INCLUDE" in message
    assert "JSON" in message


def holds_a_float(annotation: object) -> bool:
    return annotation is float or any(holds_a_float(part) for part in get_args(annotation))


@pytest.mark.parametrize(
    "key", [key for key, field in each_field(Settings) if holds_a_float(field.annotation)]
)
@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_no_number_is_infinite_or_none_at_all(tmp_path: Path, key: str, value: str) -> None:
    file = write(tmp_path, "a.toml", f"{key} = {value}\n")
    assert f"{key}: Input should be a finite number" in refusal(file)


@pytest.mark.parametrize("key", [key for key, _ in each_field(Settings) if "timeout_s" in key])
@pytest.mark.parametrize("value", ["1e300", "1_000_001"])
def test_no_time_limit_is_longer_than_a_system_can_count(
    tmp_path: Path, key: str, value: str
) -> None:
    file = write(tmp_path, "a.toml", f"{key} = {value}\n")
    assert f"{key}: Input should be less than or equal to 1000000" in refusal(file)


def test_headers_from_the_environment_replace_those_of_a_file_whatever_their_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(
        tmp_path, "a.toml", "[storage.headers]\nAuthorization = 'old'\nX-Chroma-Token = 'old'\n"
    )
    monkeypatch.setenv("RETRIEVER_STORAGE__HEADERS__AUTHORIZATION", "new")
    monkeypatch.setenv("RETRIEVER_STORAGE__HEADERS__X_CHROMA_TOKEN", "new")
    headers = Settings.load(file).storage.headers
    assert {name: value.get_secret_value() for name, value in headers.items()} == {
        "authorization": "new",
        "x-chroma-token": "new",
    }


def test_a_header_from_json_in_the_environment_is_one_with_that_of_an_argument(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RETRIEVER_STORAGE__HEADERS", '{"Authorization": "old"}')
    assert Settings.load().storage.headers == {"authorization": SecretStr("old")}
    headers = Settings.load(storage={"headers": {"authorization": "new"}}).storage.headers
    assert headers == {"authorization": SecretStr("new")}


@pytest.mark.parametrize("table", ["query_fields", "chunk_fields"])
def test_fields_of_a_request_keep_the_names_that_they_were_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    file = write(tmp_path, "a.toml", f"[embedding.{table}]\ntaskType = 'QUERY'\ninput_type = 'a'\n")
    name = f"RETRIEVER_EMBEDDING__{table.upper()}"
    monkeypatch.setenv(f"{name}__INPUT_TYPE", "b")
    read = Settings.load(file, **{f"embedding.{table}": {"topK": 3}})
    assert getattr(read.embedding, table) == {"taskType": "QUERY", "input_type": "b", "topK": 3}
    monkeypatch.delenv(f"{name}__INPUT_TYPE")
    monkeypatch.setenv(name, '{"taskType": "DOCUMENT"}')
    read = Settings.load(file)
    assert getattr(read.embedding, table) == {"taskType": "DOCUMENT", "input_type": "a"}


@pytest.mark.parametrize("key", ["embedding.query_fields", "embedding.chunk_fields"])
def test_fields_of_a_request_say_how_a_variable_keeps_capitals(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    description = next(told for name, _, _, told in Settings.load().describe() if name == key)
    assert "names with capitals are kept only in JSON" in description
    variable = f"RETRIEVER_{key.replace('.', '__').upper()}"
    monkeypatch.setenv(variable, '{"inputType": "a"}')
    assert getattr(Settings.load().embedding, key.rpartition(".")[2]) == {"inputType": "a"}


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert Settings.load(storage__path="~/state").storage.path == tmp_path / "state"


def test_a_missing_file_names_the_nearest_and_those_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "mpnet.toml", "")
    write(tmp_path, "openai.toml", "")
    message = refusal(tmp_path / "mpent.toml")
    assert f"There is no config file {tmp_path / 'mpent.toml'}." in message
    assert f"Did you mean {tmp_path / 'mpnet.toml'}?" in message
    assert "mpnet.toml, openai.toml" in message
    assert "there is no folder" in refusal(tmp_path / "nowhere" / "a.toml")
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"collection = ",
        b"\xff\xfe\x00",
        b"a = " + b"[" * 50_000,
        b"a = 1" * 300_000,
        b"a=" + b"9" * 9999,
    ],
    ids=["cut short", "not UTF-8", "nested beyond reason", "larger than 1 MB", "endless number"],
)
def test_a_file_that_is_not_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    assert str(path) in refusal(path)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbfcollection = 'notes'\r\n")
    assert Settings.load(path).collection == "notes"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[retrieval]\ntop_kk = 3", "retrieval.top_k?"),
        ("[retreival]\ntop_k = 3", "Did you mean retrieval?"),
        ("model = 'x'", "Did you mean embedding.model or reranking.model or llm.model?"),
        ("[storage]\nqqqq = 3", "There is: storage.mode, storage.path"),
        ("embedding = 'minilm'", "embedding is a table of settings, not a str. It holds: model"),
    ],
    ids=["key", "section", "section left out", "nothing near", "value for a table"],
)
def test_an_unknown_key_names_the_file_and_the_nearest_valid_one(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = write(tmp_path, "a.toml", text)
    message = refusal(file)
    assert message.startswith(f"{file}: ")
    assert expected in message


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("RETRIEVER_EMBEDING__MODEL", "RETRIEVER_EMBEDDING__MODEL"),
        ("RETRIEVER_EMBEDDING__MODLE", "RETRIEVER_EMBEDDING__MODEL"),
        ("RETRIEVER_COLECTION", "RETRIEVER_COLLECTION"),
    ],
)
def test_a_misspelt_variable_is_an_error_for_load_and_for_the_constructor(
    monkeypatch: pytest.MonkeyPatch, variable: str, nearest: str
) -> None:
    monkeypatch.setenv(variable, "x")
    message = refusal()
    assert variable in message
    assert f"Did you mean {nearest}?" in message
    with pytest.raises(SettingsError, match=variable):
        Settings()


def test_a_misspelt_argument_is_an_error() -> None:
    assert "argument: unknown setting retrieval.topk" in refusal(retrieval__topk=3)
    assert "argument: unknown setting _env_file" in refusal(_env_file=".env")


def test_a_bad_value_names_where_it_was_set_its_key_and_what_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, "a.toml", "[storage]\nmode = 'clowd'\n[loading]\ninclude = ['*', 3]\n")
    message = refusal(file)
    assert f"{file}: storage.mode: Input should be 'embedded', 'memory'" in message
    assert "not 'clowd'." in message
    assert f"{file}: loading.include.1: " in message
    monkeypatch.setenv("RETRIEVER_RETRIEVAL__TOP_K", "many")
    assert "RETRIEVER_RETRIEVAL__TOP_K: retrieval.top_k: " in refusal()


def test_an_overlap_that_a_chunk_cannot_hold_is_refused() -> None:
    message = refusal(chunking={"tokens": 32, "overlap_tokens": 32})
    assert "argument: chunking.overlap_tokens" in message
    assert "32" in message


def test_a_bad_value_is_quoted_only_so_far() -> None:
    assert len(refusal(retrieval__top_k="x" * 100_000)) < 400


@pytest.mark.parametrize("name", ["..", "a", "-ab", "a/b", "x" * 61, "a b", "übung"])
def test_a_collection_name_that_could_leave_the_store_is_refused(name: str) -> None:
    assert "argument: collection" in refusal(collection=name)


def test_settings_do_not_change_after_loading() -> None:
    settings = Settings.load()
    with pytest.raises(ValidationError):
        settings.retrieval.top_k = 9
    with pytest.raises(ValidationError):
        settings.collection = "other"


@pytest.mark.parametrize(
    "bad",
    [
        {"embedding": {"api_key": [SECRET]}},
        {"embedding": {"api_key": {"value": SECRET}}},
        {"storage": {"headers": {"Authorization": [SECRET]}}},
        {"storage": {"headers": [SECRET]}},
        {"storage": [SECRET]},
        {"embedding": SECRET},
    ],
)
def test_a_secret_in_the_wrong_shape_stands_in_no_message_and_no_traceback(
    bad: dict[str, object],
) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(**bad)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_secret_is_masked_wherever_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVER_EMBEDDING__API_KEY", SECRET)
    settings = Settings.load(storage={"headers": {"Authorization": SECRET}, "api_key": SECRET})
    shown = (
        repr(settings),
        str(settings),
        settings.model_dump_json(),
        repr([*settings.describe()]),
    )
    assert all(SECRET not in text for text in shown)
    assert settings.embedding.api_key is not None
    assert settings.embedding.api_key.get_secret_value() == SECRET


def test_a_providers_own_variable_is_honoured_after_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")
    settings = Settings.load()
    assert settings.secret(None, "OPENAI_API_KEY") == SecretStr("from-environment")
    assert settings.secret(SecretStr("set"), "OPENAI_API_KEY") == SecretStr("set")
    assert settings.secret(None, "CO_API_KEY") is None
    assert settings.base_url("OPENAI_BASE_URL") == "http://localhost:1/v1"
    named = Settings.load(embedding__base_url="http://other/v1")
    assert named.base_url("OPENAI_BASE_URL") == "http://other/v1"
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert settings.secret(None, "OPENAI_API_KEY") is None


@given(st.text(st.characters(codec="ascii", categories=("Ll",)), min_size=1, max_size=12))
def test_no_unknown_name_is_ever_ignored(name: str) -> None:
    """Whatever the name, it is either a setting or an error."""
    known = {key.split(".")[0] for key, *_ in Settings().describe()}
    if name not in known:
        with pytest.raises(SettingsError, match="unknown setting"):
            Settings.load(**{name: 1})
