"""Files that mean harm, lie about themselves or are broken: each one gets a reason."""

import contextlib
import io
import json
import tracemalloc
import zipfile

import pytest
import sample_files as sample
from hypothesis import given, settings
from hypothesis import strategies as st

from retriever.errors import LoadingError
from retriever.loading import load_bytes
from retriever.loading.formats import FORMATS, UNREADABLE
from retriever.loading.headings import find_markdown, find_restructured

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600


def refused(data: bytes | str, name: str) -> str:
    with pytest.raises(LoadingError) as caught:
        load_bytes(data if isinstance(data, bytes) else data.encode(), name, sample.OPTIONS)
    return caught.value.reason


def stream(name: str) -> bytes:
    return name.encode("utf-16-le") + b"\x00\x00"


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (b"", "a.md", "empty file"),
        (b" \r\n\t", "a.md", "no text"),
        (b"\xef\xbb\xbf\n", "a.txt", "no text"),
        (b"---\ntitle: x\n---\n", "a.md", "no text"),
        (b"+-/*", "a.txt", "no text"),
        (b"plain words", "a.pdf", "not a PDF although it is named so"),
        (b"plain words", "a.docx", "not a DOCX although it is named so"),
        (b"plain words", "a.odt", "not an ODT although it is named so"),
        (b"plain words", "a.zip", "not an archive although it is named so"),
        (b"\x89PNG\r\n\x1a\n....", "a.png", "format not supported: .png"),
        (b"\x89PNG\r\n\x1a\n....", "a.md", "format not supported: .md"),
        (b"<svg xmlns='x'><text>a</text></svg>", "a.svg", "format not supported: .svg"),
        (bytes(range(256)) * 4, "a.bin", "format not supported: .bin"),
        (bytes(range(256)) * 4, "a.dat", "format not supported: .dat"),
        (bytes(range(256)) * 4, "a.txt", "not a text file"),
        (b"\x1f\x8b\x08rest", "a.tar.gz", "archive, not opened"),
        (b"7z\xbc\xaf\x27\x1c....", "a", "archive, not opened"),
        (sample.zipped({"a.txt": "x"}), "a.zip", "archive, not opened"),
        (sample.zipped({"a.txt": "x"}), "a.docx", "archive, not opened"),
        (sample.docx(("", "x"))[:200], "a.docx", "damaged file: damaged zip file"),
        (OLE + stream("EncryptedPackage"), "a.xlsx", "password-protected XLSX"),
        (OLE + stream("EncryptedPackage"), "a", "password-protected office file"),
        (OLE, "a.msg", "format not supported: .msg"),
        (
            OLE + stream("__properties_version1.0") + stream("WordDocument"),
            "a",
            "format not supported: .msg",
        ),
        (
            OLE + stream("PowerPoint Document") + b"\x14\0\0\0\xdf\xc4\xd1\xf3",
            "a.ppt",
            "password-protected PPT",
        ),
        (
            OLE
            + stream("Workbook")
            + b"\x09\x08\x10\x00\x00\x06\x05\x00"
            + b"\0" * 12
            + b"\xe1\x00\x02\x00\xb0\x04\x2f\x00\x36\x00",
            "a.xls",
            "password-protected XLS",
        ),
        (
            OLE.ljust(1024, b"\0") + b"\xec\xa5" + b"\0" * 9 + b"\x01" + stream("WordDocument"),
            "a.doc",
            "password-protected DOC",
        ),
        (b"\x00" * 5000, "a.pdf", "no text"),
    ],
)
def test_a_file_that_is_not_read_has_the_right_reason(data: bytes, name: str, reason: str) -> None:
    assert refused(data, name) == reason


def test_a_file_under_a_wrong_name_is_read_as_what_it_is() -> None:
    assert load_bytes(sample.pdf("Text"), "a.docx", sample.OPTIONS).format == "pdf"
    assert load_bytes(sample.pptx(sample.slide("T")), "a.zip", sample.OPTIONS).format == "pptx"
    assert load_bytes(b'<?xml version="1.0"?><a>b</a>', "a.doc", sample.OPTIONS).format == "xml"


WORDS = (
    "PAR1",
    "BLENDER",
    "BZh",
    "GIF89a",
    "fLaC",
    "wOFF",
    "%!PS",
    "AT&TFORM",
    "The ftyp",
    "!<arch>\n",
)


@pytest.mark.parametrize("word", WORDS)
def test_a_text_that_begins_with_letters_of_a_binary_signature_is_read_and_a_binary_is_not(
    word: str,
) -> None:
    text = f"{word} für Anfänger: was man wissen muss, um größere Dateien zu öffnen.\n"
    for name in ("a.md", "a.txt", "a.py", "README"):
        for data in (text.encode(), text.encode("cp1252")):
            assert load_bytes(data, name, sample.OPTIONS).text == text
    noise = bytes(n * 37 % 255 + 1 for n in range(500))
    for data in (word.encode() + b"\x00\x01\x02" * 9, word.encode() + noise):
        for name in ("a.md", "a.txt", "a.py", "README", "a"):
            assert refused(data, name).startswith(("format not supported: ", "archive, not"))
    assert refused(text, "a.dat") in {"format not supported: .dat", "archive, not opened"}


def test_an_encrypted_zip_and_an_encrypted_opendocument_are_told_from_damaged_ones() -> None:
    data = bytearray(sample.zipped({"a.txt": "x"}))
    data[data.find(b"PK\x01\x02") + 8] |= 1
    assert refused(bytes(data), "a.zip") == "password-protected archive"
    entry = (
        '<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:'
        'xmlns:manifest:1.0"><manifest:file-entry><manifest:encryption-data/></manifest:file-entry>'
        "</manifest:manifest>"
    )
    protected = sample.opendocument("text", "", manifest=entry)
    assert refused(protected, "a.odt") == "password-protected ODT"


