"""The commands that change which model answers: swap, rollback, prune. And the vector cache."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retriever.cli.commands import AsJson, Collection, Config, load
from retriever.cli.terminal import one_line, show, show_json

if TYPE_CHECKING:
    from retriever.embedding.cache import VectorCache
    from retriever.records import Skipped
    from retriever.swapping.returning import RollbackReport
    from retriever.swapping.swaps import SwapPlan, SwapReport


def swap(
    config: Config = None,
    collection: Collection = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Judged questions (JSONL) to compare on, instead of evaluation.questions.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would do, and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild a collection with another model beside the live one, and switch to it."""
    from dataclasses import asdict

    from retriever.cli.progress import shown_progress
    from retriever.evaluation.questions import read_questions
    from retriever.swapping.swaps import plan_swap
    from retriever.swapping.swaps import swap as change_model

    settings = load(config, collection)
    if dry_run:
        plan = plan_swap(settings)
        show_json(asdict(plan)) if as_json else _show_plan(plan)
        return
    judged = read_questions(questions) if questions else None
    with shown_progress() as progress:
        report = change_model(settings, questions=judged, progress=progress)
    show_json(asdict(report)) if as_json else _show_report(report)


def rollback(collection: Collection = None, config: Config = None, as_json: AsJson = False) -> None:
    """Switch back to the generation that was live before the last swap."""
    from dataclasses import asdict

    from retriever.swapping.returning import rollback as switch_back

    report = switch_back(load(config, collection))
    show_json(asdict(report)) if as_json else _show_rollback(report)


def prune(collection: Collection = None, config: Config = None, as_json: AsJson = False) -> None:
    """Delete the generations that are no longer live. There is no way back after it."""
    from retriever.swapping.returning import prune as drop_others

    settings = load(config, collection)
    gone = drop_others(settings)
    if as_json:
        show_json({"collection": settings.collection, "deleted": gone})
    else:
        what = ", ".join(gone) if gone else "nothing"
        show(f"{settings.collection}: deleted {what}.")


def cache(
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete vectors; all of them without a limit below.")
    ] = False,
    older_than_days: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0, help="Only vectors made before that.")
    ] = None,
    fingerprint: Annotated[
        str | None, typer.Option(metavar="HASH", help="Only those of one fingerprint, as listed.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show the vector cache, or prune it. Collections lose nothing by it."""
    from retriever.assembly import cache_folder
    from retriever.cli.listings import cache_rows, show_cache
    from retriever.embedding.cache import VectorCache

    if not prune and (older_than_days is not None or fingerprint is not None):
        raise typer.BadParameter("they need --prune.", param_hint="--older-than-days/--fingerprint")
    folder = cache_folder(load(config, None))
    if not folder.is_dir():
        show_json({"deleted": 0, "contents": []}) if as_json else show("The cache is empty.")
        return
    held = VectorCache(folder)
    try:
        deleted = _prune(held, fingerprint, older_than_days) if prune else 0
        rows = cache_rows(held)
    finally:
        held.close()
    if as_json:
        show_json({"deleted": deleted, "contents": rows})
        return
    if prune:
        show(f"Deleted {deleted:,} vectors.")
    show_cache(rows)


def _prune(held: "VectorCache", fingerprint: str | None, older_than_days: float | None) -> int:
    if fingerprint is None and older_than_days is None:
        return sum(held.prune(fingerprint=one.fingerprint) for one in held.contents())
    return held.prune(fingerprint=fingerprint, older_than_days=older_than_days)


def _show_plan(plan: "SwapPlan") -> None:
    way = "read and cut again from their files" if plan.from_files else "taken as they are stored"
    show(
        f"{plan.collection}: from {plan.model_before} to {plan.model_after}",
        f"{plan.documents:,} documents, {plan.chunks:,} chunks, {way}",
        f"{plan.tokens:,} tokens to embed ({plan.cached:,} chunks come from the cache), "
        f"${plan.price_usd:,.4f}",
    )
    _show_left_out(plan.left_out)


def _show_report(report: "SwapReport") -> None:
    from retriever.cli.reports import show_list

    show(
        f"{report.collection}: {report.live} answers now, {report.previous} is kept "
        "(retriever rollback, retriever prune)",
        f"{report.documents:,} documents, {report.chunks:,} chunks, {report.embedded:,} embedded "
        f"({report.tokens:,} tokens)",
    )
    _show_comparison(report)
    _show_left_out(report.left_out)
    show_list("Warnings", [one_line(one) for one in report.warnings])


def _show_left_out(left_out: "Sequence[Skipped]") -> None:
    """Tell of documents that the new model cannot embed, or not all of them."""
    from retriever.cli.reports import show_list

    show_list(
        f"{len(left_out):,} documents are left out, as a whole or in part",
        [f"{one_line(one.source)}: {one_line(one.reason)}" for one in left_out],
    )


def _show_comparison(report: "SwapReport") -> None:
    compared = report.comparison
    if compared is None:
        show("Not compared with the model before: it is not to be had.")
        return
    show(f"The top 10 of both models agree to {compared.overlap_at_10:.0%} on sampled queries.")
    if compared.questions:
        show(
            f"Success@10 on {compared.questions:,} judged questions: "
            f"{compared.success_before:.3f} before, {compared.success_after:.3f} now."
        )


def _show_rollback(report: "RollbackReport") -> None:
    from retriever.cli.reports import show_list

    show(f"{report.collection}: {report.live} answers again; {report.previous} is kept.")
    if report.difference is None:
        show("What was ingested since cannot be told: retriever check says more.")
        return
    missed, returned = report.difference.missed, report.difference.returned
    show_list("Ingested since, and not found now", [one_line(one) for one in missed])
    show_list("Found now, and not before", [one_line(one) for one in returned])
    if missed or returned:
        show("", "The next ingest, with the config of this model, brings it up to date.")
