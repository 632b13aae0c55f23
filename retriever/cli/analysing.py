"""The commands that ask what vectors are for: likeness, analogies, groups, strangers, maps."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from retriever.cli.commands import MODEL_NOTE_AFTER_S, AsJson, Collection, Config, load
from retriever.cli.terminal import patience, show_json

_PATIENCE_S = 5.0
_MOST_FILE_CHARACTERS = 10_000_000

Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Of all chance: same N, same answer.")]
Passages = Annotated[
    bool, typer.Option("--passages", help="Single passages instead of whole documents.")
]
Count = Annotated[int, typer.Option("-k", "--top-k", metavar="N", min=1, help="How many.")]


def similar(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Texts to compare, two or more.")
    ] = None,
    file: Annotated[
        str | None, typer.Option(metavar="FILE", help="A text on each line; - is stdin.")
    ] = None,
    word: Annotated[
        str | None, typer.Option(metavar="WORD", help="Compare this word as it is read in each.")
    ] = None,
    query: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Rank the texts by this one instead.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a heat map, too: .html or .png.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Compare texts, or one word in several sentences, by the cosine of their vectors."""
    from retriever.analysis.comparing import compare, rank_texts
    from retriever.cli import analyses

    if query is not None and (word is not None or out is not None):
        raise typer.BadParameter("it goes with neither --word nor --out.", param_hint="--query")
    given = [*(texts or ()), *lines_of(file)]
    settings = load(config, None)
    with patience("Loading the model ...", after_s=MODEL_NOTE_AFTER_S):
        if query is not None:
            ranking = rank_texts(query, given, settings)
            analyses.show_ranking(ranking) if not as_json else show_json(
                analyses.ranking_json(query, ranking)
            )
            return
        found = compare(given, settings, word=word)
    if out is not None:
        from retriever.analysis.heat_maps import write_heat_map

        write_heat_map(found, out)
    show_json(analyses.comparison_json(found)) if as_json else analyses.show_comparison(found)


def analogy(
    words: Annotated[list[str], typer.Argument(metavar="SUM", help="Such as: king - man + woman")],
    top_k: Count = 10,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="3cosadd, or 3cosmul, which balances the words.")
    ] = "3cosadd",
    most_words: Annotated[
        int, typer.Option("--words", metavar="N", min=1, help="Most words of the collection.")
    ] = 10_000,
    collection: Collection = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Find the words nearest to a sum of words.

    Among word vectors where the model is made of them, else among the collection's words.
    """
    from dataclasses import asdict

    from retriever.analysis.vocabulary import analogy as solve
    from retriever.cli.analyses import show_analogy

    chosen: Any = _one_of(method, ("3cosadd", "3cosmul"), "--method")
    settings = load(config, collection)
    with patience("Embedding the words ...", after_s=MODEL_NOTE_AFTER_S):
        found = solve(words, settings, method=chosen, count=top_k, most_words=most_words)
    show_json(asdict(found)) if as_json else show_analogy(found)


def related(  # noqa: PLR0913  # a command's options are its parameters
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE", help="Documents that others should be like."),
    ] = None,
    like: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE", help="One more; may be repeated.")
    ] = None,
    unlike: Annotated[
        list[str] | None,
        typer.Option("--not", metavar="SOURCE", help="One to stay away from; may be repeated."),
    ] = None,
    top_k: Count = 10,
    weight: Annotated[
        float, typer.Option(metavar="X", min=0, help="Of --not against --like.")
    ] = 0.2,
    collection: Collection = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Find documents that are like others.

    A source is what search prints; its end will do where no other ends so.
    """
    from dataclasses import asdict

    from retriever.analysis.recommending import recommend
    from retriever.cli.analyses import show_related

    found = recommend(
        [*(sources or ()), *(like or ())],
        load(config, collection),
        disliked=unlike or (),
        count=top_k,
        weight=weight,
    )
    show_json([asdict(one) for one in found]) if as_json else show_related(found)


