"""Plain transformers on this machine (bert-base-uncased and kin), pooled by us, through torch.

Mean pooling is the mean over the last hidden state of the tokens that the attention mask
keeps, special tokens included (Reimers and Gurevych 2019, section 3); `cls` takes the first.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.local import Batch, padded
from retriever.embedding.model_files import LocalModel
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.precision import PROBES, choose
from retriever.embedding.tokenizing import Tokenizer
from retriever.embedding.torch_running import arithmetic, device_for, fastest, quiet_loading
from retriever.errors import EmbeddingRejected

UNUSED_WEIGHTS = ("pooler",)
"""Parts of a model that pooling does not read, and that many checkpoints leave out."""


class TransformerRunner:
    """A loaded transformer."""

    def __init__(self, options: EmbedderOptions, model: LocalModel, tokenizer: Tokenizer) -> None:
        """Load the model, and choose the fastest arithmetic that agrees with float32.

        Raises:
            EmbeddingRejected: the model cannot be loaded, or weights that it needs are missing.
        """
        import torch

        self._torch: Any = torch
        self._device = device_for(torch, options.device)
        self._pooling = model.fingerprint.pooling
        loaded = load_transformer(model, trust_remote_code=options.trust_remote_code)
        self._transformer = loaded.to(self._device)
        self._pad = int(getattr(self._transformer.config, "pad_token_id", None) or 0)
        probes = tuple(ids[: model.fingerprint.window_tokens] for ids in tokenizer.ids(PROBES))
        self._precision = choose(
            options.precision,
            fastest(torch, self._device),
            lambda precision: self._embed(probes, precision),
            model=model.fingerprint.model,
        )

    def run(self, batch: Batch) -> NDArray[np.floating]:
        """Vectors of one batch."""
        return self._embed(batch.ids, self._precision)

    def _embed(self, ids: tuple[list[int], ...], precision: str) -> NDArray[np.floating]:
        torch = self._torch
        tokens, mask = (
            torch.from_numpy(array).to(self._device) for array in padded(ids, step=1, pad=self._pad)
        )
        with torch.inference_mode(), arithmetic(torch, self._device, precision):
            hidden = self._transformer(input_ids=tokens, attention_mask=mask)[0].float()
        return np.asarray(pool(hidden, mask, self._pooling).cpu().numpy())


def pool(hidden: Any, mask: Any, pooling: str) -> Any:
    """One vector a text: (texts, length, dimension) and (texts, length) to (texts, dimension)."""
    if pooling == "cls":
        return hidden[:, 0]
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def load_transformer(model: LocalModel, *, trust_remote_code: bool) -> Any:
    """The model, or its encoder, on the CPU and ready to run.

    Raises:
        EmbeddingRejected: it cannot be loaded, or weights that it needs are missing.
    """
    from transformers import AutoModel

    try:
        with quiet_loading():
            loaded, info = AutoModel.from_pretrained(
                str(model.folder),
                local_files_only=True,
                trust_remote_code=trust_remote_code,
                use_safetensors=True,
                output_loading_info=True,
            )
    except Exception as error:  # the libraries that read damaged files raise anything
        raise EmbeddingRejected(
            f"The model in {model.folder} cannot be loaded: {error}. Check the folder, "
            "or name another model."
        ) from error
    missing = [key for key in info["missing_keys"] if not key.startswith(UNUSED_WEIGHTS)]
    if missing:
        raise EmbeddingRejected(
            f"The weights in {model.folder} lack {missing[0]} and {len(missing) - 1} more, which "
            "would be filled with random numbers. Fetch the model again, or name another."
        )
    encoder = loaded.get_encoder() if loaded.config.is_encoder_decoder else loaded
    return encoder.eval()
