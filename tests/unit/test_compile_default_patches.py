"""Unified diffs onto a tree: exact or refused, and never outside of the tree."""

from __future__ import annotations

import difflib
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sisu_kodo.handlers.compile_default import patches, workspace
from sisu_kodo.models import StepError

NEW = "--- /dev/null\n+++ b/{0}\n@@ -0,0 +1,2 @@\n+one\n+two\n"


def _diff(old: str, new: str, path: str = "f.txt") -> str:
    def split(text: str) -> list[str]:
        return [line + "\n" for line in text.split("\n")[:-1]]

    return "".join(difflib.unified_diff(split(old), split(new), f"a/{path}", f"b/{path}"))


def _refused(tree: Path, path: str, diff: str) -> str:
    with pytest.raises(StepError) as caught:
        patches.apply_one(tree, path, diff)
    assert (caught.value.code, caught.value.retryable) == ("patch_failed", False)
    assert caught.value.details["path"] == path and caught.value.message.startswith(f"{path}: ")
    return str(caught.value.details["reason"])


def test_a_file_is_modified(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("a\nb\nc\n")
    applied = patches.apply_one(tmp_path, "f.txt", _diff("a\nb\nc\n", "a\nB\nc\n"))
    assert (tmp_path / "f.txt").read_text() == "a\nB\nc\n" and applied.change == "modified"


def test_a_file_is_added_with_its_folders(tmp_path: Path) -> None:
    assert patches.apply_one(tmp_path, "x/y/new.txt", NEW.format("x/y/new.txt")).change == "added"
    assert (tmp_path / "x/y/new.txt").read_text() == "one\ntwo\n"
    assert "exists" in _refused(tmp_path, "x/y/new.txt", NEW.format("x/y/new.txt"))


def test_a_file_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("a\nb\n")
    part = "--- a/f.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
    assert "not all of its lines" in _refused(tmp_path, "f.txt", part)
    whole = "--- a/f.txt\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\n"
    assert patches.apply_one(tmp_path, "f.txt", whole).change == "deleted"
    assert not (tmp_path / "f.txt").exists()
    assert "no such file" in _refused(tmp_path, "f.txt", whole)


@pytest.mark.parametrize(
    "path",
    ["../f.txt", "a/../../f.txt", "/etc/f.txt", "", ".", "..", "a\\..\\f.txt", "x\0y", ".git/hooks/x", "d"],
)
def test_a_path_that_leaves_the_tree_is_refused(tmp_path: Path, path: str) -> None:
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    _refused(tree, path, NEW.format(path))
    assert sorted(tmp_path.rglob("*")) == [tree, tree / "d"]


def test_a_link_is_never_followed(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    tree.mkdir()
    outside.mkdir()
    (outside / "f.txt").write_text("a\n")
    (tree / "link").symlink_to(outside)
    (tree / "file").symlink_to(outside / "f.txt")
    assert "link" in _refused(tree, "link/new.txt", NEW.format("link/new.txt"))
    assert "link" in _refused(tree, "file", _diff("a\n", "b\n", "file"))
    assert [file.name for file in outside.iterdir()] == ["f.txt"] and (outside / "f.txt").read_text() == "a\n"


def test_a_diff_for_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("a\n")
    assert "other.txt" in _refused(tmp_path, "f.txt", _diff("a\n", "b\n", "other.txt"))


@pytest.mark.parametrize(
    "diff",
    [
        _diff("a\nX\nc\n", "a\nB\nc\n"),
        "--- a/f.txt\n+++ b/f.txt\n@@ -2,3 +2,3 @@\n a\n-b\n+B\n c\n",
        "--- a/f.txt\n+++ b/f.txt\n@@ -90,1 +90,1 @@\n-b\n+B\n",
        "--- a/f.txt\n+++ b/f.txt\n@@ -1,9 +1,9 @@\n a\n-b\n+B\n c\n",
        _diff("a\nb\nc\n", "a\nB\nc\n") + _diff("a\n", "b\n", "g.txt"),
        "--- a/f.txt\n+++ b/f.txt\n",
        "nonsense",
        "",
    ],
)
def test_a_diff_that_does_not_fit_names_the_file(tmp_path: Path, diff: str) -> None:
    (tmp_path / "f.txt").write_text("a\nb\nc\n")
    assert _refused(tmp_path, "f.txt", diff)
    assert (tmp_path / "f.txt").read_text() == "a\nb\nc\n"


@pytest.mark.parametrize("crlf_diff", [False, True])
def test_windows_line_ends_stay(tmp_path: Path, crlf_diff: bool) -> None:
    (tmp_path / "f.txt").write_bytes(b"a\r\nb\r\nc\r\n")
    diff = _diff("a\nb\nc\n", "a\nB\nc\n")
    patches.apply_one(tmp_path, "f.txt", diff.replace("\n", "\r\n") if crlf_diff else diff)
    assert (tmp_path / "f.txt").read_bytes() == b"a\r\nB\r\nc\r\n"


def test_unix_line_ends_stay_under_a_windows_diff(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_bytes(b"a\nb\n")
    patches.apply_one(tmp_path, "f.txt", _diff("a\nb\n", "a\nB\n").replace("\n", "\r\n"))
    assert (tmp_path / "f.txt").read_bytes() == b"a\nB\n"


def test_mixed_line_ends_are_exact(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_bytes(b"a\r\nb\nc\r\n")
    patches.apply_one(tmp_path, "f.txt", _diff("a\r\nb\nc\r\n", "a\r\nB\nc\r\n"))
    assert (tmp_path / "f.txt").read_bytes() == b"a\r\nB\nc\r\n"


@pytest.mark.parametrize(
    ("old", "body", "new"),
    [
        (b"a\nb", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+B\n", b"a\nB\n"),
        (b"a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n+B\n\\ No newline at end of file\n", b"a\nB"),
        (b"a\nb", "@@ -1,2 +1,2 @@\n-a\n+A\n b\n\\ No newline at end of file\n", b"A\nb"),
        (b"a\n\nc\n", "@@ -1,3 +1,3 @@\n a\n\n-c\n+C\n", b"a\n\nC\n"),
        (b"-- x\n", "@@ -1 +1 @@\n--- x\n+++ y\n", b"++ y\n"),
        (b"\xff\na\n", "@@ -2 +2 @@\n-a\n+\xe9\n", b"\xff\n\xc3\xa9\n"),
        (b"a\x0cb\nc\n", "@@ -1,2 +1,2 @@\n a\x0cb\n-c\n+C\n", b"a\x0cb\nC\n"),
    ],
)
def test_ends_of_files_and_odd_lines(tmp_path: Path, old: bytes, body: str, new: bytes) -> None:
    (tmp_path / "f.txt").write_bytes(old)
    patches.apply_one(tmp_path, "f.txt", f"--- a/f.txt\n+++ b/f.txt\n{body}")
    assert (tmp_path / "f.txt").read_bytes() == new


_TEXT = st.lists(st.sampled_from(["a", "b", "", "-- c", "++ d", "@@ -1 +1 @@", " e", "\tf"]), max_size=12)


@settings(max_examples=150, deadline=None)
@given(old=_TEXT, new=_TEXT)
def test_what_difflib_writes_is_applied(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str]
) -> None:
    before, after = ("".join(f"{line}\n" for line in lines) for lines in (old, new))
    if before == after:
        return
    tree = tmp_path_factory.mktemp("tree")
    (tree / "f.txt").write_text(before)
    patches.apply_one(tree, "f.txt", _diff(before, after))
    assert (tree / "f.txt").read_text() == after


def test_it_agrees_with_git(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed: nothing to compare with")
    (tmp_path / "f.txt").write_text("".join(f"line {number}\n" for number in range(40)))
    work = tmp_path / "work"
    work.mkdir()
    new = "".join(f"line {number}\n" for number in range(40) if number not in (3, 30)) + "end"
    (work / "f.txt").write_text(new)
    command = ["git", "diff", "--no-index", "f.txt", "work/f.txt"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    diff = made.stdout.replace("b/work/f.txt", "b/f.txt")
    assert "@@" in diff
    patches.apply_one(tmp_path, "f.txt", diff)
    assert (tmp_path / "f.txt").read_text() == new


def test_one_bad_item_leaves_no_workspace(tmp_path: Path) -> None:
    origin, place = tmp_path / "origin", tmp_path / "workspaces" / "run"
    origin.mkdir()
    (origin / "f.txt").write_text("a\n")
    good, bad = (
        {"path": "f.txt", "diff": _diff("a\n", "b\n")},
        {"path": "g.txt", "diff": _diff("a\n", "b\n", "g.txt")},
    )
    with pytest.raises(StepError, match=r"g\.txt"):
        workspace.build(place, origin, [good, bad])
    assert not place.exists() and not list((place.parent / workspace.SCRATCH).iterdir())
    before = workspace.build(place, origin, [good])
    with pytest.raises(StepError):
        workspace.build(place, origin, [good, bad])
    assert workspace.ready(place, before.sha256) and (origin / "f.txt").read_text() == "a\n"
