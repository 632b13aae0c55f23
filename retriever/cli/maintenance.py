"""The commands that prove, mend, shrink and move a collection."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retriever.cli.commands import AsJson, Collection, Config, load
from retriever.cli.terminal import one_line, patience, show, show_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retriever.checking.checks import CheckReport
    from retriever.checking.inspecting import Finding
    from retriever.compacting import CompactReport
    from retriever.moving.moves import MoveReport
    from retriever.recalling import RecallReport
    from retriever.repairing.repairs import RepairReport

EXIT_FINDINGS = 1
_PATIENCE_S = 5.0

Corpus = Annotated[
    bool, typer.Option("--corpus/--no-corpus", help="Compare chunks with their files, too.")
]


def check(
    collection: Collection = None,
    config: Config = None,
    corpus: Corpus = True,
    canary: Annotated[
        bool, typer.Option("--canary/--no-canary", help="Load the model and see it is the same.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Prove that a collection is whole.

    The exit code is 1 if it is not. Nothing is changed.
    """
    from dataclasses import asdict

    from retriever.checking.checks import check as prove

    settings = load(config, collection)
    with patience("Reading every row and vector ...", after_s=_PATIENCE_S):
        report = prove(settings, corpus=corpus, canary=canary)
    show_json(asdict(report)) if as_json else _show_check(report)
    if report.findings:
        raise typer.Exit(EXIT_FINDINGS)


def repair(
    collection: Collection = None,
    config: Config = None,
    corpus: Corpus = True,
    as_json: AsJson = False,
) -> None:
    """Mend what a check finds, and check again.

    The exit code is 1 if something is left.
    """
    from dataclasses import asdict

    from retriever.repairing.repairs import repair as mend

    settings = load(config, collection)
    with patience("Reading every row and vector ...", after_s=_PATIENCE_S):
        report = mend(settings, corpus=corpus)
    show_json(asdict(report)) if as_json else _show_repair(report)
    if report.left:
        raise typer.Exit(EXIT_FINDINGS)


def recall(
    file: Annotated[
        str | None,
        typer.Option("--file", metavar="FILE", help="Questions to ask, a line each; - is stdin."),
    ] = None,
    sample: Annotated[
        int, typer.Option("--sample", min=1, help="Without a file: passages to look from.")
    ] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Of the passages that are drawn.")] = 0,
    collection: Collection = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Measure how many of the exactly nearest passages the index finds."""
    from dataclasses import asdict

    from retriever.cli.analysing import lines_of
    from retriever.recalling import measure_recall

    settings, questions = load(config, collection), lines_of(file)
    if file is not None and not questions:
        raise typer.BadParameter(f"{file} holds no question.", param_hint="--file")
    with patience("Reading every vector ...", after_s=_PATIENCE_S):
        report = measure_recall(settings, questions, sample=sample, seed=seed)
    show_json(asdict(report)) if as_json else _show_recall(report)


def compact(collection: Collection = None, config: Config = None, as_json: AsJson = False) -> None:
    """Give back the room that deleted rows hold.

    Readers go on meanwhile.
    """
    from dataclasses import asdict

    from retriever.compacting import compact as shrink

    settings = load(config, collection)
    with patience("Copying every live row ...", after_s=_PATIENCE_S):
        report = shrink(settings)
    show_json(asdict(report)) if as_json else _show_compact(report)


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; .gz compresses.")],
    collection: Collection = None,
    config: Config = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it is.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a collection to a file, with its vectors.

    The file holds the texts of the documents and where their folders are.
    """
    from retriever.moving.moves import export as write

    report = write(load(config, collection), file, overwrite=overwrite)
    _show_move(report, "written to", as_json=as_json)


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What export wrote; or, with --vectors, chunks.")
    ],
    vectors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npy",
            help="Vectors made elsewhere by the configured model, as numpy.save writes them: row "
            'i is of line i of FILE, {"source": "ROOT/PATH", "text": ..., "metadata": {...}}.',
        ),
    ] = None,
    collection: Collection = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Read a collection from a file into a new or empty one."""
    from retriever.moving.moves import import_ as read

    report = read(load(config, collection), file, vectors=vectors)
    _show_move(report, "read from", as_json=as_json)


def _show_check(report: "CheckReport") -> None:
    from retriever.cli.progress import duration

    held = f"{report.documents:,} documents, {report.chunks:,} chunks"
    verdict = _count(report.findings) if report.findings else "nothing is wrong"
    show(f"{report.collection}: {verdict} ({held}, {duration(report.seconds)})")
    _show_findings("Findings", report.findings)
    show(*(one_line(text) for text in report.notes))
    if any(finding.mendable for finding in report.findings):
        show("", "Mend it with: retriever repair")


def _show_repair(report: "RepairReport") -> None:
    from retriever.cli.progress import duration

    left = f"{len(report.left):,} left"
    verdict = f"{_count(report.found)}, {left}" if report.found else "nothing was wrong"
    show(f"{report.collection}: {verdict} ({duration(report.seconds)})")
    if report.vectors_from_cache or report.vectors_embedded:
        show(
            f"vectors: {report.vectors_from_cache:,} from the cache, "
            f"{report.vectors_embedded:,} embedded again"
        )
    show(*(f"set aside: {one_line(path)}" for path in report.set_aside))
    _show_findings("Left", report.left)


def _count(findings: "Sequence[Finding]") -> str:
    return "1 finding" if len(findings) == 1 else f"{len(findings):,} findings"


def _show_findings(title: str, findings: "Sequence[Finding]") -> None:
    from retriever.cli.reports import show_list

    show_list(title, [one_line(str(finding)) for finding in findings])


def _show_recall(report: "RecallReport") -> None:
    asked = "questions" if report.of_questions else "passages, each looking for its neighbours"
    show(
        f"{one_line(report.collection)}: {report.chunks:,} chunks, {report.queries:,} {asked}",
        *(
            f"recall@{one.depth:<4} {one.recall:.4f}   worst {one.worst:.2f}"
            for one in report.depths
        ),
        f"query        {report.p50_ms:.2f} ms (p50), {report.p95_ms:.2f} ms (p95), index alone",
    )
    if report.is_exact:
        show("A collection of this size is searched exactly: its searches miss nothing of this.")


def _show_compact(report: "CompactReport") -> None:
    from retriever.cli.progress import duration
    from retriever.cli.status import in_megabytes

    show(
        f"{report.collection}: {report.chunks:,} chunks of {report.documents:,} documents copied, "
        f"{report.live} answers now ({duration(report.seconds)})"
    )
    if report.bytes_before is not None and report.bytes_after is not None:
        before, after = in_megabytes(report.bytes_before), in_megabytes(report.bytes_after)
        show(f"on disk: {before} before, {after} now")
    if report.note:
        show(one_line(report.note))


def _show_move(report: "MoveReport", verb: str, *, as_json: bool) -> None:
    from dataclasses import asdict

    from retriever.cli.status import in_megabytes

    if as_json:
        show_json(asdict(report) | {"file": str(report.file)})
        return
    show(
        f"{report.collection}: {report.chunks:,} chunks of {report.documents:,} documents {verb} "
        f"{one_line(str(report.file))} ({in_megabytes(report.size_bytes)})"
    )
