"""How two generations of a collection answer: alike on samples, and right on judged questions."""

import random
from collections.abc import Mapping, Sequence

from retriever.collection.filters import translate
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


def answerable_questions(
    settings: Settings, questions: Sequence[Question] | None
) -> list[Question]:
    """Those that have answers, of the ones given or else of the file that the settings name.

    Raises:
        SettingsError: the file is not there, or a line is no question.
        QueryError: the filter of a question cannot be asked.
    """
    file = settings.evaluation.questions
    if questions is None:
        questions = read_questions(file) if file else []
    answerable = [one for one in questions if one.sources]
    for one in answerable:
        translate(one.where)
    return answerable


def success(side: Side, questions: Sequence[Question]) -> float:
    """Success@10: the share of questions with a right source among the top 10, 0 to 1.

    A question that carries a filter is asked with it.
    """
    rankings = [_top(side, one.text, translate(one.where)) for one in questions]
    tops = _sources(side[0], rankings)
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


def _top(side: Side, query: str, where: Mapping[str, object] | None = None) -> list[Candidate]:
    """The nearest chunks; none where the model knows no word of the query."""
    data, embedder = side
    try:
        vector = embedder.embed_query(query)
    except NothingToEmbed:
        return []
    return data.rank(vector[None], count=DEPTH, where=where)[0]


def _tops(side: Side, queries: Sequence[str], *, by_chunk: bool) -> list[set[str]]:
    rankings = [_top(side, query) for query in queries]
    if by_chunk:
        return [{one.chunk_id for one in ranking} for ranking in rankings]
    return _sources(side[0], rankings)


def _sources(data: PhysicalCollection, rankings: Sequence[Sequence[Candidate]]) -> list[set[str]]:
    found = data.passages({one.chunk_id: 0.0 for ranking in rankings for one in ranking})
    return [{found[one.chunk_id].source for one in ranking} for ranking in rankings]
