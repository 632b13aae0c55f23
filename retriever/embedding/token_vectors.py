"""One vector a token: the last hidden states of a local model, run by torch.

The second half of `LocalEmbedder.embed_tokens`. What they are for: comparing a word in two
sentences, and late interaction (Khattab and Zaharia 2020). The faster runtime gives pooled
vectors only, so the transformer is loaded beside it, when it is first asked.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from retriever.embedding.local import padded
from retriever.embedding.model_files import LocalModel
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.torch_running import arithmetic, device_for
from retriever.embedding.transformers import load_transformer
from retriever.errors import EmbeddingRejected
from retriever.protocols import Vectors


class TokenRunner:
    """A loaded transformer, without the pooling that may follow it."""

    def __init__(self, options: EmbedderOptions, model: LocalModel) -> None:
        """Load it. In float32, unless the options name another precision.

        Raises:
            EmbeddingRejected: the model has no transformer, or it cannot be loaded.
        """
        folder = transformer_folder(model)
        import torch

        self._torch: Any = torch
        self._device = device_for(torch, options.device)
        self._precision = "float32" if options.precision == "auto" else options.precision
        loaded = load_transformer(
            replace(model, folder=folder), trust_remote_code=options.trust_remote_code
        )
        self._transformer = loaded.to(self._device)
        self._pad = int(getattr(self._transformer.config, "pad_token_id", None) or 0)

    def run(self, ids: Sequence[list[int]]) -> list[Vectors]:
        """The last hidden states of token ids: float32, (tokens, width) for each text."""
        torch = self._torch
        tokens, mask = (
            torch.from_numpy(array).to(self._device) for array in padded(ids, step=1, pad=self._pad)
        )
        with torch.inference_mode(), arithmetic(torch, self._device, self._precision):
            hidden = self._transformer(input_ids=tokens, attention_mask=mask)[0].float()
        states = hidden.cpu().numpy()
        # Copies: a view would keep the padded batch alive.
        return [
            np.array(states[row, : len(each)], dtype=np.float32) for row, each in enumerate(ids)
        ]


def transformer_folder(model: LocalModel) -> Path:
    """Where the weights of a model's transformer are: the folder itself, or a part of it.

    Raises:
        EmbeddingRejected: the model has no transformer.
    """
    if not model.has_transformer:
        raise EmbeddingRejected(
            f"{model.fingerprint.model} has no transformer, and so no vectors of words in their "
            "sentence. Name a model that has one, such as sentence-transformers/all-MiniLM-L6-v2."
        )
    inner = model.folder / "0_Transformer"
    return (
        inner if inner.is_dir() and not (model.folder / "config.json").is_file() else model.folder
    )
