"""What each format's reader makes of a file: text, structure, title, metadata."""

import json
import sys

import pytest
import sample_files as sample

from retriever.errors import LoadingError
from retriever.loading import Content, load_bytes
from retriever.loading.formats import FORMATS, reader_of


def read(data: bytes | str, name: str) -> Content:
    return load_bytes(data.encode() if isinstance(data, str) else data, name, sample.OPTIONS)


def refused(data: bytes | str, name: str) -> str:
    with pytest.raises(LoadingError) as caught:
        read(data, name)
    return caught.value.reason


def heading_lines(content: Content) -> list[tuple[int, str, str]]:
    return [(h.level, h.text, content.text[h.start : h.end]) for h in content.headings]


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
def test_every_row_of_the_table_names_a_reader_that_exists(row) -> None:
    assert callable(reader_of(row))


def test_no_extension_stands_in_two_rows() -> None:
    extensions = [extension for row in FORMATS for extension in row.extensions]
    assert len(extensions) == len(set(extensions))


@pytest.mark.parametrize(
    ("name", "markup"),
    [
        ("a.md", "markdown"),
        ("a.txt", "plain"),
        ("a.rst", "plain"),
        ("a.csv", "table"),
        ("a.tsv", "table"),
        ("a.jsonl", "table"),
        ("a.json", "code"),
        ("a.py", "code"),
        ("README", "plain"),
        ("Makefile", "code"),
        ("a.unheardof", "plain"),
    ],
)
def test_text_formats_keep_the_file_as_it_was_decoded(name: str, markup: str) -> None:
    text = '# Ünïcode\r\n{"a": "b\u2028c\u0085d"}\r\n\r\n\tx  \n'
    content = read(text, name)
    assert (content.text, content.markup) == (text, markup)


@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.rst", "a.adoc", "a.csv", "a.py"])
@pytest.mark.parametrize("end", ["", "\r", "\n", "\r\n"])
def test_lines_of_an_old_mac_are_lines_with_their_headings_where_they_stand(
    name: str, end: str
) -> None:
    lines = ["---", "title: T", "---", "# Top", "", "One", "", "Next", "====", "", "= Two", "a,b"]
    content = read("\r".join(lines) + end, name)
    assert content.text == "\n".join(lines) + ("\n" if end == "\r" else end)
    assert content.headings == read("\n".join(lines), name).headings
    assert content.body_start == read("\n".join(lines), name).body_start


def test_a_lone_carriage_return_among_other_line_ends_stays() -> None:
    for text in ("10 %\r20 %\nDone\n", "One\r\n", "One\r\r\nTwo\r\n"):
        assert read(text, "a.log").text == text


def test_yaml_front_matter_becomes_metadata_and_the_text_keeps_it() -> None:
    text = (
        "---\ntitle: A title\ntags: [one, 'two', 3]\ndate: 2024-01-05\ndraft: false\n"
        "country: NO\nweight: 7\nnested: {a: 1}\nempty:\n---\n# Heading\n\nBody.\n"
    )
    content = read(text, "a.md")
    assert content.text == text
    assert content.text[content.body_start :].startswith("# Heading")
    assert content.title == "A title"
    assert content.metadata == {
        "tags": ("one", "two", "3"),
        "date": "2024-01-05",
        "draft": False,
        "country": "NO",
        "weight": 7,
    }
    assert content.warnings == ("metadata not kept: nested",)


def test_toml_front_matter_becomes_metadata() -> None:
    content = read('+++\r\ntitle = "T"\r\nday = 2024-01-05\r\n+++\r\nBody.', "a.md")
    assert (content.title, content.metadata) == ("T", {"day": "2024-01-05"})
    assert content.text[content.body_start :] == "Body."


@pytest.mark.parametrize(
    "text",
    [
        "---\nJust a rule.\n---\nText.",
        "---\n\n# Title\n",
        "--- \n- a\n- b\n---\nx",
        "----\nx",
    ],
)
def test_a_rule_at_the_top_is_no_front_matter(text: str) -> None:
    content = read(text, "a.md")
    assert (content.body_start, content.metadata) == (0, {})


