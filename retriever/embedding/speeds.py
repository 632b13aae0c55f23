"""How fast each model was on this machine, as last measured.

A file that can be deleted at any time; one that cannot be read or written counts as empty.
"""

import contextlib
import json
import math
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

FILE_NAME = "speeds.json"
LONGEST_FILE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Speed:
    """A measured speed."""

    tokens_per_s: float
    measured_on: str
    """The day, as in 2026-11-23 (UTC)."""


class SpeedLog:
    """Speeds by the model's name, in one file of a folder."""

    def __init__(self, folder: Path) -> None:
        """Keep the log in `folder`."""
        self._path = folder / FILE_NAME

    def note(self, model: str, tokens_per_s: float) -> None:
        """Remember what was measured today."""
        speed = Speed(round(tokens_per_s, 1), datetime.now(UTC).date().isoformat())
        held = {name: asdict(one) for name, one in (self.read() | {model: speed}).items()}
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial = self._path.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps(held), encoding="utf-8")
            partial.replace(self._path)

    def read(self) -> dict[str, Speed]:
        """Every speed that is known, by model."""
        try:
            if self._path.stat().st_size > LONGEST_FILE_BYTES:
                return {}
            held = json.loads(self._path.read_text(encoding="utf-8"))
            items = list(held.items())
        except (OSError, ValueError, AttributeError, RecursionError):
            return {}
        found = {str(name): _speed(value) for name, value in items}
        return {name: speed for name, speed in found.items() if speed is not None}


def _speed(value: object) -> Speed | None:
    if not isinstance(value, dict):
        return None
    rate, day = value.get("tokens_per_s"), value.get("measured_on")
    if not isinstance(rate, (int, float)) or not isinstance(day, str):
        return None
    return Speed(float(rate), day[:10]) if math.isfinite(rate) and rate > 0 else None
