"""Which files a walk finds, in which order, and what it says of the others."""

import dataclasses
import os
import sys
from pathlib import Path

import pytest
import sample_files as sample

from retriever.errors import LoadingError
from retriever.loading import DocumentLoader, hash_file
from retriever.loading.walking import walk
from retriever.records import CorpusFile, Root, Skipped

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")


def make(folder: Path, *names: str, **contents: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents.get(name, "text"), encoding="utf-8")


def ignore(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")


def found(folder: Path, within: str = "", **options: object) -> list[str]:
    """Sources of the files found, without the root's name; what was skipped as `source: why`."""
    chosen = dataclasses.replace(sample.OPTIONS, **options)
    walked = walk([Root("r", folder, within)], chosen)
    return [
        each.source.removeprefix("r/")
        if isinstance(each, CorpusFile)
        else f"{each.source.removeprefix('r/')}: {each.reason}"
        for each in walked
    ]


def test_files_come_in_the_order_of_their_names_bytes(tmp_path: Path) -> None:
    make(tmp_path, "b.md", "a/z.md", "B.md", "a.md", "ä.md", "a/b/c.md")
    assert found(tmp_path) == ["B.md", "a/b/c.md", "a/z.md", "a.md", "b.md", "ä.md"]


def test_a_file_carries_its_source_place_size_and_time(tmp_path: Path) -> None:
    make(tmp_path, "x/a.md")
    (file,) = walk([Root("docs", tmp_path)], sample.OPTIONS)
    status = (tmp_path / "x/a.md").stat()
    assert file == CorpusFile(
        "docs/x/a.md", tmp_path / "x/a.md", status.st_size, status.st_mtime_ns
    )


def test_every_root_is_walked(tmp_path: Path) -> None:
    make(tmp_path, "one/a.md", "two/a.md")
    roots = [Root("two", tmp_path / "two"), Root("one", tmp_path / "one")]
    assert [each.source for each in walk(roots, sample.OPTIONS)] == ["two/a.md", "one/a.md"]


def test_include_and_exclude_are_gitignore_patterns(tmp_path: Path) -> None:
    make(tmp_path, "a.md", "a.txt", "x/b.md", "x/y/c.md", "z/d.md")
    assert found(tmp_path, include=("*.md",)) == ["a.md", "x/b.md", "x/y/c.md", "z/d.md"]
    assert found(tmp_path, include=("x/**",)) == ["x/b.md", "x/y/c.md"]
    assert found(tmp_path, include=("*.md",), exclude=("/x/", "a.*")) == ["z/d.md"]
    assert found(tmp_path, include=("x/", "!b.md")) == ["x/y/c.md"]
    assert found(tmp_path, exclude=("*", "!*/", "!c.md")) == ["x/y/c.md"]
    assert found(tmp_path, exclude=("x/**", "!x/b.md")) == ["a.md", "a.txt", "x/b.md", "z/d.md"]
    assert found(tmp_path, exclude=("x/*", "!x/b.md")) == ["a.md", "a.txt", "x/b.md", "z/d.md"]


def test_ignore_files_hold_below_them_and_the_nearest_one_decides(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "keep.log", "x/b.log", "x/deep/c.log", "build/d.md", "x/build/e.md")
    ignore(tmp_path / ".gitignore", "*.log", "!keep.log", "/build/")
    ignore(tmp_path / "x/.gitignore", "!b.log", "# comment", "")
    ignore(tmp_path / "x/deep/.retrieverignore", "!c.log")
    expected = ["keep.log", "x/b.log", "x/build/e.md", "x/deep/c.log"]
    assert found(tmp_path) == expected
    assert len(found(tmp_path, use_ignore_files=False)) == 9


def test_the_retrieverignore_has_the_last_word(tmp_path: Path) -> None:
    make(tmp_path, "a.md", "b.md", "c.md")
    ignore(tmp_path / ".gitignore", "a.md", "b.md")
    ignore(tmp_path / ".retrieverignore", "!a.md", "c.md")
    assert found(tmp_path) == ["a.md"]


def test_a_part_of_a_root_obeys_the_ignore_files_above_it(tmp_path: Path) -> None:
    make(tmp_path, "x/y/a.md", "x/y/b.log", "x/y/c.tmp", "x/z.md")
    ignore(tmp_path / ".gitignore", "*.log")
    ignore(tmp_path / "x/.gitignore", "*.tmp", "/y/q*")
    assert found(tmp_path, "x/y") == ["x/y/a.md"]
    assert found(tmp_path, "x/z.md") == ["x/z.md"]
    ignore(tmp_path / "x/.gitignore", "y/")
    assert found(tmp_path, "x/y") == []
    assert found(tmp_path, "x/y/a.md") == []


@pytest.mark.parametrize("within", ["../other", "x/../..", "gone"])
def test_a_part_that_is_not_in_the_root_is_reported(tmp_path: Path, within: str) -> None:
    make(tmp_path, "root/a.md", "other/secret.md")
    (skipped,) = found(tmp_path / "root", within)
    assert skipped.endswith(("outside of its root", "folder not found"))


def test_a_missing_root_is_reported(tmp_path: Path) -> None:
    assert found(tmp_path / "gone") == ["r: folder not found"]


def test_hidden_files_and_folders_are_reported_once_each(tmp_path: Path) -> None:
    make(tmp_path, ".env", ".git/config", ".git/x/y", "a/.hidden/b.md", "a/c.md")
    assert found(tmp_path) == [
        ".env: hidden file", ".git: hidden folder", "a/.hidden: hidden folder", "a/c.md",
    ]  # fmt: skip
    ignore(tmp_path / ".gitignore", ".env", ".git")
    assert found(tmp_path) == ["a/.hidden: hidden folder", "a/c.md"]


def test_the_state_folder_is_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "a.md", "state/b.md")
    walked = walk([Root("r", tmp_path)], sample.OPTIONS, not_into=[tmp_path / "state"])
    assert [each.source for each in walked] == ["r/a.md"]


