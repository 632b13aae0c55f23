"""The conformance kit for embedders. The docstrings are the contract."""

import dataclasses
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from retriever.errors import EmbeddingRejected
from retriever.protocols import BatchQueryEmbedder, Embedder, Vectors

TEXTS = (
    "The cat sat on the mat.",
    "A feline rested on the rug.",
    "Invoices are due within thirty days of the date of issue.",
    "Die Katze schläft auf dem Sofa.",
    "def area(radius): return 3.14159 * radius ** 2",
    "x",
    "The quarterly report lists revenue, cost of sales, and operating income by region. " * 3,
)
MOST_WORDS = 16
"""Words that a token may stand for: where so many windows of words fit one, none are counted."""
BATCH_TOLERANCE = 1e-3
"""How far below 1 the cosine may fall: half precision and padding move a vector that much."""


class EmbedderContract:
    """What every embedder promises. Inherit, and override `embedder` with a fixture:

        class TestMyEmbedder(EmbedderContract):
            @pytest.fixture
            def embedder(self):
                return MyEmbedder(...)

    `word` is repeated to make texts of any length; `secret` is a key that must not show.
    """  # noqa: D415

    word = "word "
    secret = "no-such-secret"  # noqa: S105

    def embedder(self) -> Embedder:
        """The embedder under test; a fixture of this name takes its place."""
        raise NotImplementedError("Override `embedder` with a pytest fixture.")

    def test_chunk_vectors_are_float32_of_the_fingerprints_dimension(
        self, embedder: Embedder
    ) -> None:
        """`embed_chunks` answers float32, shape (len(texts), dimension)."""
        vectors = embedder.embed_chunks(TEXTS)
        _check(vectors.dtype == np.float32, f"dtype is {vectors.dtype}, not float32")
        expected = (len(TEXTS), embedder.fingerprint.dimension)
        _check(vectors.shape == expected, f"shape is {vectors.shape}, not {expected}")

    def test_a_query_vector_is_one_row(self, embedder: Embedder) -> None:
        """`embed_query` answers float32, shape (dimension,)."""
        vector = embedder.embed_query(TEXTS[0])
        _check(vector.dtype == np.float32, f"dtype is {vector.dtype}, not float32")
        expected = (embedder.fingerprint.dimension,)
        _check(vector.shape == expected, f"shape is {vector.shape}, not {expected}")

    def test_vectors_have_unit_length(self, embedder: Embedder) -> None:
        """Every vector, of a chunk or a query, has length 1."""
        vectors = np.vstack([embedder.embed_chunks(TEXTS), embedder.embed_query(TEXTS[0])])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-4)

    def test_no_texts_give_no_vectors(self, embedder: Embedder) -> None:
        """An empty list gives shape (0, dimension), and no call to any model."""
        shape = embedder.embed_chunks([]).shape
        _check(shape == (0, embedder.fingerprint.dimension), f"shape is {shape}")
        _check(embedder.count_tokens([]) == [], "no texts have no counts")

    def test_order_is_kept(self, embedder: Embedder) -> None:
        """Row i belongs to text i, however the embedder batches and sorts."""
        order = list(range(len(TEXTS)))
        random.Random(7).shuffle(order)  # noqa: S311
        straight = embedder.embed_chunks(TEXTS)
        shuffled = embedder.embed_chunks([TEXTS[i] for i in order])
        _close(shuffled, straight[order])

    def test_equal_texts_have_equal_vectors(self, embedder: Embedder) -> None:
        """The same text, twice in one call, has the same vector twice."""
        vectors = embedder.embed_chunks([TEXTS[0], TEXTS[2], TEXTS[0]])
        _close(vectors[0], vectors[2])

    def test_a_batch_equals_its_texts_alone(self, embedder: Embedder) -> None:
        """A text's vector does not depend on its neighbours in the batch."""
        together = embedder.embed_chunks(TEXTS)
        alone = np.vstack([embedder.embed_chunks([text]) for text in TEXTS])
        _close(together, alone)

    def test_a_text_is_nearest_to_itself(self, embedder: Embedder) -> None:
        """Asked for a chunk's own text, the chunk scores highest."""
        vectors = embedder.embed_chunks(TEXTS)
        best = int(np.argmax(vectors @ embedder.embed_query(TEXTS[2])))
        _check(best == 2, f"chunk {best} scores highest, not chunk 2")

    def test_prefixes_tell_the_sides_apart(self, embedder: Embedder) -> None:
        """Where the prefixes differ, a text's vectors as query and as chunk differ."""
        fingerprint = embedder.fingerprint
        differ = fingerprint.query_prefix != fingerprint.chunk_prefix
        chunk = embedder.embed_chunks([TEXTS[0]])[0]
        same = bool(np.allclose(chunk, embedder.embed_query(TEXTS[0]), atol=1e-6))
        _check(not (differ and same), "the prefixes differ and the vectors do not")

    def test_tokens_are_counted_for_each_text(self, embedder: Embedder) -> None:
        """`count_tokens` answers one count a text, above 0, and a longer text never has fewer."""
        counts = embedder.count_tokens(TEXTS)
        _check(len(counts) == len(TEXTS), f"{len(counts)} counts for {len(TEXTS)} texts")
        _check(min(counts) > 0, "a count of 0")
        short, long = embedder.count_tokens([self.word * 4, self.word * 8])
        _check(short < long, f"{short} tokens for four words, {long} for eight")

    def test_a_text_that_counts_as_the_window_is_embedded(self, embedder: Embedder) -> None:
        """A text whose count is at most the window is never refused."""
        text = self._text_of_at_most(embedder, embedder.fingerprint.window_tokens)
        _check(len(embedder.embed_chunks([text])) == 1, "one text, one vector")

    def test_a_chunk_beyond_the_window_is_refused(self, embedder: Embedder) -> None:
        """A chunk whose count is above the window raises EmbeddingRejected: nothing is cut."""
        try:
            embedder.embed_chunks(["fits", self._too_long(embedder)])
        except EmbeddingRejected:
            return
        raise AssertionError("a chunk beyond the window was embedded")

    def test_a_query_beyond_the_window_is_read_whole(self, embedder: Embedder) -> None:
        """The end of a long query counts: another end gives another vector, of unit length."""
        long = self._too_long(embedder)
        one = embedder.embed_query(long + " cat feline kitten " * 8)
        other = embedder.embed_query(long + " invoice revenue payment " * 8)
        np.testing.assert_allclose(np.linalg.norm(one), 1.0, atol=1e-4)
        _check(not np.allclose(one, other, atol=1e-5), "the end of a long query was cut off")

    def test_queries_in_a_batch_equal_queries_alone(self, embedder: Embedder) -> None:
        """`embed_queries`, where there is one, gives row i the vector of `embed_query`."""
        if isinstance(embedder, BatchQueryEmbedder):
            _check(embedder.embed_queries([]).shape == (0, embedder.fingerprint.dimension), "none")
            alone = np.stack([embedder.embed_query(text) for text in TEXTS])
            _close(embedder.embed_queries(TEXTS), alone)

    def test_the_fingerprint_holds_still(self, embedder: Embedder) -> None:
        """Embedding changes no field of the fingerprint, and vectors are normalised."""
        before = embedder.fingerprint
        embedder.embed_chunks([TEXTS[0]])
        _check(embedder.fingerprint == before, "the fingerprint changed with use")
        _check(before.normalised, "vectors must be normalised")

    def test_no_secret_shows(self, embedder: Embedder) -> None:
        """The key is neither in the fingerprint nor in the embedder's repr."""
        shown = repr(embedder) + repr(dataclasses.asdict(embedder.fingerprint))
        _check(self.secret not in shown, "the secret shows")

    def test_threads_may_share_it(self, embedder: Embedder) -> None:
        """Calls from several threads at once answer what one thread answers."""
        expected = embedder.embed_chunks(TEXTS)
        with ThreadPoolExecutor(4) as pool:
            for vectors in pool.map(lambda _: embedder.embed_chunks(TEXTS), range(4)):
                _close(vectors, expected)

    def _text_of_at_most(self, embedder: Embedder, tokens: int) -> str:
        words = tokens
        while (count := embedder.count_tokens([self.word * words])[0]) > tokens:
            _check(words > 0, f"{count} tokens for no words, more than {tokens}")
            words = words * 9 // 10
        return self.word * words

    def _too_long(self, embedder: Embedder) -> str:
        window = embedder.fingerprint.window_tokens
        words = window
        while (count := embedder.count_tokens([self.word * words])[0]) <= window:
            _check(words < MOST_WORDS * window, f"{count} tokens for {words} words")
            words *= 2
        return self.word * words


def _close(found: Vectors, expected: Vectors) -> None:
    _check(found.shape == expected.shape, f"shape is {found.shape}, not {expected.shape}")
    least = float(np.min(np.sum(found * expected, axis=-1)))
    _check(least >= 1 - BATCH_TOLERANCE, f"vectors that should be equal have a cosine of {least}")


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
