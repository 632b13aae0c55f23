"""What trying a model showed, for people."""

from retriever.cli.terminal import printable, show
from retriever.embedding.catalogue import NO_LIMIT_TOKENS
from retriever.trying import ModelTrial


def show_trial(found: ModelTrial) -> None:
    """Print one line for each thing that was found."""
    lines = {
        "model": f"{found.model} ({found.backend}, {found.pooling} pooling)",
        "dimension": f"{found.dimension}",
        "window": _window(found.window_tokens),
        "query prefix": _quoted(found.query_prefix),
        "chunk prefix": _quoted(found.chunk_prefix),
        "both sides": f"cosine {found.sides_cosine:.4f} between a text as query and as chunk",
        "loaded in": f"{found.load_s:.2f} s, first vector included",
        "query": f"{found.query_ms:.1f} ms",
        "chunks": _speed(found.tokens_per_s),
        "to float32": _agreement(found),
    }
    width = max(map(len, lines))
    for name, value in lines.items():
        show(f"{name:<{width}}  {printable(value)}")


def _window(tokens: int) -> str:
    return "any length" if tokens == NO_LIMIT_TOKENS else f"{tokens:,} tokens"


def _quoted(prefix: str) -> str:
    return f'"{prefix}"' if prefix else "none"


def _speed(tokens_per_s: float | None) -> str:
    if tokens_per_s is None:
        return "not timed: that would cost money"
    return f"{tokens_per_s:,.0f} tokens/s"


def _agreement(found: ModelTrial) -> str:
    if found.float32_cosine is None:
        return f"not compared: {found.float32_note}"
    return f"mean cosine {found.float32_cosine:.6f} ({found.float32_note})"
