"""From a model in torch to a file of OpenVINO's: tokens in, unit vectors out."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.local import padded
from retriever.embedding.model_files import LocalModel
from retriever.embedding.openvino import NotConvertible, NotWritable


def convert(
    openvino: Any, model: LocalModel, probes: Sequence[list[int]], file: Path
) -> NDArray[np.floating]:
    """Write the converted model to `file`, in float32; return the original's vectors of `probes`.

    Raises:
        NotConvertible: it cannot be traced.
        NotWritable: it can, but not be written now.
        EmbeddingRejected: it cannot be loaded.
    """
    import torch

    whole = _whole(torch, model)
    with _quiet(), torch.inference_mode():
        original = [whole(*_tensors(torch, [ids])).numpy()[0] for ids in probes]
    with _quiet(), torch.no_grad():
        try:
            # The first two probes differ in length, so that the mask is traced too.
            converted = openvino.convert_model(whole, example_input=_tensors(torch, probes[:2]))
        except Exception as error:  # tracing runs the model's code: it raises anything
            raise NotConvertible(f"it cannot be traced ({type(error).__name__})") from error
        try:
            openvino.save_model(converted, str(file), compress_to_fp16=False)
        except (OSError, RuntimeError) as error:
            raise NotWritable(
                f"the converted model cannot be written to {file.parent.parent}"
            ) from error
    return np.stack(original)


def _whole(torch: Any, model: LocalModel) -> Any:
    """A module from token ids and mask to unit vectors."""
    if model.modules:
        from retriever.embedding.sentence_transformers import load_pipeline

        part = load_pipeline(model, device="cpu", trust_remote_code=False)

        def forward(_: Any, input_ids: Any, attention_mask: Any) -> Any:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            return torch.nn.functional.normalize(part(features)["sentence_embedding"], dim=1)

    else:
        from retriever.embedding.transformers import load_transformer, pool

        part = load_transformer(model, trust_remote_code=False)

        def forward(_: Any, input_ids: Any, attention_mask: Any) -> Any:
            hidden = part(input_ids=input_ids, attention_mask=attention_mask)[0]
            pooled = pool(hidden, attention_mask, model.fingerprint.pooling)
            return torch.nn.functional.normalize(pooled, dim=1)

    # torch is imported late, so its base class is there only now.
    whole = type("Whole", (torch.nn.Module,), {"forward": forward})()
    whole.part = part
    return whole.eval()


def _tensors(torch: Any, ids: Sequence[list[int]]) -> tuple[Any, Any]:
    tokens, mask = padded(ids, step=1)
    return torch.from_numpy(tokens), torch.from_numpy(mask)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of tracing: what they warn of, the comparison of vectors checks."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
