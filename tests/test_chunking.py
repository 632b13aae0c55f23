"""What chunks promise, for every document and every kind of tokenizer."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing

from retriever.chunking import Chunker, ChunkingOptions, compose_embedded_text
from retriever.chunking.blocks import Block, Break, blocks
from retriever.chunking.sentences import sentences
from retriever.errors import LoadingError, SettingsError
from retriever.records import Chunk, Document, Heading, Markup, PageSpan

Count = Callable[[Sequence[str]], list[int]]

LESSON = """
The lighthouse keeper wrote every evening. Wind from the north-west, 14 knots; visibility good.
Supplies arrive on Tuesdays, e.g. oil, bread and letters. Dr. Marsh checks the lamp in spring!
for wick in wicks:
    trim(wick, to_mm=3)
灯台は毎晩点灯します。風は北西です。 كتب الحارس كل مساء؟ Der Wärter schrieb z. B. jeden Abend.
"""
HEADING = re.compile(r"(?m)^(#{1,6}) (\S[^\n]*)$")


def trained(kind: str) -> Count:
    """A tokenizer of that kind, trained on a few lines, as the function that counts with it."""
    special = ["[UNK]", "[CLS]", "[SEP]"]
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(
            vocab_size=300, special_tokens=special, show_progress=False
        )
    elif kind == "bpe":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=200, special_tokens=special, unk_token="[UNK]", show_progress=False
        )
    tokenizer.train_from_iterator(LESSON.splitlines(), trainer)
    if kind != "bpe":
        tokenizer.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
    return lambda texts: [len(found.ids) for found in tokenizer.encode_batch(list(texts))]


COUNTERS = {kind: trained(kind) for kind in ("wordpiece", "bpe", "unigram")}


def make_document(
    text: str, *, markup: Markup = "markdown", title: str = "", pages: tuple[PageSpan, ...] = ()
) -> Document:
    headings = tuple(
        Heading(len(found[1]), found[2].strip(), found.start(), found.end())
        for found in HEADING.finditer(text)
        if markup == "markdown" and found[2].strip()
    )
    return Document(
        source="manual/keeper.md",
        text=text,
        content_hash="0" * 64,
        title=title,
        format=markup,
        markup=markup,
        headings=headings,
        pages=pages,
    )


def make_chunker(
    kind: str = "wordpiece", *, tokens: int = 40, overlap_tokens: int = 0, window_tokens: int = 256
) -> Chunker:
    options = ChunkingOptions(tokens, overlap_tokens, embed_title=True, embed_headings=True)
    return Chunker(options, count_tokens=COUNTERS[kind], window_tokens=window_tokens)


WORDS = st.sampled_from([*LESSON.split(), "x" * 90, "`code`", "1.", "a.b", "\u200b", "é\u0301"])
LINE = st.lists(WORDS, max_size=25).map(" ".join)
MARKED_LINE = st.builds(
    lambda mark, line: mark + line,
    st.sampled_from(["", "", "", "# ", "## ", "### ", "- ", "  - ", "1. ", "> ", "| a | ", "    "]),
    LINE,
)
ODD_LINE = st.sampled_from(["", "", "```", "~~~", "---", "|---|---|", "\t", "#", "\r", "\x0c"])
TEXTS = st.one_of(
    st.text(max_size=300),
    st.lists(st.one_of(MARKED_LINE, ODD_LINE), max_size=40).map("\n".join),
    st.lists(st.one_of(MARKED_LINE, ODD_LINE), max_size=20).map("\r\n".join),
)
MARKUPS: st.SearchStrategy[Markup] = st.sampled_from(["markdown", "plain", "code", "table"])
KINDS = st.sampled_from(sorted(COUNTERS))


@given(text=TEXTS, markup=MARKUPS, kind=KINDS, tokens=st.integers(36, 90), overlap=st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_chunk_is_an_exact_span_and_nothing_but_whitespace_is_left_out(
    text: str, markup: Markup, kind: str, tokens: int, overlap: bool
) -> None:
    document = make_document(text, markup=markup, title="The keeper's manual")
    chunker = make_chunker(kind, tokens=tokens, overlap_tokens=tokens // 4 * overlap)
    chunks = chunker.chunk(document)
    covered = 0
    for ordinal, chunk in enumerate(chunks):
        assert document.text[chunk.start : chunk.end] == chunk.text == chunk.text.strip() != ""
        assert not document.text[covered : chunk.start].strip()
        assert overlap or chunk.start >= covered
        assert chunk.end > covered
        assert chunk.ordinal == ordinal
        covered = chunk.end
    assert not document.text[covered:].strip()
    assert len({chunk.id for chunk in chunks}) == len(chunks)


@given(text=TEXTS, markup=MARKUPS, kind=KINDS, tokens=st.integers(36, 90), title=LINE)
@settings(max_examples=150, deadline=None)
def test_what_the_model_reads_never_exceeds_the_limit_and_is_counted_by_its_own_tokenizer(
    text: str, markup: Markup, kind: str, tokens: int, title: str
) -> None:
    chunker = make_chunker(kind, tokens=tokens, window_tokens=64)
    options = ChunkingOptions(tokens, 0, embed_title=True, embed_headings=True)
    for chunk in chunker.chunk(make_document(text, markup=markup, title=title)):
        assert chunk.token_count == COUNTERS[kind]([chunk.embedded_text])[0]
        assert chunk.token_count <= min(tokens, 64)
        assert chunk.embedded_text == compose_embedded_text(
            chunk.title, chunk.heading_path, chunk.text, options
        )


@given(text=TEXTS, starts=st.sets(st.integers(0, 200), max_size=5))
@settings(max_examples=100, deadline=None)
def test_lines_and_pages_agree_with_counting_them_from_the_top(text: str, starts: set[int]) -> None:
    begins = [0, *sorted(at for at in starts if 0 < at < len(text))]
    ends = [*begins[1:], len(text)]
    pages = tuple(
        PageSpan(number, start, end)
        for number, (start, end) in enumerate(zip(begins, ends, strict=True), start=1)
    )
    for chunk in make_chunker().chunk(make_document(text, pages=pages)):
        assert chunk.line_start == len(text[: chunk.start].split("\n"))
        assert chunk.line_end == len(text[: chunk.end].split("\n"))
        assert [chunk.page] == [p.number for p in pages if p.start <= chunk.start < p.end]


def count_long_texts_dearly(texts: Sequence[str]) -> list[int]:
    """Counts for long texts more than for their words, so that packed chunks have to shrink."""
    return [2 + len(text.split()) + (len(text) // 7 if len(text) > 40 else 0) for text in texts]


@given(
    text=st.one_of(TEXTS, st.integers(50, 200).map(lambda lines: "step done.\n" * lines)),
    markup=MARKUPS,
    count=st.sampled_from([*COUNTERS.values(), count_long_texts_dearly]),
    tokens=st.integers(36, 90),
    overlap_percent=st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_lines_agree_with_counting_them_from_the_top_whatever_overlap_and_tokenizer(
    text: str, markup: Markup, count: Count, tokens: int, overlap_percent: int
) -> None:
    options = ChunkingOptions(
        tokens, tokens * overlap_percent // 100, embed_title=True, embed_headings=True
    )
    chunker = Chunker(options, count_tokens=count, window_tokens=256)
    for chunk in chunker.chunk(make_document(text, markup=markup)):
        assert chunk.line_start == 1 + text[: chunk.start].count("\n")
        assert chunk.line_end == 1 + text[: chunk.end].count("\n")


def test_a_chunk_that_overlaps_more_than_its_shrunk_predecessor_knows_its_lines() -> None:
    text = "".join(f"step {number} done.\n" for number in range(200))
    options = ChunkingOptions(36, 30, embed_title=True, embed_headings=True)
    chunker = Chunker(options, count_tokens=count_long_texts_dearly, window_tokens=256)
    chunks = chunker.chunk(make_document(text, markup="plain"))
    assert any(after.start < before.start for before, after in pairwise(chunks))
    for chunk in chunks:
        assert chunk.line_start == 1 + text[: chunk.start].count("\n")


@given(text=TEXTS, markup=MARKUPS, kind=KINDS)
@settings(max_examples=40, deadline=None)
def test_the_same_document_gives_the_same_chunks_whatever_was_cut_before(
    text: str, markup: Markup, kind: str
) -> None:
    document = make_document(text, markup=markup)
    used = make_chunker(kind)
    used.chunk(make_document(LESSON * 3))
    assert used.chunk(document) == make_chunker(kind).chunk(document)


@given(text=TEXTS)
@settings(max_examples=100, deadline=None)
def test_a_chunk_lies_under_every_heading_of_its_path(text: str) -> None:
    document = make_document(text)
    for chunk in make_chunker(tokens=60).chunk(document):
        names = [h.text for h in document.headings if h.start < chunk.end]
        assert set(chunk.heading_path) <= set(names)


@given(text=TEXTS)
@settings(max_examples=100, deadline=None)
def test_no_chunk_reaches_across_a_heading_of_the_first_two_levels(text: str) -> None:
    document = make_document(text)
    for chunk in make_chunker(tokens=90).chunk(document):
        for heading in document.headings:
            if heading.level <= 2 and chunk.start < heading.start < chunk.end:
                above = document.text[chunk.start : heading.start]
                assert all(
                    HEADING.fullmatch(line.strip()) for line in above.split("\n") if line.strip()
                )


def paragraphs(count: int) -> list[str]:
    return [
        f"Entry {n}. " + " ".join(LESSON.split()[n % 7 : n % 7 + 5 + n * 7 % 11]) + "."
        for n in range(count)
    ]


@pytest.mark.parametrize("at", [0, 1, 100, 199])
def test_an_inserted_paragraph_changes_only_its_neighbours(at: int) -> None:
    before = paragraphs(200)
    after = [*before[:at], "Something new happened on the island today.", *before[at:]]
    chunker = make_chunker(tokens=90)
    old = {chunk.id for chunk in chunker.chunk(make_document("\n\n".join(before)))}
    new = {chunk.id for chunk in chunker.chunk(make_document("\n\n".join(after)))}
    assert len(new - old) <= 4
    assert len(old) > 60


def test_ids_depend_on_source_text_and_occurrence_alone() -> None:
    chunker = make_chunker()
    text = "# A\n\nsame\n\n# B\n\nsame\n\n# A\n\nsame"
    one, two, three = chunker.chunk(make_document(text))
    moved = chunker.chunk(make_document("# New\n\nabove\n\n" + text))
    assert [chunk.id for chunk in moved[1:]] == [one.id, two.id, three.id]
    elsewhere = chunker.chunk(replace(make_document(text), source="manual/other.md"))
    assert not {chunk.id for chunk in elsewhere} & {one.id, two.id, three.id}
    assert one.text == three.text
    assert one.id != three.id
    assert len(one.id) == 32


def test_a_chunk_knows_the_headings_above_it_and_does_not_say_its_own_twice() -> None:
    text = "# Lamp\n\n## Care\n\nTrim the wick.\n\n### Oil\n\nFill it up."
    (chunk,) = make_chunker(tokens=90).chunk(make_document(text, title="Lamp"))
    assert chunk.heading_path == ("Lamp", "Care")
    assert chunk.embedded_text == text
    longer = text + " Then polish the lens and the brass of the rail." * 3
    chunks = make_chunker(tokens=36).chunk(make_document(longer, title="Lamp"))
    assert chunks[-1].heading_path == ("Lamp", "Care", "Oil")
    assert chunks[-1].embedded_text == "Lamp\nCare\nOil\n" + chunks[-1].text


def test_title_and_headings_are_embedded_only_where_the_options_say_so() -> None:
    for title, headings, expected in [
        (False, False, "text"),
        (True, False, "T\ntext"),
        (False, True, "H\ntext"),
        (True, True, "T\nH\ntext"),
    ]:
        options = ChunkingOptions(40, 0, embed_title=title, embed_headings=headings)
        assert compose_embedded_text("T", ["H"], "text", options) == expected


def test_long_titles_and_headings_leave_half_of_the_tokens_to_the_text() -> None:
    long = " ".join(["lighthouse"] * 30)
    text = f"# {long}\n\n## {long}\n\n### Oil\n\n" + "Fill it up. " * 40
    for chunk in make_chunker(tokens=60).chunk(make_document(text, title=long)):
        assert chunk.token_count <= 60
        assert chunk.title == ""
        assert chunk.heading_path in ((), ("Oil",))


def test_code_blocks_and_tables_are_cut_only_where_they_alone_are_too_long() -> None:
    code = "```\n" + "trim(wick)\n" * 3 + "\n" + "trim(wick)\n" * 3 + "```"
    table = "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 3
    text = f"Words before it.\n\n{code}\n\nWords between.\n\n{table}\n\nWords after it."
    whole = [chunk.text for chunk in make_chunker(tokens=80).chunk(make_document(text))]
    assert any(code in chunk for chunk in whole)
    assert any(table.strip() in chunk for chunk in whole)
    cut = make_chunker(tokens=36).chunk(make_document(text))
    for chunk in cut:
        for line in chunk.text.split("\n"):
            assert line in text.split("\n")


def test_blocks_are_what_a_reader_sees_as_one() -> None:
    long = "A line that no editor has wrapped " * 6
    text = (
        "one\ntwo\n\n- a\n  b\n- c\n\n| x |\n| y |\n\n```\nd\n\n```\n~~~\ne\n\n~~~\n"
        f"{long}\nshort\nshort end"
    )
    found = blocks(text, 0, len(text), "markdown", first=Break.HARD)
    assert [(text[block.start : block.end], block.at) for block in found] == [
        ("one\ntwo", Break.HARD),
        ("- a\n  b", Break.BLOCK),
        ("- c", Break.ITEM),
        ("| x |\n| y |", Break.BLOCK),
        ("```\nd\n\n```", Break.BLOCK),
        ("~~~\ne\n\n~~~", Break.BLOCK),
        (long.strip(), Break.BLOCK),
        ("short\nshort end", Break.BLOCK),
    ]


def test_rows_of_a_table_and_runs_of_code_lines_are_blocks() -> None:
    rows = "name,place\n \nMarsh,tower\nOil,shed"
    found = blocks(rows, 0, len(rows), "table", first=Break.BLOCK)
    assert [rows[block.start : block.end] for block in found] == [
        "name,place",
        "Marsh,tower",
        "Oil,shed",
    ]
    code = "def trim():\n    cut()\n\n    burn()\n\nlit = 1"
    found = blocks(code, 0, len(code), "code", first=Break.BLOCK)
    assert [block.at for block in found] == [Break.BLOCK, Break.ITEM, Break.BLOCK]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He came, e.g. by boat. He left.", ["He came, e.g. by boat.", "He left."]),
        ("Dr. Marsh checks it! Really?", ["Dr. Marsh checks it!", "Really?"]),
        ("点灯します。風は北西です。", ["点灯します。", "風は北西です。"]),
        ("كتب الحارس؟ نعم.", ["كتب الحارس؟", "نعم."]),
        (
            "See J. Doe (ed.) here. Version 1.5 is out.",
            ["See J. Doe (ed.) here.", "Version 1.5 is out."],
        ),
    ],
)
def test_sentences_end_where_a_reader_would_say_so(text: str, expected: list[str]) -> None:
    found = sentences(text, Block(0, len(text), Break.BLOCK, by_lines=False))
    assert [text[block.start : block.end] for block in found] == expected


def test_an_overlap_repeats_whole_sentences_of_the_chunk_before() -> None:
    text = " ".join(f"Sentence number {n} says a thing." for n in range(40))
    chunker = make_chunker(tokens=80, overlap_tokens=30)
    chunks = chunker.chunk(make_document(text, markup="plain"))
    assert len(chunks) > 2
    for before, after in pairwise(chunks):
        shared = text[after.start : before.end]
        assert re.fullmatch(r"(Sentence number \d+ says a thing\. ?)+", shared)
        assert COUNTERS["wordpiece"]([shared])[0] - 2 <= 30


def test_chunks_start_after_the_front_matter() -> None:
    text = "---\ntitle: Lamp\n---\nTrim the wick."
    document = replace(make_document(text), body_start=text.index("Trim"))
    (chunk,) = make_chunker().chunk(document)
    assert chunk.text == "Trim the wick."
    assert chunk.line_start == 4


@pytest.mark.parametrize("text", ["", " \n\t\n\u3000", "\n" * 1000])
def test_a_blank_document_has_no_chunks(text: str) -> None:
    assert make_chunker().chunk(make_document(text)) == []


@pytest.mark.parametrize(
    ("tokens", "overlap_tokens", "window_tokens"),
    [(40, 40, 256), (40, -1, 256), (4, 0, 256), (40, 0, 3)],
)
def test_settings_that_make_no_chunk_are_refused(
    tokens: int, overlap_tokens: int, window_tokens: int
) -> None:
    with pytest.raises(SettingsError, match="chunking"):
        make_chunker(tokens=tokens, overlap_tokens=overlap_tokens, window_tokens=window_tokens)


def test_a_prefix_that_leaves_no_room_is_refused_with_the_number_that_helps() -> None:
    options = ChunkingOptions(20, 0, embed_title=True, embed_headings=True)
    chunker = Chunker(options, count_tokens=lambda texts: [15 for _ in texts], window_tokens=256)
    with pytest.raises(SettingsError, match=r"chunking\.tokens to 31"):
        chunker.chunk(make_document("text"))


def test_a_character_beyond_the_limit_is_an_error_of_its_document() -> None:
    def count(texts: Sequence[str]) -> list[int]:
        return [2 + len(text.replace("\ufdfa", "x" * 99)) for text in texts]

    options = ChunkingOptions(40, 0, embed_title=True, embed_headings=True)
    chunker = Chunker(options, count_tokens=count, window_tokens=256)
    assert chunker.chunk(make_document("ten letter"))
    with pytest.raises(LoadingError, match="takes 101 tokens"):
        chunker.chunk(make_document("a \ufdfa b"))


def test_text_that_counts_for_far_more_than_its_characters_is_cut_down_to_them() -> None:
    def count(texts: Sequence[str]) -> list[int]:
        return [2 + len(text.split()) + 90 * text.count("=>") for text in texts]

    options = ChunkingOptions(40, 0, embed_title=True, embed_headings=True)
    chunker = Chunker(options, count_tokens=count, window_tokens=256)
    chunks = chunker.chunk(make_document("=>", markup="plain"))
    assert [chunk.text for chunk in chunks] == ["=", ">"]


class Effort:
    """Counts the characters that the tokenizer is given."""

    def __init__(self) -> None:
        self.characters = 0

    def count(self, texts: Sequence[str]) -> list[int]:
        self.characters += sum(map(len, texts))
        return [2 + len(text.split()) for text in texts]


HOSTILE = {
    "one endless word": lambda n: "x" * n,
    "one endless line": lambda n: "word " * (n // 5),
    "newlines": lambda n: "a" + "\n" * n + "b",
    "blanks": lambda n: "a" + " " * n + "b",
    "nested list": lambda n: "\n".join(" " * min(k, 50) + "- x" for k in range(n // 50)),
    "headings": lambda n: "".join(f"{'#' * (1 + k % 6)} h{k}\n" for k in range(n // 10)),
    "fences": lambda n: "```\n" * (n // 4),
    "full stops": lambda n: "." * n,
    "closers": lambda n: "." + '"' * n,
    "dashes": lambda n: "-" * n,
    "pipes": lambda n: "|" * n,
    "combining marks": lambda n: "e" + "\u0301" * n,
    "nothing seen": lambda n: "\u200b" * n,
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
@pytest.mark.parametrize("markup", ["markdown", "code"])
def test_work_grows_in_step_with_the_text_even_where_it_is_hostile(
    name: str, markup: Markup
) -> None:
    spent = []
    for size in (10_000, 40_000):
        effort = Effort()
        options = ChunkingOptions(64, 0, embed_title=True, embed_headings=True)
        chunks: list[Chunk] = Chunker(options, count_tokens=effort.count, window_tokens=256).chunk(
            make_document(HOSTILE[name](size), markup=markup)
        )
        assert max(len(chunk.text) for chunk in chunks) <= 64 * 16 + 64
        spent.append(effort.characters)
    assert spent[1] <= 6 * max(spent[0], 1000)
