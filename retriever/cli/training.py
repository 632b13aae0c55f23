"""The command that trains word vectors."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retriever.cli.commands import AsJson, Config, Exclude, Folders, Include, load
from retriever.cli.terminal import patience, show, show_json

if TYPE_CHECKING:
    from retriever.training import TrainingReport

NOTE_AFTER_S = 5.0


def train_words(  # noqa: PLR0913  # a command's options are its parameters
    folders: Folders,
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Where to write; .txt is text, anything else binary."),
    ],
    vector_size: Annotated[int, typer.Option(metavar="N", min=1, help="Their dimension.")] = 100,
    window: Annotated[
        int, typer.Option(metavar="N", min=1, help="Words on each side that count.")
    ] = 10,
    min_count: Annotated[
        int, typer.Option(metavar="N", min=1, help="Rarer words are left out.")
    ] = 2,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Threads; 1 gives the same file each time.")
    ] = 1,
    epochs: Annotated[
        int, typer.Option(metavar="N", min=1, help="Times that all texts are read.")
    ] = 20,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of all chance.")] = 1,
    config: Config = None,
    include: Include = None,
    exclude: Exclude = None,
    as_json: AsJson = False,
) -> None:
    """Train word vectors (Word2Vec) on folders of files, to embed with."""
    from retriever.training import TrainingOptions, train_on_folders

    if out.is_dir():
        raise typer.BadParameter(f"{out} is a folder; name a file.", param_hint="--out")
    settings = load(config, None, loading={"include": include, "exclude": exclude})
    options = TrainingOptions(
        vector_size=vector_size,
        window=window,
        min_count=min_count,
        workers=workers,
        epochs=epochs,
        seed=seed,
    )
    try:
        with patience("Reading the files and training ...", after_s=NOTE_AFTER_S):
            report = train_on_folders(folders, out, settings, options=options)
    except OSError as error:
        text = f"{out} cannot be written: {error.strerror}."
        raise typer.BadParameter(text, param_hint="--out") from error
    show_json(_report_json(report)) if as_json else _show_report(report, vector_size)


def _report_json(report: "TrainingReport") -> dict[str, object]:
    return {
        "path": str(report.path),
        "files": report.files,
        "skipped": [{"source": one.source, "reason": one.reason} for one in report.skipped],
        "words": report.trained.words,
        "words_read": report.trained.words_read,
        "words_covered": report.trained.words_covered,
    }


def _show_report(report: "TrainingReport", vector_size: int) -> None:
    trained = report.trained
    share = trained.words_covered / trained.words_read
    show(
        f"{trained.words:,} words from {report.files:,} files, {vector_size} dimensions: "
        f"{report.path}",
        f"They cover {share:.1%} of {trained.words_read:,} running words.",
    )
    if report.skipped:
        show("", "Skipped:", *(f"  {one.source}: {one.reason}" for one in report.skipped))
    show("", "To embed with them:", "", "[embedding]", 'backend = "word-vectors"')
    show(f"path = {_toml(str(report.path))}")


def _toml(text: str) -> str:
    """A string as TOML writes it: JSON's escapes are valid there, but for a lone delete."""
    import json

    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
