"""What a run would embed, counted without embedding anything: each text once, as the run does."""

from collections.abc import Collection
from dataclasses import dataclass, field

from retriever.collection import rows
from retriever.ingestion.batching import Batch


@dataclass(slots=True)
class Tally:
    """Counts of what a run would embed; of a text that comes again only a hash is kept."""

    keeps_texts: bool
    """Whether the run has a cache; without one, the next batch embeds a text once more."""
    chunks: int = 0
    cached: int = 0
    tokens: int = 0
    _seen: set[bytes] = field(default_factory=set)

    def add(self, batch: Batch, known: Collection[str]) -> None:
        """Count what the batch lacks; the vectors of texts in `known` are there already."""
        if not self.keeps_texts:
            self._seen.clear()
        for chunk in batch.missing:
            text = chunk.embedded_text
            text_hash = bytes.fromhex(rows.embedded_hash(text))
            is_new = text not in known and text_hash not in self._seen
            self._seen.add(text_hash)
            self.chunks += 1
            self.cached += not is_new
            self.tokens += chunk.token_count * is_new
