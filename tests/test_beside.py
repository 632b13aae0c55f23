"""Words are ranked beside the embedding of a query: the same answers, errors and times."""

import threading
from pathlib import Path

import pytest

from retriever.errors import EmbeddingUnavailable
from retriever.ingestion import ingest
from retriever.lexical import IndexDamaged, LexicalIndex
from retriever.protocols import Vectors
from retriever.records import Candidate
from retriever.retrieval import Retriever
from retriever.retrieval.beside import MOST_THREADS, Beside
from retriever.settings import Settings
from retriever.testing import HashingEmbedder
from retriever.timing import stage_times

QUERY = "reset the pump with the red button"


@pytest.fixture
def ready(settings: Settings, corpus: Path) -> Settings:
    ingest(corpus, settings)
    return settings


def test_work_is_done_on_another_thread_while_the_block_goes_on() -> None:
    beside, met = Beside(), threading.Barrier(2, timeout=10)

    def work() -> int:
        met.wait()
        return threading.get_ident()

    with beside.begun("work", work) as begun:
        met.wait()
        assert begun.result() != threading.get_ident()
    beside.close()


def test_work_that_no_thread_has_taken_up_is_done_by_whoever_wants_it() -> None:
    beside, release = Beside(), threading.Event()
    busy = [beside.begun("wait", lambda: release.wait(10)) for _ in range(MOST_THREADS)]
    for one in busy:
        one.__enter__()
    with beside.begun("work", threading.get_ident) as begun:
        assert begun.result() == threading.get_ident()
    release.set()
    for one in busy:
        one.__exit__(None, None, None)
    beside.close()
    with beside.begun("work", threading.get_ident) as begun:
        assert begun.result() == threading.get_ident()


def test_a_block_that_fails_is_left_when_the_work_beside_it_has_ended() -> None:
    beside, met, done = Beside(), threading.Barrier(2, timeout=10), threading.Event()

    def work() -> None:
        met.wait()
        threading.Event().wait(0.05)
        done.set()

    def fail() -> None:
        with beside.begun("work", work):
            met.wait()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert done.is_set()
    beside.close()


def test_words_are_ranked_while_the_query_is_embedded(
    ready: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two wait for each other: one after the other they never met."""
    met = threading.Barrier(2, timeout=10)
    embed, rank = HashingEmbedder.embed_query, LexicalIndex.rank

    def embed_query(self: HashingEmbedder, text: str) -> Vectors:
        met.wait()
        return embed(self, text)

    def rank_words(self: LexicalIndex, query: str, **options: int) -> list[Candidate]:
        met.wait()
        return rank(self, query, **options)

    with Retriever.open(ready) as retriever:
        expected = retriever.retrieve(QUERY)
        monkeypatch.setattr(HashingEmbedder, "embed_query", embed_query)
        monkeypatch.setattr(LexicalIndex, "rank", rank_words)
        with stage_times() as times_s:
            assert retriever.retrieve(QUERY) == expected
    assert {"embed", "lexical", "rank words"} <= times_s.keys()


def test_an_error_of_either_ranking_is_raised_as_it_is(
    ready: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_words(*_: object, **__: object) -> list[Candidate]:
        raise IndexDamaged("torn")

    def fail_embedding(*_: object, **__: object) -> Vectors:
        raise EmbeddingUnavailable("busy")

    with Retriever.open(ready) as retriever:
        expected = retriever.retrieve(QUERY)
        with monkeypatch.context() as broken:
            broken.setattr(LexicalIndex, "rank", fail_words)
            with pytest.raises(IndexDamaged, match="torn"):
                retriever.retrieve(QUERY)
            broken.setattr(HashingEmbedder, "embed_query", fail_embedding)
            with pytest.raises(EmbeddingUnavailable, match="busy"):
                retriever.retrieve(QUERY)
        assert retriever.retrieve(QUERY) == expected
