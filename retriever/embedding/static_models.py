"""Static models: a row for each token, averaged; loaded with numpy, never with torch.

sentence-transformers' `StaticEmbedding` and model2vec's folders hold the same: a tokenizer, a
matrix and, for model2vec, which row a token has (`mapping`) and how much it counts (`weights`):
a text's vector is the mean of matrix[mapping[token]] * weights[token] over its tokens, special
ones left out (`StaticModel.encode` of model2vec, `StaticEmbedding.forward` of sentence-
transformers). model2vec leaves the unknown token out, sentence-transformers averages its row.
Nothing is cut: model2vec's own limit of 512 tokens is not taken over.
"""

import functools
import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.catalogue import NO_LIMIT_TOKENS, find_row
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.revision import weights_revision
from retriever.embedding.static import Reading, StaticEmbedder
from retriever.embedding.tokenizing import FastTokenizer
from retriever.errors import SettingsError
from retriever.protocols import Vectors
from retriever.records import EmbeddingFingerprint

LONGEST_HEADER_BYTES = 1_000_000
KINDS = ("StaticEmbedding", "Normalize")
_MATRICES = ("embeddings", "embedding.weight")
_DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I8": "|i1", "I32": "<i4", "I64": "<i8"}


class _Tensor(NamedTuple):
    """Where a tensor stands in a safetensors file."""

    dtype: str
    shape: tuple[int, ...]
    start: int


def find_static(folder: Path) -> Path | None:
    """The folder with the matrix of a static model, or None where `folder` holds another kind."""
    modules = _json(folder / "modules.json")
    if isinstance(modules, list):
        kinds = [_kind(module) for module in modules]
        if not kinds or kinds[0] != KINDS[0] or not set(kinds) <= set(KINDS):
            return None
        return folder / str(modules[0].get("path", ""))
    config = _json(folder / "config.json")
    is_model2vec = isinstance(config, dict) and config.get("model_type") == "model2vec"
    return folder if is_model2vec else None


def open_static(options: EmbedderOptions, folder: Path, weights: Path) -> StaticEmbedder:
    """An embedder over the static model in `folder`, whose matrix is in the folder `weights`.

    Raises:
        SettingsError: a file is damaged, or an option contradicts the model.
    """
    row = find_row(options.model)
    lexicon = TokenLexicon(weights)
    full, stored = lexicon.dimension, _prompts(folder)
    dimension = options.dimension or full
    if dimension > full or (dimension < full and not (row and row.matryoshka)):
        raise SettingsError(
            f"embedding.dimension is {dimension}, but {options.model} gives vectors of {full} and "
            "is not known to have been trained for others. Leave it unset."
        )
    lexicon.keep(dimension)
    is_path = Path(os.path.expanduser(options.model)).is_dir() or options.path is not None
    query, chunk = stored if row is None else (row.query_prefix, row.chunk_prefix)
    fingerprint = EmbeddingFingerprint(
        backend="static",
        model=row.name if row else folder.name if is_path else options.model,
        revision=weights_revision(folder, options.cache_dir),
        dimension=dimension,
        window_tokens=options.window_tokens or NO_LIMIT_TOKENS,
        pooling="mean",
        query_prefix=query if options.query_prefix is None else options.query_prefix,
        chunk_prefix=chunk if options.chunk_prefix is None else options.chunk_prefix,
    )
    return StaticEmbedder(fingerprint, lexicon)


