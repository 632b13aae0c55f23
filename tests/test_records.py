"""Records cannot change, carry nothing else, and show themselves readably."""

import dataclasses
import inspect

import pytest

from retriever import records
from retriever.records import Citation, Context, Passage

RECORDS = [
    found
    for _, found in inspect.getmembers(records, inspect.isclass)
    if dataclasses.is_dataclass(found)
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_a_record_is_frozen_and_slotted(record: type) -> None:
    assert record.__dataclass_params__.frozen
    assert "__slots__" in vars(record)


def passage(**facts: object) -> Passage:
    return dataclasses.replace(
        Passage(
            id="a",
            rank=1,
            score=0.8125,
            text="Hold the button.",
            source="docs/a.md",
            start=0,
            end=16,
        ),
        **facts,
    )


def test_a_passage_cites_its_page_or_else_its_lines() -> None:
    assert passage(page=3, line_start=7).citation == "docs/a.md, p. 3"
    assert passage(line_start=7, line_end=9).citation == "docs/a.md:7-9"


def test_a_passage_shows_rank_score_place_and_headings_above_its_text() -> None:
    shown = str(passage(heading_path=("Pump", "Reset"), line_start=2, line_end=2))
    assert shown == "[1] 0.812 docs/a.md:2-2 | Pump > Reset\nHold the button."


def test_a_context_shows_as_its_text() -> None:
    citation = Citation(
        number=1, source="a", start=0, end=1, page=None, line_start=1, line_end=1, chunk_id="x"
    )
    assert str(Context(text="[1] a", token_count=3, citations={1: citation})) == "[1] a"
