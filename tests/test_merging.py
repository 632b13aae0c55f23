"""Neighbours become one passage, and every passage stays a slice of its document."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.chunking import Chunker, ChunkingOptions
from retriever.merging import LONGEST_GAP_CHARACTERS, Part, merge_neighbours, whitespace_between
from retriever.records import Chunk, Document, Markup, Passage

WORD = st.sampled_from(["pump.", "the", "- a", "# Reset", "    x = 1", "ok!", "|a|b|", "灯台"])
GAPS = (" ", "  ", "\n", "\n\n", "\r\n", "\n\n    ", "\t", "\n \n", "\u3000", "\x0b")
TEXTS = st.lists(st.tuples(WORD, st.sampled_from(GAPS)), min_size=20, max_size=120).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)
MARKUPS: st.SearchStrategy[Markup] = st.sampled_from(["markdown", "plain", "code", "table"])


def document(text: str, markup: Markup = "plain", source: str = "docs/a.md") -> Document:
    return Document(
        source=source, text=text, content_hash="v", title="", format=markup, markup=markup
    )


def chunks_of(whole: Document, overlap_tokens: int = 0) -> list[Chunk]:
    options = ChunkingOptions(16, overlap_tokens, embed_title=False, embed_headings=False)
    return Chunker(
        options, count_tokens=lambda texts: [len(t.split()) for t in texts], window_tokens=64
    ).chunk(whole)


def part(chunk: Chunk, score: float = 0.5, version: str = "v") -> Part:
    passage = Passage(
        id=chunk.id,
        rank=0,
        score=score,
        text=chunk.text,
        source=chunk.source,
        start=chunk.start,
        end=chunk.end,
        line_start=chunk.line_start,
        line_end=chunk.line_end,
        heading_path=chunk.heading_path,
    )
    return Part(passage=passage, ordinal=chunk.ordinal, version=version, gap=chunk.gap)


@given(text=TEXTS, markup=MARKUPS, overlap=st.sampled_from([0, 5]), data=st.data())
def test_a_merged_passage_is_a_slice_and_every_ranked_chunk_is_in_exactly_one(
    text: str, markup: Markup, overlap: int, data: st.DataObject
) -> None:
    whole = document(text, markup)
    parts = [part(chunk) for chunk in chunks_of(whole, overlap)]
    ranking = data.draw(st.permutations(parts))[: data.draw(st.integers(0, len(parts)))]
    around = data.draw(st.lists(st.sampled_from(parts), max_size=4))
    merged = merge_neighbours(ranking, around)
    for one in merged:
        assert whole.text[one.start : one.end] == one.text
        assert one.text.count("\n") == one.line_end - one.line_start
    for found in ranking:
        start, end = found.passage.start, found.passage.end
        assert sum(one.start <= start and end <= one.end for one in merged) == 1
    best = [one.id for one in merged]
    order = [found.passage.id for found in ranking]
    assert sorted(best, key=order.index) == best
    assert len(set(best)) == len(best)


@given(text=TEXTS, markup=MARKUPS, overlap=st.sampled_from([0, 5]))
def test_all_chunks_of_a_document_become_its_whole_body(
    text: str, markup: Markup, overlap: int
) -> None:
    whole = document(text, markup)
    merged = merge_neighbours([part(chunk) for chunk in chunks_of(whole, overlap)])
    assert [one.text for one in merged] == [text.strip()]


@given(text=TEXTS, data=st.data())
def test_merging_does_not_depend_on_the_order_beyond_the_ranks(
    text: str, data: st.DataObject
) -> None:
    parts = [part(chunk) for chunk in chunks_of(document(text))]
    shuffled = data.draw(st.permutations(parts))
    spans = {(one.start, one.end) for one in merge_neighbours(parts)}
    assert {(one.start, one.end) for one in merge_neighbours(shuffled)} == spans


def test_a_merged_passage_stands_where_its_best_chunk_stood_and_has_its_score() -> None:
    whole = document("one two. " * 40)
    parts = [part(chunk, score=1.0 / (1 + chunk.ordinal)) for chunk in chunks_of(whole)]
    other = [part(chunk, 0.7) for chunk in chunks_of(document("alone", source="docs/b.md"))]
    merged = merge_neighbours([parts[1], *other, parts[2], parts[4]])
    assert [(one.id, one.score) for one in merged] == [
        (parts[1].passage.id, parts[1].passage.score),
        (other[0].passage.id, 0.7),
        (parts[4].passage.id, parts[4].passage.score),
    ]
    assert merged[0].text == whole.text[parts[1].passage.start : parts[2].passage.end]


def test_what_stands_around_is_added_and_what_does_not_reach_is_left_out() -> None:
    whole = document("one two. " * 60)
    parts = [part(chunk) for chunk in chunks_of(whole)]
    merged = merge_neighbours([parts[2]], around=[parts[1], parts[3], parts[5]])
    assert [(one.start, one.end) for one in merged] == [
        (parts[1].passage.start, parts[3].passage.end)
    ]
    assert merged[0].id == parts[2].passage.id
    assert merged[0].parts == (parts[2].passage,)


def test_a_joined_passage_names_its_ranked_chunks_best_first() -> None:
    parts = [part(chunk) for chunk in chunks_of(document("one two. " * 40))]
    merged = merge_neighbours([parts[1], parts[0], parts[3]])
    assert merged[0].parts == (parts[1].passage, parts[0].passage)
    assert merged[1] == parts[3].passage
    assert merged[1].parts == ()


def test_versions_sources_and_headings_are_kept_apart() -> None:
    parts = [part(chunk) for chunk in chunks_of(document("one two. " * 40))]
    assert len(merge_neighbours([parts[0], replace(parts[1], version="w")])) == 2
    moved = replace(parts[1], passage=replace(parts[1].passage, source="docs/b.md"))
    assert len(merge_neighbours([parts[0], moved])) == 2
    under = [
        replace(one, passage=replace(one.passage, heading_path=("Pump", name)))
        for one, name in zip(parts[:2], ("Reset", "Cleaning"), strict=True)
    ]
    assert merge_neighbours(under)[0].heading_path == ("Pump",)


@pytest.mark.parametrize(
    ("length", "line_breaks", "gap", "known"),
    [
        (2, 2, "", "\n\n"),
        (1, 0, "", None),
        (1, 0, " ", " "),
        (1, 0, "x", None),
        (3, 1, "\n  ", "\n  "),
        (3, 1, "\n ", None),
        (3, 2, "\n  ", None),
        (0, 0, " ", ""),
    ],
)
def test_a_gap_is_believed_only_where_length_and_lines_agree(
    length: int, line_breaks: int, gap: str, known: str | None
) -> None:
    before = Part(Passage("1", 1, 0.5, "ab", "s", 0, 2, line_start=1, line_end=1), 0, "v")
    start = 2 + length
    after = Passage(
        "2", 2, 0.5, "cd", "s", start, start + 2, line_start=1 + line_breaks, line_end=9
    )
    assert whitespace_between(before, Part(after, 1, "v", gap)) == known


@pytest.mark.parametrize("length", [LONGEST_GAP_CHARACTERS, LONGEST_GAP_CHARACTERS + 1, 10**15])
def test_a_passage_grows_by_no_more_than_a_short_gap_whatever_spans_and_lines_say(
    length: int,
) -> None:
    before = Part(Passage("1", 1, 0.5, "ab", "s", 0, 2, line_start=1, line_end=1), 0, "v")
    start, line = 2 + length, 1 + length
    passage = Passage("2", 2, 0.5, "cd", "s", start, start + 2, line_start=line, line_end=line)
    merged = merge_neighbours([before, Part(passage, 1, "v")])
    known = length <= LONGEST_GAP_CHARACTERS
    assert [len(one.text) for one in merged] == ([length + 4] if known else [2, 2])


def test_overlapping_texts_that_disagree_are_not_joined() -> None:
    before = Part(Passage("1", 1, 0.5, "abc", "s", 0, 3), 0, "v")
    after = Part(Passage("2", 2, 0.5, "Xde", "s", 2, 5), 1, "v")
    assert [one.text for one in merge_neighbours([before, after])] == ["abc", "Xde"]


def test_nothing_ranked_is_nothing_merged() -> None:
    assert merge_neighbours([], [part(chunks_of(document("x"))[0])]) == []
