"""How two generations of a collection answer: alike on samples, and right on judged questions."""

import random
from collections.abc import Sequence

from retriever.collection.physical import PhysicalCollection
from retriever.errors import NothingToEmbed
from retriever.evaluation.questions import Question, read_questions
from retriever.protocols import Embedder
from retriever.records import Candidate
from retriever.settings import Settings

Side = tuple[PhysicalCollection, Embedder]

SAMPLED_QUERIES = 50
DEPTH = 10
_QUERY_CHARACTERS = 200
_SEED = 20_261_123


def configured_questions(settings: Settings) -> list[Question]:
    """The judged questions that the settings name; none where they name no file.

    Raises:
        SettingsError: the file is not there, or a line is no question.
    """
    file = settings.evaluation.questions
    return read_questions(file) if file else []


def success(side: Side, questions: Sequence[Question]) -> float:
    """Success@10: the share of questions with a right source among the top 10, 0 to 1."""
    tops = _tops(side, [question.text for question in questions], by_chunk=False)
    hits = sum(bool(top & one.sources) for top, one in zip(tops, questions, strict=True))
    return round(hits / len(questions), 4)


def overlap(one: Side, other: Side, *, by_chunk: bool) -> float:
    """Mean overlap of the top 10 of both sides over queries sampled from the first.

    A query is the heading, or else the first line, of a chunk drawn at random (seeded).

    Args:
        one: a generation and the embedder for its queries.
        other: another one.
        by_chunk: compare chunks by id; documents by source otherwise.

    Returns:
        From 0 (nothing in common) to 1; 1 where there is nothing to ask.
    """
    queries = _sample(one[0])
    if not queries:
        return 1.0
    first, second = (_tops(side, queries, by_chunk=by_chunk) for side in (one, other))
    shares = [len(a & b) / max(len(a | b), 1) for a, b in zip(first, second, strict=True)]
    return round(sum(shares) / len(shares), 4)


def _sample(data: PhysicalCollection) -> list[str]:
    draw = random.Random(_SEED)  # noqa: S311  (a sample, not a secret)
    drawn: list[str] = []
    seen = 0
    for page in data.chunk_pages(with_vectors=False):
        for text, row in zip(page.texts, page.rows, strict=True):
            heading = str(row.get("heading_path", "")).rpartition("\n")[2]
            seen += 1
            if len(drawn) < SAMPLED_QUERIES:
                drawn.append(heading or text)
            elif (place := draw.randrange(seen)) < SAMPLED_QUERIES:
                drawn[place] = heading or text
    return [query.strip().split("\n")[0][:_QUERY_CHARACTERS] for query in drawn if query.strip()]


def _top(data: PhysicalCollection, embedder: Embedder, query: str) -> list[Candidate]:
    """The nearest chunks; none where the model knows no word of the query."""
    try:
        vector = embedder.embed_query(query)
    except NothingToEmbed:
        return []
    return data.rank(vector[None], count=DEPTH, where=None)[0]


def _tops(side: Side, queries: Sequence[str], *, by_chunk: bool) -> list[set[str]]:
    data, embedder = side
    rankings = [_top(data, embedder, query) for query in queries]
    if by_chunk:
        return [{one.chunk_id for one in ranking} for ranking in rankings]
    sources = data.passages({one.chunk_id: 0.0 for ranking in rankings for one in ranking})
    return [{sources[one.chunk_id].source for one in ranking} for ranking in rankings]
