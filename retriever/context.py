"""Passages to the text that a prompt quotes: numbered, delimited, cited, within a budget.

Retrieved text is data. Whatever it says, it stays between its delimiters, and nothing in it is
executed, fetched or interpreted. How each style sees to that:

    xml       text that looks like one of the tags is escaped
    markdown  a code block whose fence is longer than any run of backticks in the text
    plain     every line of the text is indented, and no other line is
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import quoteattr

from retriever.errors import QueryError
from retriever.records import Citation, Context, Passage

Style = Literal["xml", "markdown", "plain"]
Order = Literal["relevance", "document", "edges"]

MOST_DUPLICATES_NAMED = 3
_INVISIBLE = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Control characters, and what Unicode says to draw nothing for (Default_Ignorable_Code_Point)."""
_NAME = f"[{_INVISIBLE}]*".join("passage")
_DELIMITER = re.compile(
    rf"<(?=[\s/{_INVISIBLE}]*{_NAME}(?:[{_INVISIBLE}]*s)?(?:\b|[{_INVISIBLE}]))", re.IGNORECASE
)
_BACKTICKS = re.compile(r"`+")
_LINE_BREAK = re.compile(r"(\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])")
_INDENT = "  "

CountTokens = Callable[[str], int]
Block = Callable[[int, Passage], str]


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """How a context is laid out."""

    style: Style = "xml"
    order: Order = "relevance"
    """`relevance`: as the passages come. `document`: passages of one document together and in
    its order, the document of the best one first. `edges`: the best first, the second best
    last, the least in the middle, which models read least (Liu et al. 2023, Lost in the
    Middle)."""
    max_per_document: int | None = None
    """Most passages of one source; the first ones are taken."""


def compose_context(
    passages: Sequence[Passage],
    *,
    budget_tokens: int,
    count_tokens: CountTokens,
    options: ContextOptions | None = None,
) -> Context:
    """Build the context block of a prompt.

    Passages are taken in the order given. Of one that does not fit, those of its chunks are
    taken that do; where there are none it is left out, and smaller ones after it may still get
    in. What was taken is then put into its order, and
    numbered from 1 without gaps as it stands. The same passages give the same text.

    Args:
        passages: as a retriever returned them.
        budget_tokens: most tokens of the text, delimiters included.
        count_tokens: tokens of a text, by the tokenizer of the model that will read it.
        options: style, order and cap; the defaults where None.

    Returns:
        The text, its tokens, and what each number in it stands for.

    Raises:
        QueryError: the budget or the cap is below 1, or there is no such style or order.
    """
    layout = options or ContextOptions()
    _require_usable(layout, budget_tokens)
    block = _BLOCKS[layout.style]
    separator = _SEPARATORS[layout.style]
    cost = _Costs(layout, count_tokens, budget_tokens)
    left_out: list[Passage] = []
    for passage in passages:
        if not cost.take(passage):
            rest = [one for one in passage.parts if not cost.take(one)]
            left_out.extend(rest if len(rest) < len(passage.parts) else [passage])
    taken = cost.taken
    while True:
        arranged = _ORDERS[layout.order](taken)
        text = separator.join(block(number, one) for number, one in enumerate(arranged, start=1))
        token_count = count_tokens(text) if text else 0
        if token_count <= budget_tokens:
            break
        left_out.insert(0, taken.pop())
    return Context(
        text=text,
        token_count=token_count,
        citations={number: _citation(number, one) for number, one in enumerate(arranged, start=1)},
        left_out=tuple(left_out),
    )


def escape(text: str) -> str:
    """The text, unable to close its passage or to open another; otherwise untouched."""
    return _DELIMITER.sub("&lt;", text)


def _require_usable(options: ContextOptions, budget_tokens: int) -> None:
    if budget_tokens < 1:
        raise QueryError(f"budget_tokens is {budget_tokens}; a context needs at least 1.")
    if options.max_per_document is not None and options.max_per_document < 1:
        raise QueryError(f"max_per_document is {options.max_per_document}; 1 is the least.")
    if options.style not in _BLOCKS:
        raise QueryError(f"There is no style {options.style!r}. Take one of {', '.join(_BLOCKS)}.")
    if options.order not in _ORDERS:
        raise QueryError(f"There is no order {options.order!r}. Take one of {', '.join(_ORDERS)}.")


