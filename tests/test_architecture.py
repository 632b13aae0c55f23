"""The house stands as it was drawn: floors, doors, budgets, words."""

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "retriever"
MODULES = sorted(PACKAGE.rglob("*.py"))

FLOORS: dict[str, set[str]] = {
    "street": {"__main__"},
    "doors": {"__init__", "cli", "integrations", "serving"},
    "kits": {"testing"},
    "flows": {
        "analysis",
        "checking",
        "compacting",
        "evaluation",
        "indexing",
        "ingestion",
        "moving",
        "repairing",
        "recalling",
        "retrieval",
        "swapping",
        "training",
        "trying",
    },
    "guards": {"canary"},
    "wiring": {"assembly", "settings"},
    "steps": {
        "calibration",
        "chunking",
        "collection",
        "context",
        "diversity",
        "embedding",
        "fusion",
        "language_model",
        "lexical",
        "loading",
        "merging",
        "reranking",
        "rewriting",
    },
    "ground": {"errors", "protocols", "records", "timing"},
}
"""Rooms from the roof to the ground. A room opens only into rooms on the floors below its own.

Only the flows, the wiring and the ground have doors between rooms of their own floor, and never
a circle of them.
"""
WITH_INNER_DOORS = {"flows", "wiring", "ground"}

IMPORTING_FILES = {
    "chromadb": 1,
    "openai": 1,
    "cohere": 1,
    "gensim": 1,
    "tenacity": 1,
    "pydantic_settings": 1,
    "bm25s": 1,
    "tantivy": 1,
    "sentence_transformers": 2,
}
HEAVY = {
    "chromadb",
    "cohere",
    "gensim",
    "huggingface_hub",
    "openai",
    "openvino",
    "pypdfium2",
    "sentence_transformers",
    "sklearn",
    "tokenizers",
    "torch",
    "trafilatura",
    "transformers",
    "umap",
    "xberg",
}
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "core", "base", "misc"} | {
    "manager",
    "handler",
}
MODULE_LINES = 300
FUNCTION_LINES = 40
MEDIAN_FUNCTION_LINES = 12


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def floor_of(room: str) -> str:
    found = [floor for floor, rooms in FLOORS.items() if room in rooms]
    assert found, f"{room} is a new room: enter it on its floor, in FLOORS"
    return found[0]


def may_open_into(floor: str, other: str) -> bool:
    order = list(FLOORS)
    if floor == other:
        return floor in WITH_INNER_DOORS
    return order.index(floor) < order.index(other)


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of what is imported: of a `from` import, module and name together."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    return tuple(imports(parse(path)))


def imports_when_loaded(path: Path) -> Iterator[str]:
    """Imports that run when the module is loaded: not in functions, not for type checkers."""
    pending: list[ast.AST] = list(parse(path).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node)
        pending.extend(ast.iter_child_nodes(node))


