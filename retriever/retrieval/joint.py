"""Several collections asked as one.

Each is asked on its own, with the model that built it. Where scores can be compared (one model
built them all, or a reranker scored all of them, or words alone decided), the answers are put
together by score. Where they cannot, by reciprocal rank (Cormack, Clarke and Buettcher, SIGIR
2009): the first of each collection first, and a passage's score is 61 / (60 + its rank), which
says nothing of how well it answers; `min_score` is compared with what each collection said.
Explanations speak of the collection that a passage is from.
"""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from retriever import assembly
from retriever.collection.state import differences
from retriever.diversity import without_repetition
from retriever.errors import QueryError
from retriever.fusion import RANK_CONSTANT
from retriever.records import EmbeddingFingerprint, Passage
from retriever.retrieval.answering import Retriever
from retriever.retrieval.refining import RERANKER, read_refining
from retriever.retrieval.requests import Request
from retriever.settings import EmbeddingSettings, Settings

_OF_THE_MODEL = frozenset(
    {"model", "backend", "path", "revision", "query_prefix", "chunk_prefix", "pooling"}
    | {"dimension", "window_tokens"}
)


def open_joint(settings: Settings, collections: Sequence[str]) -> Retriever:
    """A retriever for all of the collections; the plain one where it is only one.

    Raises:
        QueryError: no name is given, or one of them twice.
        SettingsError: a name cannot be that of a collection.
        CollectionNotFound: there is no such collection.
    """
    if isinstance(collections, str) or not collections:
        raise QueryError("collections is a list of names, with one at least.")
    if len(set(collections)) < len(collections):
        raise QueryError(f"A collection is named twice: {', '.join(collections)}.")
    if len(collections) == 1:
        return Retriever(_own_settings(settings, collections[0]))
    return JointRetriever(settings, collections)


class JointRetriever(Retriever):
    """Answers queries from several collections. Threads may share one; close it when done."""

    def __init__(self, settings: Settings, collections: Sequence[str]) -> None:
        """Open all of them, or none."""
        with contextlib.ExitStack() as opened:
            members = {
                name: opened.enter_context(Retriever(_own_settings(settings, name)))
                for name in collections
            }
            opened.pop_all()
        self._settings = settings
        self._refining = read_refining(settings)
        self._members = members

    def close(self) -> None:
        """Close every collection. Safe to repeat."""
        for member in self._members.values():
            member.close()

    def _answer(self, request: Request) -> list[list[Passage]]:
        answers = {name: member._answer(request) for name, member in self._members.items()}
        comparable = self._are_comparable(request, answers.values())
        count = 1 if request.is_one_query else len(request.queries)
        return [
            self._joined({name: one[place] for name, one in answers.items()}, request, comparable)
            for place in range(count)
        ]

    def _joined(
        self, answers: dict[str, list[Passage]], request: Request, comparable: bool
    ) -> list[Passage]:
        passages = [
            _from(name, one, comparable=comparable)
            for name, answer in answers.items()
            for one in answer
        ]
        # Sorting keeps the order of equal scores: that of the names.
        ranking = sorted(passages, key=lambda one: -one.score)
        kept = without_repetition(ranking, sameness=self._refining.duplicates, most=request.top_k)
        return [replace(one, rank=rank) for rank, one in enumerate(kept, start=1)]

    def _are_comparable(
        self, request: Request, answers: Iterable[Sequence[Sequence[Passage]]]
    ) -> bool:
        passages = (one for answer in answers for ranking in answer for one in ranking)
        reranked = {any(told.ranker == RERANKER for told in one.candidates) for one in passages}
        if True in reranked:  # but not where it failed for some of the collections
            return False not in reranked
        if request.mode == "lexical":
            return True
        built: list[EmbeddingFingerprint] = []
        for member in self._members.values():
            with member._snapshots.newest() as snapshot:
                built.append(snapshot.data.fingerprint.embedding)
        return all(not differences(built[0], one) for one in built[1:])


def _from(name: str, passage: Passage, *, comparable: bool) -> Passage:
    score = passage.score if comparable else (RANK_CONSTANT + 1) / (RANK_CONSTANT + passage.rank)
    return replace(
        passage,
        score=score,
        collection=name,
        duplicates=tuple(replace(one, collection=name) for one in passage.duplicates),
        parts=tuple(
            replace(one, collection=name, score=one.score if comparable else score)
            for one in passage.parts
        ),
    )


def _own_settings(settings: Settings, name: str) -> Settings:
    """The settings for one of the collections: those of another's model are left out."""
    Settings.load(collection=name)  # sees that it can be one
    own = settings.model_copy(update={"collection": name})
    with assembly.open_store(own) as store:
        built = store.physical(store.state(name).live).fingerprint.embedding
    chosen = own.embedding
    if "model" not in chosen.model_fields_set or chosen.model == built.model:
        return own
    kept = {one: getattr(chosen, one) for one in chosen.model_fields_set - _OF_THE_MODEL}
    return own.model_copy(update={"embedding": EmbeddingSettings(**kept)})
