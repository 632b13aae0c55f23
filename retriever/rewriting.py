"""A query in other words: functions that ask a language model of the user's, any `str -> str`.

Each gives what `Retriever.retrieve(query, rewrite=...)` takes: the further texts to look for,
whose rankings are fused with the query's own. What the model answers is only ever searched for.
"""

import re
import warnings
from collections.abc import Callable, Sequence

Complete = Callable[[str], str]
"""A language model: a prompt in, its answer out."""
Rewrite = Callable[[str], Sequence[str]]
"""A query in, further texts to look for out."""

MOST_REWRITINGS = 10
LONGEST_QUERY_CHARACTERS = 500
LONGEST_PASSAGE_CHARACTERS = 2_000

_MULTI_QUERY = """Write {count} other ways to ask the question below, in the same language and \
with other words. Write one a line, and nothing else.

Question: {query}"""
_HYPOTHETICAL = """Write a short passage, as it might stand in a document, that answers the \
question below. Write in the same language, at most five sentences, and nothing else.

Question: {query}"""
_LIST_MARK = re.compile(r"^\s*(?:[-*\u2022]|\(?\d{1,2}[.):])\s+")
_QUOTES = "\"'\u201c\u201d\u2018\u2019`"


class RewritingFailed(UserWarning):
    """The query was looked for as it is: the language model gave nothing to look for."""


def multi_query(complete: Complete, *, count: int = 3) -> Rewrite:
    """Other ways to ask the same (as in RAG-Fusion, Rackauckas 2024).

    Args:
        complete: called once for each query.
        count: most rewritings, from 1 to 10.

    Returns:
        A function that gives at most `count` rewritings, none of them equal to the query. A
        model that raises, or answers with nothing of use, gives none, and a warning.

    Raises:
        ValueError: the count is out of range.
    """
    if not 1 <= count <= MOST_REWRITINGS:
        raise ValueError(f"count is {count}; it must be from 1 to {MOST_REWRITINGS}.")

    def rewrite(query: str) -> list[str]:
        answer = _answer(complete, _MULTI_QUERY.format(count=count, query=query))
        found = {_folded(query): ""}
        for line in answer.splitlines():
            text = _LIST_MARK.sub("", line).strip().strip(_QUOTES).strip()
            found.setdefault(_folded(text), text[:LONGEST_QUERY_CHARACTERS])
        return [text for text in found.values() if text][:count]

    return rewrite


def hypothetical_passage(complete: Complete) -> Rewrite:
    """A passage that might answer the query, to look for its like: HyDE (Gao et al. 2022).

    Args:
        complete: called once for each query.

    Returns:
        A function that gives one passage. A model that raises, or answers with nothing,
        gives none, and a warning.
    """

    def rewrite(query: str) -> list[str]:
        answer = _answer(complete, _HYPOTHETICAL.format(query=query)).strip()
        return [answer[:LONGEST_PASSAGE_CHARACTERS]] if answer else []

    return rewrite


def _answer(complete: Complete, prompt: str) -> str:
    try:
        answer: object = complete(prompt)
    except Exception as error:  # noqa: BLE001  # the user's function: a search goes on without it
        return _none(f"it raised {type(error).__name__}: {error}")
    if not isinstance(answer, str):
        return _none(f"it returned {type(answer).__name__}, not text")
    return answer.replace("\x00", " ") if answer.strip() else _none("it answered with nothing")


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _none(reason: str) -> str:
    """No text, and a warning that says why."""
    warnings.warn(
        f"The query was not rewritten by the language model: {reason:.300}.",
        RewritingFailed,
        stacklevel=5,
    )
    return ""
