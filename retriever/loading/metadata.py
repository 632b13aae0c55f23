"""What a file says about itself, bounded: a hostile header must not become a hostile record."""

import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time

from retriever.loading.decoding import storable
from retriever.records import MetadataValue

MAX_KEYS = 16
MAX_KEY_BYTES = 36
MAX_VALUE_BYTES = 8000
_MAX_INTEGER = 1 << 63


def bounded(
    fields: Mapping[object, object],
) -> tuple[dict[str, MetadataValue], tuple[str, ...]]:
    """Keep what a store takes of some fields, and say what was dropped.

    Strings, numbers, truth values and lists of strings stay; dates become ISO 8601; values of
    any other kind, keys over 36 bytes or with `#` or `$` in front, values over 8,000 bytes and
    everything beyond 16 keys are dropped. Empty values are left out without a word.
    """
    kept: dict[str, MetadataValue] = {}
    dropped: list[str] = []
    for key, value in fields.items():
        name = storable(str(key)).strip()
        if value is None or value == "" or value == []:
            continue
        usable = _value(value)
        if usable is None or not _is_key(name) or len(kept) >= MAX_KEYS:
            dropped.append(name[:MAX_KEY_BYTES])
        else:
            kept[name] = usable
    if not dropped:
        return kept, ()
    more = f" and {len(dropped) - 5} more" if len(dropped) > 5 else ""
    return kept, (f"metadata not kept: {', '.join(dropped[:5])}{more}",)


def _is_key(name: str) -> bool:
    return bool(name) and name[0] not in "#$" and len(name.encode()) <= MAX_KEY_BYTES


def _value(value: object) -> MetadataValue | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_MAX_INTEGER <= value < _MAX_INTEGER else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, str):
        return _short(storable(value).strip())
    if isinstance(value, (list, tuple)):
        return _strings(value)
    return None


def _short(value: str) -> str | None:
    return value if value and len(value.encode()) <= MAX_VALUE_BYTES else None


def _strings(values: Iterable[object]) -> tuple[str, ...] | None:
    plain = [_value(value) for value in values]
    if any(value is None or isinstance(value, tuple) for value in plain):
        return None
    strings = tuple(value if isinstance(value, str) else str(value) for value in plain)
    return strings if sum(len(value.encode()) for value in strings) <= MAX_VALUE_BYTES else None