@pytest.mark.parametrize(
    "block",
    [
        "a: &x [1]\nb: *x",
        "a: [" * 3000,
        "a: !!python/name:os.getcwd",
        "a: : b",
        "a: 1\na",
        'a: !!int ""',
        "a: !!bool x",
        "a: !!timestamp x",
    ],
)
def test_front_matter_that_cannot_be_trusted_is_left_out_with_a_warning(block: str) -> None:
    content = read(f"---\n{block}\n---\nText.", "a.md")
    assert content.text[content.body_start :] == "Text."
    assert (content.metadata, content.warnings) == ({}, ("front matter is not valid YAML",))


def test_metadata_is_bounded() -> None:
    lines = [f"key{number}: x" for number in range(20)]
    lines += [f"{'k' * 40}: x", "$a: x", "'#b': x", f"long: {'x' * 9000}", "big: 1" + "0" * 30]
    content = read("---\n" + "\n".join(reversed(lines)) + "\n---\nText.", "a.md")
    assert len(content.metadata) == 16
    assert content.metadata["big"] == "1" + "0" * 30
    assert not {"$a", "#b", "long", "k" * 40} & set(content.metadata)
    assert content.warnings[0].endswith("and 4 more")


def test_markdown_headings_are_found_with_their_spans() -> None:
    text = (
        "# One [link](http://x.y) ##\n\nTwo *is* set\n=======\r\n\nThree\n---\n\n"
        "### `code` and \\# {#anchor}\n<h4 align='center'>Four</h4>\nnot # one\n#tag\n"
    )
    assert heading_lines(read(text, "a.md")) == [
        (1, "One link", "# One [link](http://x.y) ##"),
        (1, "Two is set", "Two *is* set\n======="),
        (2, "Three", "Three\n---"),
        (3, "code and #", "### `code` and \\# {#anchor}"),
        (4, "Four", "<h4 align='center'>Four</h4>"),
    ]


def test_what_looks_like_a_heading_in_code_comments_lists_and_tables_is_none() -> None:
    text = (
        "```sh\n# no\n~~~\n# no\n```\n- item\n  ```\n# no\n  ```\n    # no\n<!--\n# no\n-->\n"
        "- item\n---\n| a |\n---\n> quote\n---\ntwo lines\nof text\n---\n~~~~\n# no\n~~~\n# no\n"
        "~~~~\n~~~\n    ~~~\n# no\n    ~~~\n# no\n~~~\n"
    )
    assert heading_lines(read(text, "a.md")) == []


def test_headings_of_restructured_text_get_levels_in_their_order() -> None:
    text = "=====\nTitle\n=====\n\nPart\n----\n\ntext\n\nSub\n~~~\n\nPart 2\n------\n\na  b\n=  =\n"
    found = heading_lines(read(text, "a.rst"))
    assert [(level, title) for level, title, _ in found] == [
        (1, "Title"), (2, "Part"), (3, "Sub"), (2, "Part 2"),
    ]  # fmt: skip
    assert found[0][2] == "=====\nTitle\n====="


def test_escapes_in_front_matter_become_characters_that_every_store_keeps() -> None:
    pair, lone = "\\ud83d\\ude00", "\\ude00\\ud83d"
    block = f'title: "{pair} Launch\\0{lone} notes"\nmood: "{pair}"\n"{pair}": "a{lone}b\\0"\n'
    content = read(f"---\n{block}---\nBody.", "a.md")
    assert content.title == "\U0001f600 Launch notes"
    assert content.metadata == {"mood": "\U0001f600", "\U0001f600": "ab"}
    assert content.warnings == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.adoc", "= Top\n\ntext\n\n== Next\n"),
        ("a.org", "* Top\n\ntext\n\n** Next\n"),
        ("a.tex", "\\chapter{Top}\ntext\n\\section{Next}\n"),
    ],
)
def test_other_markups_have_headings(name: str, text: str) -> None:
    assert [(h.level, h.text) for h in read(text, name).headings] == [(1, "Top"), (2, "Next")]


