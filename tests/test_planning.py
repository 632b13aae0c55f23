"""A corpus against a manifest: what a run would do, decided without touching either."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.errors import DeletionRefused, LoadingError
from retriever.ingestion.planning import Plan, guard_deletions, plan, trusted_mtime_ns
from retriever.records import CorpusFile, DocumentRecord, Root, Skipped

ROOT = Root("docs", Path("/docs"))
OLD_NS = 10**18


def file(name: str, *, size: int = 5, mtime_ns: int = OLD_NS) -> CorpusFile:
    return CorpusFile(f"docs/{name}", Path(f"/docs/{name}"), size, mtime_ns)


def record(name: str, **fields: object) -> DocumentRecord:
    defaults: dict[str, object] = {
        "source": f"docs/{name}",
        "content_hash": "same",
        "size_bytes": 5,
        "mtime_ns": OLD_NS,
        "status": "complete",
        "chunk_count": 1,
        "token_count": 9,
        "title": "",
        "format": "markdown",
        "reason": "",
        "reading": "r1",
        "ingested_at": "2026-01-01T00:00:00+00:00",
    }
    return DocumentRecord(**(defaults | fields))  # type: ignore[arg-type]


def planned(
    found: list[CorpusFile | Skipped],
    manifest: list[DocumentRecord],
    *,
    content_hash: str = "same",
    roots: tuple[Root, ...] = (ROOT,),
    unfinished: tuple[str, ...] = (),
) -> Plan:
    return plan(
        found,
        roots,
        {one.source: one for one in manifest},
        reading="r1",
        hash_file=lambda _: content_hash,
        unfinished=unfinished,
    )


def test_a_file_of_the_same_size_and_time_is_unchanged_and_not_read() -> None:
    def refuse(_: Path) -> str:
        raise AssertionError("hashed a file whose size and time are the same")

    done = plan([file("a")], [ROOT], {"docs/a": record("a")}, reading="r1", hash_file=refuse)
    assert done == Plan(unchanged=("docs/a",))
    assert done.changes_nothing


def test_a_file_of_another_time_and_the_same_hash_is_unchanged_and_its_time_is_noted() -> None:
    done = planned([file("a", mtime_ns=OLD_NS + 1)], [record("a")])
    assert done.unchanged == ("docs/a",)
    assert [one.mtime_ns for one in done.touched] == [OLD_NS + 1]
    assert done.changes_nothing


def test_a_file_is_hashed_where_its_recorded_time_proves_nothing_whatever_its_own_time() -> None:
    replaced = file("a", mtime_ns=0)
    before = record("a", mtime_ns=0)
    assert planned([replaced], [before], content_hash="other") == Plan(updated=(replaced,))


def test_a_file_of_no_time_is_unchanged_while_its_hash_is_and_leaves_nothing_to_note() -> None:
    assert planned([file("a", mtime_ns=0)], [record("a", mtime_ns=0)]) == Plan(
        unchanged=("docs/a",)
    )


def test_a_file_of_another_hash_is_updated() -> None:
    changed = file("a", size=6)
    assert planned([changed], [record("a")], content_hash="other") == Plan(updated=(changed,))


def test_a_file_that_other_readers_read_is_updated_though_it_is_the_same() -> None:
    assert planned([file("a")], [record("a", reading="r0")]).updated == (file("a"),)


def test_a_source_that_a_run_left_half_written_is_updated_though_it_is_the_same() -> None:
    assert planned([file("a")], [record("a")], unfinished=("docs/a",)).updated == (file("a"),)


def test_a_file_skipped_before_keeps_its_reason_until_it_changes() -> None:
    before = record("a", status="skipped", reason="damaged PDF", content_hash="")
    assert planned([file("a")], [before]).skipped == (Skipped("docs/a", "damaged PDF"),)
    assert planned([file("a", size=6)], [before]).added == (file("a", size=6),)


def test_a_file_that_cannot_be_hashed_is_skipped_with_the_reason() -> None:
    def fail(_: Path) -> str:
        raise LoadingError("permission denied")

    done = plan([file("a", size=6)], [ROOT], {"docs/a": record("a")}, reading="r1", hash_file=fail)
    assert done == Plan(skipped=(Skipped("docs/a", "permission denied"),))


def test_what_is_gone_is_deleted_only_under_the_roots_of_the_run() -> None:
    manifest = [record("guides/a"), record("b"), record("x", source="other/x")]
    part = Root("docs", Path("/docs"), "guides")
    assert planned([], manifest, roots=(part,)).deleted == ("docs/guides/a",)
    assert planned([], manifest).deleted == ("docs/guides/a", "docs/b")


def test_what_lies_in_a_folder_that_could_not_be_read_is_not_deleted() -> None:
    manifest = [record("locked/a"), record("locked-too")]
    done = planned([Skipped("docs/locked", "permission denied")], manifest)
    assert done.deleted == ("docs/locked-too",)


def test_a_skipped_file_that_is_gone_is_forgotten_not_deleted() -> None:
    done = planned([], [record("a", status="skipped")])
    assert (done.deleted, done.forgotten) == ((), ("docs/a",))


@given(
    before=st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("xy")),
    after=st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("xy")),
)
def test_every_file_is_in_exactly_one_place(before: dict[str, str], after: dict[str, str]) -> None:
    done = plan(
        [file(name, size=ord(text)) for name, text in after.items()],
        [ROOT],
        {f"docs/{n}": record(n, content_hash=t, size_bytes=ord(t)) for n, t in before.items()},
        reading="r1",
        hash_file=lambda path: after[path.name],
    )
    assert {one.source for one in done.added} == {f"docs/{n}" for n in after.keys() - before.keys()}
    assert set(done.deleted) == {f"docs/{n}" for n in before.keys() - after.keys()}
    common = after.keys() & before.keys()
    assert {one.source for one in done.updated} == {
        f"docs/{n}" for n in common if after[n] != before[n]
    }
    assert set(done.unchanged) == {f"docs/{n}" for n in common if after[n] == before[n]}


def test_a_time_of_the_last_seconds_proves_nothing() -> None:
    assert trusted_mtime_ns(file("a", mtime_ns=time.time_ns())) == 0
    assert trusted_mtime_ns(file("a")) == OLD_NS


def guarded(deleted: int, existing: int, *, left: int = 1) -> None:
    guard_deletions(
        Plan(
            deleted=tuple(f"docs/{n}" for n in range(deleted)),
            unchanged=tuple(f"docs/left{n}" for n in range(left)),
        ),
        [Root("docs", Path(__file__).parent)],
        existing,
        most_fraction=0.3,
    )


@pytest.mark.parametrize(("deleted", "existing"), [(0, 1), (1, 2), (1, 100), (3, 10), (30, 100)])
def test_a_usual_deletion_is_let_through(deleted: int, existing: int) -> None:
    guarded(deleted, existing)


@pytest.mark.parametrize(("deleted", "existing"), [(2, 3), (4, 10), (31, 100)])
def test_more_than_the_share_is_refused_with_both_numbers(deleted: int, existing: int) -> None:
    with pytest.raises(DeletionRefused) as caught:
        guarded(deleted, existing)
    assert (caught.value.deleted, caught.value.existing) == (deleted, existing)
    assert "--allow-delete" in str(caught.value)


def test_emptying_a_root_is_refused_even_for_one_document() -> None:
    with pytest.raises(DeletionRefused, match="is empty"):
        guarded(1, 100, left=0)