def test_a_decompression_bomb_is_refused_by_its_directory() -> None:
    buffer = io.BytesIO(sample.docx(("", "x")))
    with (
        zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("word/media/image1.png", "w", force_zip64=True) as member,
    ):
        for _ in range(201):
            member.write(bytes(1 << 20))
    tracemalloc.start()
    reason = refused(buffer.getvalue(), "a.docx")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reason == "decompresses to more than 200 MB"
    assert peak < 20e6


def test_a_dense_file_is_refused_by_its_ratio() -> None:
    data = sample.zipped({"mimetype": "application/epub+zip", "a": bytes(30 << 20)})
    assert refused(data, "a.epub") == "decompresses to more than 200 times its size"


def test_a_zip_directory_of_endless_length_is_not_listed() -> None:
    data = b"PK\x03\x04" + b"PK\x01\x02" * 60_000
    assert refused(data, "a.docx") == "damaged file: holds more than 50000 files"


def test_entities_are_neither_expanded_nor_fetched() -> None:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 30))
    bomb = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e0 "lol">{levels}]><a>&e29;</a>'
    assert refused(bomb, "a.xml") == "no text"
    outside = '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd" [<!ENTITY % p SYSTEM "file:///x">%p;]>'
    read = load_bytes(f"{outside}<a>kept</a>".encode(), "a.xml", sample.OPTIONS)
    assert read.text == "kept"


def test_numbers_and_nesting_that_break_parsers_are_survived() -> None:
    assert refused("[" * 200_000, "a.ipynb") == "damaged notebook: it is not JSON"
    cells = [{"cell_type": "markdown", "source": "x", "n": 0}]
    text = json.dumps({"cells": cells}).replace('"n": 0', '"n": 1' + "0" * 10_000)
    assert load_bytes(text.encode(), "a.ipynb", sample.OPTIONS).text == "x"
    assert load_bytes(b'"' + b"a," * 100_000, "a.csv", sample.OPTIONS).markup == "table"


def test_a_mail_of_deeply_nested_parts_is_read() -> None:
    parts = (f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(300))
    mail = "Subject: x\n" + "".join(parts)
    assert load_bytes(mail.encode(), "a.eml", sample.OPTIONS).text == "# x"


@pytest.mark.parametrize("depth", [400, 1200])
def test_a_mail_of_parts_nested_beyond_measure_is_refused_as_that(depth: int) -> None:
    parts = (f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(depth))
    mail = "Subject: x\n" + "".join(parts) + "\ntext"
    assert refused(mail, "a.eml") == "damaged mail: parts are nested too deeply"


def test_headers_that_break_the_mail_parser_are_survived() -> None:
    mail = b"Subject: =?utf-8?q?=ff?= \xff\nFrom: @@\nTo: <\nDate: 99 Foo\nContent-Type: ;;;\n\nHi"
    read = load_bytes(mail, "a.eml", sample.OPTIONS)
    assert read.text.endswith("Hi")
    read.text.encode()


@pytest.mark.parametrize(
    "text",
    ["\n" * 100_000, "# " * 150_000, "#\n" * 20_000, "```\n" * 20_000, "a\n--\n" * 5_000,
     ("# x" + " " * 1900 + "y\n") * 100, ("# " + "*a " * 160 + "\n") * 50, "<!--\n" * 20_000,
     ("# " + "[" * 490 + "\n") * 50],
)  # fmt: skip
@pytest.mark.timeout(20)
def test_headings_are_found_in_linear_time(text: str) -> None:
    for heading in (*find_markdown(text), *find_restructured(text)):
        assert heading.start < heading.end <= len(text)


NAMES = st.sampled_from(
    sorted({f"a.{row.extensions[0]}" for row in FORMATS} | {"a", "a.png"} | {f"a.{UNREADABLE[0]}"})
)
HEADS = st.sampled_from(
    [b"", b"%PDF-1.4\n", b"PK\x03\x04", OLE, b"{\\rtf1 ", b"<html>", b"<?xml version='1.0'?>",
     b"From a@b Thu Jan  4 10:00:00 2024\n", b"---\n", b"\xff\xfe", b"\x1b$B"]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(HEADS, st.binary(max_size=300), NAMES)
def test_whatever_the_bytes_there_is_content_or_a_reason(
    head: bytes, data: bytes, name: str
) -> None:
    try:
        content = load_bytes(head + data, name, sample.OPTIONS)
    except LoadingError:
        return
    content.text.encode()
    for span in (*content.headings, *content.pages):
        assert 0 <= span.start <= span.end <= len(content.text)


SAMPLES = [
    sample.pdf("One", "Two"),
    sample.docx(("Heading1", "Top"), ("", "Body")),
    sample.pptx(sample.slide("One", ["Two"])),
    sample.xlsx(A=[["a", "b"]]),
    sample.opendocument("presentation", "<text:p>x</text:p>"),
    sample.epub("T", "<p>x</p>"),
]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SAMPLES), st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_damage_anywhere_in_a_file_is_survived(data: bytes, place: int, damage: bytes) -> None:
    place %= len(data)
    broken = data[:place] + damage + data[place + len(damage) :]
    with contextlib.suppress(LoadingError):
        load_bytes(broken, "a", sample.OPTIONS).text.encode()
