"""What a run may spend on a provider, and what it has spent."""

import math
import threading

from retriever.errors import BudgetExceeded

TOKENS_PER_PRICE = 1_000_000


class Budget:
    """What a run has spent, and the most that it may spend; threads may share it."""

    def __init__(self, budget_usd: float | None, price_usd_per_million_tokens: float) -> None:
        """Begin at nothing; no budget means no limit."""
        self._budget_usd = budget_usd
        self._price_usd = price_usd_per_million_tokens / TOKENS_PER_PRICE
        self._lock = threading.Lock()
        self.tokens = 0
        """Tokens charged so far, or reserved for calls that are under way."""

    @property
    def spent_usd(self) -> float:
        """What the tokens so far cost."""
        return self.tokens * self._price_usd

    def reserve(self, tokens: int) -> None:
        """Set tokens aside before a call.

        Raises:
            BudgetExceeded: they would cost more than what is left.
        """
        with self._lock:
            needed = (self.tokens + tokens) * self._price_usd
            if self._budget_usd is not None and needed > self._budget_usd:
                raise BudgetExceeded(needed_usd=needed, budget_usd=self._budget_usd)
            self.tokens += tokens

    def settle(self, reserved: int, charged: int) -> None:
        """Replace a reservation by what was charged."""
        with self._lock:
            self.tokens += charged - reserved


def charged_tokens(said: object) -> int:
    """The tokens that a provider says it charged; 0 where that is no finite number above 0."""
    return int(said) if isinstance(said, (int, float)) and 0 < said < math.inf else 0
