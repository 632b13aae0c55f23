"""Word vectors as an embedder, against gensim and against files that lie."""

import argparse
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retriever import assembly
from retriever.assembly import remembered_embedding
from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.static import StaticEmbedder
from retriever.embedding.word_files import read_words
from retriever.embedding.word_reading import count_pieces, words
from retriever.embedding.word_vectors import SMOOTHING, zipf_shares
from retriever.errors import (
    EmbeddingRejected,
    FingerprintMismatch,
    NothingToEmbed,
    SettingsError,
)
from retriever.ingestion import estimate, ingest
from retriever.protocols import Embedder, SelectiveEmbedder, VocabularyEmbedder
from retriever.retrieval import Retriever
from retriever.settings import Settings
from retriever.swapping.comparing import overlap
from retriever.swapping.swaps import plan_swap, swap
from retriever.testing import EmbedderContract, HashingEmbedder
from retriever.testing.embedder_contract import TEXTS

WORDS = ("the", "cat", "feline", "sat", "on", "mat", "invoice", "New", "naïve", "don't", "日")
VECTORS = np.random.default_rng(3).normal(size=(len(WORDS), 8)).astype(np.float32)


def write_text(file: Path, *, header: bool = True) -> Path:
    lines = [f"{len(WORDS)} 8"] if header else []
    lines += [
        f"{word} {' '.join(str(x) for x in row)}" for word, row in zip(WORDS, VECTORS, strict=True)
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def write_binary(file: Path, *, newlines: bool = True) -> Path:
    content = f"{len(WORDS)} 8\n".encode()
    for word, row in zip(WORDS, VECTORS, strict=True):
        content += word.encode() + b" " + row.astype("<f4").tobytes() + b"\n" * newlines
    file.write_bytes(content)
    return file


def opened(path: Path, pooling: str = "mean", **changes: object) -> StaticEmbedder:
    options = EmbedderOptions(
        model="unused",
        backend="word-vectors",
        path=path,
        pooling=pooling,  # type: ignore[arg-type]
        **changes,  # type: ignore[arg-type]
    )
    embedder = open_embedder(options)
    assert isinstance(embedder, StaticEmbedder)
    return embedder


def unit(vector: NDArray[np.floating]) -> NDArray[np.floating]:
    return vector / np.linalg.norm(vector)


class TestWordVectors(EmbedderContract):
    @pytest.fixture
    def embedder(self, tmp_path: Path) -> Embedder:
        known = sorted({word for text in (*TEXTS, "word kitten payment") for word in words(text)})
        rows = np.random.default_rng(5).normal(size=(len(known), 16))
        file = tmp_path / "words.txt"
        lines = (f"{w} {' '.join(map(str, row))}" for w, row in zip(known, rows, strict=True))
        file.write_text("\n".join(lines), encoding="utf-8")
        return opened(file, "sif", window_tokens=500)


@pytest.mark.parametrize("kind", ["text", "binary", "packed binary", "glove"])
def test_each_format_gives_the_words_and_vectors_that_were_written(
    tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "words"
    if "binary" in kind:
        write_binary(file, newlines=kind == "binary")
    else:
        write_text(file, header=kind == "text")
    table = read_words(file)
    assert table.words == WORDS
    np.testing.assert_array_equal(table.vectors, VECTORS)


@pytest.mark.parametrize("binary", [True, False])
def test_files_and_means_agree_with_gensim(tmp_path: Path, binary: bool) -> None:
    from gensim.models import KeyedVectors

    theirs = KeyedVectors(8)
    theirs.add_vectors(list(WORDS), VECTORS)
    file = tmp_path / "words"
    theirs.save_word2vec_format(str(file), binary=binary)
    embedder = opened(file)
    names, vectors = embedder.vocabulary()
    assert list(names) == theirs.index_to_key
    np.testing.assert_allclose(vectors, theirs.vectors, atol=1e-6)
    mean = theirs.get_mean_vector(
        ["the", "cat", "sat", "on", "the", "mat"], pre_normalize=False, post_normalize=True
    )
    np.testing.assert_allclose(embedder.embed_query("The cat sat on the mat."), mean, atol=1e-6)


def test_a_vector_is_the_mean_of_known_words_as_often_as_they_stand(tmp_path: Path) -> None:
    embedder = opened(write_text(tmp_path / "words"))
    found = embedder.embed_chunks(["the cat unheard-of THE"])[0]
    np.testing.assert_allclose(found, unit(2 * VECTORS[0] + VECTORS[1]), atol=1e-6)


def test_sif_weights_a_word_by_a_over_a_plus_its_share(tmp_path: Path) -> None:
    """Equation 2 of Arora et al. 2017, with the counts beside the file."""
    file = write_text(tmp_path / "words")
    (tmp_path / "words.counts").write_text("the 900\ncat 99\nfeline 1\n", encoding="utf-8")
    found = opened(file, "sif").embed_query("the cat feline")
    weights = np.array([SMOOTHING / (SMOOTHING + share) for share in (0.9, 0.099, 0.001)])
    np.testing.assert_allclose(found, unit(weights @ VECTORS[:3]), atol=1e-6)


def test_sif_takes_frequencies_from_the_order_where_there_are_no_counts(tmp_path: Path) -> None:
    found = opened(write_text(tmp_path / "words"), "auto").embed_query("the cat")
    shares = zipf_shares(len(WORDS))[:2]
    assert shares[0] == pytest.approx(2 * shares[1])
    np.testing.assert_allclose(
        found, unit((SMOOTHING / (SMOOTHING + shares)) @ VECTORS[:2]), atol=1e-6
    )


def test_a_word_is_found_as_it_is_then_in_lower_case_then_by_its_parts(tmp_path: Path) -> None:
    embedder = opened(write_text(tmp_path / "words"))
    for text, row in (("New", 7), ("CAT", 1), ("Don't", 9), ("nai\u0308ve", 8), ("cat's", 1)):
        np.testing.assert_allclose(embedder.embed_query(text), unit(VECTORS[row]), atol=1e-6)
    with pytest.raises(EmbeddingRejected):
        embedder.embed_query("new")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's state-of-the-art (v2), café!", ["It's", "state", "of", "the", "art", "v2", "café"]),
        ("snake_case x=1.5", ["snake", "case", "x", "1", "5"]),
        ("日本 と kanji", ["日", "本", "と", "kanji"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("... --- \u200b", []),
    ],
)
def test_text_becomes_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected
    assert count_pieces(text) >= len(expected)


def test_a_text_without_a_known_word_is_refused_with_the_reason(tmp_path: Path) -> None:
    embedder = opened(write_text(tmp_path / "words.txt"))
    assert embedder.refusals(["qqq", "a cat", ""]) == [
        "no word that words.txt knows",
        "",
        "no word that words.txt knows",
    ]
    with pytest.raises(EmbeddingRejected, match=r"no word that words\.txt knows.*'qqq'"):
        embedder.embed_chunks(["the cat", "qqq"])
    assert not embedder.refusals([embedder.sample_text()])[0]


def test_unknown_words_are_counted_and_the_most_frequent_named(tmp_path: Path) -> None:
    embedder = opened(write_text(tmp_path / "words.txt"))
    assert embedder.notes() == []
    embedder.embed_chunks(["the Wug and the wug", "a cat"])
    assert embedder.notes() == [
        "4 of 7 words (57.1%) are unknown to words.txt and were left out of the vectors, "
        "most often 'wug' (2), 'and' (1), 'a' (1)."
    ]


def test_it_says_what_it_is(tmp_path: Path) -> None:
    embedder = opened(write_text(tmp_path / "words"))
    assert isinstance(embedder, SelectiveEmbedder)
    assert isinstance(embedder, VocabularyEmbedder)


def test_the_revision_is_of_the_file_and_of_the_counts_that_weigh(tmp_path: Path) -> None:
    file = write_text(tmp_path / "words")
    plain, weighed = opened(file).fingerprint, opened(file, "sif").fingerprint
    (tmp_path / "words.counts").write_text("the 900\n", encoding="utf-8")
    assert opened(file).fingerprint == plain
    assert opened(file, "sif").fingerprint.revision != weighed.revision
    file.write_text(file.read_text(encoding="utf-8").replace("cat", "cow"), encoding="utf-8")
    assert opened(file).fingerprint.revision != plain.revision


LIES = {
    "empty": b"",
    "a pickle": b"\x80\x04\x95\x00\x00\x00",
    "words alone": b"the\ncat\n",
    "more words than bytes": b"999999999999 300\nthe 1 2 3\n",
    "more dimensions than bytes": b"2 999999999\nthe 1 2 3\n",
    "no words": b"0 8\n",
    "a short line": b"2 3\nthe 1 2 3\ncat 1 2\n",
    "a word for a number": b"2 3\nthe 1 2 3\ncat 1 two 3\n",
    "fewer words than it says": b"3 2\nthe 1.00 2.00\ncat 1.00 2.00\n",
    "not finite": b"2 2\nthe 1.0 2.0\ncat 1.0 nan\n",
    "binary that breaks off": b"2 4\nthe " + struct.pack("<4f", 1, 2, 3, 4) + b"\ncat 1234567890",
    "binary of one endless word": b"1 4\n" + b"x" * 9_000,
}


@pytest.mark.parametrize("content", LIES.values(), ids=LIES.keys())
def test_a_file_that_lies_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "words.bin"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"words\.bin"):
        opened(file).vocabulary()


def test_counts_that_are_none_are_an_error_with_the_line(tmp_path: Path) -> None:
    file = write_text(tmp_path / "words")
    (tmp_path / "words.counts").write_text("the 900\ncat many\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"words\.counts, line 2"):
        opened(file, "sif").embed_query("the")


@pytest.mark.parametrize(
    "changes", [{"pooling": "cls"}, {"dimension": 4}, {"query_prefix": "query: "}]
)
def test_options_that_word_vectors_do_not_have_are_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(SettingsError, match=next(iter(changes))):
        opened(write_text(tmp_path / "words"), **changes)  # type: ignore[arg-type]


def test_a_file_below_the_home_folder_of_nobody_known_is_a_file_that_is_not_there() -> None:
    options = EmbedderOptions(model="~nobody-of-that-name/words.bin", backend="word-vectors")
    with pytest.raises(SettingsError, match="~nobody-of-that-name"):
        open_embedder(options)


def test_a_file_that_is_not_there_is_an_error_that_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="train-words"):
        opened(tmp_path / "nowhere")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "cat.md").write_text("# Cat\n\nThe cat sat on the mat.\n", encoding="utf-8")
    (folder / "part.txt").write_text(
        "The invoice.\n\n" + "qqq www eee rrr ttt yyy uuu iii. " * 6, encoding="utf-8"
    )
    (folder / "unknown.txt").write_text("qqq www\n", encoding="utf-8")
    return folder


