"""The identity of local weights: a hash of every file that changes the vectors.

Hashing 90 MB takes a quarter of a second, which is too long for each start: what was hashed
is remembered by the file's size, times and inode.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

MEMO_FILE = "weights.json"
SETTLED_S = 2.0
"""A file that changed this recently may change again within one tick of the file system's clock."""

VOLATILE_KEYS = frozenset(
    {"_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache", "__version__"}
)
"""What copies of one model differ in without changing a vector."""

TOKENIZER_FILES = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
)


def weights_revision(folder: Path, memo_dir: Path | None) -> str:
    """SHA-256 over weights, tokenizer and configuration of the model in `folder`.

    Two copies of one model have equal revisions, wherever they lie.

    Raises:
        OSError: a file cannot be read.
    """
    whole = hashlib.sha256()
    memo = HashMemo(memo_dir)
    for path in _files_that_count(folder):
        name = path.relative_to(folder).as_posix()
        whole.update(f"{name}\0{_identity(path, memo)}\n".encode())
    memo.save()
    return whole.hexdigest()


class HashMemo:
    """Hashes of large files, remembered across processes. A damaged memo is an empty one."""

    def __init__(self, folder: Path | None) -> None:
        """Read what is remembered in `folder`; None remembers nothing."""
        self._file = folder / MEMO_FILE if folder else None
        self._known = _read_memo(self._file) if self._file else {}
        self._changed = False

    def sha256(self, path: Path) -> str:
        """The file's SHA-256, from the memo where the file has not changed since."""
        stat = path.stat()
        stamp = f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"
        key = str(path.resolve())
        known_stamp, _, known_hash = self._known.get(key, "").partition(" ")
        if known_stamp == stamp and len(known_hash) == 64:
            return known_hash
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if time.time() - max(stat.st_mtime, stat.st_ctime) > SETTLED_S:
            self._known[key] = f"{stamp} {digest}"
            self._changed = True
        return digest

    def save(self) -> None:
        """Write what is new; where the folder cannot be written, the next start hashes again."""
        if self._file is None or not self._changed:
            return
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=self._file.parent, suffix=".new", delete=False
            ) as new:
                json.dump(self._known, new)
            os.replace(new.name, self._file)


def _read_memo(file: Path) -> dict[str, str]:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {key: value for key, value in known.items() if isinstance(value, str)}


def _files_that_count(folder: Path) -> list[Path]:
    weights = [path for path in folder.rglob("*.safetensors") if "onnx" not in path.parts]
    configs = [*folder.glob("config.json"), *folder.glob("modules.json")]
    configs += [*folder.glob("sentence_bert_config.json"), *folder.glob("*/config.json")]
    tokenizers = sorted(folder.rglob("tokenizer.json"))
    if not tokenizers:
        tokenizers = [path for name in TOKENIZER_FILES for path in folder.rglob(name)]
    return sorted({*weights, *configs, *tokenizers})


def _identity(path: Path, memo: HashMemo) -> str:
    if path.name != "tokenizer.json" and path.suffix == ".json":
        with contextlib.suppress(ValueError, RecursionError):
            return _stable_json(path)
    return memo.sha256(path)


def _stable_json(path: Path) -> str:
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, dict):
        content = {key: value for key, value in content.items() if key not in VOLATILE_KEYS}
    return json.dumps(content, sort_keys=True)
