"""What several test files need: settings that use a real Chroma and an embedder without a model."""

import shutil
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from damaged_collections import (
    examine_in_process,
    hashing_settings,
    write_corpus,
    write_small_indexes,
)

from retriever.ingestion import ingest
from retriever.settings import Settings

hypothesis.settings.register_profile("patient", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("patient")


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings with a state folder of the test's own; overrides by name."""

    def make(**overrides: object) -> Settings:
        defaults: dict[str, object] = {
            "storage.path": tmp_path / "state",
            "embedding.backend": "retriever.testing:HashingEmbedder",
            "embedding.model": "hashing",
            "chunking.tokens": 64,
            "retrieval.merge_neighbours": False,  # most tests look at single chunks
        }
        return Settings.load(**(defaults | overrides))

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder of three documents, one of them in a subfolder."""
    folder = tmp_path / "corpus"
    (folder / "guides").mkdir(parents=True)
    (folder / "pump.md").write_text(
        "# Pump\n\n## Reset\n\nHold the red button of the pump for five seconds.\n\n"
        "## Cleaning\n\nRinse the filter with cold water every Friday.\n",
        encoding="utf-8",
    )
    (folder / "guides" / "boiler.md").write_text(
        "---\nauthor: Ada\nyear: 2021\n---\n# Boiler\n\nThe boiler heats water to sixty degrees.\n",
        encoding="utf-8",
    )
    (folder / "notes.txt").write_text(
        "The annual meeting takes place in March.\n\nMembers vote on the budget.\n",
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus and the state of its collection, whose index is in files."""
    folder = tmp_path_factory.mktemp("pristine")
    with pytest.MonkeyPatch.context() as monkeypatch:
        write_small_indexes(monkeypatch)
        ingest(write_corpus(folder / "corpus"), hashing_settings(folder / "state"))
    return folder


@pytest.fixture
def whole(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A collection of the test's own to damage, and to examine in this process."""
    shutil.copytree(pristine / "state", tmp_path / "state")
    write_small_indexes(monkeypatch)
    examine_in_process(monkeypatch)
    return hashing_settings(tmp_path / "state")
