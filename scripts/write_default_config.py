"""Write configs/default.toml from the settings themselves: run it after adding a setting."""

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from retriever.settings import Settings
from retriever.settings.keys import section_of

TARGET = Path(__file__).parents[1] / "configs" / "default.toml"
HEAD = """\
# Every setting with its default. A config file of your own needs only the lines that differ:
#
#     retriever ingest docs --config mine.toml
#
# Several files may be named, and later ones win. The environment wins over files
# (RETRIEVER_EMBEDDING__MODEL=...), arguments win over all. Lines that are commented out are unset.
# `retriever config` shows what is in force and where it came from.
"""


def render() -> str:
    """The text of configs/default.toml."""
    return "\n".join([HEAD, *_settings(Settings, ""), *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        section = section_of(field)
        if section is not None:
            purpose = (section.__doc__ or "").splitlines()[0]
            yield f"\n# {purpose}\n[{name}]"
            yield from _settings(section, f"{name}.")


def _settings(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if section_of(field) is None:
            yield f"# {field.description}"
            yield f"# {name} = ..." if field.default is None else f"{name} = {_toml(field.default)}"


def _toml(value: object) -> str:
    if isinstance(value, Path):
        return json.dumps(value.as_posix())
    return json.dumps(list(value) if isinstance(value, tuple) else value)  # also valid TOML


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
