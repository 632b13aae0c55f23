"""What every system's runner shares: a clock that starts with the process, and counted texts.

    python RUNNER.py {ingest,query} CORPUS STATE MODEL_FOLDER QUERIES.json

The driver, `rivals.py` above, sets STARTED_AT to the time at which it started the process, so that
imports and loading the model count, as they do for a user. Texts that the model is given are
counted after the clock has stopped, with the model's own tokenizer.
"""

import functools
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

WINDOW_TOKENS = 256
"""Of all-MiniLM-L6-v2 as sentence-transformers runs it, two special tokens included."""
TOP_K = 5
REPEATS = 3

texts_embedded: list[str] = []


def count_texts_of_sentence_transformers() -> None:
    """Keep every text that sentence-transformers is asked to embed."""
    from sentence_transformers import SentenceTransformer

    original = SentenceTransformer.encode

    @functools.wraps(original)
    def encode(self: Any, sentences: Any, *given: Any, **named: Any) -> Any:
        texts_embedded.extend([sentences] if isinstance(sentences, str) else sentences)
        return original(self, sentences, *given, **named)

    SentenceTransformer.encode = encode


def main(
    ingest: Callable[[Path, Path, Path], None],
    open_searcher: Callable[[Path, Path], Callable[[str, int], Sequence[object]]],
) -> None:
    """Run one action and print its figures as one line of JSON, the last of standard output.

    Args:
        ingest: brings `state` up to date with `corpus`: (corpus, state, model folder).
        open_searcher: (state, model folder) to a function from query and top_k to passages.
    """
    started = float(os.environ["STARTED_AT"])
    action, corpus, state, model, queries = sys.argv[1:]
    if action == "ingest":
        ingest(Path(corpus), Path(state), Path(model))
        figures: dict[str, object] = {"seconds": time.time() - started, "peak_mb": peak_mb()}
        figures |= token_counts(texts_embedded, Path(model))
    else:
        search = open_searcher(Path(state), Path(model))
        asked = json.loads(Path(queries).read_text(encoding="utf-8"))
        if len(search(asked[0], TOP_K)) != TOP_K:
            raise SystemExit(f"The first query did not find {TOP_K} passages: {asked[0]!r}")
        figures = {"first_answer_seconds": time.time() - started}
        figures |= {"query_ms": latencies_ms(search, asked), "peak_mb": peak_mb()}
    print("\n" + json.dumps(figures))


def latencies_ms(
    search: Callable[[str, int], Sequence[object]], queries: Sequence[str]
) -> list[float]:
    """The time of each query, several rounds after one of warming up, in milliseconds."""
    for query in queries:
        search(query, TOP_K)
    found = []
    for query in list(queries) * REPEATS:
        began = time.perf_counter()
        search(query, TOP_K)
        found.append((time.perf_counter() - began) * 1e3)
    return found


def token_counts(texts: Sequence[str], model: Path) -> dict[str, object]:
    """Chunks, tokens that the model read, and tokens beyond its window, which it never saw."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    counts = [
        len(one.ids)
        for start in range(0, len(texts), 1000)
        for one in tokenizer.encode_batch(list(texts[start : start + 1000]))
    ]
    return {
        "chunks_embedded": len(counts),
        "tokens_embedded": sum(min(count, WINDOW_TOKENS) for count in counts),
        "tokens_cut": sum(max(0, count - WINDOW_TOKENS) for count in counts),
    }


def peak_mb() -> int:
    """Most memory that this process has held, and the largest of its children."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) // 1024
