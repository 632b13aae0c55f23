"""Random histories of files, runs, swaps and interruptions, against a dictionary as the model.

The dictionary says which text each source has. Whatever happened before it, a run that ends
leaves a collection that says the same, for the folders of that run.
"""

import contextlib
import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    precondition,
    rule,
)

from retriever import assembly
from retriever.collection.physical import PhysicalCollection
from retriever.collection.store import Store
from retriever.errors import CollectionError, CollectionNotFound, FingerprintMismatch
from retriever.indexing import find_fault, find_lag
from retriever.ingestion import IngestOptions, ingest
from retriever.lexical import LexicalIndex
from retriever.records import Passage
from retriever.retrieval import Retriever
from retriever.settings import Settings
from retriever.swapping.returning import rollback
from retriever.swapping.swaps import swap

pytestmark = pytest.mark.slow

FOLDERS = ("", "a/", "b/")
NAMES = st.builds("{}{}.md".format, st.sampled_from(FOLDERS), st.integers(0, 1))
MODELS = ("first", "second")
STEPS = {
    "put_chunks": PhysicalCollection,
    "update_rows": PhysicalCollection,
    "put_documents": PhysicalCollection,
    "delete_chunks": PhysicalCollection,
    "delete_documents": PhysicalCollection,
    "put": LexicalIndex,
    "delete": LexicalIndex,
    "commit": LexicalIndex,
    "save": Store,
    "_make": Store,
}
INTERRUPTIONS = st.tuples(st.sampled_from(sorted(STEPS)), st.integers(1, 3), st.booleans())


class Interrupted(BaseException):
    """Ctrl-C, or whatever ends a run from outside."""


@contextlib.contextmanager
def interruption(step: str, call: int, *, after: bool) -> Iterator[None]:
    """Raise at a call of a step, before it has done its work or after."""
    owner, calls = STEPS[step], itertools.count(1)
    original = getattr(owner, step)

    def interrupting(*arguments: object, **named: object) -> object:
        here = next(calls) == call
        if here and not after:
            raise Interrupted
        result = original(*arguments, **named)
        if here:
            raise Interrupted
        return result

    with mock.patch.object(owner, step, interrupting):
        yield


