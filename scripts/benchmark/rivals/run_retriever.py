"""This package as its README shows it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import measured

from retriever import Retriever, Settings
from retriever import ingest as bring_up_to_date


def settings(state: Path) -> Settings:
    """The defaults, in a folder of the benchmark's."""
    return Settings.load(storage={"path": state / "state"})


def ingest(corpus: Path, state: Path, model: Path) -> None:
    """Ingest the folder; what the model read and what was cut is in the report."""
    report = bring_up_to_date(corpus, settings(state))
    measured.token_counts = lambda *_: {
        "chunks_embedded": report.chunks.embedded,
        "tokens_embedded": report.tokens,
        "tokens_cut": report.tokens_cut,
    }


def open_searcher(state: Path, model: Path) -> Callable[[str, int], Sequence[object]]:
    """Hybrid search."""
    retriever = Retriever.open(settings(state))
    return lambda query, top_k: retriever.retrieve(query, top_k=top_k)


measured.main(ingest, open_searcher)