class _Costs:
    """Takes passages as long as there is room, and keeps to the cap."""

    def __init__(self, layout: ContextOptions, count_tokens: CountTokens, budget: int) -> None:
        self._layout = layout
        self._count_tokens = count_tokens
        self._left = budget
        self._of_source: Counter[tuple[str, str]] = Counter()
        self.taken: list[Passage] = []

    def take(self, passage: Passage) -> bool:
        """Take a passage, if it fits."""
        style, source = self._layout.style, (passage.collection, passage.source)
        block = _BLOCKS[style](len(self.taken) + 1, passage)
        cost = self._count_tokens(block + _SEPARATORS[style])
        if self._of_source[source] == self._layout.max_per_document or cost > self._left:
            return False
        self._left -= cost
        self._of_source[source] += 1
        self.taken.append(passage)
        return True


def _as_given(passages: Sequence[Passage]) -> Sequence[Passage]:
    return passages


def _by_document(passages: Sequence[Passage]) -> Sequence[Passage]:
    first: dict[tuple[str, str], int] = {}
    for place, passage in enumerate(passages):
        first.setdefault((passage.collection, passage.source), place)
    return sorted(passages, key=lambda one: (first[one.collection, one.source], one.start))


def _best_at_edges(passages: Sequence[Passage]) -> Sequence[Passage]:
    return [*passages[::2], *reversed(passages[1::2])]


_ORDERS: Mapping[str, Callable[[Sequence[Passage]], Sequence[Passage]]] = {
    "relevance": _as_given,
    "document": _by_document,
    "edges": _best_at_edges,
}


def _xml(number: int, passage: Passage) -> str:
    attributes = [f'number="{number}"', f"source={_attribute(passage.citation)}"]
    if passage.duplicates:
        attributes.append(f"also={_attribute(_others(passage))}")
    if passage.title:
        attributes.append(f"title={_attribute(passage.title)}")
    if passage.heading_path:
        attributes.append(f"section={_attribute(' > '.join(passage.heading_path))}")
    return f"<passage {' '.join(attributes)}>\n{escape(passage.text)}\n</passage>"


def _markdown(number: int, passage: Passage) -> str:
    heading = _heading(passage)
    span = "`" * (_longest_run(heading) + 1)
    inner = f" {heading} " if "`" in heading else heading
    fence = "`" * max(3, _longest_run(passage.text) + 1)
    place = f"[{number}] {span}{inner}{span}"
    return f"{place}\n\n{fence}text\n{passage.text}\n{fence}"


def _plain(number: int, passage: Passage) -> str:
    text = _LINE_BREAK.sub(rf"\1{_INDENT}", passage.text)
    return f"[{number}] {_heading(passage)}\n{_INDENT}{text}"


_BLOCKS: Mapping[str, Block] = {"xml": _xml, "markdown": _markdown, "plain": _plain}
_SEPARATORS = {"xml": "\n", "markdown": "\n\n", "plain": "\n\n"}


def _heading(passage: Passage) -> str:
    """Where the passage stands, on one line."""
    above = (passage.title, *(one for one in passage.heading_path if one != passage.title))
    also = f"also {_others(passage)}" if passage.duplicates else ""
    parts = [passage.citation, also, " > ".join(filter(None, above))]
    return " | ".join(" ".join(part.split()) for part in parts if part)


def _others(passage: Passage) -> str:
    """The other places of the same text, few of them by name."""
    named = [one.citation for one in passage.duplicates[:MOST_DUPLICATES_NAMED]]
    more = len(passage.duplicates) - len(named)
    return "; ".join([*named, *([f"{more} more"] if more else [])])


def _longest_run(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)


def _attribute(value: str) -> str:
    return quoteattr(" ".join(value.split()))


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
        also=tuple(one.citation for one in passage.duplicates),
        collection=passage.collection,
    )