@pytest.fixture
def by_words(tmp_path: Path) -> Settings:
    return Settings.load(
        storage={"path": tmp_path / "state"},
        embedding={"backend": "word-vectors", "path": write_text(tmp_path / "words.txt")},
        chunking={"tokens": 16},
        retrieval={"mode": "semantic"},
    )


def test_an_ingest_skips_what_has_no_known_word_and_says_so(
    corpus: Path, by_words: Settings
) -> None:
    """Files without one are skipped, chunks without one are warned of; nothing is a zero vector."""
    assert [one.source for one in estimate(corpus, by_words).skipped] == ["docs/unknown.txt"]
    report = ingest(corpus, by_words)
    assert [(one.source, one.reason) for one in report.skipped] == [
        ("docs/unknown.txt", "nothing to embed: no word that words.txt knows")
    ]
    assert report.added == 2
    about_chunks, about_words = report.warnings
    assert about_chunks.startswith("docs/part.txt: left out: ")
    assert "unknown to words.txt" in about_words
    again = ingest(corpus, by_words)
    assert (again.unchanged, again.added, len(again.skipped)) == (2, 0, 1)
    with Retriever.open(by_words) as retriever:
        assert retriever.retrieve("feline cat", top_k=1)[0].source == "docs/cat.md"
        with pytest.raises(NothingToEmbed, match="no word"):
            retriever.retrieve("zzz")


