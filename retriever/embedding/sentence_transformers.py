"""Any sentence-transformers model on this machine, through torch."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.local import Batch, LocalEmbedder
from retriever.embedding.model_files import LocalModel
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.precision import PROBES, choose
from retriever.embedding.tokenizing import open_tokenizer
from retriever.embedding.torch_running import arithmetic, device_for, fastest, quiet_loading
from retriever.errors import EmbeddingRejected

if TYPE_CHECKING:
    import torch


class SentenceTransformersEmbedder(LocalEmbedder):
    """Embeds with a sentence-transformers pipeline; torch is imported by the first text."""

    def __init__(self, options: EmbedderOptions, model: LocalModel) -> None:
        """Keep the options; nothing is loaded but the tokenizer.

        Raises:
            SettingsError: the model's tokenizer cannot be read.
        """
        super().__init__(
            model,
            open_tokenizer(model.folder, lower_case=model.lower_case),
            lambda: PipelineRunner(options, model),
            batch_tokens=options.batch_tokens,
        )


class PipelineRunner:
    """A loaded sentence-transformers pipeline."""

    def __init__(self, options: EmbedderOptions, model: LocalModel) -> None:
        """Load the model, and choose the fastest arithmetic that agrees with float32.

        Raises:
            EmbeddingRejected: the model cannot be loaded.
        """
        import torch
        from sentence_transformers import SentenceTransformer

        self._torch: Any = torch
        self._device = device_for(torch, options.device)
        try:
            with quiet_loading():
                self._pipeline: Any = SentenceTransformer(
                    str(model.folder),
                    device=self._device,
                    trust_remote_code=options.trust_remote_code,
                    local_files_only=True,
                    model_kwargs={"use_safetensors": True} if model.has_transformer else None,
                )
        except (OSError, ValueError, RuntimeError, ImportError, KeyError) as error:
            raise EmbeddingRejected(
                f"The model in {model.folder} cannot be loaded: {error}. Check "
                "embedding.device and the folder, or name another model."
            ) from error
        # The window was checked before; the pipeline must never cut at one of its own.
        self._pipeline.max_seq_length = model.fingerprint.window_tokens
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
