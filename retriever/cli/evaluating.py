"""The commands that measure: eval, compare, tune."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retriever.cli.commands import AsJson, Collection, Config, load
from retriever.cli.terminal import note, show, show_json
from retriever.cli.writing import refuse_unwritable

if TYPE_CHECKING:
    from retriever.cli.evaluations import Work
    from retriever.evaluation.measures import Measure
    from retriever.evaluation.runs import Evaluation, EvaluationOptions
    from retriever.settings import Settings

Questions = Annotated[
    Path | None,
    typer.Argument(
        metavar="[QUESTIONS]",
        help="Folder in BEIR's layout, or JSONL for the live collection; evaluation.questions if "
        "not given.",
    ),
]
Measures = Annotated[
    list[str] | None,
    typer.Option("--measure", metavar="NAME", help="Such as nDCG@10; may be repeated."),
]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown.")]
Html = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a page with plots and the worst answers.")
]
PASSAGES_HELP = "Passages asked for a question; as many as the deepest measure needs if not given."


def eval_(  # noqa: PLR0913  # a command's options are its parameters
    questions: Questions = None,
    collection: Collection = None,
    config: Config = None,
    measure: Measures = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=X", help="Exit with 1 below it: nDCG@10=0.45; may be repeated."),
    ] = None,
    passages: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=10_000, help=PASSAGES_HELP)
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the collection that a folder is ingested into.")
    ] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Learn from the scores how likely a passage answers."),
    ] = None,
    html: Html = None,
    as_markdown: AsMarkdown = False,
    as_json: AsJson = False,
) -> None:
    """Measure how well a collection answers judged questions."""
    from retriever.cli.evaluations import show_evaluation, shown_work
    from retriever.evaluation.report import as_markdown as in_markdown
    from retriever.evaluation.report import as_object
    from retriever.evaluation.runs import evaluate

    gates = _gates(fail_under)
    for file, option in ((html, "--html"), (calibrate, "--calibrate")):
        refuse_unwritable(file, option)
    settings = load(config, collection)
    judged = _named(questions, settings)
    with shown_work() as work:
        options = _options(measure, gates, passages=passages, keep=keep, work=work)
        options = replace(options, learns=calibrate is not None)
        found = evaluate(judged, settings, options)
    if calibrate is not None and found.learned is not None:
        from retriever.calibration import write_calibration

        write_calibration(calibrate, found.learned.calibration)
        note(f"Wrote {calibrate}: set it as retrieval.calibration")
    if html is not None:
        from retriever.evaluation.page import evaluation_page

        write_page(html, evaluation_page(found))
    if as_json:
        show_json(as_object(found))
    elif as_markdown:
        show(in_markdown(found))
    else:
        show_evaluation(found)
    _check_gates(found, gates)


def compare(  # noqa: PLR0913  # a command's options are its parameters
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG CONFIG... QUESTIONS",
            help="Two or more TOML files, then the folder or JSONL of questions.",
        ),
    ],
    collection: Collection = None,
    config: Config = None,
    measure: Measures = None,
    passages: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=10_000, help=PASSAGES_HELP)
    ] = None,
    html: Html = None,
    as_markdown: AsMarkdown = False,
    as_json: AsJson = False,
) -> None:
    """Measure two or more configurations on the same questions, and say what is luck."""
    from retriever.cli.evaluations import show_comparison, shown_work
    from retriever.evaluation.comparing import (
        compare_configurations,
        comparison_object,
        comparison_rows,
        verdicts,
    )
    from retriever.evaluation.configurations import labels_of
    from retriever.evaluation.report import table

    refuse_unwritable(html, "--html")
    *configurations, questions = files
    if len(set(configurations)) < 2:
        raise typer.BadParameter(
            "name two or more different config files, then the questions.",
            param_hint="CONFIG CONFIG... QUESTIONS",
        )
    settings = {
        label: load([*(config or ()), file], collection)
        for label, file in zip(labels_of(configurations), configurations, strict=True)
    }
    with shown_work() as work:
        options = _options(measure, {}, passages=passages, keep=False, work=work)
        found = compare_configurations(Path(questions), settings, options)
    if html is not None:
        from retriever.evaluation.page import comparison_page

        write_page(html, comparison_page(found))
    if as_json:
        show_json(comparison_object(found))
    elif as_markdown:
        show(table(*comparison_rows(found)), "", *verdicts(found))
    else:
        show_comparison(found)


def tune(  # a command's options are its parameters
    questions: Questions = None,
    collection: Collection = None,
    config: Config = None,
    measure: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to choose by; nDCG@10 if not given.")
    ] = None,
    max_trials: Annotated[
        int, typer.Option(metavar="N", min=2, max=1_000, help="Most combinations that are tried.")
    ] = 24,
    max_minutes: Annotated[
        float | None, typer.Option(metavar="M", min=0, help="Begin no trial after that.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try a small grid of settings: chosen by half of the questions, proved on the other half."""
    from retriever.cli.evaluations import show_tuning, shown_work, tuning_object
    from retriever.evaluation.tuning import TuningOptions, label_of
    from retriever.evaluation.tuning import tune as try_settings

    names = [measure] if measure and _is_of_rankings(measure) else None
    settings = load(config, collection)
    judged = _named(questions, settings)
    with shown_work() as work:
        options = _options(names or ["nDCG@10"], {}, passages=None, keep=False, work=work)
        limits = TuningOptions(
            max_trials=max_trials,
            max_minutes=max_minutes,
            measure=options.measures[0].name if names else measure or "",
            tried=lambda trial: note(f"{trial.score:.4f}  {label_of(trial.changes)}"),
        )
        found = try_settings(judged, settings, options, limits)
    show_json(tuning_object(found)) if as_json else show_tuning(found)


