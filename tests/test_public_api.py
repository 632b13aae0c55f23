"""The front door: exactly these names, documented, and errors that can be caught by their root."""

import importlib
import inspect
import pkgutil
from importlib.metadata import version
from types import ModuleType

import pytest

import retriever
from retriever import errors
from retriever.errors import RetrieverError

PUBLIC = [
    "Context",
    "IngestOptions",
    "IngestReport",
    "Passage",
    "Retriever",
    "RetrieverError",
    "Settings",
    "__version__",
    "build_context",
    "ingest",
]
CAUGHT_INSIDE = {"BrokenExchange", "Refusal", "Stopped"}
"""What never leaves its room: the pipe between the loader and its worker broke; a line of an
export is not believed; calls were stopped while one waited for its turn."""
MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(retriever.__path__, "retriever.")
    if not found.name.startswith("retriever.testing")  # needs pytest's machinery when imported
]


def test_the_root_offers_exactly_these_names() -> None:
    assert sorted(retriever.__all__) == sorted(PUBLIC)
    assert dir(retriever) == sorted(PUBLIC)
    assert len(PUBLIC) <= 12


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(retriever, name)
    assert name == "__version__" or inspect.getdoc(value)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = retriever.Nothing


def test_the_version_is_the_distributions() -> None:
    assert retriever.__version__ == version("rag-retriever")


@pytest.mark.parametrize(
    "function",
    ["ingest", "build_context", "Retriever.open", "Retriever.retrieve", "Settings.load"],
)
def test_what_an_application_calls_says_what_it_raises(function: str) -> None:
    value: object = retriever
    for part in function.split("."):
        value = getattr(value, part)
    assert "Raises:" in (inspect.getdoc(value) or "")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_error_of_the_package_descends_from_the_one_root(module: ModuleType) -> None:
    for _, found in inspect.getmembers(module, inspect.isclass):
        if found.__module__ == module.__name__ and issubclass(found, BaseException):
            if issubclass(found, Warning):
                continue
            inside = found.__name__.startswith("_") or found.__name__ in CAUGHT_INSIDE
            assert inside or issubclass(found, RetrieverError), found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_everything_public_in_a_module_has_a_docstring(module: ModuleType) -> None:
    assert module.__doc__
    for name, found in vars(module).items():
        if name.startswith("_") or getattr(found, "__module__", "") != module.__name__:
            continue
        if inspect.isclass(found) or inspect.isfunction(found):
            assert inspect.getdoc(found), f"{module.__name__}.{name}"


def test_the_errors_that_are_also_builtin_ones_can_be_caught_as_such() -> None:
    assert issubclass(errors.QueryError, ValueError)
    assert issubclass(errors.MissingDependencyError, ImportError)