def test_a_rewriting_without_a_known_word_takes_nothing_from_a_query_that_has_one(
    corpus: Path, by_words: Settings
) -> None:
    ingest(corpus, by_words)
    with Retriever.open(by_words) as retriever:
        plain = [one.source for one in retriever.retrieve("feline cat")]
        rewritten = [
            one.source for one in retriever.retrieve("feline cat", rewrite=lambda _: ["z"])
        ]
        helped = [one.source for one in retriever.retrieve("zzz", rewrite=lambda _: ["feline cat"])]
        with pytest.raises(NothingToEmbed, match="no word"):
            retriever.retrieve("zzz", rewrite=lambda _: ["yyy"])
    assert plain == rewritten == helped


def test_an_ingest_tells_of_unknown_words_of_the_documents_alone(
    tmp_path: Path, by_words: Settings
) -> None:
    """The canary, whose words no document has, is not counted: when it is made, and later."""
    folder = tmp_path / "few"
    folder.mkdir()
    told = (
        "1 of 3 words (33.3%) are unknown to words.txt and were left out of the vectors, "
        "most often 'qqq' (1)."
    )
    for text in ("The cat qqq\n", "The mat qqq\n"):
        (folder / "only.txt").write_text(text, encoding="utf-8")
        assert ingest(folder, by_words).warnings == (told,)


