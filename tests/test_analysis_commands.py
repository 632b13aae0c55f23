"""similar, analogy, related, clusters, outliers and map: of a collection, and as commands."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Command, run, use_settings

from retriever import assembly
from retriever.analysis import projecting, reading
from retriever.analysis.clusters import find_clusters
from retriever.analysis.comparing import compare, rank_texts, word_vectors
from retriever.analysis.drawing import Drawing, embedded_json, page, picture
from retriever.analysis.maps import draw_map
from retriever.analysis.outliers import find_outliers
from retriever.analysis.projecting import project
from retriever.analysis.reading import open_collection, read_points
from retriever.analysis.recommending import recommend
from retriever.analysis.vocabulary import frequent_words
from retriever.errors import CollectionLocked, EmbeddingRejected, MissingDependencyError, QueryError
from retriever.ingestion import ingest
from retriever.protocols import Vectors
from retriever.settings import Settings
from retriever.testing import HashingEmbedder

HOSTILE = "</script><script>alert('pump')</script>\u2028<img src=x onerror=alert(1)> & <!--"
PUMPS = [f"The pump {word} its valve and its filter under pressure." for word in
         ("opens", "closes", "turns", "cleans", "moves", "checks", "holds", "saves")]  # fmt: skip
MUSIC = [f"The orchestra {word} a symphony with violin and harp." for word in
         ("plays", "hears", "writes", "starts", "stops", "learns")]  # fmt: skip


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Eight documents on pumps, six on music, a copy of one, and one that is like none."""
    folder = tmp_path_factory.mktemp("analysis")
    corpus = folder / "corpus"
    for name, texts in (("pumps", PUMPS), ("music", MUSIC)):
        (corpus / name).mkdir(parents=True)
        for number, text in enumerate(texts):
            (corpus / name / f"{number}.md").write_text(f"# Note\n\n{text}\n", encoding="utf-8")
    (corpus / "pumps" / "copy.md").write_text(f"# Note\n\n{PUMPS[0]}\n", encoding="utf-8")
    (corpus / "strange.md").write_text(f"# Zebras\n\nStripes graze. {HOSTILE}\n", encoding="utf-8")
    settings = Settings.load(
        **{
            "storage.path": folder / "state",
            "embedding.backend": "retriever.testing:HashingEmbedder",
            "embedding.model": "hashing",
            "chunking.tokens": 64,
        }
    )
    ingest(corpus, settings)
    return settings


