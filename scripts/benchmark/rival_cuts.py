"""Cut texts with LangChain's and LlamaIndex's splitters at their defaults, for `passages.py`.

    python scripts/benchmark/rival_cuts.py FOLDER > cuts.jsonl

Needs langchain-text-splitters and llama-index-core, best in an environment of their own; nothing
of this package. Pieces that are no slice of their text are looked for from the last one on.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path


def splitters() -> dict[str, Callable[[str], list[str]]]:
    """Name to a function from text to pieces."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter
    from llama_index.core.node_parser import SentenceSplitter

    return {
        "LangChain RecursiveCharacterTextSplitter (default)": (
            RecursiveCharacterTextSplitter().split_text
        ),
        "LlamaIndex SentenceSplitter (default)": SentenceSplitter().split_text,
    }


def main() -> None:
    """Write one line of JSON for each piece."""
    for path in sorted(Path(sys.argv[1]).rglob("*.md")):
        text = path.read_text("utf-8")
        for name, split in splitters().items():
            after = 0
            for piece in split(text):
                start = text.find(piece, after)
                if start < 0:
                    continue
                after = start + 1
                place = {"chunker": name, "document": path.name, "start": start}
                print(json.dumps(place | {"end": start + len(piece)}))


if __name__ == "__main__":
    main()