def test_a_notebook_becomes_markdown_with_fenced_code_and_text_outputs() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "text"]},
        {
            "cell_type": "code",
            "source": "print('```')",
            "outputs": [
                {"output_type": "stream", "text": ["\x1b[31mred\x1b[0m\n"]},
                {"output_type": "display_data", "data": {"image/png": "aGk="}},
                {"output_type": "execute_result", "data": {"text/plain": "x" * 5000}},
                {"output_type": "error", "ename": "E", "evalue": "bad\ud800"},
            ],
        },
    ]
    metadata = {"language_info": {"name": "python"}}
    content = read(json.dumps({"cells": cells, "metadata": metadata}), "a.ipynb")
    assert content.title == "Title"
    assert content.text.startswith(
        "# Title\ntext\n\n````python\nprint('```')\n````\n\n```\nred\n```\n\n```\nxxx"
    )
    assert content.text.endswith("x...\n```\n\n```\nE: bad\n```")
    assert len(content.text) < 2200


@pytest.mark.parametrize(
    "opened",
    [
        "```python\nx = 1",
        "~~~~\n```\nx",
        "> ```\n> x",
        "- ```\n  x",
        "<!-- to do",
        "```\n" + "x = 1\n" * 500 + "```\nend",
    ],
    ids=["fence", "longer fence", "quote", "item", "comment", "output that is shortened"],
)
@pytest.mark.parametrize("holds", ["cell", "output"])
def test_what_one_part_of_a_notebook_leaves_open_hides_no_heading_of_the_next(
    opened: str, holds: str
) -> None:
    output = {"output_type": "display_data", "data": {"text/markdown": opened}}
    first = {
        "cell": {"cell_type": "markdown", "source": opened},
        "output": {"cell_type": "code", "source": "show()", "outputs": [output]},
    }
    cells = [first[holds], {"cell_type": "markdown", "source": "# Next\n\nText."}]
    content = read(json.dumps({"cells": cells, "nbformat": 4}), "a.ipynb")
    assert [heading.text for heading in content.headings] == ["Next"]


def test_a_notebook_gives_the_cells_of_all_its_sheets_and_headings_of_any_level() -> None:
    def cell(level: object) -> dict[str, object]:
        return {"cell_type": "heading", "level": level, "source": f"Level {level}"}

    sheets = [{"cells": [cell(2), cell("")]}, {"cells": [cell(23)]}, "none", {"cells": [cell(6)]}]
    text = read(json.dumps({"worksheets": sheets}), "a.ipynb").text
    assert text == "## Level 2\n\n# Level \n\n# Level 23\n\n###### Level 6"


def test_an_output_shown_as_markdown_is_read_as_that() -> None:
    data = {"text/markdown": ["**The answer**"], "text/plain": ["<Markdown object>"]}
    cell = {"cell_type": "code", "source": "x", "outputs": [{"data": data}]}
    text = read(json.dumps({"cells": [cell]}), "a.ipynb").text
    assert text == "```\nx\n```\n\n**The answer**"


def test_a_mail_has_its_subject_as_title_and_its_headers_as_metadata() -> None:
    mail = (
        "From: =?utf-8?q?J=C3=B6rg?= <j@x.y>\r\nTo: b@x.y\r\nDate: Fri, 5 Jan 2024 10:00:00 +0100"
        "\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\nMIME-Version: 1.0\r\nContent-Type: "
        "multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: multipart/alternative; "
        "boundary=C\r\n\r\n--C\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nSch\xf6n."
        "\r\n--C\r\nContent-Type: text/html\r\n\r\n<p>Other</p>\r\n--C--\r\n--B\r\nContent-Type: "
        'text/plain; name="notes.txt"\r\nContent-Disposition: attachment\r\n\r\nsecret\r\n--B--'
    ).encode("latin-1")
    content = read(mail, "a.eml")
    assert content.text == "# Grüße\n\nSchön.\n\nAttachments: notes.txt"
    assert content.title == "Grüße"
    assert content.metadata == {
        "from": "Jörg <j@x.y>",
        "to": "b@x.y",
        "date": "2024-01-05T10:00:00+01:00",
    }


def test_a_mail_without_a_plain_part_gives_its_html_as_text() -> None:
    mail = "Subject: S\nFrom: a@b.c\nContent-Type: text/html\n\n<h1>Hi</h1><p>You &amp; me</p>"
    assert read(mail, "a.eml").text == "# S\n\n# Hi\n\nYou & me"
    assert read(mail, "without-extension").format == "eml"


def mail_of(kind: str, *parts: str) -> str:
    inside = "".join(f"--b\nContent-Type: {part}\n" for part in parts)
    return f"From: a@b.c\nContent-Type: multipart/{kind}; boundary=b\n\n{inside}--b--\n"