@posix
def test_links_that_leave_the_root_or_lead_back_are_reported(tmp_path: Path) -> None:
    make(tmp_path, "outside/secret.md", "root/a/b.md", "root/c.md")
    root = tmp_path / "root"
    (root / "away").symlink_to(tmp_path / "outside")
    (root / "secret.md").symlink_to(tmp_path / "outside/secret.md")
    (root / "a/loop").symlink_to(root)
    (root / "inside.md").symlink_to(root / "c.md")
    (root / "same").symlink_to(root / "a")
    (root / "dangling").symlink_to(root / "gone")
    assert found(root) == [
        "a/b.md",
        "a/loop: link to a folder that holds it",
        "away: link that leaves its root",
        "c.md",
        "dangling: cannot be read: no such file or directory",
        "inside.md",
        "same/b.md",
        "same/loop: link to a folder that holds it",
        "secret.md: link that leaves its root",
    ]


@posix
def test_folders_full_of_links_to_one_another_end(tmp_path: Path) -> None:
    for number in range(12):
        make(tmp_path, f"d{number}/a.md")
        for other in range(12):
            if other != number:
                (tmp_path / f"d{number}/to{other}").symlink_to(tmp_path / f"d{other}")
    assert len(found(tmp_path)) < 12 * 12 * 14


