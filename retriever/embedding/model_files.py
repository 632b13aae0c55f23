"""What a local model's files say of it, read without loading the model."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retriever.embedding.catalogue import ModelRow, find_row
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.revision import weights_revision
from retriever.errors import SettingsError
from retriever.records import EmbeddingFingerprint

NO_LIMIT = 1_000_000
"""Tokenizer configs write "unlimited" as numbers beyond this."""

_ROBERTAS = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert")
OFFSET_POSITIONS = frozenset((*_ROBERTAS, "mpnet", "longformer", "data2vec-text"))
"""Architectures that number positions from the padding id + 1, and so lose that many of them."""

_DAMAGED = "The model's folder is damaged: fetch it again, or name another with embedding.path."

CHUNK_PROMPTS = ("document", "passage", "corpus")
"""The names that sentence-transformers tries for the side of the texts, in its order."""


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on this machine: its folder and how its vectors are made."""

    folder: Path
    fingerprint: EmbeddingFingerprint
    lower_case: bool
    """Whether texts are lower-cased before the tokenizer sees them."""
    modules: tuple[str, ...]
    """Class names of a sentence-transformers pipeline; empty for a plain transformer."""
    pools_prefix: bool
    """Whether the tokens of the prefix are pooled with the text's."""
    full_dimension: int
    """What the model gives before truncation."""

    @property
    def has_transformer(self) -> bool:
        """Whether weights are loaded by transformers, which is told to take safetensors only."""
        return "Transformer" in self.modules or not self.modules


def read_model(options: EmbedderOptions, folder: Path) -> LocalModel:
    """Read a model's folder, and let the options and the catalogue fill in or overrule.

    Raises:
        SettingsError: a file is damaged, or an option contradicts the model.
    """
    try:
        return _read_model(options, folder)
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise SettingsError(
            f"A *.json file in {folder} holds what no model's file holds ({error}). {_DAMAGED}"
        ) from error


def _read_model(options: EmbedderOptions, folder: Path) -> LocalModel:
    files = _Files(folder)
    _refuse_foreign_code(options, files)
    row = find_row(options.model)
    known = row if row is not None and row.backend == "sentence-transformers" else None
    modules = files.modules
    full = files.dimension
    query_prefix, chunk_prefix = _prefixes(options, known, files)
    fingerprint = EmbeddingFingerprint(
        backend="sentence-transformers" if modules else "transformers",
        model=known.name if known else _name(options, folder),
        revision=weights_revision(folder, options.cache_dir),
        dimension=_dimension(options, known, full),
        window_tokens=_window(options, files),
        pooling=files.pooling if modules else _plain_pooling(options, known),
        query_prefix=query_prefix,
        chunk_prefix=chunk_prefix,
    )
    return LocalModel(
        folder=folder,
        fingerprint=fingerprint,
        lower_case=bool(files.sentence_bert.get("do_lower_case", False)),
        modules=modules,
        pools_prefix=files.pools_prefix,
        full_dimension=full,
    )


def _refuse_foreign_code(options: EmbedderOptions, files: "_Files") -> None:
    foreign = [kind for kind in files.types if not kind.startswith("sentence_transformers.")]
    if foreign and not options.trust_remote_code:
        raise SettingsError(
            f"{options.model} is made of code of its own ({foreign[0]}), which is not run. Name "
            "another model, or, if you trust whoever wrote it, set "
            "embedding.trust_remote_code = true."
        )


def _name(options: EmbedderOptions, folder: Path) -> str:
    # A path as a name would differ from machine to machine.
    return folder.name if Path(os.path.expanduser(options.model)).is_dir() else options.model


def _plain_pooling(options: EmbedderOptions, row: ModelRow | None) -> str:
    if options.pooling != "auto":
        return options.pooling
    return row.pooling if row else "mean"


def _dimension(options: EmbedderOptions, row: ModelRow | None, full: int) -> int:
    wanted = options.dimension
    if wanted is None or wanted == full:
        return full
    if wanted > full:
        raise SettingsError(
            f"embedding.dimension is {wanted}, but {options.model} gives vectors of {full}. "
            "Leave it unset."
        )
    if row is None or not row.matryoshka:
        raise SettingsError(
            f"embedding.dimension is {wanted}, but {options.model} was not trained for vectors "
            f"shorter than {full}: cutting them would make search worse. Leave it unset."
        )
    return wanted


def _window(options: EmbedderOptions, files: "_Files") -> int:
    limit = files.position_limit
    window = options.window_tokens or files.window or limit
    if window is None:
        raise SettingsError(
            f"The files of {options.model} do not say how many tokens it reads. "
            "Set embedding.window_tokens."
        )
    if limit is not None and window > limit:
        if options.window_tokens is None:
            return limit
        raise SettingsError(
            f"embedding.window_tokens is {window}, but {options.model} has positions for "
            f"{limit} tokens. Set it to {limit} at most."
        )
    return window