@pytest.mark.parametrize(
    ("kind", "others", "text"),
    [
        ("mixed", ["text/plain\n\n--\nPumps mailing list"], "The pump.\n\n--\nPumps mailing list"),
        ("mixed", ["text/x-patch\n\n+oil"], "The pump.\n\n+oil"),
        ("mixed", ["text/plain; name=a.txt\n\nNamed"], "The pump.\n\nNamed"),
        (
            "mixed",
            ["text/plain\nContent-Disposition: inline; filename=a.txt\n\nInline"],
            "The pump.\n\nInline",
        ),
        ("related", ["text/css\n\np { color: red }"], "The pump."),
        ("related", ["image/png; name=a.png\n\nx"], "The pump.\n\nAttachments: a.png"),
        ("alternative", ["text/calendar\n\nBEGIN:VCALENDAR"], "The pump."),
        ("alternative", ["text/plain\n\nPlain"], "Plain"),
        ("alternative", ["text/plain\n\n \n"], "The pump."),
        ("alternative", ["text/html\n\n<p>Richer"], "Richer"),
    ],
)
def test_a_mail_shows_every_part_that_a_person_sees_and_one_of_alternatives(
    kind: str, others: list[str], text: str
) -> None:
    assert read(mail_of(kind, "text/html\n\n<p>The pump.", *others), "a.eml").text == text


def test_a_mail_whose_parts_cannot_be_told_apart_is_read_as_it_is() -> None:
    assert read("From: a@b.c\nContent-Type: multipart/mixed\n\nBody", "a.eml").text == "Body"


def test_a_mail_attached_to_a_mail_is_named_and_not_opened_and_one_within_it_is_read() -> None:
    attached = "Content-Disposition: attachment; filename=old.eml\n\nSubject: In\n\nInner"
    mail = mail_of("mixed", "text/html\n\n<p>Outer", f"message/rfc822\n{attached}")
    assert read(mail, "a.eml").text == "Outer\n\nAttachments: old.eml"
    mail = mail_of("mixed", "text/html\n\n<p>Outer", "message/rfc822\n\nSubject: In\n\nInner")
    assert read(mail, "a.eml").text == "Outer\n\nInner"


PARTS = ["text/plain\n\nOne", *["text/plain\n\nMore"] * 1000]
UNREAD = "only the first 1000 parts of a mail were read"


def test_a_mail_or_mailbox_says_that_parts_beyond_the_thousandth_are_not_read() -> None:
    assert read(mail_of("mixed", *PARTS), "a.eml").warnings == (UNREAD,)
    assert read(mail_of("mixed", *PARTS[:999]), "a.eml").warnings == ()
    mailbox = MAILBOX_LINE + mail_of("mixed", *PARTS) + "\n" + MAILBOX_LINE + mail_of("mixed", "")
    assert read(mailbox, "a.mbox").warnings == (f"{UNREAD} (1 mails)",)


def test_a_part_of_a_mail_that_is_no_text_is_reported() -> None:
    mail = mail_of("mixed", "text/plain\n\nRead", "text/plain\n\n\x01\x02\x03\x04")
    content = read(mail, "a.eml")
    assert (content.text, content.warnings) == ("Read", ("a part was not read: not a text file",))


PGP = "-----BEGIN PGP MESSAGE-----\n\nabc\n-----END PGP MESSAGE-----"
ENVELOPE = "application/pkcs7-mime; name=smime.p7m; smime-type={}-data\n\nMIAG"
SIGNED = "mail inside an S/MIME signature, not opened"


@pytest.mark.parametrize(
    ("mail", "reason"),
    [
        (mail_of("encrypted", f"application/octet-stream; name=a.asc\n\n{PGP}"), "encrypted mail"),
        (f"From: a@b.c\nContent-Type: {ENVELOPE.format('enveloped')}", "encrypted mail"),
        (f"From: a@b.c\n\n{PGP}", "encrypted mail"),
        (f"From: a@b.c\nContent-Type: {ENVELOPE.format('signed')}", SIGNED),
    ],
)
def test_a_mail_that_is_encrypted_is_refused_and_an_encrypted_part_is_reported(
    mail: str, reason: str
) -> None:
    assert refused(mail, "a.eml") == reason
    inner = mail.replace("boundary=b", "boundary=in").replace("--b", "--in")
    inside = mail_of("mixed", f"message/rfc822\n\n{inner}", "text/plain\n\nA list's footer")
    assert read(inside, "a.eml").warnings == (f"a part was not read: {reason}",)
    mailbox = read(MAILBOX_LINE + mail + "\n" + MAILBOX_LINE + "From: a@b.c\n\nBody", "a.mbox")
    assert mailbox.warnings == (f"a part was not read: {reason} (1 mails)",)
    assert "BEGIN PGP" not in mailbox.text


