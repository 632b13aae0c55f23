"""Judged sets for the tests: small, hostile, and answered by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

DOCUMENTS: Mapping[str, tuple[str, str]] = {
    "<b>1": ("The pump", "Hold the red button of the pump for five seconds to reset it."),
    "a/../2": ("", "The boiler heats water to sixty degrees."),
    "c#3": (
        'Fuses: "spare"',
        "Spare fuses lie in the drawer below the\u2028workbench, each marked.",
    ),
    "d:4": ("", ""),
    "5": ("", "The boiler heats water to sixty degrees."),
    "6": ("Turbine", "The turbine is oiled every second Monday by the miller."),
}
QUERIES: Mapping[str, str] = {
    "q<1>": "How do I reset the pump with the red button?",
    "q/2": "How hot does the boiler heat water?",
    "q#3": "Where do spare fuses lie?",
    "q4": "Who conducts the village orchestra?",
    "q5": "Never judged, never asked?",
}
JUDGED: Sequence[tuple[str, str, int]] = (
    ("q<1>", "<b>1", 2),
    ("q<1>", "6", 0),
    ("q/2", "a/../2", 1),
    ("q/2", "5", 1),
    ("q#3", "c#3", 1),
)


def write_judged_set(folder: Path, *, qrels: str = "qrels.tsv") -> Path:
    """A set whose ids could be tags and paths, with CRLF in its TSV and U+2028 in its JSONL."""
    (folder / qrels).parent.mkdir(parents=True, exist_ok=True)
    documents = [
        json.dumps({"_id": one, "title": title, "text": text}, ensure_ascii=False)
        for one, (title, text) in DOCUMENTS.items()
    ]
    queries = [json.dumps({"_id": one, "text": text}) for one, text in QUERIES.items()]
    queries[3] = json.dumps(
        {"_id": "q4", "text": QUERIES["q4"], "metadata": {"answerable": False, "answers": []}}
    )
    rows = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in JUDGED), ""]
    (folder / "corpus.jsonl").write_text("\n".join(documents) + "\n", encoding="utf-8")
    (folder / "queries.jsonl").write_text(
        "\r\n".join(queries) + "\r\n", encoding="utf-8", newline=""
    )
    (folder / qrels).write_text("\r\n".join(rows), encoding="utf-8", newline="")
    return folder
