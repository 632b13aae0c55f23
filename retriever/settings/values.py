"""What settings are made of: kinds of values, and a table of them."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
PerMinute = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=1_000_000)]
"""A limit of time: 11 days at most, which every clock and socket of a system can count."""
Weight = Annotated[float, Field(gt=0, le=1_000_000)]
LocalPath = Annotated[Path, AfterValidator(lambda path: Path(os.path.expanduser(path)))]
"""A path on this machine; `~` is the home folder, as in a shell."""


class Section(BaseModel):
    """A table of the settings: no unknown keys, finite numbers, no changes after loading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )
