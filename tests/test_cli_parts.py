"""What the command line is made of: harmless text, filters, progress in words."""

import sys
import unicodedata
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.cli.filtering import parse_filters
from retriever.cli.progress import LINE_EVERY_S, PlainProgress, duration
from retriever.cli.terminal import console, one_line, printable
from retriever.collection.filters import translate
from retriever.errors import QueryError
from retriever.records import IngestProgress


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def progress(files_done: int, chunks_done: int, tokens_done: int) -> IngestProgress:
    return IngestProgress(files_done, 100, chunks_done, tokens_done, "docs/a.md")


@given(st.text())
def test_printable_text_holds_no_control_character(text: str) -> None:
    shown = printable(text)
    kinds = {unicodedata.category(char) for char in shown if char not in "\n\t"}
    assert not kinds & {"Cc", "Cs", "Zl", "Zp"}
    assert unicodedata.bidirectional("\u202e") not in map(unicodedata.bidirectional, shown)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_harmless_text_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_right_to_left_text_keeps_its_marks() -> None:
    """A mark that only says which way a word runs cannot reorder what stands around it."""
    assert printable("שלום\u200f!") == "שלום\u200f!"


@pytest.mark.parametrize("columns", ["", "0", "000", "wide"])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_width_of_no_columns_counts_as_not_set(
    monkeypatch: pytest.MonkeyPatch, columns: str, is_terminal: bool
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.delenv("COLUMNS", raising=False)
    expected = console().width
    assert expected > 0
    monkeypatch.setenv("COLUMNS", columns)
    assert console().width == expected
    monkeypatch.setenv("COLUMNS", "24")
    assert console().width == 24


def test_one_line_is_one_line() -> None:
    assert one_line(" a\r\nb\n\n\tc\x00 ") == r"a b c\x00"


@given(
    st.lists(
        st.one_of(
            st.text(max_size=12),
            st.tuples(
                st.text(min_size=1, max_size=4),
                st.sampled_from(["=", "!=", ">", ">=", "<", "<="]),
                st.one_of(st.text(max_size=6), st.integers().map(str), st.floats().map(str)),
            ).map("".join),
        ),
        max_size=4,
    )
)
def test_any_text_is_a_filter_that_can_be_translated_or_is_refused(texts: list[str]) -> None:
    with suppress(ValueError, QueryError):
        assert (translate(parse_filters(texts)) is None) == (not texts)


def test_no_filters_are_no_filter() -> None:
    assert parse_filters([]) is None


def test_a_line_of_progress_is_printed_every_few_seconds_with_rates_and_time_left() -> None:
    clock = Clock()
    lines: list[str] = []
    tell = PlainProgress(lines.append, clock=clock)
    clock.now_s += LINE_EVERY_S
    tell(progress(10, 200, 20_000))
    clock.now_s += LINE_EVERY_S / 2
    tell(progress(15, 300, 30_000))
    clock.now_s += LINE_EVERY_S / 2
    tell(progress(20, 400, 40_000))
    assert lines == [
        "10 of 100 files, 200 chunks, 40 chunks/s, 4,000 tokens/s, 45 s left",
        "20 of 100 files, 400 chunks, 40 chunks/s, 4,000 tokens/s, 40 s left",
    ]


def test_loading_the_model_does_not_lower_the_rate() -> None:
    clock = Clock()
    lines: list[str] = []
    tell = PlainProgress(lines.append, clock=clock)
    clock.now_s += 100
    tell(progress(10, 200, 20_000))
    clock.now_s += 10
    tell(progress(20, 400, 40_000))
    assert lines[-1] == "20 of 100 files, 400 chunks, 20 chunks/s, 2,000 tokens/s, 80 s left"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.7, "60 s"), (150, "2 min"), (7500, "2 h 5 min")],
)
def test_durations_are_read_at_a_glance(seconds: float, words: str) -> None:
    assert duration(seconds) == words
