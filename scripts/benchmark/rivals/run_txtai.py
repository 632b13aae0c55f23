"""txtai as its page "Embeddings" shows it: hybrid, with content; it leaves cutting to its user."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import measured

WORDS = 180


def chunks(corpus: Path) -> Iterator[tuple[str, str]]:
    """Id and text of windows of words, cut by hand."""
    for path in sorted(one for one in corpus.rglob("*") if one.is_file()):
        words = path.read_text(encoding="utf-8").split()
        for start in range(0, len(words), WORDS):
            yield f"{path}:{start}", " ".join(words[start : start + WORDS])


def ingest(corpus: Path, state: Path, model: Path) -> None:
    """Index everything and save."""
    from txtai import Embeddings

    rows = list(chunks(corpus))
    embeddings = Embeddings(path=str(model), content=True, hybrid=True)
    embeddings.index((name, text, None) for name, text in rows)
    embeddings.save(str(state / "index"))
    measured.texts_embedded.extend(text for _, text in rows)


def open_searcher(state: Path, model: Path) -> Callable[[str, int], Sequence[object]]:
    """Hybrid search."""
    from txtai import Embeddings

    embeddings = Embeddings()
    embeddings.load(str(state / "index"))
    return lambda query, top_k: embeddings.search(query, top_k)


measured.main(ingest, open_searcher)
