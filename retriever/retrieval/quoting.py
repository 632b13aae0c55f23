"""Passages to the block of a prompt that quotes them."""

from collections.abc import Callable, Sequence

from retriever import assembly
from retriever.context import ContextOptions, Order, Style, compose_context
from retriever.records import Context, Passage


def build_context(
    passages: Sequence[Passage],
    *,
    budget_tokens: int = 2_000,
    count_tokens: Callable[[str], int] | None = None,
    style: Style = "xml",
    order: Order = "relevance",
    max_per_document: int | None = None,
) -> Context:
    """Build the block of a prompt that quotes passages: numbered, delimited, escaped, cited.

    Args:
        passages: as `Retriever.retrieve` returned them.
        budget_tokens: most tokens of the block.
        count_tokens: tokens of a text by the tokenizer of the model that will read the
            prompt; where None, that of the default embedding model counts.
        style: `xml`, `markdown` or `plain`: how passages are delimited.
        order: `relevance` (as given), `document` (each document's passages together, in its
            order) or `edges` (best first and last, for long contexts).
        max_per_document: most passages of one source, all where None.

    Returns:
        The block as `text`, with the map from number to source and span. The same passages
        give the same block.

    Raises:
        QueryError: the budget or the cap is below 1, or there is no such style or order.
    """
    return compose_context(
        passages,
        budget_tokens=budget_tokens,
        count_tokens=count_tokens or assembly.default_token_counter(),
        options=ContextOptions(style=style, order=order, max_per_document=max_per_document),
    )