def test_a_hybrid_query_without_a_known_word_is_answered_by_words(
    corpus: Path, by_words: Settings
) -> None:
    hybrid = by_words.model_copy(
        update={"retrieval": by_words.retrieval.model_copy(update={"mode": "hybrid"})}
    )
    (corpus / "zebra.md").write_text("# Zebra\n\nThe zebra sat.\n", encoding="utf-8")
    ingest(corpus, hybrid)
    with Retriever.open(hybrid) as retriever:
        assert retriever.retrieve("zebra", top_k=1)[0].source == "docs/zebra.md"
        found = retriever.retrieve_many(["zebra", "feline cat", "nowhere"], top_k=1)
    assert [[one.source for one in each] for each in found] == [
        ["docs/zebra.md"],
        ["docs/cat.md"],
        [],
    ]
    embedder = assembly.open_configured_embedder(hybrid)
    with assembly.open_store(hybrid) as store:
        side = store.physical(store.state("docs").live), embedder
        assert 0 < overlap(side, side, by_chunk=True) < 1, "which Zebra finds nothing in"


def test_a_document_that_lost_its_last_known_word_is_found_no_more(
    corpus: Path, by_words: Settings
) -> None:
    ingest(corpus, by_words)
    (corpus / "cat.md").write_text("zzz\n", encoding="utf-8")
    report = ingest(corpus, by_words)
    assert "kept" not in report.skipped[0].reason
    with Retriever.open(by_words) as retriever:
        assert {one.source for one in retriever.retrieve("cat", top_k=9)} == {"docs/part.txt"}


@pytest.mark.slow
def test_a_swap_away_from_word_vectors_brings_back_what_they_left_out(
    corpus: Path, by_words: Settings
) -> None:
    ingest(corpus, by_words)
    other = by_words.model_copy(
        update={
            "embedding": by_words.embedding.model_copy(
                update={"backend": "retriever.testing:HashingEmbedder", "path": None}
            )
        }
    )
    swap(other)
    with Retriever.open(other) as retriever:
        assert retriever.retrieve("qqq www", top_k=1)[0].source == "docs/unknown.txt"
    planned = plan_swap(by_words)
    report = swap(by_words)
    assert [one.source for one in report.left_out] == ["docs/part.txt", "docs/unknown.txt"]
    assert set(report.left_out) == set(planned.left_out)
    assert report.left_out[1].reason == "nothing to embed: no word that words.txt knows"
    with assembly.open_store(by_words) as store:
        live = store.physical(store.state("docs").live)
        records = {one.source: one for one in live.manifest()}
    assert records["docs/unknown.txt"].status == "skipped"
    assert records["docs/part.txt"].reason.startswith("left out: ")


def test_a_path_to_word_vectors_is_none_to_a_collection_of_another_kind(by_words: Settings) -> None:
    built = replace(HashingEmbedder().fingerprint, backend="sentence-transformers", model="tiny")
    assert remembered_embedding(by_words, built, follow=True).path is None
    own = assembly.open_configured_embedder(by_words).fingerprint
    assert remembered_embedding(by_words, own, follow=True).path is not None