def functions() -> Iterator[tuple[str, int]]:
    """Name and length, in lines of code, of every function: its docstring is not counted.

    Nor are the parameters of a command: they are its options, described where they stand.
    """
    for path in MODULES:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                has_docstring = ast.get_docstring(node) is not None and first.end_lineno is not None
                docstring = first.end_lineno - first.lineno + 1 if has_docstring else 0
                start = first.lineno if room_of(path) == "cli" else node.lineno
                yield f"{name_of(path)}.{node.name}", node.end_lineno - start + 1 - docstring


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout.strip()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_downwards_only(path: Path) -> None:
    room = room_of(path)
    floor_of(room)
    for imported in imports_of(path):
        package, _, inside = imported.partition(".")
        other = inside.split(".")[0]
        if package == "retriever" and other != room:
            floors = floor_of(room), floor_of(other)
            assert may_open_into(*floors), f"{name_of(path)} imports {imported}: {floors}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nobody_imports_the_front_door(path: Path) -> None:
    """`from retriever import x` is allowed for a module x, never for a name of the package."""
    for imported in imports_of(path):
        assert imported != "retriever"
        if imported.startswith("retriever."):
            first = imported.split(".")[1]
            assert (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").is_file(), imported


def test_there_is_no_import_cycle() -> None:
    edges: dict[str, set[str]] = {}
    known = {name_of(path).removesuffix("/__init__").replace("/", ".") for path in MODULES}
    for path in MODULES:
        module = name_of(path).removesuffix("/__init__").replace("/", ".")
        inside = [name[10:] for name in imports_when_loaded(path) if name.startswith("retriever.")]
        edges[module] = {
            name if name in known else name.rpartition(".")[0] for name in inside
        } & known
    while free := {module for module, needed in edges.items() if not needed & edges.keys()}:
        edges = {module: needed for module, needed in edges.items() if module not in free}
    assert not edges, f"these import one another: {sorted(edges)}"


@pytest.mark.parametrize("package", IMPORTING_FILES)
def test_a_vendor_is_imported_in_one_place(package: str) -> None:
    files = [
        name_of(path)
        for path in MODULES
        if any(name.split(".")[0] == package for name in imports_of(path))
    ]
    assert len(files) <= IMPORTING_FILES[package], files


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_packages_are_imported_inside_functions(path: Path) -> None:
    assert not HEAVY & {name.split(".")[0] for name in imports_when_loaded(path)}


def test_importing_every_room_loads_no_heavy_package_and_touches_nothing() -> None:
    """Environment and logging are as they were; so are the warnings' filters."""
    names = [
        ("retriever." + name_of(path).removesuffix("/__init__").replace("/", "."))
        for path in MODULES
        if room_of(path) not in ("__init__", "testing") and path.stem != "worker"
    ]
    code = f"""
import importlib, logging, os, sys, warnings
import numpy  # it adds filters of its own
before = dict(os.environ), list(logging.root.handlers), list(warnings.filters)
for name in {names!r}:
    importlib.import_module(name)
assert before == (dict(os.environ), list(logging.root.handlers), list(warnings.filters))
print(sorted(sys.modules.keys() & {HEAVY!r}))
"""
    assert run_python(code) == "[]"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["ingest", "--help"]], ids=" ".join)
def test_import_and_help_load_no_heavy_package(arguments: list[str]) -> None:
    code = f"""
import sys
import retriever
if {arguments!r}:
    from retriever.cli import main
    sys.argv = ["retriever", *{arguments!r}]
    try:
        main()
    except SystemExit:
        pass
print("loaded", sorted(sys.modules.keys() & {HEAVY!r}))
"""
    assert run_python(code).endswith("loaded []")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_short_enough_to_be_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES


def test_functions_are_short() -> None:
    lengths = dict(functions())
    assert not {name: length for name, length in lengths.items() if length > FUNCTION_LINES}
    assert statistics.median(lengths.values()) <= MEDIAN_FUNCTION_LINES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_name_is_a_junk_drawer(path: Path) -> None:
    classes = [node.name for node in ast.walk(parse(path)) if isinstance(node, ast.ClassDef)]
    words = [word.lower() for name in classes for word in re.findall(r"[A-Z][a-z]+", name)]
    assert not FORBIDDEN_NAMES & {*words, *path.stem.split("_")}
    assert len(path.relative_to(PACKAGE).parts) == 1 or path.stem != path.parent.name


def test_only_the_collection_says_distance() -> None:
    """Elsewhere a higher score is better, and nobody has to ask which way round a number is."""
    for path in MODULES:
        if room_of(path) != "collection":
            assert not re.search(r"\bdistances?\b", path.read_text(encoding="utf-8")), name_of(path)


def test_no_emoji_and_no_unfinished_work() -> None:
    written = [*MODULES, *(ROOT / "configs").glob("*.toml"), *ROOT.glob("*.md")]
    written += [path for path in (ROOT / "scripts").iterdir() if path.is_file()]
    for path in written:
        text = path.read_text(encoding="utf-8")
        assert not re.search("[\U0001f000-\U0001faff\u2705\u274c\u2728\ufe0f]", text), path
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", text), path
