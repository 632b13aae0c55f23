"""Which of the older encodings a text is in: the one in which it reads like a language.

Every encoding is tried that some language was commonly written in, and judged by how many of
the characters beyond ASCII are letters of that language, where a letter may stand. General
detectors judge by the disorder of the characters alone, which does not tell Polish in
Windows-1250 from Portuguese in Windows-1252.
"""

import codecs
import re
from collections.abc import Iterator
from functools import cache

SAMPLE_BYTES = 100_000
LEAST_SCORE = 0.85
_MOST_BEYOND_ASCII = 0.45  # of the letters in a Latin script; Vietnamese has the most, a third
_USUAL_SHARE = 0.55  # of a script's ten most frequent letters in running text

_LATIN = {
    "western": ("äöüß", "éèêëàâçùûüîïôœæÿ", "áéíóúüñ¿¡ªº", "ãõáâàçéêíóôú", "àèéìíîòóùú",
                "åäöé", "æøåéóòôü", "áðéíóúýþæö", "çàèéíïòóúü·", "ëïéèöüóá"),
    "central": ("ąćęłńóśźż", "áčďéěíňóřšťúůýžôľĺŕäöü", "áéíóöőúüű", "ăâîşţșț", "čćđšž", "äöüßé"),
    "turkish": ("çğıöşüâîûİ",),
    "baltic": ("ąčęėįšųūž", "āčēģīķļņšūž", "äöõüšž"),
    "vietnamese": ("ăâđêôơưàáãèéìíòóõùúýạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"
                   "\u0300\u0301\u0303\u0309\u0323",),
}  # fmt: skip
"""Letters beyond ASCII of the languages that share encodings."""
_SCRIPTS = {
    "russian": ("абвгдежзийклмнопрстуфхцчшщъыьэюяё№", "оеаинтсрвл"),
    "ukrainian": ("абвгґдеєжзиіїйклмнопрстуфхцчшщьюя№", "оаниітрвес"),
    "serbian": ("абвгдђежзијклљмнњопрстћуфхцчџш", "аоиенсртју"),
    "greek": ("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ", "αοιετσνηυρ"),
    "hebrew": ("אבגדהוזחטיךכלםמןנסעףפץצקרשת", "יוהלאמרתבש"),
    "arabic": ("ءآأؤإئابةتثجحخدذرزسشصضطظعغـفقكلمنهوىيًٌٍَُِّْپچژگ،؛؟", "اليمونتره"),
    "thai": ("".join(map(chr, (*range(0xE01, 0xE3B), *range(0xE3F, 0xE5C)))), "านรอกเงม่ย"),
}
"""All letters of a script, and the ten that are most frequent."""
_ENCODINGS = (
    ("cp1252", ("western",)), ("cp1250", ("central",)), ("cp1251", ("russian", "ukrainian",
    "serbian")), ("koi8_u", ("russian", "ukrainian")), ("koi8_r", ("russian",)),
    ("cp1253", ("greek",)), ("cp1254", ("turkish",)), ("cp1255", ("hebrew",)),
    ("cp1256", ("arabic",)), ("cp1257", ("baltic",)), ("cp1258", ("vietnamese",)),
    ("cp874", ("thai",)), ("iso8859_2", ("central",)), ("iso8859_7", ("greek",)),
    ("iso8859_5", ("russian", "serbian")), ("iso8859_9", ("turkish",)), ("iso8859_13", ("baltic",)),
    ("cp866", ("russian",)), ("cp850", ("western",)), ("cp852", ("central",)),
    ("mac_roman", ("western",)), ("mac_cyrillic", ("russian",)),
)  # fmt: skip
"""The commonest first: where two read alike, the first is taken."""
_WIDE_ENCODINGS = ("gb18030", "big5", "cp932", "euc_jp", "cp949")
_CHINESE = frozenset({"gb18030", "big5"})
_JAPANESE = frozenset({"cp932", "euc_jp"})
_LEAST_KANA = 0.1  # of Japanese text
_PUNCTUATION = frozenset("“”„‘’‚«»‹›–—…•·©®™°§€£±×½¼¾²³µ\xa0\xad¶†")
_WITHIN_WORDS = frozenset("’·\xad")
_LATIN_NEIGHBOURS = re.compile(r"(?<=[A-Za-z])[^\W\d_a-zA-Z]|[^\W\d_a-zA-Z](?=[A-Za-z])")
_BEYOND_ASCII = re.compile(r"(?s)(.?)([^\x00-\x7f])(?=(.?))")