def test_a_backend_of_another_kind_is_told_by_both_fingerprints(
    by_words: Settings, tmp_path: Path
) -> None:
    """What settings that name a backend leave open is not filled in from another kind of model."""
    hashing = Settings.load(
        **{
            "storage.path": by_words.storage.path,
            "embedding.backend": "retriever.testing:HashingEmbedder",
            "collection": "hashed",
        }
    )
    corpus = tmp_path / "hashed"
    corpus.mkdir()
    (corpus / "a.txt").write_text("the cat", encoding="utf-8")
    ingest(corpus, hashing)
    words = by_words.model_copy(update={"collection": "hashed"})
    with (
        pytest.raises(FingerprintMismatch, match="'word-vectors' now"),
        Retriever.open(words) as retriever,
    ):
        retriever.retrieve("the cat")


def test_a_class_of_ones_own_does_not_open_the_model_of_another_collection() -> None:
    own = "retriever.testing:HashingEmbedder"
    settings = Settings.load(
        **{"embedding.backend": own, "embedding.model": "hashing", "embedding.path": "/somewhere"}
    )
    of_its_own = HashingEmbedder().fingerprint
    built = replace(of_its_own, backend="transformers", model="another")
    found = remembered_embedding(settings, built, follow=True)
    assert (found.backend, found.model, found.path) == ("transformers", "another", None)
    for other in (of_its_own, replace(built, backend="os:system")):
        assert remembered_embedding(settings, other, follow=True).backend == own


@pytest.mark.parametrize("kind", ["vectors", "model", "beside", "protocol 5"])
def test_gensims_own_files_are_read_without_running_them(tmp_path: Path, kind: str) -> None:
    """KeyedVectors and Word2Vec models, with large arrays in files beside them, too."""
    from gensim.models import KeyedVectors, Word2Vec

    file = tmp_path / "words.kv"
    theirs = KeyedVectors(8)
    theirs.add_vectors(list(WORDS), VECTORS)
    if kind == "model":
        model = Word2Vec([list(WORDS)] * 9, vector_size=8, min_count=1, workers=1)
        model.save(str(file))
        theirs = model.wv
    elif kind == "protocol 5":
        theirs.save(str(file), pickle_protocol=5)
    else:
        theirs.save(str(file), sep_limit=0 if kind == "beside" else 10**7)
    if kind == "beside":
        assert (tmp_path / "words.kv.vectors.npy").exists()
    table = read_words(file)
    assert list(table.words) == theirs.index_to_key
    np.testing.assert_array_equal(table.vectors, theirs.vectors)
    assert (table.counts is not None and table.counts.tolist() == [9] * 11) == (kind == "model")
    assert opened(file, "sif").fingerprint.dimension == 8
    assert not opened(file, "sif").refusals(["the cat"])[0]


class Odd:
    """An array as numpy pickles it, but for its type."""

    def __reduce__(self) -> tuple[object, ...]:
        made, arguments, _ = np.zeros((1, 2), dtype=np.float32).__reduce__()
        return made, arguments, (1, (1, 2), "no type", False, b"\0" * 8)


def test_a_pickle_of_an_array_without_a_type_is_an_error_that_names_it(tmp_path: Path) -> None:
    import pickle

    held = argparse.Namespace(index_to_key=["cat"], vectors=Odd())
    file = tmp_path / "words.bin"
    file.write_bytes(pickle.dumps(held))
    with pytest.raises(SettingsError, match=r"words\.bin.*damaged pickle"):
        opened(file)


class Hostile:
    """Would write a file, were its pickle ever run."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("inside", [False, True])
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(
    tmp_path: Path, inside: bool
) -> None:
    import pickle

    target = tmp_path / "was-here"
    hostile = Hostile(target)
    file = tmp_path / "words.bin"
    file.write_bytes(pickle.dumps([hostile, {"vectors": hostile}] if inside else hostile))
    with pytest.raises(SettingsError, match=r"words\.bin"):
        opened(file)
    assert not target.exists()


@pytest.mark.parametrize("cut", range(0, 600, 37))
def test_a_pickle_that_breaks_off_is_an_error(tmp_path: Path, cut: int) -> None:
    from gensim.models import KeyedVectors

    theirs = KeyedVectors(8)
    theirs.add_vectors(list(WORDS), VECTORS)
    file = tmp_path / "words.bin"
    theirs.save(str(file))
    file.write_bytes(file.read_bytes()[: cut + 1])
    with pytest.raises(SettingsError, match=r"words\.bin"):
        opened(file)
