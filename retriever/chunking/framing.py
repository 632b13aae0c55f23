"""What is put above the text of a chunk, and how many tokens that leaves for the text."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from retriever.chunking.embedded_text import ChunkingOptions
from retriever.chunking.token_costs import CHARACTERS_PER_TOKEN, TokenCosts


class Frame(NamedTuple):
    """The title and headings above the text of a section, and the tokens left for the text."""

    title: str
    path: tuple[str, ...]
    room: int
    heading_room: int
    """The same for a chunk that begins with the last heading itself: it is not said twice."""


class Framing:
    """Makes the frames of one document's sections, so that text gets half of the budget."""

    def __init__(
        self,
        title: str,
        headings: Sequence[str],
        *,
        budget_tokens: int,
        options: ChunkingOptions,
        costs: TokenCosts,
    ) -> None:
        self._title = title
        self._budget_tokens = budget_tokens
        self._options = options
        self._costs = self._cost_each({title, *headings}, costs)

    def frame(self, path: tuple[str, ...]) -> Frame:
        """The frame of a section under these headings.

        Headings are left out from the top, then the title, then the last heading, where they
        would take more than half of the budget.
        """
        cost, most = self._costs, self._budget_tokens // 2
        title = self._title if cost[self._title] <= most else ""
        kept = tuple(heading for heading in path if cost[heading] <= most)
        while len(kept) > 1 and cost[title] + self._cost(kept) > most:
            kept = kept[1:]
        if cost[title] + self._cost(kept) > most:
            title = ""
        above = self._cost(kept) if self._options.embed_headings else 0
        own = cost[kept[-1]] if above and kept[-1] == path[-1] else 0
        if self._options.embed_title and title not in kept:
            above += cost[title]
        room = self._room(above)
        return Frame(title, kept, room, self._room(above - own) if own else room)

    def _cost(self, path: tuple[str, ...]) -> int:
        return sum(map(self._costs.__getitem__, path))

    def _room(self, above: int) -> int:
        room = self._budget_tokens - above
        return room - min(self._options.overlap_tokens, room // 2)

    def _cost_each(self, texts: set[str], costs: TokenCosts) -> Mapping[str, int]:
        """Tokens of each text on a line of its own; the whole budget for what is no heading."""
        longest = CHARACTERS_PER_TOKEN * self._budget_tokens
        fitting = sorted(text for text in texts if text.strip() and len(text) <= longest)
        line_break = costs.of_gap("\n", 0, 1)
        each = dict.fromkeys(texts, self._budget_tokens)
        each.update({text: 0 for text in ("", *texts) if not text.strip()})
        for text, cost in zip(fitting, costs.of(fitting), strict=True):
            each[text] = cost + line_break
        return each
