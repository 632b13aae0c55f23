"""Clusters and outliers on a labelled mixture of two sets of documents in BEIR's layout.

    python scripts/benchmark/analysis.py FOLDER/med FOLDER/cranfield [--config FILE] [--json]

Clusters: both sets go into one collection; the adjusted Rand index (Hubert and Arabie 1985) says
how well the groups are the sets, 1 for perfectly, 0 for as chance would have it. Outliers: 20
documents of the first set are hidden in the second, ten times; the precision is the share of them
among the first 20 of each ranking, and among all that the thresholds name.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from quality import read_jsonl
from sklearn.metrics import adjusted_rand_score

from retriever import Settings, ingest
from retriever.analysis.clusters import group
from retriever.analysis.density import centroid_scores, local_outlier_factors
from retriever.analysis.outliers import (
    LEAST_CENTRE_SCORE,
    MOST_LONELINESS,
    NEIGHBOURS,
    combined_order,
)
from retriever.analysis.reading import Points, open_collection, read_points

HIDDEN = 20
DRAWS = 10


def read_mixture(folders: list[Path], config: str | None, work: Path) -> tuple[Points, np.ndarray]:
    """All documents' vectors, and which set each is of."""
    for folder in folders:
        corpus = work / "mixture" / folder.name
        corpus.mkdir(parents=True)
        for number, document in enumerate(read_jsonl(folder / "corpus.jsonl")):
            title = document.get("title", "").strip()
            heading = f"# {title}\n\n" if title else ""
            text = f"{heading}{document['text'].strip()}\n"
            (corpus / f"{number:06}.md").write_text(text, encoding="utf-8")
    overrides = {"storage.path": work / "state", "collection": "mixture"}
    settings = Settings.load(*filter(None, [config]), **overrides)
    ingest(work / "mixture", settings)
    with open_collection(settings) as data:
        points = read_points(data, "documents")
    sets = [folder.name for folder in folders]
    return points, np.array([sets.index(one.source.split("/")[1]) for one in points.points])


def measure_clusters(points: Points, truth: np.ndarray) -> dict[str, object]:
    """The adjusted Rand index of each way to group."""
    found: dict[str, object] = {}
    for name, options in (
        ("k-means, 2", {"count": 2}),
        ("k-means, auto", {"count": "auto"}),
        ("HDBSCAN", {"method": "hdbscan"}),
    ):
        labels, choice = group(points, **options)  # type: ignore[arg-type]
        found[name] = {
            "groups": choice.count,
            "in_none": int((labels < 0).sum()),
            "adjusted_rand_index": round(float(adjusted_rand_score(truth, labels)), 4),
        }
    return found


def measure_outliers(points: Points, truth: np.ndarray) -> dict[str, object]:
    """Mean precision over the draws."""
    sums: dict[str, list[float]] = {}
    for draw in range(DRAWS):
        strangers = np.random.default_rng(draw).choice(
            np.flatnonzero(truth == 0), HIDDEN, replace=False
        )
        rows = np.concatenate([np.flatnonzero(truth == 1), strangers])
        vectors, hidden = points.vectors[rows], truth[rows] == 0
        centre = centroid_scores(vectors)
        factors = local_outlier_factors(vectors, neighbours=NEIGHBOURS, seed=0)
        for name, order in (
            ("cosine to the centroid", np.argsort(centre, kind="stable")),
            ("local outlier factor", np.argsort(-factors, kind="stable")),
            ("both rankings, as listed", combined_order(centre, factors)),
        ):
            sums.setdefault(f"first {HIDDEN} by {name}", []).append(hidden[order[:HIDDEN]].mean())
        for name, named in (
            (f"cosine below {LEAST_CENTRE_SCORE}", centre < LEAST_CENTRE_SCORE),
            ("cosine below 0.2", centre < 0.2),
            (f"local outlier factor above {MOST_LONELINESS}", factors > MOST_LONELINESS),
        ):
            sums.setdefault(f"precision of {name}", []).append(
                float(hidden[named].mean()) if named.any() else 0.0
            )
            sums.setdefault(f"recall of {name}", []).append(float(named[hidden].mean()))
    return {name: round(float(np.mean(values)), 3) for name, values in sums.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs=2, type=Path)
    parser.add_argument("--config", default=None)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        points, truth = read_mixture(arguments.folders, arguments.config, Path(work))
    found = {
        "documents": len(points.points),
        "clusters": measure_clusters(points, truth),
        "outliers": measure_outliers(points, truth),
    }
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print("| groups by | number | in none | adjusted Rand index |\n| --- | --- | --- | --- |")
    for name, one in found["clusters"].items():  # type: ignore[attr-defined]
        print(f"| {name} | {one['groups']} | {one['in_none']} | {one['adjusted_rand_index']:.3f} |")
    print(f"\n| {HIDDEN} hidden documents, mean of {DRAWS} draws | share |\n| --- | --- |")
    for name, value in found["outliers"].items():  # type: ignore[attr-defined]
        print(f"| {name} | {value:.3f} |")


if __name__ == "__main__":
    main()