def clusters(  # noqa: PLR0913  # a command's options are its parameters
    count: Annotated[
        str, typer.Option("-n", "--count", metavar="N|auto", help="Of k-means' groups.")
    ] = "auto",
    method: Annotated[
        str,
        typer.Option(metavar="NAME", help="kmeans, or hdbscan: groups of any form, some in none."),
    ] = "kmeans",
    least: Annotated[
        int, typer.Option(metavar="N", min=2, help="Least members of hdbscan's groups.")
    ] = 5,
    passages: Passages = False,
    seed: Seed = 0,
    collection: Collection = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Put a collection into groups, each with its own words and most central members."""
    from dataclasses import asdict

    from retriever.analysis.clusters import find_clusters
    from retriever.cli.analyses import show_clusters

    chosen: Any = _one_of(method, ("kmeans", "hdbscan"), "--method")
    wanted = _count(count)
    with patience("Comparing every vector ...", after_s=_PATIENCE_S):
        report = find_clusters(
            load(config, collection),
            count=wanted,
            method=chosen,
            unit="passages" if passages else "documents",
            least_members=least,
            seed=seed,
        )
    show_json(asdict(report)) if as_json else show_clusters(report)


def outliers(  # noqa: PLR0913  # a command's options are its parameters
    threshold: Annotated[
        float,
        typer.Option(metavar="X", help="Cosine with the centre below which one is far; -1: none."),
    ] = 0.3,
    lof: Annotated[
        float, typer.Option(metavar="X", help="Local outlier factor above which one is lonely.")
    ] = 1.5,
    neighbours: Annotated[
        int, typer.Option(metavar="N", min=1, help="Rows that density is measured by.")
    ] = 50,
    duplicates: Annotated[
        float, typer.Option(metavar="X", help="Cosine from which on two are near-duplicates.")
    ] = 0.95,
    passages: Passages = False,
    seed: Seed = 0,
    collection: Collection = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List what stands alone in a collection, and what is in it twice.

    The threshold is for collections of one subject; where there are several, the density counts.
    """
    from dataclasses import asdict

    from retriever.analysis.outliers import find_outliers
    from retriever.cli.analyses import show_outliers

    with patience("Comparing every vector ...", after_s=_PATIENCE_S):
        report = find_outliers(
            load(config, collection),
            unit="passages" if passages else "documents",
            least_centre_score=threshold,
            most_loneliness=lof,
            neighbours=neighbours,
            least_duplicate_score=duplicates,
            seed=seed,
        )
    show_json(asdict(report)) if as_json else show_outliers(report)


def map_(  # noqa: PLR0913  # a command's options are its parameters
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to: .html or .png.")],
    colour: Annotated[
        str, typer.Option(metavar="KEY", help="cluster, folder, source, or a key of the metadata.")
    ] = "cluster",
    count: Annotated[
        str, typer.Option("-n", "--count", metavar="N|auto", help="Of clusters.")
    ] = "auto",
    documents: Annotated[
        bool, typer.Option("--documents", help="Whole documents instead of passages.")
    ] = False,
    most: Annotated[
        int, typer.Option(metavar="N", min=3, help="Most points; of more, a sample.")
    ] = 20_000,
    seed: Seed = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it is.")] = False,
    collection: Collection = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Draw a collection in two dimensions: one file, to be opened in a browser, offline."""
    from dataclasses import asdict

    from retriever.analysis.maps import draw_map
    from retriever.cli.analyses import show_map

    wanted = _count(count)
    with patience("Drawing the map ...", after_s=_PATIENCE_S):
        report = draw_map(
            out,
            load(config, collection),
            colour=colour,
            count=wanted,
            unit="documents" if documents else "passages",
            most=most,
            seed=seed,
            overwrite=overwrite,
        )
    show_json(asdict(report) | {"file": str(report.file)}) if as_json else show_map(report)


def lines_of(file: str | None) -> list[str]:
    """The lines of a file that are not blank; `-` is stdin."""
    if file is None:
        return []
    try:
        if file == "-":
            text = sys.stdin.read(_MOST_FILE_CHARACTERS + 1)
        else:
            with Path(file).open(encoding="utf-8-sig", newline="\n") as lines:
                text = lines.read(_MOST_FILE_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise typer.BadParameter(
            f"{file} cannot be read: {reason}.", param_hint="--file"
        ) from error
    if len(text) > _MOST_FILE_CHARACTERS:
        most = f"{_MOST_FILE_CHARACTERS:,} characters"
        raise typer.BadParameter(f"{file} holds more than {most}.", param_hint="--file")
    return [line.strip() for line in text.split("\n") if line.strip()]


def _count(text: str) -> Any:
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"{text!r} is neither a number from 1 nor auto.", param_hint="-n")
    return int(text)


def _one_of(value: str, known: tuple[str, ...], name: str) -> str:
    if value not in known:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(known)}.", param_hint=name)
    return value