def test_each_mail_of_a_mailbox_stands_under_its_subject() -> None:
    one = "From a@b.c Thu Jan  4 10:00:00 2024\nSubject: {}\nFrom: a@b.c\n\nBody {}\n\n"
    content = read(one.format("A", 1) + one.format("B", 2), "a.mbox")
    assert [(h.text, content.text[h.start : h.end]) for h in content.headings] == [
        ("A", "# A"), ("B", "# B"),
    ]  # fmt: skip


MAILBOX_LINE = "From a@b.c Thu Jan  4 10:00:00 2024\n"


@pytest.mark.parametrize(
    ("middle", "text"),
    [
        ("", MAILBOX_LINE.strip()),
        ("X-Status: 1\n\nNo usual headers\n", f"{MAILBOX_LINE}X-Status: 1\n\nNo usual headers"),
    ],
)
def test_a_mail_without_headers_stays_as_written_and_costs_no_other_of_its_mailbox(
    middle: str, text: str
) -> None:
    one = MAILBOX_LINE + "Subject: {}\nFrom: a@b.c\n\nBody\n\n"
    content = read(one.format("A") + MAILBOX_LINE + middle + "\n" + one.format("B"), "a.mbox")
    assert content.text == f"# A\n\nBody\n\n{text}\n\n# B\n\nBody"
    assert [found for _, _, found in heading_lines(content)] == ["# A", "# B"]
    assert content.warnings == ("1 mails could not be read: their text stays as it is written",)


def test_a_line_of_a_mail_that_begins_with_from_begins_no_mail() -> None:
    content = read(MAILBOX_LINE + "Subject: A\n\nHello.\nFrom here on it is cold.\n", "a.mbox")
    assert content.text == "# A\n\nHello.\nFrom here on it is cold."


def test_a_mailbox_with_a_byte_order_mark_keeps_its_first_mail() -> None:
    one = MAILBOX_LINE + "Subject: {}\n\nBody\n\n"
    content = read("\ufeff" + one.format("A") + one.format("B"), "a.mbox")
    assert content.text == "# A\n\nBody\n\n# B\n\nBody"


def test_xml_gives_the_text_of_its_elements_and_no_entity() -> None:
    xml = (
        '<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE a [<!ENTITY x SYSTEM '
        '"file:///etc/hostname"><!ENTITY y "expanded">]><a><title>T\xf6p</title><!-- no -->'
        "<p>One <b>two</b>, &lt;three&gt;&x;&y;.</p><r><c>4</c><c>5</c></r></a>"
    ).encode("latin-1")
    content = read(xml, "a.xml")
    assert content.text == "Töp\nOne two, <three>.\n4\n5"
    assert content.title == "Töp"


def test_damaged_xml_is_read_as_far_as_it_goes() -> None:
    content = read("<a><b>one</b><c>two</a>", "a.xml")
    assert (content.text, len(content.warnings)) == ("one\ntwo", 1)


def test_blocks_within_the_text_of_xml_stand_apart_and_marked_letters_do_not() -> None:
    items = "<list><item><p>One</p></item><item>H<sub>2</sub>O</item></list>"
    xml = f"<a xmlns='b'><p>Intro{items}then</p><t>un<b><i>believ</i></b>able<br/>end</t>. Tail</a>"
    assert read(xml, "a.xml").text == "Intro One H2O then unbelievable end. Tail"


def test_a_pdf_knows_its_pages_title_and_text() -> None:
    content = read(sample.pdf("First page\nsecond line", "", "Third", title="A report"), "a.pdf")
    assert content.title == "A report"
    assert [(page.number, content.text[page.start : page.end]) for page in content.pages] == [
        (1, "First page\nsecond line"), (2, ""), (3, "Third"),
    ]  # fmt: skip
    assert content.warnings == ("1 of 3 pages hold no text",)


