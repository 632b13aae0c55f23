"""Every reader keeps the contract that `retriever.testing` states."""

import importlib.util
import json

import pytest
import sample_files as sample

from retriever.loading import FileBytes, Reader
from retriever.loading.formats import FORMATS, by_name, reader_of
from retriever.testing import ReaderContract

FILES = {
    "markdown": b"---\ntitle: T\ntags: [a, b]\n---\n# Top\n\na word\n\nNext\n----\n",
    "text": b"a word",
    "restructuredtext": b"Top\n===\n\na word\n",
    "asciidoc": b"= Top\n\na word\n",
    "org": b"* Top\na word\n",
    "latex": b"\\section{Top}\na word\n",
    "csv": b"a,word\n1,2\n",
    "tsv": b"a\tword\n",
    "jsonl": b'{"a": "word"}\n',
    "json": b'{"a": "word"}',
    "config": b"a = word\n",
    "code": b"# -*- coding: latin-1 -*-\nword = '\xe9'\n",
    "ipynb": json.dumps({"cells": [{"cell_type": "code", "source": "word"}]}).encode(),
    "eml": b"Subject: Top\nFrom: a@b.c\n\na word\n",
    "mbox": b"From a@b.c Thu Jan  4 10:00:00 2024\nSubject: Top\n\na word\n",
    "html": b"<title>T</title><meta name=author content=A><h1>Top</h1><p>a word",
    "xml": b"<a><title>T</title><p>a word</p></a>",
    "pdf": sample.pdf("a word", "another", title="A title"),
    "docx": sample.docx(("Heading1", "Top"), ("", "a word")),
    "pptx": sample.pptx(sample.slide("Top", ["a word"]), sample.slide("Next")),
    "xlsx": sample.xlsx(One=[["a", "word"]], Two=[["b"]]),
    "odt": sample.opendocument("text", "<text:p>a word</text:p>"),
    "odp": sample.opendocument("presentation", "<draw:page><text:p>a word</text:p></draw:page>"),
    "ods": sample.opendocument(
        "spreadsheet",
        '<table:table table:name="One"><table:table-row>'
        '<table:table-cell office:value-type="string"><text:p>a word</text:p></table:table-cell>'
        "</table:table-row></table:table>",
    ),
    "rtf": rb"{\rtf1\ansi a word}",
    "epub": sample.epub("T", "<h1>Top</h1><p>a word</p>"),
}
UNWRITABLE = {"doc", "ppt", "xls"}  # old binary formats, too long to write by hand


@pytest.mark.parametrize("name", sorted(FILES))
class TestEveryReader(ReaderContract):
    @pytest.fixture
    def reader(self, name: str) -> Reader:
        row = by_name(name)
        if row.reader.startswith("office:") and not importlib.util.find_spec("xberg"):
            pytest.skip("needs the extra 'office'")
        return reader_of(row)

    @pytest.fixture
    def file(self, name: str) -> FileBytes:
        return FileBytes(FILES[name], f"a.{name}", name)


def test_every_row_of_the_table_is_tried() -> None:
    assert set(FILES) | UNWRITABLE == {row.name for row in FORMATS}
