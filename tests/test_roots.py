"""Named folders, and what a run covers."""

from pathlib import Path

import pytest

from retriever.errors import SettingsError
from retriever.ingestion.roots import covers, resolve
from retriever.records import Root


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs" / "guides").mkdir(parents=True)
    (tmp_path / "other" / "docs").mkdir(parents=True)
    return tmp_path / "docs"


def test_a_root_has_its_folders_name(docs: Path) -> None:
    assert resolve([docs], {}) == ([Root("docs", docs)], {"docs": str(docs)})


def test_a_root_may_be_named(docs: Path) -> None:
    assert resolve([f"manual={docs}"], {}) == ([Root("manual", docs)], {"manual": str(docs)})


def test_a_relative_path_names_the_same_root(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(docs)
    assert resolve(["."], {})[0] == [Root("docs", docs)]


def test_a_folder_inside_a_known_root_is_a_part_of_it(docs: Path) -> None:
    known = {"docs": str(docs)}
    assert resolve([docs / "guides"], known) == ([Root("docs", docs, "guides")], known)


def test_a_symlink_to_a_known_root_is_that_root(docs: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(docs)
    assert resolve([link], {"docs": str(docs)})[0] == [Root("docs", docs)]


def test_another_folder_under_a_taken_name_is_refused_with_advice(
    docs: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"--move-root docs=.*NAME="):
        resolve([tmp_path / "other" / "docs"], {"docs": str(docs)})


def test_a_moved_root_is_found_at_its_new_place(docs: Path, tmp_path: Path) -> None:
    new = tmp_path / "other" / "docs"
    run, remembered = resolve([new], {"docs": str(docs)}, moved=[f"docs={new}"])
    assert run == [Root("docs", new)]
    assert remembered == {"docs": str(new)}


def test_moving_an_unknown_root_is_refused(docs: Path) -> None:
    with pytest.raises(SettingsError, match="known root"):
        resolve([docs], {}, moved=[f"nope={docs}"])


def test_a_folder_above_a_known_root_is_refused_unless_it_is_named(
    docs: Path, tmp_path: Path
) -> None:
    known = {"docs": str(docs)}
    with pytest.raises(SettingsError, match="ingested twice"):
        resolve([tmp_path], known)
    assert resolve([f"all={tmp_path}"], known)[0] == [Root("all", tmp_path)]


def test_a_folder_that_is_covered_by_another_of_the_run_counts_once(docs: Path) -> None:
    known = {"docs": str(docs)}
    assert resolve([docs, docs / "guides", docs], known)[0] == [Root("docs", docs)]


@pytest.mark.parametrize("folder", ["missing", "docs/file.txt", "a/b="])
def test_what_is_no_folder_is_refused(docs: Path, tmp_path: Path, folder: str) -> None:
    (docs / "file.txt").write_text("x", encoding="utf-8")
    with pytest.raises(SettingsError):
        resolve([tmp_path / folder], {})


def test_no_folder_at_all_is_refused() -> None:
    with pytest.raises(SettingsError, match="No folder"):
        resolve([], {})


def test_a_missing_folder_that_is_known_stays_a_root(docs: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert resolve([gone], {"gone": str(gone)})[0] == [Root("gone", gone)]


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\nb"])
def test_a_name_with_a_slash_or_none_is_refused(docs: Path, name: str) -> None:
    with pytest.raises(SettingsError):
        resolve([f"{name}={docs}"], {})


def test_a_root_covers_its_part_and_no_neighbour_of_a_similar_name(docs: Path) -> None:
    part = Root("docs", docs, "guides")
    assert covers(part, "docs/guides/a.md")
    assert not covers(part, "docs/guides-old/a.md")
    assert not covers(Root("docs", docs), "docs2/a.md")


@pytest.mark.parametrize("entry", ["", "manual="])
def test_an_empty_path_is_refused_and_never_the_working_folder(entry: str) -> None:
    with pytest.raises(SettingsError, match="path is empty"):
        resolve([entry], {})


def test_a_root_is_never_moved_to_the_working_folder_by_an_empty_path(docs: Path) -> None:
    with pytest.raises(SettingsError, match="path is empty"):
        resolve([docs], {"docs": str(docs)}, moved=["docs="])


def test_the_home_folder_of_nobody_known_is_refused_as_a_folder_that_is_not_there() -> None:
    with pytest.raises(SettingsError, match=r"There is no folder .*~nobody-of-that-name"):
        resolve(["~nobody-of-that-name/docs"], {})
