"""How a command starts, and how it ends: with an exit code, and an error in one line.

0 done, also where nothing was found; 1 an error; 2 wrong usage; 130 stopped with Ctrl-C.
"""

import atexit
import errno
import gc
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn, TextIO

import typer
from typer.core import TyperGroup

from retriever.cli import (
    analysing,
    commands,
    drafting,
    evaluating,
    maintenance,
    swaps,
    training,
)
from retriever.cli.terminal import note, prepare_streams, show
from retriever.errors import FREE_ROOM, RetrieverError

EXIT_ERROR = 1
EXIT_STOPPED = 130
_DEBUG = "--debug"
_OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Packages that are loaded bring hundreds of thousands of objects, none of them garbage: with
Python's 700, looking through them again and again is a tenth of a first search."""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_STOPPED = {
    "ingest": "Stopped. What was done is kept: the same command goes on from here.",
    "swap": "Stopped. The live collection is as it was: the same command goes on from here.",
}


class _Commands(TyperGroup):
    """The commands. Ctrl-C ends each of them alike, in every release of typer."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            note(_STOPPED.get(ctx.invoked_subcommand, "Stopped."))
            raise typer.Exit(EXIT_STOPPED) from None


app = typer.Typer(
    name="retriever",
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help and usage errors as plain lines
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Folders of documents in; exact, scored, cited passages out.",
)
for _command in (
    commands.ingest,
    commands.plan,
    commands.search,
    commands.status,
    commands.collections,
    commands.models,
    commands.config,
    swaps.swap,
    swaps.rollback,
    swaps.prune,
    swaps.cache,
    training.train_words,
    maintenance.check,
    maintenance.repair,
    maintenance.recall,
    maintenance.compact,
    maintenance.export,
    maintenance.import_,
    analysing.similar,
    analysing.analogy,
    analysing.related,
    analysing.clusters,
    analysing.outliers,
    analysing.map_,
    evaluating.eval_,
    evaluating.compare,
    evaluating.tune,
    drafting.questions,
):
    app.command(_command.__name__.rstrip("_").replace("_", "-"))(_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        show(f"retriever {version('rag-retriever')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option(_DEBUG, help="Show the traceback of an error; stands anywhere.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        arguments: the words after `retriever`; those of the process where None.
    """
    words, debug = _without_debug(sys.argv[1:] if arguments is None else arguments)
    prepare_streams()
    _collect_seldom()
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            app(words, prog_name="retriever")
        except RetrieverError as error:
            _show_error(str(error), debug=debug)
        except OSError as error:
            _show_error(_explain_refusal(error), debug=debug)
        except Exception as error:  # noqa: BLE001  # a person gets one line, whatever went wrong
            _show_error(_explain(error), debug=debug)
    sys.exit(EXIT_ERROR)


def _explain_refusal(error: OSError) -> str:
    """What the system refused, in words, and what to do about it."""
    if error.errno in _NO_ROOM:
        return f"{error}. {FREE_ROOM}"
    if error.errno in _NOT_ALLOWED:
        return (
            f"{error}. This user may not read or write that: change its permissions, run the "
            "command as its owner, or name another place (storage.path for collections)."
        )
    return f"{error}. Run it again with --debug to see where."


def _explain(error: Exception) -> str:
    """An error that nobody expected, in words."""
    encoding = sys.getfilesystemencoding()
    if isinstance(error, UnicodeEncodeError) and encoding != "utf-8":
        letters = error.object[error.start : error.end]
        return (
            f"This system's encoding of file names, {encoding}, has no {letters!r}. Set the "
            "environment variable PYTHONUTF8=1, or LC_ALL to a locale of UTF-8 such as C.UTF-8."
        )
    text = f"{type(error).__name__}: {error}. This is a fault of retriever itself."
    return f"{text} Run it again with --debug to see where."


def _collect_seldom() -> None:
    """Look for garbage less often, and not at all in the moment before the process ends."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    atexit.register(gc.freeze)


def _without_debug(words: Sequence[str]) -> tuple[list[str], bool]:
    """The words less `--debug`, which may stand before or after a command, and whether it did."""
    end = list(words).index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != _DEBUG]
    return [*kept, *words[end:]], len(kept) < end


def _show_error(text: str, *, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    note(f"error: {text}")


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    note(f"warning: {message}")
