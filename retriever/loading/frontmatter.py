"""The block of YAML or TOML in front of a text: where it ends and what it says."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BLOCK_CHARACTERS = 65_536
_YAML_BLOCK = re.compile(r"---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.S | re.M)
_TOML_BLOCK = re.compile(r"\+\+\+[ \t]*\r?\n(.*?)^\+\+\+[ \t]*(?:\r?\n|\Z)", re.S | re.M)
_LOOKS_LIKE_FIELDS = re.compile(r"\s*(?:#.*\n\s*)*[\w\"'-][\w \"'.-]*:(?:\s|$)")

_FAILURES = (
    yaml.YAMLError, ValueError, RecursionError, OverflowError,
    IndexError, KeyError, AttributeError,  # of a tag that its value does not suit: `!!int ""`
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """What stands in front of a text."""

    body_start: int = 0
    """Where the text itself begins; 0 where nothing stands in front of it."""
    fields: Mapping[object, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class _PlainYaml(yaml.SafeLoader):
    """YAML of plain values: `no` is a word, `1:30` no number, aliases are refused."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not followed")
        return super().compose_node(parent, index)


_PlainYaml.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag.rpartition(":")[2] in {"null", "timestamp", "merge", "value"}
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?(?:0|[1-9][0-9]{0,17})$", "-+0123456789"),
    ("float", r"^[-+]?[0-9]{1,17}\.[0-9]{0,17}(?:[eE][-+]?[0-9]{1,3})?$", "-+0123456789"),
):
    _PlainYaml.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def split(text: str) -> FrontMatter:
    """Find and parse the front matter of a text.

    The block counts as front matter if it parses to named values, or looks as if it should have:
    a text that begins with a rule (`---`) keeps its beginning.
    """
    head = text[:MAX_BLOCK_CHARACTERS]
    if match := _YAML_BLOCK.match(head):
        return _parsed(match, _yaml_fields, "YAML")
    if match := _TOML_BLOCK.match(head):
        return _parsed(match, tomllib.loads, "TOML")
    return FrontMatter()


def _parsed(match: re.Match[str], parse: Any, language: str) -> FrontMatter:
    block = match.group(1)
    try:
        fields = parse(block)
    except _FAILURES:
        if language == "YAML" and not _LOOKS_LIKE_FIELDS.match(block):
            return FrontMatter()
        return FrontMatter(match.end(), {}, (f"front matter is not valid {language}",))
    if not isinstance(fields, dict):
        return FrontMatter(match.end() if fields is None else 0)
    return FrontMatter(match.end(), fields)


def _yaml_fields(block: str) -> object:
    loader = _PlainYaml(block)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
