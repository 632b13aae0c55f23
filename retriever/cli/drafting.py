"""The command that drafts questions, and the person who decides on them."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retriever.cli.commands import Collection, Config, load
from retriever.cli.terminal import note, one_line, printable, show
from retriever.cli.writing import refuse_unwritable

if TYPE_CHECKING:
    from retriever.evaluation.drafting import Draft

SHOWN_CHARACTERS = 600
_CHOICES = "[y]es  [n]o  [e]dit  [q]uit: "


def questions(
    output: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSONL that accepted questions are added to.")
    ] = Path("questions.jsonl"),
    collection: Collection = None,
    config: Config = None,
    count: Annotated[
        int, typer.Option("-n", "--count", metavar="N", min=1, help="Most questions to accept.")
    ] = 20,
    yes: Annotated[
        bool, typer.Option("--yes", help="Accept every draft unseen: for a first look only.")
    ] = False,
) -> None:
    """Draft questions from a collection, to accept or reject; the same command goes on later.

    With llm.model set, its server is sent passages of the collection. Without, headings stand in.
    """
    from retriever.evaluation.drafting import as_line, decided

    refuse_unwritable(output, "FILE")
    settings = load(config, collection)
    rejected = output.with_name(f"{output.name}.rejected")
    before = decided(output, rejected)
    accepted = 0
    for draft in _drafts(settings, before):
        choice, wording = ("y", draft.question) if yes else _decide(draft, accepted, count)
        if choice == "q":
            break
        kept = replace(draft, question=one_line(wording))
        _append(output if choice == "y" else rejected, as_line(kept))
        accepted += choice == "y"
        if accepted >= count:
            break
    else:
        note("No more drafts: every chunk that a question could be drafted from was decided on.")
    show(f"{accepted} {'question' if accepted == 1 else 'questions'} added to {output}")


def _drafts(settings: Any, before: set[str]) -> "Iterator[Draft]":
    from retriever import assembly
    from retriever.evaluation.drafting import drafts

    model = assembly.open_language_model(settings)
    if model is None:
        note("No language model is set (llm.model): headings and titles stand in for questions.")
        yield from drafts(settings, skip=before)
        return
    try:
        yield from drafts(
            settings,
            skip=before,
            ask=model.complete,
            model=str(settings.llm.model),
            refused=lambda why: note(f"A draft was left out: {why}."),
        )
    finally:
        model.close()


def _decide(draft: "Draft", accepted: int, count: int) -> tuple[str, str]:
    """What the person says of a draft (y, n or q), and the wording of the question."""
    text = printable(draft.text[:SHOWN_CHARACTERS])
    more = " ..." if len(draft.text) > SHOWN_CHARACTERS else ""
    show(
        "",
        f"{accepted + 1} of {count}  {one_line(draft.question)}",
        f"answered by {one_line(draft.source)}, characters {draft.start} to {draft.end}:",
        *(f"   {line}" for line in f"{text}{more}".split("\n")),
    )
    while True:
        said = _read(_CHOICES)
        if said is None:
            return "q", draft.question
        choice = said.strip().casefold()[:1]
        if choice == "e":
            return "y", (_read("question: ") or "").strip() or draft.question
        if choice in ("y", "n", "q"):
            return choice, draft.question


def _read(prompt: str) -> str | None:
    """A line from the person; None at the end of what they have to say."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    return line if line else None


def _append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8", errors="replace", newline="\n") as file:
        file.write(line)
