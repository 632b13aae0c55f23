"""How likely passages answer: a curve that was learned from judged questions, if one is set."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

from retriever import assembly
from retriever.calibration import read_calibration
from retriever.errors import SettingsError
from retriever.records import Passage
from retriever.retrieval.refining import RERANKER
from retriever.settings import Settings


class Probabilities:
    """Adds probabilities to passages whose scores are those that the curve was learned from.

    Raises:
        SettingsError: the file is no calibration, or it is for other scores.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        path = settings.retrieval.calibration
        self._curve = read_calibration(path) if path is not None else None
        now = assembly.describe_scores(settings, settings.retrieval.mode)
        if self._curve is not None and self._curve.scores != now:
            raise SettingsError(
                f"{path} was learned for scores of {self._curve.scores}; these settings give "
                f"{now}. Learn it anew: retriever eval QUESTIONS --calibrate FILE"
            )

    def add(self, passages: Sequence[Passage], *, mode: str, model: str) -> list[Passage]:
        """The passages with their probabilities; as they are where no curve fits them."""
        curve = self._curve
        if curve is None or mode != self._settings.retrieval.mode:
            return list(passages)
        if curve.model != model:
            warnings.warn(
                f"Passages have no probability: retrieval.calibration was learned with "
                f"{curve.model}, and the collection's model is {model} now.",
                stacklevel=2,
            )
            return list(passages)
        return [
            replace(one, probability=curve.probability(one.score)) if self._fits(one) else one
            for one in passages
        ]

    def _fits(self, passage: Passage) -> bool:
        """Whether the score is the reranker's, where there is one: it may have been too slow."""
        rankers = {one.ranker for one in passage.candidates}
        return self._settings.reranking.backend == "none" or RERANKER in rankers