def _prefixes(options: EmbedderOptions, row: ModelRow | None, files: "_Files") -> tuple[str, str]:
    query, chunk = (row.query_prefix, row.chunk_prefix) if row else files.prompts
    return (
        query if options.query_prefix is None else options.query_prefix,
        chunk if options.chunk_prefix is None else options.chunk_prefix,
    )


class _Files:
    """The configuration files of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = _read(folder / "config.json")
        self.sentence_bert = _first(
            folder, ("sentence_bert_config.json", "0_Transformer/sentence_bert_config.json")
        )
        self.tokenizer = _read(folder / "tokenizer_config.json")
        listed = _read(folder / "modules.json").get("items", [])
        self.types = tuple(str(item.get("type", "")) for item in listed)
        self._modules = [
            (kind.rpartition(".")[2], str(item.get("path", "")))
            for kind, item in zip(self.types, listed, strict=True)
        ]

    @property
    def modules(self) -> tuple[str, ...]:
        return tuple(kind for kind, _ in self._modules)

    @property
    def dimension(self) -> int:
        """Width of the vectors, as the last module that changes it says."""
        width = _hidden_size(self.config)
        for kind, path in self._modules:
            config = _read(self.folder / path / "config.json")
            if kind == "Pooling":
                each = config.get("embedding_dimension") or config.get("word_embedding_dimension")
                width = int(each or width) * max(1, len(_pooling_modes(config)))
            elif kind == "Dense":
                width = int(config.get("out_features", width))
            elif kind == "StaticEmbedding":
                width = _static_width(self.folder / path / "model.safetensors")
        if not 1 <= width <= NO_LIMIT:
            raise SettingsError(f"The files in {self.folder} do not say how wide its vectors are.")
        return width

    @property
    def pooling(self) -> str:
        for kind, path in self._modules:
            if kind == "Pooling":
                return "+".join(_pooling_modes(_read(self.folder / path / "config.json")))
        return "mean" if "StaticEmbedding" in self.modules else "model"

    @property
    def pools_prefix(self) -> bool:
        """Whether pooling reads the prefix, which it does unless a file says otherwise."""
        return all(
            _read(self.folder / path / "config.json").get("include_prompt", True)
            for kind, path in self._modules
            if kind == "Pooling"
        )

    @property
    def window(self) -> int | None:
        """The window that the files name, or None."""
        if "StaticEmbedding" in self.modules:
            return NO_LIMIT
        for found in (
            self.sentence_bert.get("max_seq_length"),
            self.tokenizer.get("model_max_length"),
        ):
            if isinstance(found, int) and 0 < found < NO_LIMIT:
                return found
        return None

    @property
    def position_limit(self) -> int | None:
        """How many tokens the architecture has positions for; None where it has no such limit."""
        text = self.config.get("text_config", self.config)
        positions = text.get("max_position_embeddings")
        if not isinstance(positions, int) or positions < 1:
            return None
        if text.get("model_type") in OFFSET_POSITIONS:
            return positions - int(text.get("pad_token_id") or 1) - 1
        return positions

    @property
    def prompts(self) -> tuple[str, str]:
        """Query and chunk prompts stored with the model; empty where there are none."""
        stored = _read(self.folder / "config_sentence_transformers.json")
        prompts = stored.get("prompts") or {}
        default = prompts.get(stored.get("default_prompt_name") or "") or ""
        chunk = next((prompts[name] for name in CHUNK_PROMPTS if name in prompts), default)
        return str(prompts.get("query", default) or ""), str(chunk or "")


def _first(folder: Path, names: tuple[str, ...]) -> Mapping[str, Any]:
    return next((found for name in names if (found := _read(folder / name))), {})


def _read(path: Path) -> Mapping[str, Any]:
    """A JSON file as an object; a list stands under `items`; a missing file is empty."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read as JSON ({error}). {_DAMAGED}") from error
    if isinstance(content, list):
        return {"items": [item for item in content if isinstance(item, dict)]}
    return content if isinstance(content, dict) else {}


def _hidden_size(config: Mapping[str, Any]) -> int:
    text = config.get("text_config", config)
    for key in ("hidden_size", "d_model", "dim"):
        if isinstance(text.get(key), int):
            return int(text[key])
    return 0


_LEGACY_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def _pooling_modes(config: Mapping[str, Any]) -> list[str]:
    named = config.get("pooling_mode")
    if isinstance(named, str):
        return [named]
    if isinstance(named, list) and named:
        return [str(mode) for mode in named]
    return [mode for key, mode in _LEGACY_POOLING.items() if config.get(key)] or ["mean"]


def _static_width(path: Path) -> int:
    """Columns of the first matrix in a safetensors file, from its header."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(size, NO_LIMIT)))
    except (OSError, ValueError, RecursionError):
        return 0
    shapes = [item.get("shape", []) for item in header.values() if isinstance(item, dict)]
    return next((int(shape[1]) for shape in shapes if len(shape) == 2), 0)
