"""The commands and what each takes. What they do is imported when one is called."""

from typing import Annotated, Any

import typer

from retriever.cli.profiling import Profile, profiled
from retriever.cli.terminal import patience, show_json
from retriever.timing import stage

Collection = Annotated[
    str | None, typer.Option(metavar="NAME", help="The collection; the setting of that name.")
]
Config = Annotated[
    list[str] | None,
    typer.Option(
        "--config", metavar="FILE", help="TOML file of settings; may be repeated, later ones win."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Folders = Annotated[
    list[str], typer.Argument(metavar="FOLDER", help="Folders, each PATH or NAME=PATH.")
]
Include = Annotated[
    list[str] | None, typer.Option(metavar="GLOB", help="Only files that match; may be repeated.")
]
Exclude = Annotated[
    list[str] | None, typer.Option(metavar="GLOB", help="No files that match; may be repeated.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Fail at a file that cannot be read.")]
MoveRoot = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=PATH", help="A known root is in another place now."),
]

MODEL_NOTE_AFTER_S = 2.0


def ingest(  # noqa: PLR0913  # a command's options are its parameters
    folders: Folders,
    collection: Collection = None,
    config: Config = None,
    include: Include = None,
    exclude: Exclude = None,
    strict: Strict = False,
    allow_delete: Annotated[
        bool,
        typer.Option(
            "--allow-delete", help="Delete even where a root is empty or most documents are gone."
        ),
    ] = False,
    move_root: MoveRoot = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would do, as `plan` does.")
    ] = False,
    profile: Profile = False,
    as_json: AsJson = False,
) -> None:
    """Bring a collection up to date with folders of files."""
    with profiled(profile):
        with stage("imports"):
            from retriever.cli.progress import shown_progress
            from retriever.cli.reports import report_json, show_report
            from retriever.ingestion import IngestOptions
            from retriever.ingestion import ingest as bring_up_to_date

            settings = load(config, collection, loading={"include": include, "exclude": exclude})
        options = IngestOptions(
            strict=strict, allow_delete=allow_delete, moved_roots=tuple(move_root or ())
        )
        if dry_run:
            _show_estimate(folders, settings, options, as_json=as_json)
            return
        with shown_progress() as progress:
            report = bring_up_to_date(folders, settings, options=options, progress=progress)
        show_json(report_json(report)) if as_json else show_report(report)


def plan(  # noqa: PLR0913  # a command's options are its parameters
    folders: Folders,
    collection: Collection = None,
    config: Config = None,
    include: Include = None,
    exclude: Exclude = None,
    strict: Strict = False,
    move_root: MoveRoot = None,
    as_json: AsJson = False,
) -> None:
    """Say what `ingest` would do: files, chunks, tokens, money, time. Nothing is changed."""
    from retriever.ingestion import IngestOptions

    settings = load(config, collection, loading={"include": include, "exclude": exclude})
    options = IngestOptions(strict=strict, moved_roots=tuple(move_root or ()))
    _show_estimate(folders, settings, options, as_json=as_json)


def search(  # noqa: PLR0913  # a command's options are its parameters
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What to look for.")],
    top_k: Annotated[
        int | None,
        typer.Option(
            "-k", "--top-k", metavar="N", min=1, help="Most passages; retrieval.top_k if not given."
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Filter on metadata (!= > >= < <= too)."),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(metavar="X", help="Leave out passages that score lower.")
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(metavar="MODE", help="hybrid, semantic or lexical; retrieval.mode otherwise."),
    ] = None,
    expand: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Add N chunks before and after; retrieval.expand."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say why each passage stands where it stands.")
    ] = False,
    context: Annotated[
        bool, typer.Option("--context", help="Print the block that a prompt would quote.")
    ] = False,
    budget: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Most tokens of the context.")
    ] = None,
    style: Annotated[
        str | None, typer.Option(metavar="STYLE", help="Of the context: xml, markdown or plain.")
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(metavar="ORDER", help="Of the context: relevance, document or edges."),
    ] = None,
    collection: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="The collection; repeat it to ask several as one."),
    ] = None,
    config: Config = None,
    profile: Profile = False,
    as_json: AsJson = False,
) -> None:
    """Find the passages nearest to a query."""
    condition = _parse_where(where)
    layout = _layout(budget, style, order, wanted=context)
    if explain and context:
        raise typer.BadParameter("it does not go with --context.", param_hint="--explain")
    names = collection or []
    chosen = {"mode": mode, "expand": expand}
    with profiled(profile):
        with stage("imports"):
            from retriever.retrieval import Retriever

            settings = load(config, names[0] if names else None, retrieval=chosen)
        with (
            patience("Loading the model ...", after_s=MODEL_NOTE_AFTER_S),
            Retriever.open(settings, collections=names if len(names) > 1 else None) as retriever,
        ):
            ask = retriever.explain if explain else retriever.retrieve
            passages = ask(query, top_k=top_k, where=condition, min_score=min_score)
        with stage("show"):
            _show_found(passages, query, layout if context else None, as_json=as_json)


