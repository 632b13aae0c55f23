"""Runs killed with SIGKILL at any moment: the next one completes, and nothing is paid for twice.

A bounded number of trials; more by hand: CRASH_KILLS=200 pytest tests/test_crashes.py -s.
CRASH_SEED=number repeats a run: the seed is printed, and stands in every failure.
"""

import itertools
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crash_corpus import VERSIONS
from crash_harness import Ending, ForkServer, Kill, repeats

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked"),
    pytest.mark.timeout(0),
]

KILLS = int(os.environ.get("CRASH_KILLS", "40"))
SEED = int(os.environ.get("CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
SECOND_KILLS = 0.25
"""The share of trials whose completing run is killed, too."""
INDEX_KILLS = 0.3
"""The share of kills, those at named steps apart, that wait for a rewrite of an index file."""
TORN_KILLS = 0.3
"""The share of the others after which an index file is cut in half."""
INDEX_FILES = ("header.bin", "data_level0.bin", "length.bin", "link_lists.bin")
INDEX_FILES += ("index_metadata.pickle",)
MOST_IN_FLIGHT = 20
"""Texts embedded and not yet in the cache at a kill: a batch, to the end of its last document."""
LONGEST_INTO_A_WRITE_S = 0.004


@dataclass(frozen=True, slots=True)
class Scenario:
    """An operation on a state that an earlier scenario left, and a version of the corpus."""

    name: str
    operation: str
    model: str
    version: str
    after: str = ""


SCENARIOS = (
    Scenario("fill", "ingest", "first", "first"),
    Scenario("change", "ingest", "first", "changed", after="fill"),
    Scenario("thin", "ingest", "first", "thinned", after="change"),
    Scenario("swap", "swap", "second", "changed", after="change"),
    Scenario("prune", "prune", "second", "changed", after="swap"),
    Scenario("compact", "compact", "first", "thinned", after="thin"),
)


@dataclass(slots=True)
class Bench:
    """The undisturbed runs, and the place where they are repeated and killed."""

    server: ForkServer
    folder: Path
    traces: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    clean: dict[str, Any] = field(default_factory=dict)
    """By scenario: what a single clean run into an empty folder makes of its corpus."""

    @property
    def root(self) -> Path:
        return self.folder / "work"

    def prepare(self) -> None:
        """Run every scenario undisturbed, and each of its corpora into an empty collection."""
        for scenario in SCENARIOS:
            self.set_up(scenario)
            ended = self.run(scenario)
            assert ended.how == "done", ended.how
            self.traces[scenario.name] = Counter(ended.result["trace"])
            self.seconds[scenario.name] = ended.seconds
            kept = self.folder / scenario.name
            kept.mkdir()
            shutil.copytree(self.root / "state", kept / "state")
            shutil.copy(self.root / "journal", kept / "journal")
            aside = {"state": "clean", "journal": "clean journal"}
            self.server.run("ingest", self.root, scenario.model, **aside)
            made = self.server.run("contents", self.root, scenario.model, **aside)
            self.clean[scenario.name] = made.result["result"]

    def set_up(self, scenario: Scenario) -> None:
        """Bring the work folder to the state before a scenario."""
        shutil.rmtree(self.root, ignore_errors=True)
        VERSIONS[scenario.version](self.root / "corpus")
        if scenario.after:
            before = self.folder / scenario.after
            shutil.copytree(before / "state", self.root / "state")
            shutil.copy(before / "journal", self.root / "journal")

    def run(self, scenario: Scenario, kill: Kill | None = None) -> Ending:
        return self.server.run(scenario.operation, self.root, scenario.model, kill=kill)

    def ask(self, operation: str, scenario: Scenario, told: str) -> Any:
        """The answer of an operation that only reads."""
        ended = self.server.run(operation, self.root, scenario.model)
        assert ended.how == "done", f"{told}\n{ended.how}"
        return ended.result["result"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("crashes")
    with ForkServer(folder) as server:
        prepared = Bench(server, folder)
        prepared.prepare()
        yield prepared


def named_kills(bench: Bench, dice: random.Random) -> list[tuple[Scenario, Kill]]:
    """Before and after every step: one call of each first, then all the others."""
    places: dict[tuple[str, str], list[tuple[Scenario, Kill]]] = {}
    for scenario, when in itertools.product(SCENARIOS, ("before", "after")):
        for step, calls in bench.traces[scenario.name].items():
            for call in range(1, calls + 1):
                kill = Kill(step=step, when=when, call=call)
                places.setdefault((step, when), []).append((scenario, kill))
    for calls_of_step in places.values():
        dice.shuffle(calls_of_step)
    first = [calls_of_step.pop() for calls_of_step in places.values()]
    rest = list(itertools.chain.from_iterable(places.values()))
    dice.shuffle(rest)
    return first + rest


def random_kill(bench: Bench, scenario: Scenario, dice: random.Random) -> Kill:
    """At any moment of the run, or while Chroma is writing an index file."""
    if dice.random() < INDEX_KILLS:
        after_s = dice.uniform(0.0, LONGEST_INTO_A_WRITE_S)
        return Kill(index_writes=dice.randint(1, 4), after_s=after_s)
    writes = bench.traces[scenario.name]["chroma upsert"]
    if writes and dice.random() < TORN_KILLS:
        file = dice.choice(INDEX_FILES)
        return Kill(step="chroma upsert", call=dice.randint(1, writes), tears=file)
    return Kill(after_s=dice.uniform(0.0, bench.seconds[scenario.name]) + 1e-6)


def kills(bench: Bench, dice: random.Random) -> Iterator[tuple[Scenario, Kill]]:
    """As many as are asked for: three of four at named steps, each step once before any twice."""
    named = iter(named_kills(bench, dice))
    for number in range(KILLS):
        chosen = next(named, None) if number % 4 < 3 else None
        scenario = dice.choice(SCENARIOS)
        yield chosen or (scenario, random_kill(bench, scenario, dice))


def test_a_killed_run_is_completed_by_the_next_and_nothing_is_embedded_twice(
    bench: Bench,
) -> None:
    """The collection equals that of a clean run: ids, texts, metadata, vectors, manifest, words."""
    dice = random.Random(SEED)
    began, died, in_flight = time.monotonic(), 0, 0
    places: Counter[str] = Counter()
    for number, (scenario, kill) in enumerate(kills(bench, dice)):
        told = f"CRASH_SEED={SEED}, kill {number}: {scenario.name}, {kill}"
        killed, lost = attempt(bench, scenario, kill, dice, told)
        died += killed
        in_flight += lost
        places[place(kill)] += killed
    print(  # noqa: T201  (the seed and the figures, for whoever runs it with -s)
        f"\n{died} kills in {time.monotonic() - began:.0f} s (CRASH_SEED={SEED}); texts "
        f"embedded twice: 0, in flight at a kill: {in_flight}\n{dict(sorted(places.items()))}"
    )


def place(kill: Kill) -> str:
    """Where a kill strikes, in words."""
    if kill.tears:
        return f"torn {kill.tears}"
    if kill.step:
        return f"{kill.when} {kill.step}"
    return "index rewrite" if kill.index_writes else "any time"


def attempt(
    bench: Bench, scenario: Scenario, kill: Kill, dice: random.Random, told: str
) -> tuple[int, int]:
    """One trial: how many processes died in it, and how many texts were in flight then."""
    bench.set_up(scenario)
    first = bench.run(scenario, kill)
    assert first.how in ("killed", "done"), f"{told}\n{first.how}"
    died = first.how == "killed"
    if scenario.after:
        assert_no_version_was_lost(bench, scenario, told)
    if dice.random() < SECOND_KILLS:
        second = bench.run(scenario, random_kill(bench, scenario, dice))
        assert second.how in ("killed", "done"), f"{told}, and again\n{second.how}"
        died += second.how == "killed"
    last = bench.run(scenario)
    assert last.how == "done", f"{told}\n{last.how}"
    assert_equal(bench.ask("contents", scenario, told), bench.clean[scenario.name], told)
    assert bench.ask("check", scenario, told) == [], told
    paid_twice, in_flight = repeats(bench.root / "journal")
    assert paid_twice == 0, told
    assert in_flight <= MOST_IN_FLIGHT * died, told
    return died, in_flight


def assert_no_version_was_lost(bench: Bench, scenario: Scenario, told: str) -> None:
    """Of every document that stays, the version before or the one after is there, whole."""
    ended = bench.server.run("stored_ids", bench.root, scenario.model)
    if ended.how != "done" or ended.result["result"] is None:
        assert list((bench.root / "state").glob("*.writing")), f"{told}\n{ended.how}"
        return  # Chroma cannot read the tables beside a torn index: the next run mends it
    held = {source: set(ids) for source, ids in ended.result["result"].items()}
    before, after = (ids_by_source(bench.clean[one]) for one in (scenario.after, scenario.name))
    for source in before.keys() & after.keys():
        found = held.get(source, set())
        assert found >= before[source] or found >= after[source], f"{told}: {source}"


def ids_by_source(held: dict[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for chunk_id, (_, row, _) in held["chunks"].items():
        found.setdefault(row["source"], set()).add(chunk_id)
    return found


def assert_equal(found: dict[str, Any], clean: dict[str, Any], told: str) -> None:
    for part in ("chunks", "documents"):
        assert found[part].keys() == clean[part].keys(), f"{told}: {part}"
        for key, (*fields, vector) in clean[part].items():
            assert found[part][key][:-1] == fields, f"{told}: {part}"
            np.testing.assert_allclose(found[part][key][-1], vector, atol=1e-3, err_msg=told)
    assert found["lexical"] == clean["lexical"], f"{told}: the lexical index"
    assert (found["interrupted"], found["leftovers"]) == (False, []), told
