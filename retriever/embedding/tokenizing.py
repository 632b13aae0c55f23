"""Counting tokens as the model counts them, and cutting long queries into windows.

`tokenizer.json` is read by the tokenizers library alone: neither torch nor transformers is
loaded. Models without that file are counted by the tokenizer that transformers makes for them.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from retriever.errors import EmbeddingRejected, SettingsError

MOST_WORDS = 200_000
LONGEST_WORD = 64
"""Characters of a word whose count is kept: longer ones seldom come twice."""
_BLANKS = re.compile(r"[ \t\n\r]+")
PROBE_BATCH = 512
"""Texts tokenized at a time: the token objects of more would only take memory."""


class Tokenizer(Protocol):
    """Turns texts into token ids, special tokens included, without cutting."""

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text."""
        ...

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many token ids each text has: cheaper than the ids themselves."""
        ...

    def ends(self, text: str) -> list[int]:
        """For each token of the text, special ones left out, where it ends in the text."""
        ...

    def spans(self, text: str) -> list[tuple[int, int]]:
        """For each token id of the text, where it stands in it; (n, n) for special tokens.

        Raises:
            EmbeddingRejected: the tokenizer does not know.
        """
        ...


class FastTokenizer:
    """The tokenizer of a `tokenizer.json`."""

    def __init__(self, file: Path, *, lower_case: bool, special: bool = True) -> None:
        """Read the file; `special` says whether special tokens are put around a text.

        Raises:
            SettingsError: it cannot be read.
        """
        import tokenizers

        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises plain Exceptions
            raise SettingsError(
                f"{file} cannot be read ({error}). The model's folder is damaged: remove it "
                "and let it be fetched again, or name another with embedding.path."
            ) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._lower_case = lower_case
        self._special = special
        adds_up = not lower_case and _parts_at_blanks(self._tokenizer.to_str())
        self._words = WordCounts(self._counted) if adds_up else None

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, special tokens included."""
        return [encoding.ids for encoding in self._encoded(texts)]

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many token ids each text has, special tokens included."""
        if self._words is None:
            return self._counted(texts)
        return self._words.counts(texts)

    @property
    def unknown_id(self) -> int | None:
        """The id of the token that stands for what is unknown; None where there is none."""
        model = json.loads(self._tokenizer.to_str())["model"]
        name = model.get("unk_token")
        found: int | None = (
            model.get("unk_id") if name is None else self._tokenizer.token_to_id(name)
        )
        return found

    def names(self) -> list[str]:
        """The tokens by their ids; empty where an id has none."""
        size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        return [self._tokenizer.id_to_token(number) or "" for number in range(size)]

    def _counted(self, texts: Sequence[str]) -> list[int]:
        return [len(encoding) for encoding in self._encoded(texts)]

    def ends(self, text: str) -> list[int]:
        """Where each token of the text ends, special tokens left out."""
        encoding = self._tokenizer.encode(self._ready(text), add_special_tokens=False)
        return [end for _, end in encoding.offsets]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token stands in the text, special tokens included."""
        return list(self._tokenizer.encode(self._ready(text)).offsets)

    def _encoded(self, texts: Sequence[str]) -> Iterator[Any]:
        for start in range(0, len(texts), PROBE_BATCH):
            ready = [self._ready(text) for text in texts[start : start + PROBE_BATCH]]
            yield from self._tokenizer.encode_batch_fast(ready, add_special_tokens=self._special)

    def _ready(self, text: str) -> str:
        whole = well_formed(text)
        lower = whole.lower() if self._lower_case else whole
        # Lower-casing may change a text's length, and ends are counted in the text as given.
        return lower if len(lower) == len(whole) else whole


