"""The lexical index: what it finds, how it is kept, and what it survives."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retriever.errors import CollectionDamaged, SettingsError
from retriever.lexical import LexicalEntry, LexicalIndex
from retriever.lexical.analysis import MOST_QUERY_TERMS, QueryAnalyser
from retriever.lexical.languages import detect_language, function_words, known_languages, stemmer
from retriever.lexical.words import tokens, words_of


def entry(chunk_id: str, text: str, *, title: str = "", source: str = "") -> LexicalEntry:
    return LexicalEntry(chunk_id, source or f"docs/{chunk_id}", title, (), text)


def ids(index: LexicalIndex, query: str, count: int = 10) -> list[str]:
    return [one.chunk_id for one in index.rank(query, count=count)]


def words(text: str) -> set[str]:
    return {word.text for token in tokens(text) for word in words_of(token)}


@pytest.fixture
def index(tmp_path: Path) -> LexicalIndex:
    return LexicalIndex(tmp_path / "lexical" / "docs")


@pytest.fixture
def filled(index: LexicalIndex) -> Callable[..., LexicalIndex]:
    """An index of the texts given, ids from a on."""

    def fill(*texts: str) -> LexicalIndex:
        index.put(entry(chr(ord("a") + place), text) for place, text in enumerate(texts))
        index.commit(1)
        return index

    return fill


def test_it_ranks_by_the_words_in_common(filled: Callable[..., LexicalIndex]) -> None:
    index = filled("The pump has a red button.", "The boiler heats water.", "Red water.")
    found = index.rank("red button", count=10)
    assert [one.chunk_id for one in found] == ["a", "c"]
    assert [one.rank for one in found] == [1, 2]
    assert found[0].score > found[1].score > 0
    assert {one.ranker for one in found} == {"lexical"}
    assert ids(index, "red", count=1) == ["c"]


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("Set max_batch_size to 8.", ["max_batch_size", "batch", "max batch size", "maxBatchSize"]),
        ("It speaks HTTP2 only.", ["HTTP2", "http2", "HTTP 2", "http"]),
        ("See CVE-2024-3094, now.", ["CVE-2024-3094", "cve-2024-3094", "CVE 2024 3094", "3094"]),
        ("Pass --no-verify to git.", ["--no-verify", "no-verify", "verify"]),
        (
            "Call api.getUserName() first.",
            ["getUserName", "get_user_name", "username", "user name"],
        ),
        ("A std::vector is a list.", ["std::vector", "vector"]),
        ("Edit conf/default.toml.", ["default.toml", "conf/default.toml", "toml"]),
        ("Since v1.26.3 it works.", ["1.26.3", "v1.26.3", "1.26"]),
        ("Written in C++ once.", ["C++", "c++"]),
        ("A budget of 1,000,000 francs.", ["1,000,000"]),
        (
            "Begin with org.springframework.context.annotation.AnnotationConfigApplicationContext.",
            ["AnnotationConfigApplicationContext", "application"],
        ),
        (
            "See https://docs.example.com/en/latest/reference/api/configuration/proxy_settings.html.",
            ["proxy_settings", "settings", "html"],
        ),
        (
            "def test_a_reader_of_a_folder_that_vanished_goes_on_until_its_gasket_is_closed():",
            ["gasket", "closed"],
        ),
        (
            f"2024-01-05,{','.join(map(str, range(1000, 1060)))},3.75,17",
            ["1007", "1059", "3.75", "17", "2024-01-05"],
        ),
    ],
)
def test_identifiers_are_found_whole_and_by_part(
    filled: Callable[..., LexicalIndex], text: str, queries: list[str]
) -> None:
    index = filled(text, "Something else entirely.")
    for query in queries:
        assert ids(index, query) == ["a"] or query == "username", query


def test_a_whole_identifier_outweighs_its_parts(filled: Callable[..., LexicalIndex]) -> None:
    index = filled("The batch has a size, the max size of a batch.", "Raise max_batch_size.")
    assert ids(index, "max_batch_size")[0] == "b"


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Die Häuser stehen in der Stadt und sind alt, aber nicht schön.", "Haus"),
        ("Les chevaux sont dans le pré avec les vaches et les ânes.", "vache"),
        ("The houses were built by the masons of the town in spring.", "house building mason"),
        ("Собаки живут в доме и они не любят кошек.", "собака"),
        ("المهندسون يبنون المدارس في المدينة الكبيرة", "مدرسة المدينه"),
        ("自然言語処理は人間の言葉を扱う技術である。", "言語処理"),
        ("机器学习是人工智能的一个分支。", "人工智能"),
        ("ภาษาไทยไม่มีช่องว่างระหว่างคำ", "ช่องว่าง"),
        ("검색 시스템을 만드는 방법", "시스템"),
        ("हिन्दी भारत की राजभाषा है", "हिन्दी"),
        ("Un résumé du café.", "resume cafe"),
        ("ﬁne ｆｕｌｌｗｉｄｔｈ", "fullwidth fine"),
    ],
)
def test_each_language_is_found_in_its_own_forms(
    filled: Callable[..., LexicalIndex], text: str, query: str
) -> None:
    index = filled(text, "zzz qqq", "An entirely different text, and it is in English.")
    assert ids(index, query)[:1] == ["a"]


def test_one_index_holds_several_languages(filled: Callable[..., LexicalIndex]) -> None:
    """A word is searched for by its stem in every language that the index holds."""
    index = filled(
        "Die Verordnungen gelten für alle, und sie sind nicht neu.",
        "The regulations are binding for all of the members.",
    )
    assert ids(index, "Verordnung") == ["a"]
    assert ids(index, "regulation") == ["b"]


def test_function_words_are_left_out_of_a_query_unless_nothing_is_left(
    filled: Callable[..., LexicalIndex],
) -> None:
    index = filled("What is it that the man has?", "The pump.", "To be, or not to be.")
    assert ids(index, "What is the pump?") == ["b"]
    assert ids(index, "to be or not to be")[0] == "c"


def test_a_title_counts_more_than_the_text(index: LexicalIndex) -> None:
    index.put([entry("a", "A boiler is hot."), entry("b", "It is hot.", title="Boiler")])
    index.put([LexicalEntry("c", "docs/c", "", ("Boiler",), "It is cold.")])
    index.commit(1)
    assert set(ids(index, "boiler")[:2]) == {"b", "c"}


@pytest.mark.parametrize(
    "query",
    [
        "",
        " \t\n",
        '"unclosed (quote AND [OR',
        "pump AND NOT (water) -red +button~2^5 title:x /re.*/ *? \\",
        "\x00\x01\x1b[31m pump",
        "\ud800 pump",
        "🚒🔥",
        "word " * 10_000,
        " ".join(f"w{number}" for number in range(10_000)),
        "x" * 1_000_000,
        "a_" * 100_000,
        "語" * 100_000,
    ],
    ids=lambda query: repr(query[:12]),
)
def test_any_query_is_safe(filled: Callable[..., LexicalIndex], query: str) -> None:
    index = filled("The pump has a red button.", "🚒")
    assert len(index.rank(query, count=10)) <= 2
    index.explain(query, "a")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_a_text_is_found_by_itself(text: str) -> None:
    """What a text says and what a query says become the same terms, whatever they hold."""
    stored = QueryAnalyser(["en"]).words(text)
    asked = {term for word in QueryAnalyser(["de", "en"]).words(text) for term in word.terms}
    if detect_language(tokens(text)) == "en" and len(stored) < MOST_QUERY_TERMS:
        assert {term for word in stored for term in word.terms} <= asked
    for word in stored:
        assert all(term and len(term) <= 4 * 64 and term.split() == [term] for term in word.terms)


@pytest.mark.parametrize(
    ("languages", "query", "searched"),
    [
        (["en"], "door handle broken", ["door", "handl", "broken"]),  # Dutch for through
        (["en", "nl"], "fire door", ["fire", "door"]),
        (["en"], "die casting was late", ["die", "cast", "late"]),  # German the
        (["nl", "en"], "de fiets door regen", ["fiet", "reeg"]),
        (["en", "nl"], "de fiets door het raam", ["fiet", "raam"]),
    ],
)
def test_a_word_is_left_out_only_as_a_function_word_of_what_the_collection_is_written_in(
    languages: list[str], query: str, searched: list[str]
) -> None:
    words = QueryAnalyser(languages).words(query)
    assert [word.terms[0] for word in words] == searched


def test_a_long_query_is_bounded() -> None:
    query = " ".join(f"word{number}" for number in range(10_000))
    assert len(QueryAnalyser(["en"]).words(query)) == MOST_QUERY_TERMS


def test_only_allowed_chunks_are_ranked_and_all_of_them(index: LexicalIndex) -> None:
    """A filter that matches little loses nothing, one that matches much changes no order."""
    index.put(entry(f"{n:04d}", "pump " * (n % 7 + 1) + "water " * (n % 5)) for n in range(500))
    index.commit(1)
    everything = index.rank("pump", count=500)
    for allowed in ({"0003"}, {f"{n:04d}" for n in range(0, 500, 3)}, {"0007", "unknown"}):
        found = index.rank("pump", count=20, allowed=allowed)
        expected = [one.chunk_id for one in everything if one.chunk_id in allowed][:20]
        assert [one.chunk_id for one in found] == expected
    assert index.rank("pump", count=20, allowed=()) == []


def test_an_explanation_adds_up_to_the_score(filled: Callable[..., LexicalIndex]) -> None:
    index = filled("The red pump, the pump.", "The red button.")
    best = index.rank("pump with red paint, pump", count=1)[0]
    terms = index.explain("pump with red paint, pump", best.chunk_id)
    assert [term for term, _ in terms] == ["pump", "red"]
    assert sum(weight for _, weight in terms) == pytest.approx(best.score, rel=1e-3)
    assert index.explain("paint", "a") == index.explain("pump", "unknown") == []


def test_the_terms_of_a_query_are_counted(filled: Callable[..., LexicalIndex]) -> None:
    index = filled("red pump", "red button", "blue")
    counts = {one.term: one.chunk_count for one in index.term_counts("the red pumps of Xanadu")}
    assert counts == {"red": 2, "pump": 1, "xanadu": 0}


def test_changes_are_seen_at_the_commit_and_not_before(index: LexicalIndex) -> None:
    assert index.revision is None
    index.put([entry("a", "red"), entry("b", "green")])
    assert (index.revision, ids(index, "red")) == (None, [])
    index.commit(1)
    assert (index.revision, index.chunk_count, ids(index, "red")) == (1, 2, ["a"])
    index.put([entry("a", "blue"), entry("c", "red"), entry("c", "red again")])
    index.delete(["b", "unknown"])
    assert (ids(index, "red"), ids(index, "green")) == (["a"], ["b"])
    index.commit(2)
    assert (index.revision, index.chunk_count) == (2, 2)
    assert [ids(index, word) for word in ("red", "green", "blue")] == [["c"], [], ["a"]]
    index.clear()
    index.put([entry("d", "red")])
    index.commit(3)
    assert (index.revision, ids(index, "red blue")) == (3, ["d"])


def test_what_was_not_committed_is_dropped(index: LexicalIndex, tmp_path: Path) -> None:
    index.put([entry("a", "red")])
    index.commit(4)
    index.clear()
    index.put([entry("b", "red")])
    index.close()
    index.close()
    again = LexicalIndex(tmp_path / "lexical" / "docs")
    assert (again.revision, ids(again, "red")) == (4, ["a"])


def test_a_reader_beside_the_writer_sees_each_commit(index: LexicalIndex, tmp_path: Path) -> None:
    reader = LexicalIndex(tmp_path / "lexical" / "docs")
    for revision in range(1, 15):
        index.put([entry(str(revision), "red")])
        index.commit(revision)
        assert reader.revision == revision
        assert len(reader.rank("red", count=100)) == revision


def test_threads_share_one_index(filled: Callable[..., LexicalIndex]) -> None:
    index = filled("The red pump.", "A red button.")
    answers: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: answers.extend(ids(index, "red pump") for _ in range(50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [["a", "b"]] * 200


def test_a_killed_writer_leaves_the_last_commit(tmp_path: Path) -> None:
    """Killed while it commits again and again, it leaves what the last whole commit held."""
    folder = tmp_path / "docs"
    code = textwrap.dedent(f"""
        from pathlib import Path
        from retriever.lexical import LexicalEntry, LexicalIndex
        index = LexicalIndex(Path({str(folder)!r}))
        for revision in range(1, 100_000):
            index.put([LexicalEntry(str(revision), "a", "", (), "red")])
            index.commit(revision)
            print(revision, flush=True)
        """)
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    seen = [int(writer.stdout.readline()) for _ in range(12)][-1]
    os.kill(writer.pid, signal.SIGKILL)
    rest = writer.stdout.read().split()
    writer.stdout.close()
    writer.wait()
    seen = int(rest[-1]) if rest else seen
    index = LexicalIndex(folder)
    assert index.revision in (seen, seen + 1, -1)  # -1: committed, and dead before it said so
    assert index.chunk_count == len(index.rank("red", count=100_000))
    assert index.chunk_count in ((seen, seen + 1) if index.revision == -1 else (index.revision,))
    index.put([entry("new", "blue")])
    index.commit(seen + 2)
    assert ids(index, "blue") == ["new"]


@pytest.mark.parametrize("damage", ["pointer", "cut", "lost", "empty", "foreign", "flipped"])
def test_a_damaged_index_counts_as_missing_and_is_replaced(
    filled: Callable[..., LexicalIndex], tmp_path: Path, damage: str
) -> None:
    filled("The red pump.").close()
    folder = tmp_path / "lexical" / "docs"
    segment = max(folder.glob("*.term"))
    content = segment.read_bytes()
    match damage:
        case "pointer":
            (folder / "meta.json").write_text("{", encoding="utf-8")
        case "cut":
            segment.write_bytes(content[:20])
        case "lost":
            segment.unlink()
        case "empty":
            segment.write_bytes(b"")
        case "foreign":
            (folder / "meta.json").write_text('{"segments": []}', encoding="utf-8")
        case "flipped":
            segment.write_bytes(bytes(255 - byte for byte in content[:40]) + content[40:])
    index = LexicalIndex(folder)
    assert not index.is_intact()
    if damage == "flipped":  # seen by the checksum; the engine may or may not stumble over it
        index.clear()
    else:
        assert (index.revision, index.rank("red", count=1), index.term_counts("red")) == (
            None,
            [],
            [],
        )
    index.put([entry("b", "A red button.")])
    index.commit(7)
    assert (index.revision, ids(index, "red"), index.is_intact()) == (7, ["b"], True)


def test_a_commit_that_did_not_say_what_it_is_of_is_of_no_revision(
    filled: Callable[..., LexicalIndex], tmp_path: Path
) -> None:
    """As of a writer that was killed between the two: the rows are there and can be used."""
    index = filled("The red pump.")
    folder = tmp_path / "lexical" / "docs"
    (said,) = folder.glob("facts-*.json")
    held = said.read_text(encoding="utf-8")
    index.put([entry("b", "A red button.")])
    index.commit(2)
    (folder / "facts-0.json").write_text(held, encoding="utf-8")
    (last,) = set(folder.glob("facts-*.json")) - {folder / "facts-0.json"}
    hidden = last.rename(folder / "hidden")
    again = LexicalIndex(folder)
    assert (again.revision, ids(again, "red")) == (-1, ["a", "b"])
    hidden.rename(last)
    assert again.revision == 2
    for path in folder.glob("facts-*.json"):
        path.write_text("{", encoding="utf-8")
    assert LexicalIndex(folder).revision is None


def test_commits_leave_no_trace_in_the_scores(tmp_path: Path) -> None:
    """Many commits score as one does: nothing but chunks counts in the statistics."""
    texts = {name: f"{name} pump {'water ' * len(name)}" for name in ("red", "blue", "violet")}
    once, often = LexicalIndex(tmp_path / "once"), LexicalIndex(tmp_path / "often")
    once.put([entry(name, text) for name, text in texts.items()])
    once.commit(1)
    for revision, (name, text) in enumerate(texts.items(), start=1):
        often.put([entry(name, text)])
        often.commit(revision)
        often.commit(revision + 10)
    scores = [one.score for one in once.rank("pump water blue", count=9)]
    assert [one.score for one in often.rank("pump water blue", count=9)] == pytest.approx(scores)


def test_an_index_of_another_language_setting_is_made_anew(
    filled: Callable[..., LexicalIndex], tmp_path: Path
) -> None:
    filled("red").close()
    other = LexicalIndex(tmp_path / "lexical" / "docs", language="de")
    assert other.revision is None
    other.put([entry("b", "Häuser")])
    other.commit(2)
    assert ids(other, "red") == []
    assert ids(other, "Haus") == ["b"]


def test_an_unknown_language_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"auto, ar, cs, .*de, "):
        LexicalIndex(tmp_path, language="klingon")


def test_every_language_with_function_words_has_a_stemmer() -> None:
    assert {code for code in known_languages() if function_words(code)} == known_languages()
    assert [stemmer("en")("pumps"), stemmer("de")("häuser"), stemmer("fr")("été")] == [
        "pump",
        "haus",
        "ete",
    ]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I reset the pump?", "en"),
        ("Wie setze ich die Pumpe zurück?", "de"),
        ("Comment est-ce que je remets la pompe à zéro ?", "fr"),
        ("كيف يمكن إعادة تشغيل المضخة", "ar"),
        ("Насос", "ru"),
        ("Αντλία", "el"),
        ("x = 1", "en"),
        ("", "en"),
    ],
)
def test_a_language_is_told_by_its_function_words(text: str, language: str) -> None:
    assert detect_language(tokens(text)) == language


def test_code_is_not_taken_for_another_language() -> None:
    code = "def de(la, el): return la if el in de else os.path.join(la, den)"
    assert detect_language(tokens(code), least_words=4) == "en"


def test_words_of_a_token_come_once() -> None:
    assert words("max_batch_size") == {"max_batch_size", "max", "batch", "size"}
    assert words("std::getUserName") == {
        "std::getusername",
        "std",
        "getusername",
        "get",
        "user",
        "name",
    }
    assert words("d41d8cd98f00b204e9800998ecf8427e") == {"d41d8cd98f00b204e9800998ecf8427e"}
    assert len(words("/".join(f"part{chr(97 + n)}" for n in range(26)) * 50)) <= 24


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("Donau\u00addampf\u00adschiff", "Donaudampfschiff"),
        (
            "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
            "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
        ),
        ("\u078b\u07a8\u0788\u07ac\u0780\u07a8", "\u078b\u07a8\u0788\u07ac\u0780\u07a8"),
    ],
    ids=["soft hyphens", "Hebrew points", "Thaana vowels"],
)
def test_a_word_is_one_whatever_stands_between_its_letters(written: str, word: str) -> None:
    assert tokens(f"({written})") == tokens(word) == [unicodedata.normalize("NFKC", word)]


def test_damage_found_while_reading_is_told(
    filled: Callable[..., LexicalIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = filled("red")
    assert index.revision == 1
    view = index._reading.view  # type: ignore[union-attr]

    class PanicException(BaseException):
        """As the engine's own, which cannot be imported."""

    def panic(*_: object, **__: object) -> None:
        raise PanicException("index out of range")

    monkeypatch.setattr(type(view), "rank", panic)
    with pytest.raises(CollectionDamaged, match="delete the folder"):
        index.rank("red", count=1)


def test_a_reader_answers_while_the_index_is_made_anew(tmp_path: Path) -> None:
    """From what it opened last, until there is a commit again."""
    folder = tmp_path / "docs"
    with LexicalIndex(folder) as writer, LexicalIndex(folder) as reader:
        writer.put([entry("a", "The red button.")])
        writer.commit(1)
        assert ids(reader, "red") == ["a"]
        writer.discard()
        assert ids(reader, "red") == ["a"]
        writer.put([entry("b", "A red valve.")])
        assert reader.revision is None
        assert ids(reader, "red") == ["a"]
        writer.commit(2)
        assert reader.revision == 2
        assert ids(reader, "red") == ["b"]