@posix
def test_what_cannot_be_read_is_reported_and_the_rest_is_found(tmp_path: Path) -> None:
    make(tmp_path, "a.md", "big.md", "closed/b.md")
    (tmp_path / "big.md").write_bytes(b"x" * 2000)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "closed").chmod(0)
    try:
        expected = ["a.md", "big.md: larger than 0.001 MB"]
        if os.geteuid():
            expected.append("closed: folder cannot be read: permission denied")
        else:
            expected.append("closed/b.md")
        expected.append("pipe: not a regular file")
        assert found(tmp_path, max_file_mb=0.001) == expected
    finally:
        (tmp_path / "closed").chmod(0o755)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_unicode_has_a_source_all_the_same(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.md")).write_text("# T", encoding="utf-8")
    (file,) = walk([Root("r", tmp_path)], sample.OPTIONS)
    assert file.source == "r/caf\\xe9.md"
    with DocumentLoader(sample.OPTIONS) as loader:
        assert loader.load(file).title == "T"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_of_two_files_with_one_source_the_second_is_reported(tmp_path: Path) -> None:
    for name in (b"caf\xe9.md", b"caf\\xe9.md", b"d\xe9/a.md", b"d\\xe9/a.md"):
        make(tmp_path, os.fsdecode(name))
    why = "another file has the same name once escaped: rename one of them"
    assert found(tmp_path) == [
        "caf\\xe9.md", f"caf\\xe9.md: {why}", "d\\xe9/a.md", f"d\\xe9/a.md: {why}",
    ]  # fmt: skip


@posix
@pytest.mark.parametrize(
    ("pattern", "excluded"),
    [
        ("x[[:alpha:]]", "xB xa"),
        ("x[[:digit:]]", "x1"),
        ("x[![:digit:]]", "x- x: xB x] x^ xa"),
        ("x[^[:alnum:]]", "x- x: x] x^"),
        ("x[[:punct:]]", "x- x: x] x^"),
        ("x[[:digit:][:upper:]-]", "x- x1 xB"),
        ("[[:lower:]][[:lower:]]", "xa"),
        (r"x[\]]", "x]"),
        (r"x[B\-\^]", "x- xB x^"),
        ("x[]-]", "x- x]"),
        ("x[--:]", "x- x1 x:"),
        ("x[a-A]", "xa"),
    ],
)
def test_bracket_expressions_mean_what_they_mean_to_git(
    tmp_path: Path, pattern: str, excluded: str
) -> None:
    names = ["x-", "x1", "x:", "xB", "x]", "x^", "xa"]
    make(tmp_path, *names)
    ignore(tmp_path / ".gitignore", pattern)
    assert set(names) - set(found(tmp_path)) == set(excluded.split())


@posix
@pytest.mark.parametrize("pattern", ["x[[:letter:]]", "x[[:alpha:]", "x[ab"])
def test_a_bracket_expression_that_git_does_not_know_is_not_used_and_reported(
    tmp_path: Path, pattern: str
) -> None:
    make(tmp_path, "xa", "x:]", pattern)
    ignore(tmp_path / ".gitignore", "# a comment [", pattern)
    walked = found(tmp_path)
    assert walked[0] == f".gitignore: patterns not used: {pattern!r}"
    assert sorted(walked[1:]) == sorted(["xa", "x:]", pattern])


def test_a_bracket_expression_matches_no_slash(tmp_path: Path) -> None:
    make(tmp_path, "a/b", "a-b")
    ignore(tmp_path / ".gitignore", "a[!c]b", "a[+-/]b")
    assert found(tmp_path) == ["a/b"]


@pytest.mark.timeout(10)
def test_patterns_that_would_take_for_ever_are_not_used_and_reported(tmp_path: Path) -> None:
    make(tmp_path, "a" * 100 + ".md")
    ignore(tmp_path / ".gitignore", "*a" * 30 + "x", "!", "*.log")
    walked = found(tmp_path)
    assert walked[0].startswith(".gitignore: patterns not used: '*a*a")
    assert walked[1:] == ["a" * 100 + ".md"]


def test_an_ignore_file_may_hold_anything(tmp_path: Path) -> None:
    make(tmp_path, "a.md", "b.log")
    (tmp_path / ".gitignore").write_bytes(b"\xff\xfe\x00[z-a]\r\n[\r\n*.log\r\n\\\r\n")
    assert found(tmp_path)[-1] == "a.md"


def test_a_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file(tmp_path / "a") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    with pytest.raises(LoadingError, match="cannot be read"):
        hash_file(tmp_path / "gone")


def test_skipped_things_say_where_they_stand(tmp_path: Path) -> None:
    make(tmp_path, "x/.secret")
    assert list(walk([Root("r", tmp_path)], sample.OPTIONS)) == [
        Skipped("r/x/.secret", "hidden file")
    ]
