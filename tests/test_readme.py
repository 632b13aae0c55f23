"""The README runs: its examples, its commands' output, its settings, its paths."""

import os
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retriever.cli.running import main
from retriever.embedding.options import EmbedderOptions
from retriever.ingestion import ingest
from retriever.protocols import Embedder
from retriever.retrieval import Retriever
from retriever.settings import Settings
from retriever.testing import EmbedderContract

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SAMPLE = "scripts/sample/corpus"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


APPLICATION, FILTERS, SETTINGS, EMBEDDER = blocks("python")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository as the examples see it, with a state folder of the test's own."""
    for name in list(os.environ):
        if name.startswith(("RETRIEVER_", "COLUMNS")):
            monkeypatch.delenv(name)
    for name in ("scripts", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def without_model(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETRIEVER_EMBEDDING__BACKEND", "retriever.testing:HashingEmbedder")
    return checkout


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102  # our own README
    return names


def test_code_stands_on_the_first_screen() -> None:
    lines = README.splitlines()
    assert lines.index("```sh") < 8
    assert lines.index("```python") < 30


def test_the_application_builds_a_prompt_with_citations(without_model: Path) -> None:
    names = run(APPLICATION.replace(SAMPLE, f"{SAMPLE}/policies"))  # a part of it, to be quick
    assert len(names["passages"]) == 3
    assert names["question"] in names["prompt"]
    for number, citation in names["context"].citations.items():
        assert f'<passage number="{number}" source="{citation.source}' in names["prompt"]


@pytest.mark.model
@pytest.mark.slow
def test_the_application_finds_the_answer_with_the_default_model(checkout: Path) -> None:
    names = run(APPLICATION)
    assert any("hand crank" in passage.text for passage in names["passages"])


@pytest.mark.model
@pytest.mark.slow
def test_the_commands_print_what_is_quoted(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (session,) = blocks("console")
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE):
        words = [quoted or word for quoted, word in re.findall(r'"([^"]*)"|(\S+)', command)]
        assert words[0] == "retriever"
        with pytest.raises(SystemExit):
            main(words[1:])
        assert masked(capsys.readouterr().out) == masked(expected)


def masked(output: str) -> list[str]:
    """Lines without what differs between machines and releases: times, counts, last digits."""
    text = re.sub(r"\(\d[\d.]* s\)", "(time)", output.strip())
    text = re.sub(r"^(\d+  0\.\d)\d\d", r"\1", text, flags=re.MULTILINE)
    return [
        re.sub(r"\d+", "N", line) if line.startswith("chunks:") else line
        for line in text.replace(",", "").splitlines()
    ]


def test_every_form_of_where_finds_something(
    without_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest([f"{SAMPLE}/minutes", f"{SAMPLE}/reports"])
    asked = []

    def retrieve(self: Retriever, query: str, **options: Any) -> Any:
        asked.append(retrieve_really(self, query, **options))
        return asked[-1]

    retrieve_really = Retriever.retrieve
    monkeypatch.setattr(Retriever, "retrieve", retrieve)
    many = run(FILTERS)["many"]
    assert len(asked) == 4
    assert all(asked)
    assert [len(passages) for passages in many] == [3, 3]


def test_the_settings_example_ingests_a_part_of_the_sample(without_model: Path) -> None:
    names = run(SETTINGS)
    assert (names["settings"].collection, names["settings"].chunking.tokens) == ("notes", 150)
    assert names["report"].added > 0


@pytest.mark.parametrize("file", blocks("toml"))
def test_a_settings_file_holds_settings(tmp_path: Path, file: str) -> None:
    (tmp_path / "mine.toml").write_text(file, encoding="utf-8")
    settings = Settings.load(tmp_path / "mine.toml").model_dump(mode="json")
    for section, values in tomllib.loads(file).items():
        assert {name: settings[section][name] for name in values} == values


class TestTheEmbedderOfOnesOwn(EmbedderContract):
    """The README's embedder passes the kit."""

    @pytest.fixture
    def embedder(self) -> Embedder:  # type: ignore[override]
        made: Embedder = run(EMBEDDER)["LetterEmbedder"](EmbedderOptions(model="letters"))
        return made


@pytest.fixture
def letters(without_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (without_model / "letters.py").write_text(EMBEDDER, encoding="utf-8")
    monkeypatch.syspath_prepend(str(without_model))
    monkeypatch.setenv("RETRIEVER_EMBEDDING__BACKEND", "letters:LetterEmbedder")
    yield
    sys.modules.pop("letters", None)


@pytest.mark.usefixtures("letters")
def test_the_embedder_of_ones_own_is_found_by_its_name() -> None:
    ingest(f"{SAMPLE}/notes")
    with Retriever.open() as retriever:
        assert retriever.retrieve("eyepieces")


def test_every_path_that_is_named_exists() -> None:
    named = re.findall(r"`((?:configs|scripts|retriever|tests)/[\w./-]*)`", README)
    assert len(named) > 8
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_option_that_is_named_exists(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        "ingest",
        "search",
        "eval",
        "train-words",
        "similar",
        "related",
        "clusters",
        "import",
    ]
    for command in commands:
        with pytest.raises(SystemExit):
            main([command, "-h"])
    scripts = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "scripts" / "benchmark").glob("*.py")
    )
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out + scripts))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) - {"--index-url"}
    assert named <= known