def _named(questions: Path | None, settings: "Settings") -> Path:
    """The questions that were named, here or in the settings."""
    named = questions or settings.evaluation.questions
    if named is None:
        raise typer.BadParameter(
            "name a folder in BEIR's layout or a JSONL file, or set evaluation.questions.",
            param_hint="QUESTIONS",
        )
    return named


def write_page(path: Path, text: str) -> None:
    """Write a page of HTML."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
    note(f"Wrote {path}")


def _options(
    names: list[str] | None,
    gates: dict[str, float],
    *,
    passages: int | None,
    keep: bool,
    work: "Work",
) -> "EvaluationOptions":
    from retriever.evaluation.measures import DEFAULT_MEASURES
    from retriever.evaluation.runs import EvaluationOptions

    wanted = [parse(name, "--measure") for name in names or DEFAULT_MEASURES]
    wanted += [parse(name, "--fail-under") for name in gates if _is_of_rankings(name)]
    unique = {one.name: one for one in wanted}
    return EvaluationOptions(
        measures=tuple(unique.values()),
        passages=passages,
        keep=keep,
        progress=work.ingested,
        tell=work.asked,
    )


def parse(name: str, option: str) -> "Measure":
    """A measure by its name, or a usage error."""
    from retriever.errors import SettingsError
    from retriever.evaluation.measures import parse_measure

    try:
        return parse_measure(name)
    except SettingsError as error:
        others = f" Also {', '.join(_of_no_ranking())}." if option == "--fail-under" else ""
        raise typer.BadParameter(f"{error}{others}", param_hint=option) from error


def _is_of_rankings(name: str) -> bool:
    return name not in _of_no_ranking()


def _of_no_ranking() -> tuple[str, ...]:
    """Measures that ir-measures knows nothing of: they come with the questions that allow them."""
    from retriever.evaluation.runs import AREA
    from retriever.evaluation.spans import names

    return (AREA, *names())


def _gates(values: list[str] | None) -> dict[str, float]:
    """`nDCG@10=0.45` by the measure's own name."""
    found: dict[str, float] = {}
    for text in values or ():
        name, separator, least = text.partition("=")
        name = name.strip()
        if separator and _is_of_rankings(name):
            name = parse(name, "--fail-under").name
        try:
            found[name] = float(least)
        except ValueError as error:
            raise typer.BadParameter(
                f"{text!r} is no bound. Write it as nDCG@10=0.45.", param_hint="--fail-under"
            ) from error
        if not 0 <= found[name] <= 1:
            raise typer.BadParameter(
                f"{text!r}: measures are from 0 to 1.", param_hint="--fail-under"
            )
    return found


def _check_gates(found: "Evaluation", gates: dict[str, float]) -> None:
    """Say which bounds do not hold, and end with 1 if there is one."""
    failed = False
    for name, least in gates.items():
        value = found.figure(name)
        if value is None:
            note(f"failed: {name} was not measured: no question here is judged that way")
        elif value < least:
            note(f"failed: {name} is {value:.4f}, below {least:g}")
        failed |= value is None or value < least
    if failed:
        raise typer.Exit(1)
