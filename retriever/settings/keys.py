"""Which keys a tree of settings has, and what to say about a wrong one."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, cast, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from retriever.errors import SettingsError

MAX_SHOWN = 80
"""Characters of a bad value that an error repeats."""


def each_field(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield (key, field) of every setting of a tree; keys are dotted: `storage.path`."""
    for name, field in model.model_fields.items():
        section = section_of(field)
        if section is None:
            yield prefix + name, field
        else:
            yield from each_field(section, f"{prefix}{name}.")


def each_value(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, object, str]]:
    """Yield (key, value, description) of every setting of a tree."""
    for name, field in type(model).model_fields.items():
        value = cast(object, getattr(model, name))
        if isinstance(value, BaseModel):
            yield from each_value(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value, field.description or ""


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The table of settings that a field is, or None for a setting."""
    annotation = field.annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def is_open_table(field: FieldInfo) -> bool:
    """Whether a setting is a table that takes any name."""
    return get_origin(field.annotation) is dict


def is_header_table(field: FieldInfo) -> bool:
    """Whether a setting is a table of HTTP headers: their values may be keys.

    Their names are the same in any case; those of other tables are sent as they were written.
    """
    return is_open_table(field) and _holds_secret(field.annotation)


def upwards(key: str) -> Iterator[str]:
    """Yield `a.b.c`, `a.b`, `a`: the item of a list belongs to the setting above it."""
    while key:
        yield key
        key = key.rpartition(".")[0]


def check_layer(
    tree: type[BaseModel],
    layer: Mapping[str, Any],
    origin: str,
    section: type[BaseModel] | None = None,
    prefix: str = "",
) -> dict[str, Any]:
    """Copy the part of a layer under `prefix`, refusing keys that the tree does not have.

    Names of HTTP headers are lower-cased, so that `Authorization` in a file and
    `...__AUTHORIZATION` in the environment are one name and the later one wins.

    Raises:
        SettingsError: a key is unknown, or a value stands where a table belongs.
    """
    checked: dict[str, Any] = {}
    model = section or tree
    for name, value in layer.items():
        if name not in model.model_fields:
            raise SettingsError(_explain_unknown(tree, model, origin, prefix, name))
        field = model.model_fields[name]
        if inner := section_of(field):
            if not isinstance(value, Mapping):
                raise SettingsError(
                    f"{origin}: {prefix}{name} is a table of settings, not a "
                    f"{type(value).__name__}. It holds: {', '.join(inner.model_fields)}."
                )
            checked[name] = check_layer(tree, value, origin, inner, f"{prefix}{name}.")
        elif is_header_table(field) and isinstance(value, Mapping):
            checked[name] = {str(key).lower(): item for key, item in value.items()}
        else:
            checked[name] = value
    return checked


def _explain_unknown(
    tree: type[BaseModel], model: type[BaseModel], origin: str, prefix: str, name: str
) -> str:
    unknown = f"{origin}: unknown setting {prefix}{name}."
    elsewhere = [key for key, _ in each_field(tree) if key.rpartition(".")[2] == name]
    if elsewhere:
        return f"{unknown} Did you mean {' or '.join(elsewhere)}?"
    if near := difflib.get_close_matches(name, model.model_fields, n=1, cutoff=0.5):
        return f"{unknown} Did you mean {prefix}{near[0]}?"
    return f"{unknown} There is: {', '.join(prefix + key for key in model.model_fields)}."


def explain_problems(
    tree: type[BaseModel], error: ValidationError, origins: Mapping[str, str]
) -> str:
    """One sentence for each bad value: where it was set, its key, what is valid.

    The value itself is repeated, cut to a readable length, unless it may be a secret.
    """
    fields = dict(each_field(tree))
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        key = ".".join(str(part) for part in problem["loc"])
        field = next((fields[name] for name in upwards(key) if name in fields), None)
        origin = next((origins[name] for name in upwards(key) if name in origins), "default")
        given = "" if field is None or _holds_secret(field.annotation) else _show(problem["input"])
        lines.append(f"{origin}: {key}: {problem['msg']}{given}.")
    return " ".join(lines)


def _show(value: object) -> str:
    text = repr(value)
    return f", not {text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + '...'}"


def _holds_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(_holds_secret(part) for part in get_args(annotation))