@pytest.fixture
def retriever(
    stored: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    use_settings(monkeypatch, stored)

    return lambda *words: run(capsys, words)


def test_vectors_are_read_in_the_order_of_their_sources(
    stored: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held in memory or mapped from a file, row i belongs to point i."""
    monkeypatch.setattr("retriever.collection.physical.PAGE_ROWS", 5)
    with open_collection(stored) as data:
        held = read_points(data, "documents")
        monkeypatch.setattr(reading, "MOST_ROWS_AT_ONCE", 3)
        mapped = read_points(data, "documents")
        passages = read_points(data, "passages")
    sources = [point.source for point in held.points]
    assert sources == sorted(sources)
    assert isinstance(mapped.vectors, np.memmap)
    places = [[point.source for point in mapped.points].index(source) for source in sources]
    np.testing.assert_array_equal(mapped.vectors[places], held.vectors)
    assert passages.points[0].name.startswith("corpus/music/0.md:")
    np.testing.assert_allclose(np.linalg.norm(held.vectors, axis=1), 1.0, atol=1e-6)


def test_beside_a_writer_an_analysis_is_refused(stored: Settings) -> None:
    with assembly.open_writing_store(stored), pytest.raises(CollectionLocked):
        find_clusters(stored)


def test_clusters_are_told_apart_named_and_reproducible(stored: Settings) -> None:
    report = find_clusters(stored, count=2, seed=3)
    assert [one.size for one in report.clusters] == [10, 6]
    assert report.clusters[1].members == tuple(f"corpus/music/{n}.md" for n in range(6))
    assert {"pump", "valve", "pressure"} & set(report.clusters[0].terms)
    assert {"orchestra", "symphony", "violin", "harp"} <= set(report.clusters[1].terms)
    scores = [one.score for one in report.clusters[0].central]
    assert scores == sorted(scores, reverse=True)
    assert report == find_clusters(stored, count=2, seed=3)


def test_the_number_of_clusters_is_chosen_by_silhouette(stored: Settings) -> None:
    report = find_clusters(stored)
    assert len(report.clusters) == 2
    assert max(report.tried) == 5  # a third of the documents
    assert report.silhouette == pytest.approx(report.tried[len(report.clusters)], abs=1e-3)


def test_groups_by_density_count_what_is_in_none(stored: Settings) -> None:
    report = find_clusters(stored, method="hdbscan", least_members=4)
    assert sum(one.size for one in report.clusters) + report.unclustered == report.points == 16


@pytest.mark.parametrize("count", [0, 17])
def test_a_number_of_clusters_that_cannot_be_is_refused(stored: Settings, count: int) -> None:
    with pytest.raises(QueryError, match="Ask for 1 to 16"):
        find_clusters(stored, count=count)


def test_a_stranger_comes_first_and_a_copy_is_found(stored: Settings) -> None:
    report = find_outliers(stored, least_centre_score=0.5, neighbours=5)
    assert report.outliers[0].name == "corpus/strange.md"
    assert len(report.outliers[0].nearest) == 3
    names = {report.duplicates[0].name, report.duplicates[0].other}
    assert names == {"corpus/pumps/0.md", "corpus/pumps/copy.md"}
    assert report.duplicates[0].score == pytest.approx(1.0)
    assert report.duplicate_count is not None
    assert all(one.far == (one.centre_score < 0.5) for one in report.outliers)


def test_pairs_are_not_looked_for_among_too_many(
    stored: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retriever.analysis.outliers.MOST_ROWS_AT_ONCE", 10)
    assert find_outliers(stored).duplicate_count is None


def test_related_documents_are_of_the_same_kind_and_never_those_named(stored: Settings) -> None:
    found = recommend(["music/0.md"], stored, count=5)
    assert {one.source.split("/")[1] for one in found} == {"music"}
    assert "corpus/music/0.md" not in {one.source for one in found}
    assert [one.rank for one in found] == [1, 2, 3, 4, 5]
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)


def test_a_dislike_lowers_what_is_like_it(stored: Settings) -> None:
    liked = ["pumps/1.md", "music/1.md"]
    before = {one.source: one.score for one in recommend(liked, stored, count=20)}
    after = recommend(liked, stored, disliked=["music/2.md"], count=20, weight=1.0)
    assert "corpus/music/2.md" not in {one.source for one in after}
    for one in after:
        if "/music/" in one.source:
            assert one.score < before[one.source]
    assert "/pumps/" in after[0].source


def test_texts_are_compared_by_cosine(stored: Settings) -> None:
    found = compare(["pump valve", "valve pump", "orchestra"], stored)
    assert found.cosines[0, 1] == pytest.approx(1.0)
    assert abs(found.cosines[0, 2]) < 0.5


def test_texts_are_ranked_by_a_query(stored: Settings) -> None:
    found = rank_texts("violin", ["the pump", "the violin"], stored)
    assert [one.text for one in found] == ["the violin", "the pump"]


@pytest.mark.parametrize("texts", [["one"], ["one", " "], ["x"] * 2_001, ["a", "b " * 300]])
def test_texts_that_cannot_be_compared_are_refused(stored: Settings, texts: list[str]) -> None:
    with pytest.raises(QueryError, match=r"from 2 to|is empty|tokens, and hashing reads 256"):
        compare(texts, stored)


def test_a_word_is_the_mean_of_its_tokens_at_all_its_places() -> None:
    embedder = HashingEmbedder()
    found = word_vectors(embedder, ["Bank and bank, embankment", "a BANK"], "bank")
    (tokens,) = embedder.embed_tokens(["bank"], side="chunk")
    np.testing.assert_allclose(found, np.tile(tokens.matrix[0], (2, 1)), atol=1e-6)


def test_a_text_without_the_word_is_named() -> None:
    with pytest.raises(QueryError, match="'the embankment' does not hold the word 'bank'"):
        word_vectors(HashingEmbedder(), ["a bank", "the embankment"], "bank")


def test_a_model_without_token_vectors_says_so() -> None:
    class Pooled:
        fingerprint = HashingEmbedder().fingerprint

    with pytest.raises(EmbeddingRejected, match="no vectors of single tokens"):
        word_vectors(Pooled(), ["a bank"], "bank")  # type: ignore[arg-type]


def test_a_collections_words_are_its_most_frequent_ones_with_matter() -> None:
    found = frequent_words(["The pump and the Pump and the valve 42", "the valve x pump"], 2)
    assert found == ["pump", "valve"]


def test_a_map_lies_in_the_unit_square_and_is_the_same_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(projecting, "can_umap", lambda: False)
    vectors = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    one, two = project(vectors, seed=1), project(vectors, seed=1)
    assert one.method == "PCA"
    np.testing.assert_array_equal(one.places, two.places)
    assert one.places.min() >= -1e-6
    assert one.places.max() <= 1 + 1e-6
    assert project(vectors[:1], seed=0).places.tolist() == [[0.5, 0.5]]


@pytest.mark.slow
def test_umap_keeps_groups_together_and_is_the_same_each_time() -> None:
    pytest.importorskip("umap")
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(2, 16), 30, axis=0)
    vectors = (centres + 0.05 * rng.normal(size=centres.shape)).astype(np.float32)
    one, two = project(vectors, seed=1), project(vectors, seed=1)
    assert one.method == "UMAP"
    np.testing.assert_array_equal(one.places, two.places)
    middle = [one.places[:30].mean(axis=0), one.places[30:].mean(axis=0)]
    widest = max(np.ptp(one.places[:30]), np.ptp(one.places[30:]))
    assert np.linalg.norm(middle[0] - middle[1]) > widest / 2
    assert project(np.ones((20, 4), np.float32), seed=0).places.shape == (20, 2)


class Scripts(HTMLParser):
    """The texts of a page's scripts, as a browser would cut them, and all addresses in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.addresses: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script"
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if self._inside:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data


def drawn(path: Path) -> dict[str, Any]:
    """What a map's page holds."""
    found: dict[str, Any] = json.loads(Scripts(path.read_text(encoding="ascii")).scripts[0])
    return found


def without_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projecting, "can_umap", lambda: False)  # it takes seconds to compile
    monkeypatch.setattr("retriever.analysis.maps.can_umap", lambda: False)


def test_a_map_is_one_file_that_holds_hostile_texts_as_data(
    stored: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_umap(monkeypatch)
    file = tmp_path / "map.html"
    report = draw_map(file, stored, count=2)
    found = Scripts(file.read_text(encoding="ascii"))
    assert len(found.scripts) == 2
    assert found.addresses == []
    data = drawn(file)
    assert report.drawn == len(data["text"]) == len(data["x"]) == 16
    assert any(HOSTILE in text for text in data["text"])
    assert "innerHTML" not in found.scripts[1]
    assert sorted(data["group"]) == [0] * 10 + [1] * 6
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("colour", "groups"),
    [
        ("folder", ["corpus/pumps", "corpus/music", "corpus"]),
        ("format", ["markdown"]),
        ("title", ["Note", "Zebras"]),
    ],
)
def test_a_map_is_coloured_by_folder_or_metadata(
    stored: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    colour: str,
    groups: list[str],
) -> None:
    without_umap(monkeypatch)
    draw_map(tmp_path / "map.html", stored, colour=colour, unit="documents")
    assert [one["name"] for one in drawn(tmp_path / "map.html")["groups"]] == groups


def test_more_colours_than_eyes_can_tell_apart_are_one(
    stored: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_umap(monkeypatch)
    monkeypatch.setattr("retriever.analysis.maps.MOST_COLOURS", 4)
    draw_map(tmp_path / "map.html", stored, colour="source")
    groups = drawn(tmp_path / "map.html")["groups"]
    assert len(groups) == 4
    assert groups[-1]["name"] == "others"


def test_of_too_many_points_a_sample_is_drawn(
    stored: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_umap(monkeypatch)
    report = draw_map(tmp_path / "map.html", stored, most=5)
    assert (report.points, report.drawn) == (16, 5)


@pytest.mark.parametrize("name", ["map.pdf", "nowhere/map.html", "map"])
def test_a_file_that_cannot_be_a_map_is_refused_first(stored: Settings, name: str) -> None:
    with pytest.raises(QueryError, match=r"name it so|no folder"):
        draw_map(name, stored)


def test_a_file_that_is_there_stays_unless_it_may_go(
    stored: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_umap(monkeypatch)
    (tmp_path / "map.html").write_text("mine", encoding="utf-8")
    with pytest.raises(QueryError, match="is there already"):
        draw_map(tmp_path / "map.html", stored)
    draw_map(tmp_path / "map.html", stored, overwrite=True)
    assert drawn(tmp_path / "map.html")["method"] == "PCA"


def test_an_unknown_key_names_those_there_are(
    stored: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_umap(monkeypatch)
    with pytest.raises(QueryError, match=r"There are: cluster, folder, source, .*format"):
        draw_map(tmp_path / "map.html", stored, colour="nosuch")
    assert not list(tmp_path.iterdir())


def small_drawing(text: str, places: Vectors | None = None) -> Drawing:
    return Drawing(
        title=text,
        places=np.array([[0.0, 0.5], [1.0, 0.5]], np.float32) if places is None else places,
        method="PCA",
        labels=[0, 1],
        groups=[text, "b"],
        names=["x", "y"],
        titles=["", ""],
        texts=[text, ""],
    )


@pytest.mark.parametrize("text", [HOSTILE, "\ud800 lone", "日本語 \U0001f600", "$style ${data}"])
def test_any_text_survives_a_page_and_a_picture(text: str) -> None:
    found = Scripts(page(small_drawing(text)))
    assert json.loads(found.scripts[0])["text"][0] == text
    pytest.importorskip("PIL")
    assert picture(small_drawing(text)).startswith(b"\x89PNG")


def test_json_in_a_script_cannot_end_it() -> None:
    text = embedded_json([HOSTILE])
    assert not re.search(r"[<>&\u2028]", text)
    assert json.loads(text) == [HOSTILE]


def test_a_picture_without_pillow_names_the_extra(
    stored: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match=r"rag-retriever\[map\]"):
        draw_map("map.png", stored)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium on the path")
def test_a_browser_draws_the_map_and_runs_nothing_of_a_document(tmp_path: Path) -> None:
    text = HOSTILE.replace("alert(1)", "document.title=1").replace("alert('pump')", "a=1")
    (tmp_path / "map.html").write_text(page(small_drawing(text)), encoding="ascii")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    found = subprocess.run(
        ["chromium", *flags, f"--user-data-dir={tmp_path / 'user'}", "--dump-dom",
         f"file://{tmp_path / 'map.html'}"],
        capture_output=True, text=True, check=True, timeout=120,
    ).stdout  # fmt: skip
    assert "data-draw-ms=" in found
    assert "2 points, placed by PCA" in found
    assert "<title>1</title>" not in found
    assert found.count("<img") == 0


def test_similar_prints_a_table_and_a_file_of_lines_is_read(
    retriever: Command, tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_text("orchestra\r\n\r\nviolin\n", encoding="utf-8")
    ended = retriever("similar", "pump", "--file", str(tmp_path / "texts.txt"))
    assert ended.code == 0
    assert re.search(r"1 +1\.000 +-?0\.\d{3} +-?0\.\d{3} +pump", ended.out)
    found = json.loads(retriever("similar", "pump", "violin", "--json").out)
    assert found["texts"] == ["pump", "violin"]
    assert found["cosines"][0][0] == found["cosines"][1][1] == 1.0


def test_many_texts_are_shown_as_their_most_alike_pairs(retriever: Command) -> None:
    ended = retriever("similar", *(f"word{n}" for n in range(12)), "word3")
    assert "13 texts: the most alike pairs" in ended.out
    assert re.search(r"1\.000 +word3 +word3", ended.out)


def test_similar_ranks_by_a_query_and_writes_heat_maps(retriever: Command, tmp_path: Path) -> None:
    ended = retriever("similar", "pump", "violin", "--query", "violin", "--json")
    assert json.loads(ended.out)["ranking"][0]["text"] == "violin"
    page_file, picture_file = tmp_path / "heat.html", tmp_path / "heat.png"
    assert retriever("similar", HOSTILE, "b", "--out", str(page_file)).code == 0
    assert Scripts(page_file.read_text(encoding="utf-8")).scripts == []
    pytest.importorskip("PIL")
    assert retriever("similar", "a", "b", "--out", str(picture_file)).code == 0
    assert picture_file.read_bytes().startswith(b"\x89PNG")


def test_similar_compares_a_word_in_its_sentences(retriever: Command) -> None:
    ended = retriever("similar", "a river bank", "the bank lends", "--word", "bank")
    assert "cosines of 'bank' as hashing reads it in each" in ended.out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["similar"], 1),
        (["similar", "a", "b", "--query", "q", "--word", "a"], 2),
        (["similar", "--file", "/no/such/file"], 2),
        (["analogy", "pump", "valve"], 1),
        (["analogy", "pump", "--method", "5cos"], 2),
        (["related"], 1),
        (["related", "nosuch.md"], 1),
        (["clusters", "-n", "many"], 2),
        (["clusters", "--method", "magic"], 2),
        (["clusters", "--collection", "nosuch"], 1),
        (["outliers", "--threshold", "5"], 1),
        (["outliers", "--lof", "nan"], 1),
        (["outliers", "--duplicates", "1.1"], 1),
        (["map"], 2),
        (["map", "--out", "map.pdf"], 1),
    ],
    ids=str,
)
def test_wrong_usage_ends_with_a_line_and_a_code(
    retriever: Command, words: list[str], code: int
) -> None:
    ended = retriever(*words)
    assert ended.code == code
    assert ended.err.strip()
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_analogy_over_the_words_of_the_collection(retriever: Command) -> None:
    found = json.loads(retriever("analogy", "pump", "-", "valve", "+", "violin", "--json").out)
    assert found["vocabulary"] == "docs"
    assert not {"pump", "valve", "violin"} & {one["word"] for one in found["nearest"]}
    ended = retriever("analogy", "pumpe + violin")
    assert ended.code == 1
    assert "The nearest known: pump" in ended.err
    assert "by 3cosmul, among" in retriever("analogy", "pump", "--method", "3cosmul").out


def test_analogy_over_word_vectors_needs_no_collection(
    retriever: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words are those of the file that is set, and a word of the collection is none."""
    (tmp_path / "words.txt").write_text(
        "king 1 1 0\nman 1 0 0\nwoman 0 0 1\nqueen 0 1 1\napple 0 -1 0\n", encoding="utf-8"
    )
    monkeypatch.setenv("RETRIEVER_EMBEDDING__BACKEND", "word-vectors")
    monkeypatch.setenv("RETRIEVER_EMBEDDING__PATH", str(tmp_path / "words.txt"))
    monkeypatch.delenv("RETRIEVER_EMBEDDING__MODEL")
    for method in ("3cosadd", "3cosmul"):
        ended = retriever("analogy", "king - man + woman", "--method", method, "--json")
        found = json.loads(ended.out)
        assert (found["vocabulary"], found["words_known"]) == ("word vectors", 5)
        assert [one["word"] for one in found["nearest"]] == ["queen", "apple"]
    assert "is not among the 5 known words" in retriever("analogy", "pump + king").err


def test_a_file_of_lines_is_read_whole_or_not_at_all(
    retriever: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retriever.cli.analysing._MOST_FILE_CHARACTERS", 8)
    (tmp_path / "lines.txt").write_text("cat\n\ndog\n", encoding="utf-8")
    ended = retriever("similar", "--file", str(tmp_path / "lines.txt"))
    assert (ended.code, ended.out) == (2, "")
    assert "holds more than 8 characters" in " ".join(ended.err.split())


def test_related_clusters_and_outliers_for_people_and_programs(
    retriever: Command,
) -> None:
    ended = retriever("related", "--like", "music/0.md", "--not", "strange.md", "-k", "2")
    assert ended.out.count("corpus/music/") == 2
    assert len(json.loads(retriever("related", "music/0.md", "-k", "3", "--json").out)) == 3
    ended = retriever("clusters", "-n", "2")
    assert ended.out.startswith("docs: 16 documents in 2 groups (kmeans, silhouette ")
    found = json.loads(retriever("clusters", "-n", "2", "--passages", "--json").out)
    assert found["unit"] == "passages"
    ended = retriever("outliers", "--threshold", "0.5")
    assert "corpus/strange.md" in ended.out
    assert "near-duplicates: 1 pair\n" in ended.out
    ended = retriever("outliers", "--duplicates", "-1")
    assert "so many are merely alike" in " ".join(ended.out.split())
    assert json.loads(retriever("outliers", "--json").out)["points"] == 16


def test_map_says_what_it_drew(
    retriever: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_umap(monkeypatch)
    ended = retriever("map", "--out", str(tmp_path / "map.html"), "-n", "2")
    assert ended.out.startswith("docs: 16 passages drawn by PCA, 2 colours (cluster), in ")
    assert "pip install 'rag-retriever[map]'" in ended.out


@pytest.mark.model
@pytest.mark.slow
def test_self_attention_answers_for_attention_with_the_default_model() -> None:
    """The guide's example: rank 1 of the seven sentences."""
    settings = Settings.load()
    found = rank_texts("how do attention-based models work?", SEVEN, settings)
    assert "Self-attention" in found[0].text


SEVEN = [
    "Convolutional networks slide small filters over an image to detect edges and textures.",
    "Recurrent networks carry a hidden state from one step of a sequence to the next.",
    "Self-attention lets each token of a transformer weigh every other token of its sequence.",
    "Reinforcement learning trains an agent by rewarding the actions that serve its goal.",
    "Clustering groups unlabelled points so that members of a group are alike.",
    "Generative adversarial networks set a generator against a discriminator.",
    "Word embeddings place words with like meanings near each other in a vector space.",
]
