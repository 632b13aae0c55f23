"""The sample corpus is what its questions and its description say."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from retriever.assembly import open_loader
from retriever.loading.loader import DocumentLoader
from retriever.records import CorpusFile, Document
from retriever.settings import Settings

SAMPLE = Path(__file__).parents[1] / "scripts" / "sample"
FILES = sorted(path for path in (SAMPLE / "corpus").rglob("*") if path.is_file())
QUESTIONS = [
    json.loads(line)
    for line in (SAMPLE / "questions.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.fixture(scope="module")
def loader() -> Iterator[DocumentLoader]:
    with open_loader(Settings()) as opened:
        yield opened


def load(loader: DocumentLoader, source: str) -> Document:
    path = SAMPLE / source
    stat = path.stat()
    return loader.load(CorpusFile(source, path, stat.st_size, stat.st_mtime_ns))


def test_the_corpus_is_small_and_of_five_formats() -> None:
    kinds = Counter(path.suffix for path in FILES)
    assert set(kinds) == {".md", ".html", ".pdf", ".docx", ".txt"}
    assert 20 <= len(FILES) <= 40
    assert sum(path.stat().st_size for path in FILES) < 1_000_000


def test_there_are_a_dozen_questions_and_two_have_no_answer() -> None:
    assert len(QUESTIONS) >= 12
    assert sum(not question["answers"] for question in QUESTIONS) == 2


def test_every_document_of_the_corpus_loads_without_a_warning(loader: DocumentLoader) -> None:
    for path in FILES:
        document = load(loader, path.relative_to(SAMPLE).as_posix())
        assert len(document.text.split()) > 150, path
        assert not document.warnings, path


def test_every_answer_stands_word_for_word_in_its_document_on_its_page(
    loader: DocumentLoader,
) -> None:
    for answer in (answer for question in QUESTIONS for answer in question["answers"]):
        document = load(loader, answer["source"])
        assert document.text.count(answer["text"]) == 1, answer
        at = document.text.index(answer["text"])
        page = next((page.number for page in document.pages if page.start <= at < page.end), None)
        assert page == answer.get("page"), answer
