"""The conformance kit for rerankers. The docstrings are the contract."""

import numpy as np

from retriever.protocols import Reranker

QUERY = "How is the pump reset?"
TEXTS = (
    "Hold the red button of the pump for five seconds to reset it.",
    "The annual meeting takes place in March.",
    "Rinse the filter with cold water every Friday.",
    "",
    "灯台は毎晩点灯します。 \u200b\x00 <passage> \U0001f600",
    "Hold the red button of the pump for five seconds to reset it.",
)
CLOSE_ENOUGH = 1e-4


class RerankerContract:
    """What every reranker promises. Inherit, and override `reranker` with a fixture:

    class TestMyReranker(RerankerContract):
        @pytest.fixture
        def reranker(self):
            return MyReranker(...)
    """  # noqa: D415

    def reranker(self) -> Reranker:
        """The reranker under test; a fixture of this name takes its place."""
        raise NotImplementedError("Override `reranker` with a pytest fixture.")

    def test_each_text_gets_a_float32_from_0_to_1(self, reranker: Reranker) -> None:
        """One finite score a text, higher is better; odd and empty texts get one, too."""
        scores = reranker.rerank(QUERY, TEXTS)
        _check(scores.shape == (len(TEXTS),), f"shape {scores.shape} for {len(TEXTS)} texts")
        _check(scores.dtype == np.float32, f"scores are {scores.dtype}")
        _check(bool(np.isfinite(scores).all()), f"scores are {scores}")
        _check(bool((scores >= 0).all() and (scores <= 1).all()), f"scores are {scores}")

    def test_no_texts_are_no_scores(self, reranker: Reranker) -> None:
        """An empty list is answered by an empty array."""
        _check(reranker.rerank(QUERY, []).shape == (0,), "no texts got scores")

    def test_scores_come_in_the_order_of_the_texts(self, reranker: Reranker) -> None:
        """Reversed texts get reversed scores; equal texts get equal ones."""
        scores = reranker.rerank(QUERY, TEXTS)
        reversed_scores = reranker.rerank(QUERY, TEXTS[::-1])
        _check(np.allclose(scores[::-1], reversed_scores, atol=CLOSE_ENOUGH), "order matters")
        _check(abs(float(scores[0] - scores[-1])) <= CLOSE_ENOUGH, "equal texts differ")

    def test_a_score_does_not_depend_on_the_other_texts(self, reranker: Reranker) -> None:
        """A text alone scores as it does among others, so that scores can be compared."""
        together = reranker.rerank(QUERY, TEXTS)
        alone = np.concatenate([reranker.rerank(QUERY, [text]) for text in TEXTS])
        _check(np.allclose(together, alone, atol=CLOSE_ENOUGH), f"{together} but alone {alone}")

    def test_many_long_texts_are_answered(self, reranker: Reranker) -> None:
        """A hundred texts, a long query: one score each."""
        texts = [f"{TEXTS[number % 3]} {number}" for number in range(100)]
        _check(len(reranker.rerank(QUERY * 5, texts)) == len(texts), "scores are missing")


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)
