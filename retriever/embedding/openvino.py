"""The fast runtime for CPUs: a model converted once, then run without torch.

Kept under the cache folder by the weights' hash and OpenVINO's version: the converted model, a
verdict on its arithmetic, and what OpenVINO compiled. All of it can be deleted at any time.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retriever.embedding.model_files import LocalModel
from retriever.embedding.openvino_running import OpenVINORunner
from retriever.embedding.options import Precision
from retriever.embedding.precision import LEAST_COSINE, PROBES, agreement, choose
from retriever.embedding.revision import HashMemo
from retriever.embedding.tokenizing import Tokenizer
from retriever.errors import EmbeddingError, MissingDependencyError

FAITHFUL_COSINE = 0.9999
"""Mean cosine of the converted model to the original, both in float32: rounding alone."""
HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
BLOB_FOLDER = "compiled"
REFUSAL = "refusal.json"


class NotConvertible(EmbeddingError):
    """The model cannot be run by this runtime; the message says why. Torch runs it instead."""


class NotWritable(NotConvertible):
    """The converted model cannot be written now. That may pass, so nothing remembers it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a converted model."""

    sha256: str
    """Of the converted model's files."""
    precisions: dict[str, str]
    """By processor and setting: the arithmetic that proved good enough there."""


_importing = threading.Lock()


def import_openvino() -> Any:
    """The openvino package, imported without the telemetry that its import would send.

    Importing openvino reports to Google Analytics where `openvino_telemetry` can be imported,
    and uses a stub of its own where it cannot.

    Raises:
        MissingDependencyError: it is not installed.
    """
    with _importing:
        name = "openvino_telemetry"
        before = sys.modules.get(name)
        sys.modules[name] = None  # type: ignore[assignment]
        try:
            import openvino
        except ImportError as error:
            raise MissingDependencyError(
                "openvino", "openvino", "embedding.runtime = 'openvino'"
            ) from error
        finally:
            if before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = before
    return openvino


class ConvertedModels:
    """Converted models on disk."""

    def __init__(self, cache_dir: Path) -> None:
        """Use the folder `openvino` in `cache_dir`."""
        self._openvino = import_openvino()
        self._folder = cache_dir / "openvino"
        self._memo = HashMemo(cache_dir)
        self._core = self._openvino.Core()

    def open(self, model: LocalModel, tokenizer: Tokenizer, precision: Precision) -> OpenVINORunner:
        """The model, from disk where it is whole, else converted anew; torch only for that.

        Raises:
            NotConvertible: it cannot be converted, or differs from the original too much.
        """
        folder = self._folder / _key(model, self._openvino.__version__)
        _raise_refusal(folder)
        verdict = self._read_verdict(folder)
        if verdict is None:
            verdict = self._convert(model, tokenizer, folder)
        setting = f"{self._processor} {precision}"
        chosen = verdict.precisions.get(setting)
        if chosen is None:
            chosen = self._choose(model, tokenizer, folder, precision)
            precisions = verdict.precisions | {setting: chosen}
            _write_json(folder / "verdict.json", asdict(Verdict(verdict.sha256, precisions)))
        return self._compile(folder, chosen)

    @property
    def _processor(self) -> str:
        return str(self._core.get_property("CPU", "FULL_DEVICE_NAME"))

    def _compile(self, folder: Path, precision: str, *, keep: bool = True) -> OpenVINORunner:
        properties = {"INFERENCE_PRECISION_HINT": HINTS[precision]}
        if keep:
            properties["CACHE_DIR"] = str(self._folder / BLOB_FOLDER)

        def compiled(hint: str) -> Any:
            wanted = properties | {"PERFORMANCE_HINT": hint}
            try:
                return self._core.compile_model(str(folder / "model.xml"), "CPU", wanted)
            except RuntimeError as error:
                raise NotConvertible(f"OpenVINO cannot compile it: {_first_line(error)}") from error

        return OpenVINORunner(compiled)

    def _choose(
        self, model: LocalModel, tokenizer: Tokenizer, folder: Path, precision: Precision
    ) -> str:
        capabilities = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        probes = probe_ids(tokenizer, model.fingerprint.window_tokens)
        return choose(
            precision,
            "bfloat16" if "BF16" in capabilities else None,
            lambda candidate: self._compile(folder, candidate, keep=False).embed(probes),
            model=model.fingerprint.model,
        )

    def _read_verdict(self, folder: Path) -> Verdict | None:
        """The verdict on a converted model that is whole, or None."""
        try:
            read = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
            verdict = Verdict(str(read["sha256"]), dict(read["precisions"]))
            whole = verdict.sha256 == self._sha256(folder)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        known = all(precision in HINTS for precision in verdict.precisions.values())
        return verdict if whole and known else None

    def _sha256(self, folder: Path) -> str:
        hashes = [self._memo.sha256(folder / name) for name in ("model.xml", "model.bin")]
        self._memo.save()
        return hashlib.sha256(" ".join(hashes).encode()).hexdigest()

    def _convert(self, model: LocalModel, tokenizer: Tokenizer, folder: Path) -> Verdict:
        from retriever.embedding.converting import convert

        new = self._new_folder()
        try:
            probes = probe_ids(tokenizer, model.fingerprint.window_tokens)
            original = convert(self._openvino, model, probes, new / "model.xml")
            cosine = agreement(self._compile(new, "float32", keep=False).embed(probes), original)
            if cosine < FAITHFUL_COSINE:
                raise NotConvertible(
                    f"converted, its vectors differ (mean cosine {cosine:.5f} to the original, "
                    f"{FAITHFUL_COSINE} is needed; below {LEAST_COSINE} rankings change)"
                )
            verdict = Verdict(self._sha256(new), {})
            _write_json(new / "verdict.json", asdict(verdict))
            _move(new, folder)
        except NotWritable:
            raise
        except NotConvertible as error:
            with suppress(OSError):
                folder.mkdir(exist_ok=True)
            _write_json(folder / REFUSAL, {"reason": str(error)})
            raise
        finally:
            shutil.rmtree(new, ignore_errors=True)
        return verdict

    def _new_folder(self) -> Path:
        """An empty folder to convert into.

        Raises:
            NotWritable: none can be made.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix="new-", dir=self._folder))
        except OSError as error:
            raise NotWritable(
                f"the cache folder {self._folder} cannot be written ({error.strerror})"
            ) from error


def _raise_refusal(folder: Path) -> None:
    """Raise again what an earlier conversion failed with, rather than fail slowly again."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        reason = json.loads((folder / REFUSAL).read_text(encoding="utf-8"))["reason"]
        raise NotConvertible(str(reason))


def probe_ids(tokenizer: Tokenizer, window_tokens: int) -> list[list[int]]:
    """Token ids of the probes, and of one that fills the window."""
    ids = tokenizer.ids(PROBES)
    full = max(ids, key=len)
    full = (full * (window_tokens // len(full) + 1))[:window_tokens]
    return [*(each[:window_tokens] for each in ids), full]


def _key(model: LocalModel, version: str) -> str:
    made = model.fingerprint
    parts = (made.revision, made.backend, made.pooling, str(made.window_tokens), version)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _move(new: Path, folder: Path) -> None:
    """Put a finished folder in the place of whatever is there."""
    with suppress(FileNotFoundError):
        os.replace(folder, new.with_name(f"{new.name}-old"))
        shutil.rmtree(new.with_name(f"{new.name}-old"), ignore_errors=True)
    with suppress(FileExistsError, OSError):
        os.replace(new, folder)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    with suppress(OSError):
        new.write_text(json.dumps(content), encoding="utf-8")
        os.replace(new, path)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
