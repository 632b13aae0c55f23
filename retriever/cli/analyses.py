"""What vectors are for, for people and for programs."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from retriever.cli.terminal import console, one_line, printable, show, show_styled

if TYPE_CHECKING:
    from rich.text import Text

    from retriever.analysis.clusters import ClusterReport
    from retriever.analysis.comparing import Comparison, ScoredText
    from retriever.analysis.maps import MapReport
    from retriever.analysis.outliers import OutlierReport
    from retriever.analysis.recommending import Related
    from retriever.analysis.vocabulary import Analogy

MOST_LISTED = 20
MOST_COLUMNS = 12
"""Texts whose matrix fits a terminal; of more, the most alike pairs are shown."""
_MANY_FAR = 0.1
"""Share of a collection that cannot all be outliers."""
_TITLE_CHARACTERS = 60
_TERMINAL_CELL = 7


def comparison_json(found: "Comparison") -> dict[str, object]:
    """A comparison as `similar --json` prints it."""
    return {
        "model": found.model,
        "word": found.word,
        "texts": list(found.texts),
        "cosines": [[round(float(score), 6) for score in row] for row in found.cosines],
    }


def ranking_json(query: str, ranking: "Sequence[ScoredText]") -> dict[str, object]:
    """A ranking as `similar --query --json` prints it."""
    return {
        "query": query,
        "ranking": [
            {"rank": rank, "score": round(one.score, 6), "text": one.text}
            for rank, one in enumerate(ranking, start=1)
        ],
    }


def show_comparison(found: "Comparison") -> None:
    """Print a cosine matrix as a table, warm where texts are alike."""
    if len(found.texts) > MOST_COLUMNS:
        _show_pairs(found)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for heading in ("", *range(1, len(found.texts) + 1), ""):
        table.add_column(str(heading), justify="right" if heading else "left", overflow="fold")
    for number, (text, row) in enumerate(zip(found.texts, found.cosines, strict=True), start=1):
        cells = [_warm(float(score)) for score in row]
        table.add_row(Text(str(number), style="bold"), *cells, Text(one_line(text)))
    show_styled(table)
    if found.word:
        show("", f"cosines of {one_line(found.word)!r} as {one_line(found.model)} reads it in each")


def _show_pairs(found: "Comparison") -> None:
    import numpy as np

    rows, columns = np.triu_indices(len(found.texts), k=1)
    scores = found.cosines[rows, columns]
    best = np.argsort(-scores, kind="stable")[:MOST_LISTED]
    _table(
        ("cosine", "text", "text"),
        (
            (f"{scores[i]:.3f}", one_line(found.texts[rows[i]]), one_line(found.texts[columns[i]]))
            for i in best
        ),
    )
    show(f"{len(found.texts):,} texts: the most alike pairs; --json and --out have all of them")


def _warm(score: float) -> "Text":
    """A score on a ground that goes from white (0 or less) to red (1)."""
    from rich.text import Text

    from retriever.analysis.heat_maps import warmth

    ground = ",".join(map(str, warmth(score)))
    return Text(f"{score:.3f}".rjust(_TERMINAL_CELL), style=f"rgb(0,0,0) on rgb({ground})")


def show_ranking(ranking: "Sequence[ScoredText]") -> None:
    """Print texts by their score with a query."""
    _table(
        ("", "cosine", "text"),
        (
            (str(rank), f"{one.score:.3f}", one_line(one.text))
            for rank, one in enumerate(ranking, start=1)
        ),
    )


def show_analogy(found: "Analogy") -> None:
    """Print the words nearest to a sum."""
    _table(
        ("", "score", "word"),
        (
            (str(rank), f"{one.score:.3f}", printable(one.word))
            for rank, one in enumerate(found.nearest, start=1)
        ),
    )
    show(
        f"{one_line(found.asked)} by {found.method}, among {found.words_known:,} words "
        f"({one_line(found.vocabulary)}; {one_line(found.model)})"
    )


def show_related(found: "Sequence[Related]") -> None:
    """Print documents that are like others."""
    if not found:
        show("There is no other document.")
        return
    _table(
        ("", "cosine", "source", "title"),
        (
            (str(one.rank), f"{one.score:.3f}", one_line(one.source), _title(one.title))
            for one in found
        ),
    )


def show_clusters(report: "ClusterReport") -> None:
    """Print groups: their words, and their most central members below."""
    from rich.text import Text

    quality = "" if report.silhouette is None else f", silhouette {report.silhouette:.3f}"
    left = f", {report.unclustered:,} in none" if report.unclustered else ""
    show(
        f"{report.collection}: {report.points:,} {report.unit} in {len(report.clusters):,} "
        f"{'group' if len(report.clusters) == 1 else 'groups'}{left} ({report.method}{quality})"
    )
    for one in report.clusters:
        show("")
        terms = one_line(", ".join(one.terms)) or "(no words of its own)"
        show_styled(Text.assemble((f"{one.number}  {terms}", "bold"), f"  {one.size:,}"))
        for member in one.central:
            title = f"  {_title(member.title)}" if member.title else ""
            show(f"   {member.score:.3f}  {one_line(member.name)}{title}")


def show_outliers(report: "OutlierReport") -> None:
    """Print what stands alone, the loneliest first, and what is there twice."""
    show(
        f"{report.collection}: {len(report.outliers):,} of {report.points:,} {report.unit} stand "
        f"alone (cosine with the centre below {report.least_centre_score:g}, or local outlier "
        f"factor above {report.most_loneliness:g})"
    )
    far = sum(one.far for one in report.outliers)
    if far > _MANY_FAR * report.points:
        show(
            f"{far:,} are far from the centre: a collection of several subjects has none. A lower "
            "--threshold, or -1 for the local outlier factor alone, tells more."
        )
    if report.outliers:
        show("")
        _table(
            ("centre", "factor", "name", "title", "nearest"),
            (
                (
                    f"{one.centre_score:.3f}",
                    f"{one.loneliness:.2f}",
                    one_line(one.name),
                    _title(one.title),
                    ", ".join(f"{one_line(n.name)} ({n.score:.2f})" for n in one.nearest[:1]),
                )
                for one in report.outliers[:MOST_LISTED]
            ),
        )
        _more(len(report.outliers))
    show("", _duplicates_line(report))
    if report.duplicates:
        _table(
            ("cosine", "name", "the same as"),
            (
                (f"{pair.score:.3f}", one_line(pair.name), one_line(pair.other))
                for pair in report.duplicates[:MOST_LISTED]
            ),
        )
        _more(len(report.duplicates))


def _duplicates_line(report: "OutlierReport") -> str:
    if report.duplicate_count is None:
        return "near-duplicates: not looked for, the collection is too large to compare all pairs"
    pairs = f"{report.duplicate_count:,} {'pair' if report.duplicate_count == 1 else 'pairs'}"
    if report.duplicate_count > report.points:
        return (
            f"near-duplicates: {pairs}; so many are merely alike, a higher --duplicates tells more"
        )
    return f"near-duplicates: {pairs}"


def show_map(report: "MapReport") -> None:
    """Print what was drawn."""
    of = f" of {report.points:,}" if report.drawn < report.points else ""
    show(
        f"{report.collection}: {report.drawn:,}{of} {report.unit} drawn by {report.method}, "
        f"{report.groups:,} colours ({one_line(report.colour)}), in {one_line(str(report.file))}"
    )
    if report.note:
        show(report.note)


def _more(count: int) -> None:
    if count > MOST_LISTED:
        show(f"and {count - MOST_LISTED:,} more; --json lists them")


def _title(title: str) -> str:
    line = one_line(title)
    return line if len(line) <= _TITLE_CHARACTERS else f"{line[: _TITLE_CHARACTERS - 3]}..."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table: Table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in head:
        numeric = heading in ("", "cosine", "score", "centre", "factor")
        table.add_column(
            heading,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=numeric,
            max_width=None if console().width > 120 else 60,
        )
    for row in rows:
        table.add_row(*row)
    show_styled(table)
