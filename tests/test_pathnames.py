"""What a path says about its file becomes metadata, to filter by."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.errors import SettingsError
from retriever.ingestion import ingest
from retriever.loading.pathnames import PathPatterns
from retriever.retrieval import Retriever
from retriever.settings import Settings

MakeSettings = Callable[..., Settings]


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        (
            "{year} {quarter} {company}.pdf",
            "2022 Q3 AAPL.pdf",
            {"year": 2022, "quarter": "Q3", "company": "AAPL"},
        ),
        ("{company}/{year}/*.md", "acme/2021/notes.md", {"company": "acme", "year": 2021}),
        ("**/{name}.md", "a/b/c.md", {"name": "c"}),
        ("**/{name}.md", "c.md", {"name": "c"}),
        ("v{version}-*", "v007-final.txt", {"version": "007"}),
        ("{a}.pdf", "x.pdf.pdf", {"a": "x.pdf"}),
        ("{a}-{b}", "x-y-z", {"a": "x", "b": "y-z"}),
        ("{a}/*", "x/", {"a": "x"}),
        ("{a}.pdf", "b/x.pdf", {}),
        ("{a}.pdf", ".pdf", {}),
        ("{a}.pdf", "x.PDF", {}),
        ("x{a}", "yx1", {}),
        ("{a}-", "x-y", {}),
    ],
)
def test_fields_of_a_pattern_take_what_stands_between_its_texts(
    pattern: str, path: str, fields: dict[str, object]
) -> None:
    assert PathPatterns([pattern]).read(f"root/{path}") == fields


def test_the_first_pattern_that_matches_is_taken() -> None:
    patterns = PathPatterns(["{year}.md", "{name}.md", "*/{deep}.md"])
    assert patterns.read("r/7.md") == {"year": 7}
    assert patterns.read("r/a/b.md") == {"deep": "b"}


@pytest.mark.parametrize(
    "pattern", ["", "x", "{}", "{a}{b}", "{a}*", "{a}/{a}", "{a b}", "{a", "a}", "{a}/**/{b}"]
)
def test_what_is_no_pattern_is_refused_with_an_example(pattern: str) -> None:
    with pytest.raises(SettingsError, match="is no pattern"):
        PathPatterns([pattern])


@given(st.text())
def test_no_path_is_refused(path: str) -> None:
    PathPatterns(["{a}-{b}/*.{c}", "**/{d}"]).read(f"root/{path}")


def test_a_hostile_name_is_matched_in_no_time() -> None:
    patterns = PathPatterns(["**/{a}-{b}-{c}-{d}-{e}-{f}.pdf"])
    began = time.perf_counter()
    patterns.read("root/" + "-/" * 2_000)
    patterns.read("root/" + "-" * 4_000)
    assert time.perf_counter() - began < 1.0


def test_documents_are_found_by_what_their_paths_say(
    corpus: Path, make_settings: MakeSettings
) -> None:
    """A new pattern is applied to documents that are there already; nothing is embedded again."""
    ingest(corpus, make_settings())
    settings = make_settings(**{"loading.path_metadata": ["{kind}/{topic}.md", "{topic}.*"]})
    report = ingest(corpus, settings)
    assert (report.updated, report.tokens) == (3, 0)
    with Retriever.open(settings) as retriever:
        (found,) = retriever.retrieve("water", where={"kind": "guides", "topic": "boiler"})
        others = retriever.retrieve("water", where={"topic": ["pump", "notes"]})
    assert found.source == "corpus/guides/boiler.md"
    assert found.metadata["author"] == "Ada"
    assert {one.source for one in others} == {"corpus/pump.md", "corpus/notes.txt"}
    assert ingest(corpus, settings).unchanged == 3


def test_what_a_file_says_of_itself_wins(corpus: Path, make_settings: MakeSettings) -> None:
    settings = make_settings(**{"loading.path_metadata": ["{author}/*.md"]})
    ingest(corpus, settings)
    with Retriever.open(settings) as retriever:
        found = retriever.retrieve("water", where={"author": "Ada"})
    assert [one.source for one in found] == ["corpus/guides/boiler.md"]
