"""Counting for providers: never too low, and nothing is fetched for it."""

import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.embedding.provider_tokens import bytes_bound, cl100k_bound, find_tiktoken

TOKEN_COUNTS = {
    # Counted with cl100k_base itself.
    "The quick brown fox jumps over the lazy dog.": 10,
    "tiktoken is great!": 6,
    "2 + 2 = 4": 7,
    "お誕生日おめでとう": 9,
    " " * 81: 1,
    "antidisestablishmentarianism": 6,
}


@pytest.mark.parametrize(("text", "tokens"), TOKEN_COUNTS.items())
def test_the_bound_is_never_too_low(text: str, tokens: int) -> None:
    assert tokens <= cl100k_bound(text) <= bytes_bound(text)


def test_english_prose_counts_about_twice() -> None:
    text = "the people of the town were told about the new school and the old church " * 20
    assert cl100k_bound(text) < 1.1 * 15 * 20


@given(st.text())
def test_a_bound_is_between_a_tokens_least_and_its_bytes(text: str) -> None:
    assert cl100k_bound(text) <= max(bytes_bound(text), 0)


@pytest.mark.skipif(
    importlib.util.find_spec("tiktoken") is None or find_tiktoken() is None,
    reason="tiktoken's vocabulary is not on this machine",
)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=6),
            st.text(alphabet="abcefjqvwxz ", max_size=12),
            st.sampled_from([" the", "  ", "\n", "²", "٣", "123", "don't", " " * 85, "é"]),
        ),
        max_size=14,
    )
)
def test_the_bound_is_at_least_the_exact_count(parts: list[str]) -> None:
    encoding = find_tiktoken()
    assert encoding is not None
    text = "".join(parts).encode("utf-8", "replace").decode()
    assert cl100k_bound(text) >= len(encoding.encode_ordinary(text))
