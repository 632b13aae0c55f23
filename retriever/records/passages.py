"""What answers a query: candidates, passages, and the context that quotes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from retriever.records.documents import Metadata


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk scored by one ranker; rank 1 is best."""

    chunk_id: str
    ranker: str
    score: float
    """Higher is better; the range is the ranker's."""
    rank: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a chunk stands where it stands: what each ranker said of it, and what fusing did."""

    rank: int
    """Its place after fusing, before reranking and all that follows; 1 is best."""
    score: float
    """Its score then; the range is that of the mode."""
    shares: Mapping[str, float]
    """Ranker to what it added to that score; they sum to it."""
    weights: Mapping[str, float]
    """Ranker to how much it was trusted for this query; they sum to 1."""
    support: float | None
    """How many of the query's words the nearest chunks hold, 0 to 1; None where one ranker
    answered alone."""
    peak: float | None
    """How far the best chunk by words stands above the twentieth, 0 to 1; None likewise."""
    brevity: float | None
    """How few words the query has, 0 to 1; None likewise."""
    terms: Mapping[str, float]
    """The query's words that it holds, as they are indexed, and what each adds to BM25; the
    heaviest first. Empty in mode semantic, which reads no words."""
    missing: tuple[str, ...]
    """The query's words that it lacks."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk handed to a caller, scored and ranked."""

    id: str
    rank: int
    score: float
    """Higher is better; 1 is the best possible."""
    text: str
    source: str
    start: int
    end: int
    page: int | None = None
    line_start: int = 1
    line_end: int = 1
    title: str = ""
    heading_path: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    candidates: tuple[Candidate, ...] = ()
    """The place that each ranker gave it."""
    duplicates: "tuple[Passage, ...]" = ()
    """Passages of the same text, or nearly so, in other places; best first, without duplicates."""
    collection: str = ""
    """The collection that it is from, where several were asked."""
    probability: float | None = None
    """How likely it answers, from 0 to 1, where `retrieval.calibration` was learned for it."""
    parts: "tuple[Passage, ...]" = ()
    """The ranked chunks that it was joined from, best first; empty for a single chunk. What a
    context has no room for as a whole may fit in part."""
    explanation: Explanation | None = None
    """Why it stands where it stands, of its best chunk where it was joined; `Retriever.explain`
    gives it."""

    @property
    def citation(self) -> str:
        """Source and place, for a footnote: `docs/a.pdf, p. 3` or `docs/a.md:10-14`.

        Where several collections were asked, theirs stands before it: `notes: docs/a.md:10-14`.
        """
        source = f"{self.collection}: {self.source}" if self.collection else self.source
        if self.page is not None:
            return f"{source}, p. {self.page}"
        return f"{source}:{self.line_start}-{self.line_end}"

    def __str__(self) -> str:
        """Rank, score, citation and headings on one line, the text below it."""
        headings = f" | {' > '.join(self.heading_path)}" if self.heading_path else ""
        return f"[{self.rank}] {self.score:.3f} {self.citation}{headings}\n{self.text}"


@dataclass(frozen=True, slots=True)
class Citation:
    """What a number in a context stands for."""

    number: int
    source: str
    start: int
    end: int
    page: int | None
    line_start: int
    line_end: int
    chunk_id: str
    also: tuple[str, ...] = ()
    """Other places where the same text stands, as `Passage.citation` writes them."""
    collection: str = ""
    """The collection that it is from, where several were asked."""


@dataclass(frozen=True, slots=True)
class Context:
    """The text that a prompt quotes, and what each number in it stands for."""

    text: str
    token_count: int
    """Tokens of `text`, as the counter that was given counts them."""
    citations: Mapping[int, Citation]
    left_out: tuple[Passage, ...] = ()
    """Passages that did not fit into the budget, or were too many of one document; best first."""

    def __str__(self) -> str:
        """The text."""
        return self.text
