"""Which arithmetic a local model runs in, and the proof that it changes nothing that matters."""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from retriever.embedding.options import Precision
from retriever.embedding.vectors import normalise

LEAST_COSINE = 0.9995
"""Mean cosine to float32 below which faster arithmetic is not used: rankings begin to change."""

PROBES = (
    "cat",
    "The cat sat on the mat.",
    "How do I cancel my subscription before the end of the month?",
    "Invoices are due within thirty days of the date of issue; late payment incurs interest.",
    "def area(radius: float) -> float:\n    return math.pi * radius ** 2",
    "Der Vertrag verlängert sich um ein Jahr, wenn er nicht fristgerecht gekündigt wird.",
    "| year | revenue | margin |\n|---|---|---|\n| 2023 | 1,204,000 | 12.5 % |",
    "0x7fffdeadbeef 192.168.0.1 2024-02-29T23:59:59Z",
    "自然言語処理は、人間の言葉を計算機に扱わせる技術である。",
    "Attention lets each token weigh every other token of the sequence. " * 6,
)
"""Short and long, prose and code, several scripts: what a corpus is made of."""


def agreement(fast: NDArray[np.floating], exact: NDArray[np.floating]) -> float:
    """Mean cosine between the rows of two arrays of shape (n, dimension)."""
    return float(np.mean(np.sum(normalise(fast) * normalise(exact), axis=1)))


def choose(
    wanted: Precision,
    fast: str | None,
    embed: Callable[[str], NDArray[np.floating]],
    *,
    model: str,
) -> str:
    """The precision to run in: the fast one where it is wanted and proves good enough.

    Args:
        wanted: what the settings say.
        fast: the fastest precision that the device has instructions for, or None.
        embed: vectors of `PROBES` in a precision.
        model: for the warning.
    """
    candidate = fast if wanted == "auto" else wanted
    if candidate is None or candidate == "float32":
        return "float32"
    cosine = agreement(embed(candidate), embed("float32"))
    if cosine >= LEAST_COSINE:
        return candidate
    warnings.warn(
        f"{model} in {candidate} differs from float32 (mean cosine {cosine:.5f}, "
        f"{LEAST_COSINE} is needed): float32 is used. Set embedding.precision = 'float32' to "
        "leave the test out.",
        RuntimeWarning,
        stacklevel=2,
    )
    return "float32"
