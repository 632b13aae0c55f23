"""Passages to the text that a prompt quotes: numbered, delimited, cited, within a budget.

Retrieved text is data. Whatever it says, it stays between its delimiters: text that looks
like one of them is escaped, and nothing in it is executed, fetched or interpreted.
"""

import re
from collections.abc import Callable, Sequence
from xml.sax.saxutils import quoteattr

from retriever.errors import QueryError
from retriever.records import Citation, Context, Passage

_DELIMITER = re.compile(r"<(?=\s*/?\s*(?:passage|passages)\b)", re.IGNORECASE)
_SEPARATOR = "\n"

CountTokens = Callable[[str], int]


def compose_context(
    passages: Sequence[Passage], *, budget_tokens: int, count_tokens: CountTokens
) -> Context:
    """Build the context block of a prompt.

    Passages are taken whole and in the order given; one that does not fit is left out, and
    smaller ones after it may still get in. Numbers count from 1 without gaps.

    Args:
        passages: as a retriever returned them.
        budget_tokens: most tokens of the text, delimiters included.
        count_tokens: tokens of a text, by the tokenizer of the model that will read it.

    Returns:
        The text, its tokens, and what each number in it stands for.

    Raises:
        QueryError: the budget is below 1.
    """
    if budget_tokens < 1:
        raise QueryError(f"budget_tokens is {budget_tokens}; a context needs at least 1.")
    blocks: list[str] = []
    citations: dict[int, Citation] = {}
    left_out: list[Passage] = []
    spent = 0
    for passage in passages:
        number = len(blocks) + 1
        block = _block(number, passage)
        cost = count_tokens(block + _SEPARATOR)
        if spent + cost > budget_tokens:
            left_out.append(passage)
            continue
        spent += cost
        blocks.append(block)
        citations[number] = _citation(number, passage)
    text = _SEPARATOR.join(blocks)
    while blocks and count_tokens(text) > budget_tokens:
        blocks.pop()
        dropped = citations.pop(len(blocks) + 1)
        left_out.insert(0, next(one for one in passages if one.id == dropped.chunk_id))
        text = _SEPARATOR.join(blocks)
    return Context(
        text=text,
        token_count=count_tokens(text) if text else 0,
        citations=citations,
        left_out=tuple(left_out),
    )


def _block(number: int, passage: Passage) -> str:
    attributes = [f'number="{number}"', f"source={_attribute(passage.citation)}"]
    if passage.title:
        attributes.append(f"title={_attribute(passage.title)}")
    if passage.heading_path:
        attributes.append(f"section={_attribute(' > '.join(passage.heading_path))}")
    return f"<passage {' '.join(attributes)}>\n{escape(passage.text)}\n</passage>"


def _attribute(value: str) -> str:
    return quoteattr(" ".join(value.split()))


def escape(text: str) -> str:
    """The text, unable to close its passage or to open another; otherwise untouched."""
    return _DELIMITER.sub("&lt;", text)


def _citation(number: int, passage: Passage) -> Citation:
    return Citation(
        number=number,
        source=passage.source,
        start=passage.start,
        end=passage.end,
        page=passage.page,
        line_start=passage.line_start,
        line_end=passage.line_end,
        chunk_id=passage.id,
    )
