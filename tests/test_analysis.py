"""What vectors are for, as plain functions on arrays: laws, golden values, hostile shapes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from retriever.analysis import clustering, cosines, density
from retriever.analysis.analogies import Sum, parse_sum, solve
from retriever.analysis.clustering import (
    by_size,
    choose_count,
    density_groups,
    least_as_good,
    principal_components,
    sample,
    spherical_kmeans,
)
from retriever.analysis.cosines import (
    centroid,
    close_pairs,
    cosine_matrix,
    nearest,
    scores_with,
)
from retriever.analysis.density import centroid_scores, local_outlier_factors
from retriever.analysis.naming import TermCounts
from retriever.analysis.recommending import find_source, rocchio
from retriever.embedding.vectors import normalise
from retriever.errors import QueryError
from retriever.protocols import Vectors

finite = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(1, 6)),
    elements=st.floats(-100, 100, width=32),
)


def bundles(*sizes: int, dimension: int = 16, spread: float = 0.25, seed: int = 0) -> Vectors:
    """Unit vectors around one random direction for each size, in this order."""
    rng = np.random.default_rng(seed)
    parts = [
        rng.normal(size=dimension) + spread * rng.normal(size=(size, dimension)) for size in sizes
    ]
    return normalise(np.concatenate(parts))


@given(finite)
def test_cosines_are_symmetric_and_bounded_and_one_with_themselves(vectors: Vectors) -> None:
    found = cosine_matrix(vectors)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 1.0)
    assert np.abs(found).max() <= 1.0


def test_cosines_equal_those_of_scikit_learn() -> None:
    from sklearn.metrics.pairwise import cosine_similarity

    vectors = np.random.default_rng(1).normal(size=(40, 7))
    np.testing.assert_allclose(cosine_matrix(vectors), cosine_similarity(vectors), atol=1e-6)


@given(finite, st.integers(1, 15), st.integers(1, 5))
def test_the_nearest_are_those_of_a_full_sort_whatever_the_block(
    vectors: Vectors, count: int, block: int
) -> None:
    units = normalise(vectors)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(cosines, "BLOCK_ROWS", block)
        rows, scores = nearest(units, units[:3], count)
    for query, found, values in zip(units[:3], rows, scores, strict=True):
        everything = np.clip(units @ query, -1, 1)
        assert len(found) == min(count, len(units))
        np.testing.assert_allclose(values, np.sort(everything)[::-1][:count], atol=1e-5)
        np.testing.assert_allclose(everything[found], values, atol=1e-5)


@pytest.mark.parametrize("block", [1, 3, 2048])
def test_close_pairs_are_all_pairs_above_the_threshold(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cosines, "BLOCK_ROWS", block)
    vectors = bundles(4, 4, spread=0.1)
    found, count = close_pairs(vectors, least=0.95, most=5)
    full = cosine_matrix(vectors)
    wanted = {(i, j) for i in range(8) for j in range(i + 1, 8) if full[i, j] >= 0.95}
    assert count == len(wanted)
    assert {(i, j) for i, j, _ in found} <= wanted
    best = sorted((float(full[pair]) for pair in wanted), reverse=True)[:5]
    assert [score for *_, score in found] == pytest.approx(best, abs=1e-6)


def test_what_is_mapped_from_a_file_gives_the_same(tmp_path: object) -> None:
    vectors = bundles(30, 30)
    file = f"{tmp_path}/vectors"
    vectors.tofile(file)
    mapped = np.memmap(file, dtype=np.float32, mode="r", shape=vectors.shape)
    np.testing.assert_array_equal(centroid(mapped), centroid(vectors))
    np.testing.assert_array_equal(
        spherical_kmeans(mapped, 2, seed=1), spherical_kmeans(vectors, 2, seed=1)
    )


WORDS = ["king", "queen", "man", "woman", "prince", "apple"]
PLACES = np.array(
    [[1, 1, 0], [1, -1, 0], [0, 1, 0.2], [0, -1, 0.2], [0.9, 1, 0.3], [0, 0.1, 1]], np.float32
)


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_king_less_man_and_woman_is_queen(method: str) -> None:
    found = solve(WORDS, PLACES, parse_sum(["king - man + woman"]), method=method)  # type: ignore[arg-type]
    assert found[0].word == "queen"
    assert not {"king", "man", "woman"} & {one.word for one in found}


def test_3cosadd_and_3cosmul_are_their_formulas() -> None:
    """Computed word by word, as the papers write them."""
    units = PLACES / np.linalg.norm(PLACES, axis=1, keepdims=True)
    king, man, woman = units[0], units[2], units[3]
    total = king - man + woman
    asked = Sum(("king", "woman"), ("man",))
    added = {one.word: one.score for one in solve(WORDS, PLACES, asked)}
    multiplied = {one.word: one.score for one in solve(WORDS, PLACES, asked, method="3cosmul")}
    for row in (1, 4, 5):
        cosine = units[row] @ total / np.linalg.norm(total)
        assert added[WORDS[row]] == pytest.approx(cosine, abs=1e-6)
        moved = [(1 + units[row] @ other) / 2 for other in (king, woman, man)]
        by_hand = moved[0] * moved[1] / (moved[2] + 0.001)
        assert multiplied[WORDS[row]] == pytest.approx(by_hand, rel=1e-5)


def test_an_unknown_word_is_answered_with_the_nearest_known() -> None:
    with pytest.raises(QueryError, match=r"'quen' is not among the 6 known words.*queen"):
        solve(WORDS, PLACES, Sum(("quen",)))


@pytest.mark.parametrize(
    "asked", ["", "king -", "king man", "- king", "+ king", "king - - man", "king + -", "+"]
)
def test_what_is_no_sum_is_refused(asked: str) -> None:
    with pytest.raises(QueryError, match="no sum of words"):
        parse_sum(asked.split())


def test_a_sum_is_read_in_one_piece_or_in_many() -> None:
    expected = Sum(("king", "woman"), ("man",))
    assert (
        parse_sum(["king - man + woman"])
        == parse_sum(["king", "-", "man", "+", "woman"])
        == expected
    )
    assert parse_sum(["well-known"]) == Sum(("well-known",))


def test_groups_are_found_numbered_by_size_and_the_same_each_time() -> None:
    vectors = bundles(10, 30, 20)
    labels = spherical_kmeans(vectors, 3, seed=5)
    assert labels.tolist() == [2] * 10 + [0] * 30 + [1] * 20
    np.testing.assert_array_equal(labels, spherical_kmeans(vectors, 3, seed=5))


def test_no_row_is_nearer_to_another_groups_direction() -> None:
    """What makes k-means spherical: rows belong to the direction with the highest cosine."""
    vectors = bundles(40, 40, 40, spread=1.5)
    labels = spherical_kmeans(vectors, 5, seed=0)
    centres = np.stack([centroid(vectors[labels == one]) for one in range(5)])
    np.testing.assert_array_equal(np.argmax(vectors @ centres.T, axis=1), labels)


def test_equal_rows_are_one_group_however_many_are_asked_for() -> None:
    same = np.tile(normalise(np.ones((1, 4))), (6, 1))
    assert set(spherical_kmeans(same, 3, seed=0).tolist()) == {0}
    assert choose_count(same, seed=0).count == 1


def test_many_rows_are_grouped_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "MOST_ROWS_AT_ONCE", 50)
    monkeypatch.setattr(clustering, "BEGINNING_ROWS", 20)
    labels = spherical_kmeans(bundles(40, 80), 2, seed=0)
    assert labels.tolist() == [1] * 40 + [0] * 80


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_the_number_of_groups_is_told_by_silhouette(groups: int) -> None:
    vectors = bundles(*[25] * groups, dimension=32, seed=groups)
    choice = choose_count(vectors, seed=0)
    assert choice.count == groups
    assert choice.silhouettes[groups] == max(choice.silhouettes.values())


def test_more_groups_have_to_be_worth_it() -> None:
    """Of numbers that are as good within a standard error, the least is taken.

    One loose bundle: eight groups have the best silhouette by chance, and two are as good.
    """
    choice = choose_count(bundles(30, dimension=32, spread=1.0, seed=3), seed=0)
    best = max(choice.silhouettes, key=lambda count: choice.silhouettes[count])
    assert (choice.count, best, max(choice.silhouettes)) == (2, 8, 10)


@pytest.mark.parametrize(
    ("means", "error", "count"),
    [
        ({2: 0.70, 3: 0.72, 4: 0.71}, 0.001, 2),  # a twentieth of 0.72 is 0.036
        ({2: 0.60, 3: 0.70, 4: 0.75}, 0.001, 4),
        ({2: 0.60, 3: 0.70, 4: 0.75}, 0.06, 3),
        ({2: -0.20, 3: -0.10}, 0.001, 3),
    ],
)
def test_a_small_gain_is_none(means: dict[int, float], error: float, count: int) -> None:
    assert least_as_good(means, dict.fromkeys(means, error)) == count


def test_two_vectors_are_too_few_to_choose() -> None:
    with pytest.raises(QueryError, match="3 are needed"):
        choose_count(bundles(2), seed=0)


def test_density_leaves_a_stranger_in_no_group() -> None:
    groups = bundles(30, 20, dimension=8, spread=0.5)
    stranger = -centroid(groups)[None]
    labels = density_groups(np.concatenate([groups, stranger]), least_members=5, seed=0)
    assert labels[-1] == -1
    assert set(labels[:30].tolist()) <= {0, -1}
    assert set(labels[30:].tolist()) <= {1, -1}


def test_equal_rows_are_one_group_by_density() -> None:
    equal = np.tile(normalise(np.ones((1, 4))), (9, 1))
    assert density_groups(equal, least_members=5, seed=0).tolist() == [0] * 9


def test_density_refuses_more_than_it_can_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "MOST_ROWS_BY_DENSITY", 10)
    with pytest.raises(QueryError, match="10 vectors at most, not on 12"):
        density_groups(bundles(12), least_members=5, seed=0)


@given(st.lists(st.integers(-1, 4), max_size=30))
def test_renumbering_keeps_the_groups(labels: list[int]) -> None:
    before = np.array(labels, dtype=np.int64)
    after = by_size(before)
    sizes = [int((after == one).sum()) for one in range(int(after.max(initial=-1)) + 1)]
    assert sizes == sorted(sizes, reverse=True)
    assert len({*zip(before.tolist(), after.tolist(), strict=True)}) == len({*labels})
    np.testing.assert_array_equal(before == -1, after == -1)


@given(st.integers(0, 50), st.integers(1, 60), st.integers(0, 9))
def test_a_sample_is_in_order_without_repetition(rows: int, most: int, seed: int) -> None:
    found = sample(rows, most, seed=seed).tolist()
    assert found == sorted(set(found))
    assert len(found) == min(rows, most)


def test_principal_components_of_equal_rows_are_zeros() -> None:
    assert not principal_components(np.ones((4, 3), np.float32), 2, seed=0).any()


def test_a_stranger_is_far_from_the_centre_and_lonely() -> None:
    vectors = np.concatenate([bundles(40, spread=0.5), -bundles(1, spread=0.5)])
    assert int(np.argmin(centroid_scores(vectors))) == 40
    factors = local_outlier_factors(vectors, neighbours=10, seed=0)
    assert int(np.argmax(factors)) == 40
    assert factors[40] > 1.5
    assert np.median(factors) == pytest.approx(1.0, abs=0.1)


def test_loneliness_of_a_sample_finds_the_same_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(density, "MOST_ROWS_FITTED", 30)
    vectors = np.concatenate([bundles(60, spread=0.5), -bundles(1, spread=0.5)])
    factors = local_outlier_factors(vectors, neighbours=10, seed=0)
    assert int(np.argmax(factors)) == 60


def test_one_vector_alone_is_not_lonely() -> None:
    assert local_outlier_factors(bundles(1), neighbours=5, seed=0).tolist() == [1.0]


def test_scores_are_cosines_with_a_direction() -> None:
    vectors = bundles(5)
    np.testing.assert_allclose(scores_with(vectors, vectors[2]), vectors @ vectors[2], atol=1e-6)


def test_rocchio_is_likes_less_a_part_of_dislikes() -> None:
    liked, disliked = np.eye(3, dtype=np.float32)[:2], np.eye(3, dtype=np.float32)[2:]
    expected = np.array([0.5, 0.5, -0.2]) / np.linalg.norm([0.5, 0.5, -0.2])
    np.testing.assert_allclose(rocchio(liked, disliked, weight=0.2), expected, atol=1e-6)
    np.testing.assert_allclose(rocchio(liked[:1], liked[:0]), liked[0])


def test_likes_that_dislikes_cancel_are_likes() -> None:
    one = normalise(np.ones((1, 3)))
    np.testing.assert_allclose(rocchio(one, one, weight=1.0), one[0])


SOURCES = {"docs/a.md": 0, "docs/b/a.md": 1, "docs/guide.md": 2}


@pytest.mark.parametrize("name", ["docs/guide.md", "guide.md", "./guide.md"])
def test_a_source_is_found_by_its_end_where_that_is_unique(name: str) -> None:
    assert find_source(name, SOURCES) == 2


def test_an_ambiguous_source_names_the_candidates() -> None:
    with pytest.raises(QueryError, match=r"end of 2 sources: docs/a\.md, docs/b/a\.md"):
        find_source("a.md", SOURCES)


def test_an_unknown_source_names_the_nearest() -> None:
    with pytest.raises(QueryError, match=r"The nearest names: docs/guide\.md"):
        find_source("giude.md", SOURCES)


def test_distinctive_words_are_spelt_in_full_and_carry_matter() -> None:
    counts = TermCounts()
    for number in range(20):
        counts.add(0, f"The pumps of the station were cleaned. Pump {number} was the last.")
        counts.add(1, "The violins of the orchestra were tuned, and so was the harp.")
    assert counts.distinctive(0, 3) == ("cleaned", "last", "pumps")
    assert "the" not in counts.distinctive(1, 20)


def test_offer_weights_are_robertsons() -> None:
    """r w with the numbers of a table by hand: N = 5, n = 3, R = 3, r = 3 and 2."""
    counts = TermCounts()
    for text in ("alpha beta", "alpha beta", "alpha"):
        counts.add(0, text)
    for text in ("beta", "gamma"):
        counts.add(1, text)
    alpha = 3 * np.log((3.5 * 2.5) / (0.5 * 0.5))
    beta = 2 * np.log((2.5 * 1.5) / (1.5 * 1.5))
    assert counts._offer_weight("alpha", 0) == pytest.approx(alpha)
    assert counts._offer_weight("beta", 0) == pytest.approx(beta)


def test_words_met_once_are_forgotten_before_memory_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retriever.analysis.naming.MOST_STEMS", 50)
    counts = TermCounts()
    for number in range(200):
        counts.add(0, f"pump word{'abcdefghij'[number % 10]}{'klmnopqrst'[number // 20]} {number}")
    assert len(counts._having[0]) <= 60
    assert counts.distinctive(0, 1) == ("pump",)