def status(collection: Collection = None, config: Config = None, as_json: AsJson = False) -> None:
    """Say what a collection holds and how it was built."""
    from dataclasses import asdict

    from retriever.cli.status import read_status, show_status

    found = read_status(load(config, collection))
    if as_json:
        show_json(asdict(found))
    else:
        show_status(found)


def collections(config: Config = None, as_json: AsJson = False) -> None:
    """List the collections."""
    from retriever import assembly
    from retriever.cli.listings import collection_rows, show_collections

    settings = load(config, None)
    rows = collection_rows(settings)
    if as_json:
        show_json(rows)
    else:
        show_collections(rows, assembly.storage_options(settings).place)


def models(
    check: Annotated[
        str | None,
        typer.Option("--check", metavar="NAME", help="Load a model, try it and time it."),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the models of the catalogue, or try one."""
    from retriever.cli.listings import model_rows, show_models

    if check is not None:
        _try_model(check, config, as_json=as_json)
        return
    rows = model_rows()
    if as_json:
        show_json(rows)
    else:
        show_models(rows)


def config(config: Config = None, collection: Collection = None, as_json: AsJson = False) -> None:
    """Show every setting, its value and where it came from."""
    from retriever.cli.listings import setting_rows, show_settings

    rows = setting_rows(load(config, collection))
    if as_json:
        show_json(rows)
    else:
        show_settings(rows)


def _show_found(passages: Any, query: str, layout: dict[str, Any] | None, *, as_json: bool) -> None:
    """Passages, or the context that `layout` makes of them."""
    from retriever.cli.passages import context_json, passage_json, show_context, show_passages
    from retriever.retrieval import build_context

    if layout is not None:
        built = build_context(passages, **layout)
        show_json(context_json(built)) if as_json else show_context(built)
    elif as_json:
        show_json([passage_json(passage) for passage in passages])
    else:
        show_passages(passages, query)


def _try_model(name: str, config: list[str] | None, *, as_json: bool) -> None:
    from dataclasses import asdict

    from retriever.cli.trials import show_trial
    from retriever.embedding.catalogue import find_row
    from retriever.trying import try_model

    row = find_row(name)
    settings = load(config, None, embedding={"model": row.name if row else name})
    with patience("Loading the model ...", after_s=MODEL_NOTE_AFTER_S):
        found = try_model(settings)
    show_json(asdict(found)) if as_json else show_trial(found)


def _show_estimate(folders: list[str], settings: Any, options: Any, *, as_json: bool) -> None:
    from dataclasses import asdict

    from retriever.cli.reports import show_estimate
    from retriever.ingestion import estimate

    found = estimate(folders, settings, options=options)
    show_json(asdict(found)) if as_json else show_estimate(found)


def load(files: list[str] | None, collection: str | None, **sections: object) -> Any:
    """The settings of this call; Any, since naming their type would load pydantic at start."""
    from retriever.settings import Settings

    return Settings.load(*(files or ()), collection=collection, **sections)


def _layout(
    budget: int | None, style: str | None, order: str | None, *, wanted: bool
) -> dict[str, Any]:
    """What the options say of a context, for `build_context`."""
    from typing import get_args

    from retriever.context import Order, Style

    for option, value, known in (
        ("--budget", budget, ()),
        ("--style", style, get_args(Style)),
        ("--order", order, get_args(Order)),
    ):
        if value is not None and not wanted:
            raise typer.BadParameter("it needs --context.", param_hint=option)
        if value is not None and known and value not in known:
            raise typer.BadParameter(f"it is one of {', '.join(known)}.", param_hint=option)
    layout = {"budget_tokens": budget, "style": style, "order": order}
    return {name: value for name, value in layout.items() if value is not None}


def _parse_where(where: list[str] | None) -> Any:
    from retriever.cli.filtering import parse_filters

    try:
        return parse_filters(where or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--where") from error