@pytest.mark.parametrize("title", ["report_final.docx", "Microsoft Word - a", "0001-22", "ab"])
def test_a_pdf_title_that_a_program_left_there_is_none(title: str) -> None:
    assert read(sample.pdf("Text", title=title), "a.pdf").title == ""


def test_a_pdf_of_pictures_is_refused_as_scanned_and_one_of_nothing_as_empty() -> None:
    assert refused(sample.pdf("", "", image=True), "a.pdf") == "no text: 2 scanned pages"
    assert refused(sample.pdf(""), "a.pdf") == "no text: 1 empty page"


def test_a_protected_pdf_and_a_damaged_one_say_so() -> None:
    assert refused(sample.pdf("x", encrypt=True), "a.pdf") == "password-protected PDF"
    assert refused(b"%PDF-1.4\nnothing follows", "a.pdf") == "damaged PDF"


def test_a_word_document_keeps_its_headings() -> None:
    pytest.importorskip("xberg")
    content = read(sample.docx(("Heading1", "Top"), ("", "Body &lt;b&gt; text!")), "a.docx")
    assert content.text == "# Top\n\nBody <b> text!"
    assert heading_lines(content) == [(1, "Top", "# Top")]
    assert (content.format, content.markup, content.title) == ("docx", "markdown", "Top")


def test_slides_are_pages_in_the_order_of_the_show() -> None:
    data = sample.pptx(
        sample.slide("One", ["S", "ome te", "xt"]), sample.slide("Two", ["More"], ["Last"])
    )
    content = read(data, "a.pptx")
    assert content.text == "## One\n\nSome text\n\n## Two\n\n- More\n- Last"
    assert [(page.number, content.text[page.start : page.end]) for page in content.pages] == [
        (1, "## One\n\nSome text"), (2, "## Two\n\n- More\n- Last"),
    ]  # fmt: skip


def test_sheets_are_pages_and_their_rows_a_table() -> None:
    pytest.importorskip("xberg")
    content = read(sample.xlsx(Plan=[["a", "b"], ["c", "d"]], Rest=[["e", "f"]]), "a.xlsx")
    assert [h.text for h in content.headings] == ["Plan", "Rest"]
    assert [page.number for page in content.pages] == [1, 2]
    assert "| c | d |" in content.text[content.pages[0].start : content.pages[0].end]
    assert content.text[content.pages[1].start :].startswith("## Rest")


def test_an_opendocument_text_keeps_headings_and_words() -> None:
    body = '<text:h text:outline-level="1">Top</text:h><text:p>On<text:span>e</text:span></text:p>'
    content = read(sample.opendocument("text", body), "a.odt")
    assert content.text == "# Top\n\nOne"


def test_an_opendocument_presentation_gives_its_slides_and_not_its_templates() -> None:
    frame = "<draw:frame {}><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>"
    title = frame.format('presentation:class="title"', "P<text:s/>1")
    page = f"<draw:page>{frame.format('', '{}')}{title}</draw:page>"
    data = sample.opendocument(
        "presentation",
        page.format("First") + page.format("Second"),
        styles="<style:master-page><text:p>Click to edit</text:p></style:master-page>",
    )
    content = read(data, "a.odp")
    assert "Click" not in content.text
    assert [content.text[page.start : page.end] for page in content.pages] == [
        "## P 1\n\nFirst", "## P 1\n\nSecond",
    ]  # fmt: skip


def test_a_book_has_its_title_and_the_chapters_in_order() -> None:
    pytest.importorskip("xberg")
    content = read(sample.epub("The Book", "<h1>A</h1><p>x</p>", "<h1>B</h1><p>y</p>"), "a.epub")
    assert content.title == "The Book"
    assert [h.text for h in content.headings] == ["A", "B"]


def test_without_its_package_an_office_file_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "xberg", None)
    reason = "needs the extra 'office': pip install 'rag-retriever[office]'"
    assert refused(sample.docx(("", "x")), "a.docx") == reason


def test_rtf_is_read() -> None:
    pytest.importorskip("xberg")
    assert read(r"{\rtf1\ansi Hello \'e9t\'e9.}", "a.rtf").text == "Hello été."
