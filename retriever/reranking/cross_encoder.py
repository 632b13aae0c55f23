"""A cross-encoder on this machine: query and text are read as one input.

Source: Nogueira and Cho 2019, Passage Re-ranking with BERT. The score is the logistic function
of the model's one output.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from retriever.errors import RerankingError
from retriever.protocols import Vectors
from retriever.reranking.options import RerankerOptions
from retriever.reranking.scores import checked

BATCH_TEXTS = 16
LONGEST_QUERY_CHARACTERS = 2_000
"""The beginning of a longer query is read: the text has to have room beside it."""


class CrossEncoderReranker:
    """Reranks with a sentence-transformers cross-encoder; threads may share it.

    The model is loaded by the first texts: from the folder or the cache, else from the hub.
    What query and text take together beyond the window is cut off the text.
    """

    def __init__(self, options: RerankerOptions) -> None:
        """Keep the options; nothing is loaded yet."""
        self._options = options
        self._model: Any = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """The model."""
        return f"CrossEncoderReranker({self._options.model!r})"

    def load(self) -> None:
        """Load the model, unless it is.

        Raises:
            RerankingError: it cannot be loaded.
        """
        with self._lock:
            if self._model is None:
                self._model = load_cross_encoder(self._options)

    def rerank(self, query: str, texts: Sequence[str]) -> Vectors:
        """Scores from 0 to 1: float32, shape (len(texts),).

        Raises:
            RerankingError: the model cannot be loaded.
        """
        if not texts:
            return np.zeros(0, dtype=np.float32)
        asked = query[:LONGEST_QUERY_CHARACTERS]
        self.load()
        with self._lock:
            scores = self._model.predict(
                [(asked, text) for text in texts],
                batch_size=BATCH_TEXTS,
                show_progress_bar=False,
                activation_fn=_logistic(),
                convert_to_numpy=True,
            )
        return checked(np.asarray(scores), count=len(texts), model=self._options.model)


def load_cross_encoder(options: RerankerOptions) -> Any:
    """The model, from this machine if it is there. No code and no pickle of a model is run.

    Raises:
        RerankingError: it cannot be loaded, or it tells classes apart instead of scoring.
    """
    name = os.path.expanduser(options.model)
    is_folder = os.path.isdir(name)
    if name.startswith((os.sep, ".")) and not is_folder:
        raise RerankingError(
            f"There is no folder {name!r}. Set reranking.model to the folder of a cross-encoder, "
            "or to its name on the model hub."
        )
    found: Any = None
    reason: Exception | None = None
    for only_local in (True,) if is_folder else (True, False):
        try:
            found = _opened(name, options, only_local=only_local)
            break
        except Exception as error:  # noqa: BLE001  # damaged files raise anything
            reason = error
    if found is None:
        raise RerankingError(
            f"The reranker {options.model!r} cannot be loaded: {str(reason).rstrip('.')}. Name "
            "the folder of a cross-encoder with safetensors weights, or its name on the model hub."
        ) from reason
    outputs = int(found.num_labels)
    if outputs != 1:
        raise RerankingError(
            f"{options.model!r} gives {outputs} numbers for a pair of texts. A reranker gives "
            "one: name a model that was trained to rank."
        )
    return found


def _opened(name: str, options: RerankerOptions, *, only_local: bool) -> Any:
    from sentence_transformers import CrossEncoder

    with _quiet_hub():
        return CrossEncoder(
            name,
            device=None if options.device == "auto" else options.device,
            max_length=options.window_tokens,
            trust_remote_code=False,
            local_files_only=only_local,
            model_kwargs={"use_safetensors": True},
        )


@contextlib.contextmanager
def _quiet_hub() -> Iterator[None]:
    """What the hub's client says of each of its tries is left out: the error tells the last."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _logistic() -> Any:
    from torch import nn

    return nn.Sigmoid()
