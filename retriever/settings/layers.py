"""How settings are read: files, the environment and arguments, laid over one another and checked.

`retriever.settings.tree` says which settings there are. This module knows none of them: it walks
the fields of whatever tree it is given.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, PrivateAttr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from retriever.errors import SettingsError
from retriever.settings.keys import (
    check_layer,
    each_field,
    each_value,
    explain_problems,
    is_header_table,
    is_open_table,
    upwards,
)

ENVIRONMENT_PREFIX = "RETRIEVER_"
MAX_FILE_BYTES = 1_000_000
"""A config file is a page of text; anything larger was named by mistake."""
MAX_BESIDE = 30
"""Names of files beside a missing one that an error repeats."""


class LayeredSettings(BaseSettings):
    """A tree of settings that remembers where each value came from."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,  # `X=${X:-}` in a compose file or a CI job means "not set"
        validate_default=True,
        hide_input_in_errors=True,  # a rejected key must not stand in a traceback
    )

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def load(cls, *files: str | Path, **overrides: object) -> Self:
        """Read settings from TOML files, the environment and arguments; later wins.

        An empty environment variable counts as not set.

        Args:
            files: TOML files.
            overrides: settings by name: nested (`storage={"path": "x"}`) or flat
                (`storage__path="x"`). None leaves a setting as it is.

        Raises:
            SettingsError: a file is missing or is not TOML, a key is unknown, a value is bad.
        """
        layers = [(str(file), _read_toml(Path(file))) for file in files]
        layers.append(("environment", _Environment(cls)()))
        layers.append(("argument", _nest(overrides)))
        origins: dict[str, str] = {}
        merged: dict[str, Any] = {}
        for origin, layer in layers:
            checked = check_layer(cls, layer, origin)
            _merge(merged, checked)
            origins |= {key: _name_origin(key, origin) for key in _leaves(cls, checked)}
        try:
            settings = cls(**merged)
        except ValidationError as error:
            raise SettingsError(explain_problems(cls, error, origins)) from error
        settings._origins = origins
        return settings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, checked: no `.env` file is ever picked up unasked."""
        return init_settings, _Environment(settings_cls)

    def describe(self) -> Iterator[tuple[str, object, str, str]]:
        """Yield every setting as (key, value, origin, what it is for); secrets stay masked.

        The origin is a file's path, a variable's name, "argument" or "default".
        """
        for key, value, description in each_value(self):
            yield key, value, self._origins.get(key, "default"), description


class _Environment(EnvSettingsSource):
    """The environment's settings. Strangers with our prefix are errors, not ignored."""

    def __call__(self) -> dict[str, Any]:
        self._refuse_strangers()
        values = super().__call__()
        for key, field in each_field(self.settings_cls):
            parent, _, name = key.rpartition(".")
            section = values.get(parent) if parent else values
            if is_header_table(field) and isinstance(section, dict) and name in section:
                section[name] = self._read_names(key, section[name])
        return values

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except (ValueError, RecursionError) as error:
            name = next(
                name.upper()
                for name, text in self.env_vars.items()
                if text == value and name.endswith(field_name)
            )
            raise SettingsError(
                f"{name} holds a list or a table, so it is written as JSON, such as "
                f'["*.md", "*.pdf"] or {{"name": "value"}}; what it holds is not JSON.'
            ) from error

    def _refuse_strangers(self) -> None:
        fields = dict(each_field(self.settings_cls))
        known = {_variable(key) for key in (*fields, *self.settings_cls.model_fields)}
        tables = tuple(
            f"{_variable(key)}__" for key, field in fields.items() if is_open_table(field)
        )
        for variable in os.environ:
            name = variable.upper()
            if not name.startswith(ENVIRONMENT_PREFIX) or name in known or name.startswith(tables):
                continue
            near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise SettingsError(
                f"The environment variable {variable} is no setting.{hint} "
                "`retriever config` lists them all."
            )

    def _read_names(self, key: str, table: Any) -> Any:
        """Headers in lower case, with `-` for `_`: a shell allows no `-` in a variable's name."""
        if not isinstance(table, Mapping):
            return table
        spelt = {name for name in table if f"{_variable(key)}__{name}".lower() in self.env_vars}
        return {
            (name.replace("_", "-") if name in spelt else name).lower(): value
            for name, value in table.items()
        }


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise SettingsError(_explain_missing(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise SettingsError(
                f"{path} is larger than {MAX_FILE_BYTES} bytes, so it is no config file. "
                "Name a TOML file of settings."
            )
        return tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, or nested beyond reason
        raise SettingsError(f"{path} is not valid TOML: {error}. Correct it there.") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from error


def _explain_missing(path: Path) -> str:
    folder = path if path.is_dir() else path.parent
    what = f"{path} is a folder, not a config file." if path.is_dir() else ""
    if not folder.is_dir():
        return f"There is no config file {path}: there is no folder {folder}. Check the path."
    beside = sorted(file.name for file in folder.glob("*.toml"))
    near = difflib.get_close_matches(path.name, beside, n=1)
    hint = f" Did you mean {folder / near[0]}?" if near else ""
    found = ", ".join(beside[:MAX_BESIDE]) if beside else "no .toml file"
    return f"{what or f'There is no config file {path}.'}{hint} In {folder}: {found}."


def _nest(overrides: Mapping[str, object]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in overrides.items():
        if value is None:
            continue
        *parents, last = key.replace("__", ".").split(".")
        layer: dict[str, Any] = {last: _without_none(value)}
        for parent in reversed(parents):
            layer = {parent: layer}
        _merge(nested, layer)
    return nested


def _without_none(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    return {key: _without_none(item) for key, item in value.items() if item is not None}


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(below.get(key), dict):
            _merge(below[key], value)
        else:
            below[key] = dict(value) if isinstance(value, Mapping) else value


def _leaves(tree: type[BaseModel], layer: Mapping[str, Any]) -> Iterator[str]:
    for key, _ in each_field(tree):
        value: Any = layer
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            yield key


def _name_origin(key: str, origin: str) -> str:
    """The variable that a value came from: its own, or that of the section that held it."""
    if origin != "environment":
        return origin
    spelt = {name.upper(): name for name, value in os.environ.items() if value}
    candidates = [name for name in spelt if name.startswith(f"{_variable(key)}__")]
    candidates += [_variable(part) for part in upwards(key)]
    return next((spelt[name] for name in candidates if name in spelt), origin)


def _variable(key: str) -> str:
    return ENVIRONMENT_PREFIX + key.replace(".", "__").upper()