def detect_encoding(data: bytes) -> Iterator[str]:
    """Name the encodings in which some text reads like a language, the likeliest first."""
    sample = _sample(data)
    scores = [(score, -order, encoding)
              for order, (encoding, score) in enumerate(_scores(sample))]  # fmt: skip
    for score, _, encoding in sorted(scores, reverse=True):
        if score >= LEAST_SCORE:
            yield encoding


def _scores(sample: bytes) -> Iterator[tuple[str, float]]:
    for encoding, languages in _ENCODINGS:
        text = _decoded(sample, encoding)
        if text:
            yield encoding, max(_reads_like(text, language) for language in languages)
    for encoding in _WIDE_ENCODINGS:
        text = _decoded(sample, encoding)
        if text:
            yield encoding, _reads_like_east_asian(text, encoding)


def _sample(data: bytes) -> bytes:
    """Lines with bytes beyond ASCII, from all over the data."""
    lines = [line for line in data.split(b"\n") if not line.isascii()]
    total = sum(map(len, lines))
    step = max(1, total // SAMPLE_BYTES)
    return b"\n".join(lines[::step])[: 2 * SAMPLE_BYTES]


def _decoded(sample: bytes, encoding: str) -> str:
    """The sample's text; empty where it is none. A character cut off at the end does not count."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return ""


def _reads_like(text: str, language: str) -> float:
    """0 to 1: how many characters beyond ASCII are letters or marks where they may stand."""
    if language in _LATIN:
        beyond = sum(character > "\x7f" and character.isalpha() for character in text)
        letters = sum(map(str.isalpha, text))
        if beyond > _MOST_BEYOND_ASCII * letters:
            return 0.0
        return max(_share(text, frozenset(each + each.upper())) for each in _LATIN[language])
    letters_of_script, frequent = _SCRIPTS[language]
    found = sum(text.count(letter) for letter in frequent)
    beyond = sum(character > "\x7f" for character in text)
    usual = min(1.0, found / (_USUAL_SHARE * beyond)) if beyond else 0.0
    script = frozenset(letters_of_script + letters_of_script.upper())
    share = _share(_LATIN_NEIGHBOURS.sub("\ufffd", text), script)
    return share * (0.4 + 0.6 * usual)


def _share(text: str, letters: frozenset[str]) -> float:
    """The share of the characters beyond ASCII that are these letters, or punctuation."""
    good = total = 0.0
    for before, character, after in _BEYOND_ASCII.findall(text):
        total += 1
        if character in letters:
            # a capital within a word is a sign of the wrong encoding
            good += not (character.isupper() and before.islower())
        elif character in _PUNCTUATION:
            within = before.isalpha() and after.isalpha() and character not in _WITHIN_WORDS
            good += not within
    return good / total if total else 0.0


def _reads_like_east_asian(text: str, encoding: str) -> float:
    usual = _usual_characters(encoding)
    others = [character for character in text if character > "\x7f"]
    kana = sum("\u3041" <= character <= "\u30fe" for character in others)
    good = sum(
        character in usual or "\u3000" <= character <= "\u3020"
        or "\uff01" <= character <= "\uff5e" or character in _PUNCTUATION
        for character in others
    )  # fmt: skip
    if not others:
        return 0.0
    if encoding in _JAPANESE:
        good += kana
        return good / len(others) * (1.0 if kana > _LEAST_KANA * len(others) else 0.9)
    # what reads as Korean reads as Chinese too, but not the other way round
    return good / len(others) * (0.97 if encoding in _CHINESE else 1.0)


@cache
def _usual_characters(encoding: str) -> frozenset[str]:
    """The characters that the standard behind an encoding lists first, as the frequent ones."""
    codec, first, last = {
        "gb18030": ("gb2312", 0xB0, 0xD7),
        "big5": ("big5", 0xA4, 0xC6),
        "cp932": ("euc_jp", 0xB0, 0xCF),
        "euc_jp": ("euc_jp", 0xB0, 0xCF),
        "cp949": ("euc_kr", 0xB0, 0xC8),
    }[encoding]
    pairs = (bytes((high, low)) for high in range(first, last + 1) for low in range(0x40, 0xFF))
    return frozenset("".join(pair.decode(codec, errors="ignore") for pair in pairs)) - frozenset(
        map(chr, range(128))
    )
