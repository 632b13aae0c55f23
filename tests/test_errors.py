"""Errors say what happened and what to do, keep the facts, and travel between processes."""

import copy
import inspect
import pickle
import re
from datetime import datetime

import pytest

from retriever import errors
from retriever.errors import (
    BudgetExceeded,
    CollectionLocked,
    CollectionNotFound,
    DeletionRefused,
    EmbeddingUnavailable,
    FingerprintMismatch,
    LoadingError,
    MissingDependencyError,
    QueryError,
    RetrieverError,
)

CLASSES = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, BaseException)
]
EXAMPLES: list[tuple[RetrieverError, dict[str, object], str]] = [
    (
        MissingDependencyError("xberg", "office", "Reading DOCX"),
        {"package": "xberg", "extra": "office"},
        "pip install 'rag-retriever[office]'",
    ),
    (
        LoadingError("no text: 14 scanned pages", source="docs/a.pdf"),
        {"reason": "no text: 14 scanned pages", "source": "docs/a.pdf"},
        "docs/a.pdf: no text",
    ),
    (EmbeddingUnavailable("busy", retry_after_s=2.5), {"retry_after_s": 2.5}, "busy"),
    (
        BudgetExceeded(needed_usd=2, budget_usd=1),
        {"needed_usd": 2, "budget_usd": 1},
        "Raise embedding.budget_usd, or ingest less.",
    ),
    (
        BudgetExceeded(needed_usd=0.00015, budget_usd=0),
        {"needed_usd": 0.00015, "budget_usd": 0},
        "about $0.00015, more than the budget of $0. ",
    ),
    (
        CollectionNotFound("dosc", place=".retriever", existing=["docs", "mail"]),
        {"name": "dosc", "existing": ("docs", "mail")},
        "It holds: docs, mail. Make it with: retriever ingest FOLDER --collection dosc",
    ),
    (
        CollectionLocked(".retriever", pid=4711, since=datetime(2026, 11, 1, 8, 30)),
        {"pid": 4711, "since": datetime(2026, 11, 1, 8, 30)},
        "process 4711 since 2026-11-01 08:30:00",
    ),
    (
        FingerprintMismatch("docs", {"model": ("a", "b")}, advice="Run: retriever swap"),
        {"collection": "docs", "differences": {"model": ("a", "b")}},
        "model: 'a' in the collection, 'b' now. Run: retriever swap",
    ),
    (
        DeletionRefused("The folder is empty", deleted=9, existing=10),
        {"deleted": 9, "existing": 10},
        "9 of the collection's 10 documents. Nothing was changed.",
    ),
]


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"( *)([A-Z][A-Za-z]+)(?:\s{2,}|$)", line):
            depth = len(found[1]) // 2
            above = [*above[:depth], found[2]]
            drawn[found[2]] = above[-2] if depth else "Exception"
    assert drawn == {found.__name__: found.__bases__[0].__name__ for found in CLASSES}


@pytest.mark.parametrize(
    ("error", "facts", "words"), EXAMPLES, ids=lambda value: type(value).__name__
)
def test_an_error_keeps_its_facts_and_says_what_to_do(
    error: RetrieverError, facts: dict[str, object], words: str
) -> None:
    assert {name: getattr(error, name) for name in facts} == facts
    assert words in str(error)


@pytest.mark.parametrize(
    "error", [example[0] for example in EXAMPLES], ids=lambda e: type(e).__name__
)
def test_an_error_travels_between_processes_with_its_facts(error: RetrieverError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_what_is_not_known_is_not_invented() -> None:
    assert "another process." in str(CollectionLocked("x", pid=None, since=None))
    assert "holds no collection yet" in str(CollectionNotFound("a", place="x", existing=[]))


def test_a_bad_query_is_also_a_value_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        raise QueryError("empty")
