"""The config files that ship: complete, short, and one for each model of the catalogue."""

import os
import runpy
import tomllib
from pathlib import Path

import pytest

from retriever.embedding.catalogue import ROWS
from retriever.settings import Settings
from retriever.settings.keys import each_value

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
MODEL_FILES = sorted(path for path in CONFIGS.glob("*.toml") if path.stem != "default")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("RETRIEVER_"):
            monkeypatch.delenv(name)


def test_default_toml_equals_the_defaults() -> None:
    loaded = Settings.load(CONFIGS / "default.toml")
    assert loaded.model_dump() == Settings().model_dump()


def test_default_toml_names_every_setting_with_its_purpose() -> None:
    text = (CONFIGS / "default.toml").read_text(encoding="utf-8")
    held = tomllib.loads(text)
    for key, value, description in each_value(Settings()):
        section, _, name = key.rpartition(".")
        table = held[section] if section else held
        assert (name in table) == (value is not None), key
        assert f"# {description}\n{'' if name in table else '# '}{name} = " in text, key


def test_default_toml_is_what_its_script_writes() -> None:
    """After adding a setting, run `python scripts/write_default_config.py`."""
    render = runpy.run_path(str(ROOT / "scripts" / "write_default_config.py"))["render"]
    assert (CONFIGS / "default.toml").read_text(encoding="utf-8") == render()


@pytest.mark.parametrize("path", MODEL_FILES, ids=lambda path: path.stem)
def test_a_model_file_holds_the_one_line_that_differs(path: Path) -> None:
    held = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(held) == {"embedding"}
    assert set(held["embedding"]) == {"model"}
    row = next(row for row in ROWS if row.config == path.stem)
    assert Settings.load(path).embedding.model == row.name


def test_every_model_of_the_catalogue_has_a_file() -> None:
    assert {path.stem for path in MODEL_FILES} == {row.config for row in ROWS}


def test_a_model_file_beside_the_defaults_is_a_whole_configuration() -> None:
    settings = Settings.load(CONFIGS / "default.toml", CONFIGS / "bge-small-en.toml")
    assert settings.embedding.model == "BAAI/bge-small-en-v1.5"
