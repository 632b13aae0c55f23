"""Which encoding a text is in: the same sentences come back from many of them."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.errors import LoadingError
from retriever.loading.decoding import decode

TEXTS = {
    "en": "The quick brown fox jumps over the lazy dog. It’s “fine”. \r\nNew line.\n" * 3,
    "de": "Die Übergröße der Straße überraschte Jörg. Er aß ein Käsebrötchen für 3 Mark.\n" * 3,
    "fr": "L'été dernier, l'élève a mangé à Noël un gâteau très bon. Où êtes-vous, garçon ?\n" * 3,
    "ru": "Широкая электрификация южных губерний даст мощный толчок подъёму хозяйства.\n" * 4,
    "el": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία και το φως του ήλιου λάμπει στη θάλασσα.\n" * 4,
    "ja": "いろはにほへと、ちりぬるを。日本語の文書を読みます。漢字とカタカナもあります。\n" * 4,
    "zh": "敏捷的棕色狐狸跳过懒狗。这是一个中文文档，用来测试编码的检测。\n" * 4,
    "tw": "敏捷的棕色狐狸跳過懶狗。這是一個中文檔案，用來測試編碼的偵測結果是否正確。\n" * 4,
    "hu": "Árvíztűrő tükörfúrógép. Egy hűvös őszi reggelen a bőrönd fölött ült a rigó.\n" * 3,
    "tr": "Pijamalı hasta yağız şoföre çabucak güvendi. Öğle üzeri ırmağın kıyısındaydık.\n" * 3,
    "lv": "Glāžšķūņa rūķīši dzērumā čiepj Baha koncertflīģeļu vākus. Ļoti žēl, ka tā notika.\n" * 3,
    "he": "דג סקרן שט בים מאוכזב ולפתע מצא לו חברה. זה מסמך בעברית שנועד לבדיקה.\n" * 4,
    "ar": "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر. هذه وثيقة باللغة العربية.\n" * 4,
    "th": "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน นี่คือเอกสารภาษาไทย\n" * 4,
    "ko": "다람쥐 헌 쳇바퀴에 타고파. 이것은 한국어 문서이며 인코딩을 시험합니다.\n" * 4,
    "pl": "Zażółć gęślą jaźń. Pchnąć w tę łódź jeża lub ośm skrzyń fig, które są duże.\n" * 4,
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"])
@pytest.mark.parametrize("language", ["en", "de", "ja"])
def test_unicode_is_read_exactly(language: str, encoding: str) -> None:
    data = TEXTS[language].encode(encoding)
    if encoding == "gb18030":
        data = b"\x84\x31\x95\x33" + data
    assert decode(data).text == TEXTS[language]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("language", sorted(TEXTS))
def test_wide_encodings_are_read_without_a_mark(language: str, encoding: str) -> None:
    assert decode(TEXTS[language].encode(encoding)).text == TEXTS[language]


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        ("en", "cp1252"),
        ("de", "cp1252"),
        ("fr", "latin-1"),
        ("ru", "cp1251"),
        ("ru", "koi8-r"),
        ("el", "cp1253"),
        ("ja", "cp932"),
        ("ja", "euc-jp"),
        ("ja", "iso2022_jp"),
        ("zh", "gb18030"),
        ("tw", "big5"),
        ("ko", "euc-kr"),
        ("ko", "iso2022_kr"),
        ("pl", "cp1250"),
        ("pl", "iso8859-2"),
        ("pl", "cp852"),
        ("hu", "cp1250"),
        ("tr", "cp1254"),
        ("lv", "cp1257"),
        ("he", "cp1255"),
        ("ar", "cp1256"),
        ("th", "cp874"),
        ("de", "cp850"),
        ("de", "mac_roman"),
        ("ru", "cp866"),
    ],
)
def test_older_encodings_are_detected(language: str, encoding: str) -> None:
    text = TEXTS[language]
    assert decode(text.encode(encoding)).text == text


def test_a_declared_encoding_wins_over_detection_but_not_over_utf8() -> None:
    assert decode("ąę".encode("iso8859-2"), declared="iso-8859-2").text == "ąę"
    assert decode("ąę".encode(), declared="iso-8859-2").text == "ąę"


@pytest.mark.parametrize("declared", ["x-unknown", "zlib_codec", "rot13", "utf-16", "undefined"])
def test_a_declaration_that_makes_no_sense_is_ignored(declared: str) -> None:
    assert decode("für das Land".encode("cp1252"), declared=declared).text == "für das Land"


def test_a_few_broken_bytes_do_not_spoil_a_utf8_file() -> None:
    data = TEXTS["ru"].encode() + b"\xff" + TEXTS["ru"].encode()[:-2]
    found = decode(data)
    assert found.encoding == "utf-8"
    assert found.text.startswith(TEXTS["ru"])
    assert "could not be decoded" in found.warnings[0]


def test_nuls_and_lone_surrogates_are_dropped() -> None:
    data = b"a" * 2000 + b"\x00b"
    assert decode(data).text == "a" * 2000 + "b"
    assert decode(codecs.BOM_UTF16_LE + "a\ud800b".encode("utf-16-le", "surrogatepass")).text in {
        "ab", "a\ufffdb", "a\ufffd\ufffdb",
    }  # fmt: skip


@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_are_storable_text_or_no_text(data: bytes) -> None:
    try:
        text = decode(data).text
    except LoadingError:
        return
    text.encode("utf-8")
    assert "\x00" not in text


@given(st.text(min_size=1, max_size=300).filter(lambda text: text.isprintable()))
def test_printable_text_in_utf8_comes_back(text: str) -> None:
    assert decode(text.encode()).text == text
