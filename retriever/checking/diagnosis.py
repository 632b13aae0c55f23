"""What is wrong with one generation of a collection, as plain data."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

_UNFOUND_SHARE = 0.25
"""A search of this kind is approximate. In sound indexes it found every vector of a language
model (16,000 searched for), yet missed 1 to 7 % of sparse bags of words. Only a larger share is
damage beyond doubt; a smaller one is told in a note."""

Part = Literal["chunks", "documents"]
"""What a generation consists of."""
PARTS: tuple[Part, ...] = ("chunks", "documents")


@dataclass(slots=True)
class Diagnosis:
    """What disagrees. Ids are those of chunks; it travels between processes as JSON."""

    chunks: int = 0
    documents: int = 0
    fault: str = ""
    """Why an index cannot be read at all; what else is wrong is then unknown."""
    faulty: Part = "chunks"
    """Whose index that is."""
    foreign: list[str] = field(default_factory=list)
    """Rows that are no chunks of ours."""
    altered: dict[str, list[str]] = field(default_factory=dict)
    """By source: chunks whose text is not the one that was stored."""
    lost: dict[str, list[str]] = field(default_factory=dict)
    """By source: chunks whose vectors the index lacks."""
    wrong: dict[str, list[str]] = field(default_factory=dict)
    """By source: chunks whose vectors cannot be right."""
    probed: int = 0
    """Chunks that were searched for by their own vector."""
    unfound: int = 0
    """Those of them that the search did not find."""
    foreign_documents: list[str] = field(default_factory=list)
    """Ids of document rows that are none of ours."""
    vectorless: list[str] = field(default_factory=list)
    """Sources whose own vector is lost, or is not the mean of its chunks' vectors."""
    disagreeing: dict[str, str] = field(default_factory=dict)
    """Sources whose record and chunks disagree, and how."""
    unread: list[str] = field(default_factory=list)
    """Sources that a repair left to be read again."""
    corrections: dict[str, dict[str, Any]] = field(default_factory=dict)
    """For each that disagrees, the fields of a record that says what is there."""

    @property
    def search_fails(self) -> bool:
        """Whether more chunks are not found than a sound index misses."""
        return self.unfound > _UNFOUND_SHARE * self.probed

    @property
    def needs_rebuilding(self) -> bool:
        """Whether an index has lost something: writing to it could hang or crash the writer."""
        return bool(self.lost or self.wrong or self.search_fails or self.vectorless)

    @property
    def is_clean(self) -> bool:
        """Whether everything agrees."""
        found = (getattr(self, one.name) for one in fields(self) if one.name not in _COUNTS)
        return not any(found) and not self.search_fails

    @classmethod
    def parse(cls, values: dict[str, Any]) -> "Diagnosis":
        """From what `asdict` made of one."""
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


_COUNTS = frozenset({"chunks", "documents", "faulty", "probed", "unfound"})
