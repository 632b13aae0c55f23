"""What a run did, for people and for programs."""

from collections.abc import Sequence
from dataclasses import asdict

from retriever.cli.progress import duration
from retriever.cli.terminal import one_line, show
from retriever.ingestion import IngestEstimate
from retriever.records import IngestReport, Skipped

MOST_LISTED = 20
"""Skipped files and warnings that a person reads; `--json` has them all."""


def report_json(report: IngestReport) -> dict[str, object]:
    """A report as `ingest --json` prints it."""
    return asdict(report)


def show_report(report: IngestReport) -> None:
    """Print a report for people."""
    chunks = report.chunks
    show(
        f"{report.collection}: {report.added:,} added, {report.updated:,} updated, "
        f"{report.unchanged:,} unchanged, {report.deleted:,} deleted, "
        f"{len(report.skipped):,} skipped ({duration(report.seconds)})",
        f"chunks: {chunks.embedded:,} embedded ({report.tokens:,} tokens), "
        f"{chunks.reused:,} reused, {chunks.deleted:,} deleted; "
        f"{chunks.total:,} in the collection",
    )
    if report.tokens_cut:
        show(f"{report.tokens_cut:,} tokens were beyond the model's window.")
    _list_skipped(report.skipped)
    show_list("Warnings", [one_line(warning) for warning in report.warnings])


def show_estimate(found: IngestEstimate) -> None:
    """Print for people what a run would do."""
    rate = "" if found.seconds is None else f", about {duration(found.seconds)}"
    show(
        f"{found.collection}: {len(found.added):,} to add, {len(found.updated):,} to update, "
        f"{found.unchanged:,} unchanged, {len(found.deleted):,} to delete, "
        f"{len(found.skipped):,} skipped",
        f"chunks: {found.chunks:,} to embed, {found.cached:,} of them from the cache; "
        f"{found.tokens:,} tokens, ${found.price_usd:,.4f}{rate}",
    )
    for title, sources in (
        ("Added", found.added),
        ("Updated", found.updated),
        ("Deleted", found.deleted),
    ):
        show_list(title, [one_line(source) for source in sources])
    _list_skipped(found.skipped)
    if found.needs_allow_delete:
        show("", "This deletes more than is usual: ingest asks for --allow-delete.")


def _list_skipped(skipped: Sequence[Skipped]) -> None:
    show_list("Skipped", [f"{one_line(one.source)}: {one_line(one.reason)}" for one in skipped])


def show_list(title: str, lines: Sequence[str]) -> None:
    """Print a titled list; of a long one its beginning, and nothing of an empty one."""
    if not lines:
        return
    show("", f"{title}:", *(f"  {line}" for line in lines[:MOST_LISTED]))
    if len(lines) > MOST_LISTED:
        show(f"  and {len(lines) - MOST_LISTED:,} more; --json lists them all")
