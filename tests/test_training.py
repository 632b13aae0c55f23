"""Word vectors trained on one's own files, and used from the next command on."""

import json
import tomllib
from pathlib import Path

import pytest

from retriever.cli import main
from retriever.embedding.word_files import read_words
from retriever.embedding.word_vectors import counts_file, read_counts

pytest.importorskip("gensim")

TEXT = "The cat sat on the mat. The dog sat on the rug.\n\nThe invoice came, the mat went.\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(4):
        (docs / f"{number}.md").write_text(TEXT * 5, encoding="utf-8")
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    return docs


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def test_training_writes_vectors_that_the_printed_lines_embed_with(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "words.bin"
    assert run("train-words", str(folder), "--out", str(out), "--vector-size", "16") == 0
    shown = capsys.readouterr().out
    assert "10 words from 4 files, 16 dimensions" in shown
    assert "docs/broken.pdf: " in shown
    table = read_words(out)
    assert table.words[0] == "the"
    assert table.vectors.shape == (len(table.words), 16)
    assert (read_counts(counts_file(out)) or {})["the"] == 6 * 5 * 4
    config = tmp_path / "words.toml"
    config.write_text(shown[shown.index("[embedding]") :], encoding="utf-8")
    assert tomllib.loads(config.read_text(encoding="utf-8"))["embedding"]["path"] == str(out)
    assert run("ingest", str(folder), "--config", str(config)) == 0
    assert run("search", "dog rug", "--config", str(config)) == 0
    assert "The dog sat on the rug." in capsys.readouterr().out


def test_the_same_seed_gives_the_same_file(folder: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one", "two", "other")]
    for file, seed in zip(files, ("7", "7", "8"), strict=True):
        options = ("--vector-size", "8", "--epochs", "2", "--seed", seed)
        assert run("train-words", str(folder), "--out", str(file), *options) == 0
    one, two, other = (file.read_bytes() for file in files)
    assert one == two != other


def test_a_name_that_ends_in_txt_is_written_as_text(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "words.txt"
    options = ("--vector-size", "8", "--min-count", "41", "--json")
    assert run("train-words", str(folder), "--out", str(out), *options) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["words"], report["files"], len(report["skipped"])) == (1, 4, 1)
    assert report["words_read"] > report["words_covered"] == 120
    assert out.read_text(encoding="utf-8").startswith("1 8\nthe ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--min-count", "9999"), "No word comes 9999 times"),
        (("--out", "."), "is a folder"),
        (("--out", "docs/0.md/w.bin"), "docs/0.md/w.bin cannot be written: "),
        (("--window", "0"), "--window"),
    ],
)
def test_a_training_that_cannot_be_writes_nothing_and_says_why(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    before = sorted(Path().rglob("*"))
    words = ("--out", "w.bin", *arguments)
    assert run("train-words", str(folder), *words) in (1, 2)
    assert says in capsys.readouterr().err
    assert sorted(Path().rglob("*")) == before


def test_a_folder_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train-words", str(tmp_path / "nowhere"), "--out", str(tmp_path / "w")) == 1
    assert "nowhere" in capsys.readouterr().err
