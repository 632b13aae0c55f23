"""Values that come out of a file, each believed only after its type and size were checked."""

import base64
import binascii
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from retriever.embedding.vectors import is_sound
from retriever.protocols import Vectors

_NUMBERS_BELOW = 2**63
"""Chroma's integers have 64 bits."""
_RESERVED_KEY = re.compile(r"[#$]|chroma:document$|$")


class Refusal(ValueError):
    """Something in a file that cannot be believed; says what, in the middle of a sentence."""


def refuse(why: str) -> NoReturn:
    """Raise a refusal."""
    raise Refusal(why)


def check_metadata(key: str, value: object) -> None:
    """Refuse a key or value that Chroma does not take as metadata."""
    if _RESERVED_KEY.match(key):
        refuse(f"{key!r:.40} cannot name metadata")
    as_text(key)
    if isinstance(value, str):
        as_text(value)
    elif isinstance(value, list):
        if not value:
            refuse(f"the list {key!r:.40} is empty")
        for item in value:
            as_text(item)
    elif isinstance(value, float):
        if not math.isfinite(value):
            refuse(f"{key!r:.40} is no finite number")
    elif not isinstance(value, int) or not -_NUMBERS_BELOW <= value < _NUMBERS_BELOW:
        refuse(f"{key!r:.40} has a value that cannot be stored")


def is_source(source: str) -> bool:
    """Whether this is `<root>/<path>`, and stays inside its root."""
    parts = source.split("/")
    return (
        len(parts) > 1 and "\x00" not in source and not any(one in ("", ".", "..") for one in parts)
    )


def as_count(value: object) -> int:
    """A number from 0 that Chroma can store."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _NUMBERS_BELOW:
        refuse(f"{value!r:.40} is no count")
    return value


def as_text(value: object) -> str:
    """A text that can be written as UTF-8."""
    if not isinstance(value, str):
        refuse(f"{value!r:.40} is no text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        refuse("a text holds half of a character")
    return value


def as_mapping(value: object) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        refuse("a line lacks one of its parts")
    return value


def encode_vector(vector: Vectors) -> str:
    """A vector as base64 of little-endian float32."""
    return base64.b64encode(np.ascontiguousarray(vector, dtype="<f4").tobytes()).decode("ascii")


def decode_vector(value: object, dimension: int) -> Vectors:
    """What `encode_vector` made: float32, shape (dimension,), finite, of unit length."""
    try:
        data = base64.b64decode(as_text(value), validate=True)
    except binascii.Error:
        refuse("a vector is no base64")
    if len(data) != 4 * dimension:
        refuse(f"a vector has {len(data) / 4:g} dimensions, not {dimension}")
    vector = np.frombuffer(data, dtype="<f4").astype(np.float32)
    if not is_sound(vector, dimension):
        refuse("a vector is not of unit length")
    return vector