class Histories(RuleBasedStateMachine):
    """What a person may do with a folder and a collection, in any order."""

    mode = "memory"
    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.corpus = self.folder / "corpus"
        self.model = MODELS[0]
        self.files: dict[str, str] = {}
        """The corpus as it is on disk, by source."""
        self.stored: dict[str, str] = {}
        """What the collection has to hold of every settled source."""
        self.unsettled: set[str] = set()
        """Sources that an interrupted run may have left half done."""
        self.retired: list[str] = []
        """Words of texts that were edited or deleted."""
        self.words = itertools.count()
        self.reader: Retriever | None = None

    @initialize(target=names)
    def begin(self) -> object:
        """A file in each folder, ingested."""
        for folder in FOLDERS:
            (self.corpus / folder).mkdir(parents=True, exist_ok=True)
        begun = [self.write(f"{folder}0.md", 2) for folder in FOLDERS]
        self.run("")
        self.settle("")
        return multiple(*begun)

    def teardown(self) -> None:
        if self.reader is not None:
            self.reader.close()
        shutil.rmtree(self.folder)

    # ---- the files

    @rule(name=names, sections=st.integers(1, 3))
    def rewrite(self, name: str, sections: int) -> None:
        self.write(name, sections)

    @rule(target=names, name=NAMES, sections=st.integers(1, 3))
    def write(self, name: str, sections: int) -> str:
        """Add a file, or write one anew."""
        self.retire(name)
        lines = [f"## Part {one}\n\n{self.sentence()}\n" for one in range(sections)]
        self.put(name, "# Title\n\n" + "\n".join(lines))
        return name

    @rule(name=names)
    def edit(self, name: str) -> None:
        """Insert a paragraph above the others, which all keep their words."""
        if name in self.files:
            self.put(name, f"# Title\n\n{self.sentence()}\n\n" + self.files[name])

    @rule(name=names)
    def touch(self, name: str) -> None:
        if name in self.files:
            self.put(name, self.files[name])

    @rule(name=names)
    def delete(self, name: str) -> None:
        if name in self.files:
            self.retire(name)
            (self.corpus / name).unlink()
            del self.files[name]

    @rule(name=names, new=NAMES)
    def rename(self, name: str, new: str) -> None:
        if name in self.files and new not in self.files:
            (self.corpus / name).rename(self.corpus / new)
            self.files[new] = self.files.pop(name)

    @rule(name=names, new=NAMES)
    def copy(self, name: str, new: str) -> None:
        if name in self.files and new not in self.files:
            self.put(new, self.files[name])

    # ---- the runs

    @rule()
    def ingest_all(self) -> None:
        self.ingest("")

    @rule(folder=st.sampled_from(FOLDERS[1:]))
    def ingest(self, folder: str) -> None:
        """A run over all of the corpus or over a folder of it, which has to be known already."""
        if self.has_root() or folder == "":
            self.run(folder)
            self.settle(folder)
            self.compare()

    @rule(interruption_at=INTERRUPTIONS)
    def ingest_interrupted(self, interruption_at: tuple[str, int, bool]) -> None:
        step, call, after = interruption_at
        try:
            with interruption(step, call, after=after):
                self.run("")
            self.settle("")
        except Interrupted:
            self.unsettled |= self.files.keys() | self.stored.keys()
        self.compare()

    @precondition(lambda self: self.stored)
    @rule()
    def ingest_with_another_model(self) -> None:
        with pytest.raises(FingerprintMismatch):
            ingest(self.corpus, self.settings(self.other))
        self.compare()

    @precondition(lambda self: self.stored)
    @rule()
    def swap(self) -> None:
        self.swap_unless_half_written()
        self.compare()

    @precondition(lambda self: self.stored)
    @rule(interruption_at=INTERRUPTIONS)
    def swap_interrupted(self, interruption_at: tuple[str, int, bool]) -> None:
        step, call, after = interruption_at
        with contextlib.suppress(Interrupted), interruption(step, call, after=after):
            self.swap_unless_half_written()
        with assembly.open_store(self.settings(self.model)) as store:
            live = store.physical(store.state("docs").live)
            self.model = live.fingerprint.embedding.model
        self.compare()

    @precondition(lambda self: self.stored and not self.unsettled)
    @rule()
    def swap_and_roll_back(self) -> None:
        before = self.model
        self.swap_unless_half_written()
        rollback(self.settings(self.model))
        self.model = before
        self.compare()

    # ---- the reader

    @precondition(lambda self: self.has_collection())
    @rule()
    def query(self) -> None:
        """What is stored is found by its words, what is gone is not, by one reader all along."""
        if self.reader is None:
            self.reader = Retriever.open(self.settings(self.model, chosen=False))
        for source, text in self.stored.items():
            if source not in self.unsettled:
                line = text.splitlines()[-1]
                found = self.reader.retrieve(line, top_k=1)[0]
                assert line in found.text
                where = found.source.removeprefix("corpus/")
                assert where in self.unsettled or line in self.stored[where]
        known = "".join((*self.files.values(), *self.stored.values()))
        for word in self.retired[-5:]:
            if word not in known and not self.unsettled:
                assert not [one for one in self.reader.retrieve(word) if word in one.text]

    # ---- the parts of the above

    @property
    def other(self) -> str:
        return MODELS[1 - MODELS.index(self.model)]

    def settings(self, model: str, *, chosen: bool = True) -> Settings:
        """The settings of a model, or those of a reader that takes it from the collection."""
        named = {"embedding.model": model} if chosen else {}
        return Settings.load(
            **{
                "storage.mode": self.mode,
                "storage.path": self.folder / "state",
                "embedding.backend": "retriever.testing:HashingEmbedder",
                "embedding.dimension": 256,
                "chunking.tokens": 32,
                "ingestion.commit_chunks": 3,
                **named,
            }
        )

    def run(self, folder: str) -> None:
        options = IngestOptions(allow_delete=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No file was found")  # as where all were deleted
            ingest(self.corpus / folder, self.settings(self.model), options=options)

    def settle(self, folder: str) -> None:
        """The folder's sources are now what the files are."""
        for source in [one for one in {*self.stored, *self.unsettled} if one.startswith(folder)]:
            self.stored.pop(source, None)
            self.unsettled.discard(source)
        self.stored |= {one: text for one, text in self.files.items() if one.startswith(folder)}

    def swap_unless_half_written(self) -> None:
        try:
            swap(self.settings(self.other))
        except CollectionError as error:
            if not self.unsettled or "half written" not in str(error):
                raise
        else:
            self.model = self.other

    def compare(self) -> None:
        """The collection says what the dictionary says, and every chunk is a slice."""
        held = self.held()
        if not self.unsettled:
            assert held.keys() == self.stored.keys()
        for source, passages in held.items():
            if source not in self.unsettled:
                text = self.stored[source]
                assert [one.text for one in passages] == [
                    text[one.start : one.end] for one in passages
                ]
        for source in self.stored.keys() - self.unsettled:
            words = {word for word in self.stored[source].split() if word[-1] in "x."}
            assert words <= set(" ".join(one.text for one in held[source]).split())
        if self.stored and not self.unsettled:
            self.compare_words()

    def compare_words(self) -> None:
        """The lexical index is of the last commit and holds what the collection holds."""
        settings = self.settings(self.model)
        with assembly.open_store(settings) as store:
            state = store.state("docs")
            data = store.physical(state.live)
            assert find_lag(settings, store, state, data) == ""
            assert find_fault(settings, store, data, contents=True) == ""

    def held(self) -> dict[str, list[Passage]]:
        """The chunks that are stored, by source without the root's name."""
        found: dict[str, list[Passage]] = {}
        with self.store_if_any() as store:
            if store is not None and store.find("docs") is not None:
                data = store.physical(store.state("docs").live)
                sources = [one.source for one in data.manifest()]
                for source, chunks in data.stored_chunks(sources).items():
                    passages = data.passages(dict.fromkeys(chunks, 0.0))
                    found[source.removeprefix("corpus/")] = list(passages.values())
        return found

    def has_collection(self) -> bool:
        with self.store_if_any() as store:
            return store is not None and store.find("docs") is not None

    def has_root(self) -> bool:
        with self.store_if_any() as store:
            state = store.find("docs") if store else None
            return state is not None and "corpus" in state.roots

    @contextlib.contextmanager
    def store_if_any(self) -> Iterator[Store | None]:
        try:
            store = assembly.open_store(self.settings(self.model))
        except CollectionNotFound:
            yield None
            return
        with store:
            yield store

    def sentence(self) -> str:
        """Words that no other text has."""
        number = next(self.words)
        return f"red{number}x green{number}x blue{number}x."

    def put(self, name: str, text: str) -> None:
        (self.corpus / name).write_text(text, encoding="utf-8")
        self.files[name] = text

    def retire(self, name: str) -> None:
        self.retired += [word for word in self.files.get(name, "").split() if word.endswith("x")]


class HistoriesInAFolder(Histories):
    """The same with a Chroma on disk, a cache, and a reader that has to open it anew."""

    mode = "embedded"


BOUNDED = {
    "stateful_step_count": 20,
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
}
TestInMemory = Histories.TestCase
TestInMemory.settings = hypothesis_settings(max_examples=20, **BOUNDED)
TestInAFolder = HistoriesInAFolder.TestCase
TestInAFolder.settings = hypothesis_settings(max_examples=5, **BOUNDED)