class TokenLexicon:
    """The tokens of one model."""

    unit = "token"

    def __init__(self, folder: Path) -> None:
        """Read the tokenizer and the header of the matrix.

        Raises:
            SettingsError: one of them is missing or damaged.
        """
        self._file = folder / "model.safetensors"
        self._tensors = _header(self._file)
        name = next((name for name in _MATRICES if name in self._tensors), None)
        if name is None or len(self._tensors[name].shape) != 2:
            raise SettingsError(
                f"{self._file} holds no matrix of a static model ({' or '.join(_MATRICES)}). "
                "Fetch the model again, or name another."
            )
        self._matrix = name
        self._tokenizer = FastTokenizer(folder / "tokenizer.json", lower_case=False, special=False)
        self._left_out = self._tokenizer.unknown_id if name == _MATRICES[0] else None
        self._dimension = self.dimension
        self._lock = threading.Lock()

    @property
    def dimension(self) -> int:
        """Columns of the matrix."""
        return self._tensors[self._matrix].shape[1]

    def keep(self, dimension: int) -> None:
        """Take only the first columns."""
        self._dimension = dimension

    def counts(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text."""
        return self._tokenizer.counts(texts)

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """The tokens of each text as rows."""
        return [
            Reading([one for one in ids if one != self._left_out], [])
            if self._left_out is not None
            else Reading(ids, [])
            for ids in self._tokenizer.ids(texts)
        ]

    def vectors(self) -> Vectors:
        """One row a token, weights not counted in: float32, (tokens, dimension)."""
        with self._lock:
            return self._rows

    def weights(self) -> NDArray[np.float32]:
        """How much each token counts: shape (tokens,)."""
        if "weights" not in self._tensors:
            return np.ones(len(self.vectors()), dtype=np.float32)
        found = self._read("weights").astype(np.float32)
        if found.shape != (len(self.vectors()),):
            raise SettingsError(f"{self._file} does not hold one weight for each token.")
        return found

    def names(self) -> Sequence[str]:
        """The tokens, as the tokenizer writes them."""
        return self._tokenizer.names()

    @functools.cached_property
    def _rows(self) -> Vectors:
        matrix = self._read(self._matrix)[:, : self._dimension].astype(np.float32)
        if "mapping" in self._tensors:
            mapping = self._read("mapping").astype(np.int64)
            if len(mapping) and not 0 <= int(mapping.min()) <= int(mapping.max()) < len(matrix):
                raise SettingsError(f"{self._file} names rows that it does not hold.")
            matrix = matrix[mapping]
        if len(matrix) < len(self.names()):
            raise SettingsError(
                f"{self._file} holds {len(matrix)} rows, fewer than the {len(self.names())} tokens "
                "of the tokenizer beside it. Fetch the model again, or name another."
            )
        return matrix

    def _read(self, name: str) -> NDArray[Any]:
        tensor = self._tensors[name]
        count = int(np.prod(tensor.shape, dtype=np.int64))
        with self._file.open("rb") as file:
            file.seek(tensor.start)
            values: NDArray[Any] = np.fromfile(file, dtype=_TYPES[tensor.dtype], count=count)
        return values.reshape(tensor.shape)


def _header(file: Path) -> dict[str, _Tensor]:
    """The tensors of a safetensors file (https://github.com/huggingface/safetensors, Format)."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > min(LONGEST_HEADER_BYTES, size):
                raise ValueError("its header is longer than the file")
            listed = json.loads(stream.read(length))
        found = {name: one for name, one in listed.items() if name != "__metadata__"}
        return {name: _tensor(one, 8 + length, size) for name, one in found.items()}
    except (OSError, *_DAMAGE) as error:
        raise SettingsError(
            f"{file} cannot be read as safetensors ({error}). Fetch the model again, or name "
            "another."
        ) from error


def _tensor(listed: Mapping[str, Any], offset: int, size: int) -> _Tensor:
    shape = tuple(int(each) for each in listed["shape"])
    start, end = (int(each) for each in listed["data_offsets"])
    if listed["dtype"] not in _TYPES:
        raise ValueError(f"numbers of the type {listed['dtype']}")
    width = np.dtype(_TYPES[listed["dtype"]]).itemsize
    needed = width
    for each in shape:
        needed *= each
    if min((*shape, start)) < 0 or end - start != needed or offset + end > size:
        raise ValueError("a tensor's shape and place do not agree with the file")
    return _Tensor(listed["dtype"], shape, offset + start)


def _prompts(folder: Path) -> tuple[str, str]:
    stored = _json(folder / "config_sentence_transformers.json")
    prompts = stored.get("prompts") if isinstance(stored, dict) else None
    held = prompts if isinstance(prompts, dict) else {}
    return str(held.get("query") or ""), str(held.get("document") or "")


def _kind(module: object) -> str:
    return str(module.get("type", "")).rpartition(".")[2] if isinstance(module, dict) else ""


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
