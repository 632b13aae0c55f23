"""Make a judged set of short questions to code: the running Python's standard library.

    python scripts/benchmark/code_search.py FOLDER [--packages numpy scipy ...]

With `--packages`, of installed packages instead, 6,000 functions of them at most.

Writes corpus.jsonl, queries.jsonl and qrels.tsv (BEIR's layout) to FOLDER. A document is a
function without its docstring; a question is the docstring's first sentence, of 3 to 9 words, in
small letters; the function that it describes answers it. Which functions there are depends on
the version of Python, or of the packages.
"""

import argparse
import ast
import json
import random
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

SEED = 5
QUESTIONS = 400
MOST_FUNCTIONS = 6_000
MOST_LINES = 60
LEAST_LINES = 4
SKIPPED = frozenset(
    {"test", "tests", "testing", "site-packages", "idlelib", "lib2to3", "turtledemo"}
)


def described(path: Path) -> Iterator[tuple[str, str]]:
    """The first sentence of each function's docstring, and the function without it."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, SyntaxError, UnicodeDecodeError):
        return
    lines = text.splitlines()
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        docstring, docstring_node = ast.get_docstring(node), node.body[0]
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        if not docstring or last - node.lineno > MOST_LINES:
            continue
        code = lines[first : docstring_node.lineno - 1] + lines[docstring_node.end_lineno : last]
        if len(code) >= LEAST_LINES:
            sentence = docstring.split("\n\n")[0].replace("\n", " ").strip().rstrip(".")
            yield sentence, "\n".join(code)


def is_question(sentence: str) -> bool:
    """Whether a sentence is plain words, few of them."""
    plain = re.match(r"[A-Z][a-z]+ ", sentence) and not re.search(r"[<>`_(){}\[\]=]", sentence)
    return bool(plain) and 3 <= len(sentence.split()) <= 9


def main() -> int:
    """Write the set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--packages", nargs="*", default=[], help="Names of folders of packages.")
    arguments = parser.parse_args()
    folder = arguments.folder
    paths = sysconfig.get_paths()
    installed = [Path(paths["purelib"]) / name for name in arguments.packages]
    found: dict[str, str] = {}
    for root in installed or [Path(paths["stdlib"])]:
        for path in sorted(root.rglob("*.py")):
            if not SKIPPED & set(path.relative_to(root).parts):
                for sentence, code in described(path):
                    found.setdefault(code, sentence)
    functions = list(found.items())
    random.Random(SEED).shuffle(functions)
    functions = functions[:MOST_FUNCTIONS]
    asked = [number for number, (_, said) in enumerate(functions) if is_question(said)][:QUESTIONS]
    folder.mkdir(parents=True, exist_ok=True)
    write(
        folder / "corpus.jsonl",
        [{"_id": str(number), "text": code} for number, (code, _) in enumerate(functions)],
    )
    write(
        folder / "queries.jsonl",
        [{"_id": f"q{number}", "text": functions[number][1].lower()} for number in asked],
    )
    judged = [f"q{number}\t{number}\t1" for number in asked]
    text = "\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n"
    (folder / "qrels.tsv").write_text(text, encoding="utf-8")
    print(f"{len(functions)} functions, {len(asked)} questions in {folder}")
    return 0


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """JSON lines."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
