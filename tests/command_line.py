"""The command line, called as a shell calls it, in this process."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from retriever.cli.running import main
from retriever.settings import Settings


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Ended]


def run(capsys: pytest.CaptureFixture[str], words: Sequence[str]) -> Ended:
    """Run one command; what was printed before it is left out."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(words)
    code = ended.value.code or 0
    assert isinstance(code, int)
    return Ended(code, *capsys.readouterr())


def use_store(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """An environment that names the state of a folder, an embedder without a model, and no more."""
    for name in list(os.environ):
        if name.startswith(("RETRIEVER_", "OPENAI_", "CHROMA_", "COLUMNS")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RETRIEVER_STORAGE__PATH", str(folder / "state"))
    monkeypatch.setenv("RETRIEVER_EMBEDDING__BACKEND", "retriever.testing:HashingEmbedder")


def use_settings(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """An environment that names the collection of some settings, and its embedder."""
    monkeypatch.setenv("RETRIEVER_STORAGE__PATH", str(settings.storage.path))
    monkeypatch.setenv("RETRIEVER_EMBEDDING__BACKEND", settings.embedding.backend)
    monkeypatch.setenv("RETRIEVER_EMBEDDING__MODEL", settings.embedding.model)
