"""What runs a local model: OpenVINO on a CPU where it can, torch everywhere else."""

import importlib.metadata
import importlib.util
import platform
import sys
import warnings
from pathlib import Path

from retriever.embedding.local import Runner
from retriever.embedding.model_files import LocalModel
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.tokenizing import Tokenizer
from retriever.errors import SettingsError

CONVERTIBLE_MODULES = frozenset({"Transformer", "Pooling", "Dense", "LayerNorm", "Normalize"})
"""Parts of a pipeline that read nothing but token ids and the attention mask."""


def why_not_convertible(options: EmbedderOptions, model: LocalModel) -> str:
    """What keeps a model from being converted, from its files alone; empty for nothing."""
    if options.trust_remote_code:
        return "it may run code of its own"
    foreign = sorted(set(model.modules) - CONVERTIBLE_MODULES)
    if foreign:
        return f"it has parts that only torch can run ({', '.join(foreign)})"
    if model.modules and not model.pools_prefix:
        return "its pooling leaves the prefix out"
    return ""


def load_runner(options: EmbedderOptions, model: LocalModel, tokenizer: Tokenizer) -> Runner:
    """Load a model into the fastest runtime that may be used and gives the same vectors.

    Raises:
        MissingDependencyError: `embedding.runtime` is openvino, and it is not installed.
        SettingsError: the runtime cannot run on the device that is asked for.
        EmbeddingRejected: the model cannot be loaded.
    """
    if options.cache_dir is not None and _wants_openvino(options):
        from retriever.embedding.openvino import ConvertedModels, NotConvertible

        reason = why_not_convertible(options, model)
        try:
            if not reason:
                return ConvertedModels(options.cache_dir).open(model, tokenizer, options.precision)
        except NotConvertible as error:
            reason = str(error)
        warnings.warn(
            f"{model.fingerprint.model} runs on torch, not on OpenVINO: {reason}. Set "
            "embedding.runtime = 'torch' to choose that yourself.",
            RuntimeWarning,
            stacklevel=2,
        )
    return _load_torch(options, model, tokenizer)


def _wants_openvino(options: EmbedderOptions) -> bool:
    if options.runtime == "openvino":
        if options.device not in ("auto", "cpu"):
            raise SettingsError(
                f"embedding.runtime is openvino, which runs on the CPU, but embedding.device is "
                f"{options.device!r}. Set one of them to auto."
            )
        return True
    if options.runtime == "torch" or importlib.util.find_spec("openvino") is None:
        return False
    return options.device == "cpu" or (options.device == "auto" and not _has_accelerator())


def _has_accelerator() -> bool:
    """Whether torch would find a GPU, judged without importing it, which takes seconds."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    try:
        built_for_cpu = importlib.metadata.version("torch").endswith("+cpu")
    except importlib.metadata.PackageNotFoundError:
        return False
    present = any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))
    return present and not built_for_cpu


def _load_torch(options: EmbedderOptions, model: LocalModel, tokenizer: Tokenizer) -> Runner:
    if model.modules:
        from retriever.embedding.sentence_transformers import PipelineRunner

        return PipelineRunner(options, model)
    from retriever.embedding.transformers import TransformerRunner

    return TransformerRunner(options, model, tokenizer)
