"""What a run may spend on a provider, and what it has spent."""

import math
import threading

from retriever.embedding.catalogue import find_row
from retriever.embedding.options import EmbedderOptions
from retriever.errors import BudgetExceeded, SettingsError

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


def open_budget(options: EmbedderOptions) -> Budget:
    """The budget of a provider's model, by the price that the catalogue names.

    Raises:
        SettingsError: a budget is set and the price is not known, so nothing would keep it.
    """
    row = find_row(options.model)
    price = row.price_usd_per_million_tokens if row else 0.0
    if options.budget_usd is not None and not price:
        raise SettingsError(
            f"The price of {options.model} is not known, so embedding.budget_usd cannot be kept. "
            "Leave it unset and set a limit with the provider, or name a model that "
            "`retriever models` lists with its price."
        )
    return Budget(options.budget_usd, price)


def charged_tokens(said: object) -> int:
    """The tokens that a provider says it charged; 0 where that is no finite number above 0."""
    return int(said) if isinstance(said, (int, float)) and 0 < said < math.inf else 0
