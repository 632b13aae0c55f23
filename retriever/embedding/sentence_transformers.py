"""Any sentence-transformers model on this machine, through torch."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.local import Batch
from retriever.embedding.model_files import LocalModel
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.precision import PROBES, choose
from retriever.embedding.torch_running import arithmetic, device_for, fastest, quiet_loading
from retriever.errors import EmbeddingRejected

if TYPE_CHECKING:
    import torch


class PipelineRunner:
    """A loaded sentence-transformers pipeline."""

    def __init__(self, options: EmbedderOptions, model: LocalModel) -> None:
        """Load the model, and choose the fastest arithmetic that agrees with float32.

        Raises:
            EmbeddingRejected: the model cannot be loaded.
        """
        import torch

        self._torch: Any = torch
        self._device = device_for(torch, options.device)
        self._pipeline = load_pipeline(
            model, device=self._device, trust_remote_code=options.trust_remote_code
        )
        self._precision = choose(
            options.precision,
            fastest(torch, self._device),
            self._probe,
            model=model.fingerprint.model,
        )

    def run(self, batch: Batch) -> NDArray[np.floating]:
        """Vectors of one batch."""
        return self._encode(list(batch.texts), batch.side, batch.prefix, self._precision)

    def _encode(
        self, texts: list[str], side: str, prefix: str, precision: str
    ) -> NDArray[np.floating]:
        encode = self._pipeline.encode_query if side == "query" else self._pipeline.encode_document
        with arithmetic(self._torch, self._device, precision):
            vectors: torch.Tensor = encode(
                texts,
                prompt=prefix,
                batch_size=len(texts),
                convert_to_tensor=True,
                show_progress_bar=False,
            )
        return np.asarray(vectors.float().cpu().numpy())

    def _probe(self, precision: str) -> NDArray[np.floating]:
        return self._encode(list(PROBES), "chunk", "", precision)


def load_pipeline(model: LocalModel, *, device: str, trust_remote_code: bool) -> Any:
    """The model's pipeline, which never cuts a text: windows are checked before.

    Raises:
        EmbeddingRejected: it cannot be loaded.
    """
    from sentence_transformers import SentenceTransformer

    try:
        with quiet_loading():
            pipeline = SentenceTransformer(
                str(model.folder),
                device=device,
                trust_remote_code=trust_remote_code,
                local_files_only=True,
                model_kwargs={"use_safetensors": True} if model.has_transformer else None,
            )
    except Exception as error:  # the libraries that read damaged files raise anything
        raise EmbeddingRejected(
            f"The model in {model.folder} cannot be loaded: {error}. Check "
            "embedding.device and the folder, or name another model."
        ) from error
    pipeline.max_seq_length = model.fingerprint.window_tokens
    return pipeline