class WordCounts:
    """Counts texts by their words, each of which is tokenized once.

    Exact where a tokenizer parts text at every blank before it does anything else, as BERT's
    does: then the count of a text is the sum of its words' counts. Threads may share it.
    """

    def __init__(self, count: Callable[[Sequence[str]], list[int]]) -> None:
        """Count by `count`, which knows the tokens of each text, special ones included."""
        self._count = count
        self._special = count([""])[0]
        self._known: dict[str, int] = {}

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, special tokens included."""
        words_of = [_BLANKS.split(text) for text in texts]
        known = self._known
        try:
            sums = [sum(map(known.__getitem__, words)) for words in words_of]
        except KeyError:
            costs = self._learn(set().union(*words_of))
            sums = [sum(map(costs.__getitem__, words)) for words in words_of]
        return [self._special + total for total in sums]

    def _learn(self, words: set[str]) -> Mapping[str, int]:
        """The counts of these words; those that may come again are kept."""
        if len(self._known) > MOST_WORDS:
            self._known = {}
        known = self._known
        costs = {word: known[word] for word in words if word in known}
        unknown = list(words.difference(costs))
        for word, count in zip(unknown, self._count(unknown), strict=True):
            costs[word] = count - self._special
            if len(word) <= LONGEST_WORD:
                known[word] = costs[word]
        return costs


def _parts_at_blanks(definition: str) -> bool:
    """Whether a tokenizer, by its own definition, is BERT's: words first, then word pieces."""
    parts = json.loads(definition)
    kinds = [(parts.get(name) or {}).get("type") for name in ("normalizer", "pre_tokenizer")]
    model = parts.get("model") or {}
    blank_tokens = any(_BLANKS.search(token["content"]) for token in parts.get("added_tokens", ()))
    return (
        kinds == ["BertNormalizer", "BertPreTokenizer"]
        and model.get("type") == "WordPiece"
        and not blank_tokens
    )


class SlowTokenizer:
    """The tokenizer that transformers makes from a folder without `tokenizer.json`."""

    def __init__(self, folder: Path) -> None:
        """Load it; this imports transformers.

        Raises:
            SettingsError: the folder holds no tokenizer.
        """
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # the libraries that read damaged files raise anything
            raise SettingsError(
                f"{folder} holds no tokenizer that can be loaded: {error}. "
                "A tokenizer.json beside the weights is what is needed."
            ) from error

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, special tokens included."""
        ready = [well_formed(text) for text in texts]
        if not ready:
            return []
        found: list[list[int]] = self._tokenizer(ready, truncation=False, verbose=False)[
            "input_ids"
        ]
        return found

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many token ids each text has, special tokens included."""
        return [len(ids) for ids in self.ids(texts)]

    def ends(self, text: str) -> list[int]:
        """An end for each character: this tokenizer does not say where its tokens end."""
        return list(range(1, len(text) + 1))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Refused: this tokenizer does not say where its tokens stand."""
        raise EmbeddingRejected(
            "This model's tokenizer does not say where its tokens stand in a text. A "
            "tokenizer.json beside the weights is what is needed."
        )


def open_tokenizer(folder: Path, *, lower_case: bool) -> Tokenizer:
    """The tokenizer of the model in `folder`.

    Raises:
        SettingsError: there is none that can be read.
    """
    for file in (folder / "tokenizer.json", *sorted(folder.glob("*/tokenizer.json"))):
        if file.is_file():
            return FastTokenizer(file, lower_case=lower_case)
    return SlowTokenizer(folder)


def split_to_fit(tokenizer: Tokenizer, text: str, *, prefix: str, window_tokens: int) -> list[str]:
    """Cut a text into parts that fit the window with the prefix, at spaces where there are any.

    Nothing is left out but white space at the cuts. At least one part, for an empty text too.
    """
    text = well_formed(text)
    ends = tokenizer.ends(text)
    overhead = len(tokenizer.ids([prefix])[0])
    parts: list[str] = []
    start, first = 0, 0
    while first < len(ends):
        room = max(1, window_tokens - overhead)
        end = _cut(text, ends, first, room)
        # A part that was cut out is not always tokenized as it was inside the text.
        while room > 1 and len(tokenizer.ids([prefix + text[start:end]])[0]) > window_tokens:
            room = room * 9 // 10
            end = _cut(text, ends, first, room)
        parts.append(text[start:end])
        start = end
        while first < len(ends) and ends[first] <= end:
            first += 1
    return [part for part in parts if part.strip()] or [text[:0]]


def _cut(text: str, ends: Sequence[int], first: int, room: int) -> int:
    last = first + room - 1
    if last >= len(ends) - 1:
        return len(text)
    end = ends[last]
    begin = ends[first]
    space = max(text.rfind(" ", begin, end), text.rfind("\n", begin, end))
    return space if space > begin else max(end, begin)


def well_formed(text: str) -> str:
    """The text with lone surrogates, which are no Unicode, replaced by question marks."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")
    return text
