"""Unified diffs onto a tree, strictly: exact context, exact counts, nothing outside of the tree.

whatthepatch reads and applies the hunks; here they are checked first, and line ends are looked after. The
caller works on a tree that it throws away when one item fails: that makes the whole all or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import whatthepatch
from whatthepatch.exceptions import WhatThePatchException

from ...models import JSON, StepError

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_NULL = "/dev/null"
# Characters that some take for line ends, and what stands for them while whatthepatch has the text.
_ODD = "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_STAND_INS = "".join(chr(0x10FFE0 + number) for number in range(len(_ODD)))
_HIDE, _SHOW = str.maketrans(_ODD, _STAND_INS), str.maketrans(_STAND_INS, _ODD)


@dataclass(frozen=True, slots=True)
class Applied:
    """One file changed. `change` is added, modified or deleted."""

    path: str
    change: str
    diff: str


@dataclass(frozen=True, slots=True)
class _Diff:
    old_path: str | None
    new_path: str | None
    hunks: list[tuple[str, list[str]]]
    old_newline: bool | None
    new_newline: bool | None


def apply_all(tree: Path, patch_plan: Sequence[Mapping[str, JSON]]) -> list[Applied]:
    """Apply each {path, diff} in turn. Raises StepError `patch_failed`, not retried, with details {path};
    the tree is then half done and must be dropped.
    """
    return [apply_one(tree, str(item["path"]), str(item["diff"])) for item in patch_plan]


def apply_one(tree: Path, path: str, diff: str) -> Applied:
    """Apply one file's diff to `tree`. Raises StepError `patch_failed`, OSError."""
    target = inside(tree, path)
    parsed = _parse(path, diff)
    for name in (parsed.old_path, parsed.new_path):
        if name not in (None, _NULL, path, f"a/{path}", f"b/{path}"):
            raise _failed(path, f"the diff is for {name}")
    if parsed.old_path == _NULL:
        if target.exists():
            raise _failed(path, "the file to add exists")
        lines, ending, newline = _lines(b"")
    else:
        if not target.is_file():
            raise _failed(path, "there is no such file")
        lines, ending, newline = _lines(target.read_bytes())
    result = _apply(path, parsed, lines, ending)
    if parsed.new_path == _NULL:
        if result:
            raise _failed(path, "the diff deletes the file but not all of its lines")
        target.unlink()
        return Applied(path, "deleted", diff)
    change = "added" if parsed.old_path == _NULL else "modified"
    ends = parsed.new_newline if parsed.new_newline is not None else newline or change == "added"
    text = ending.join(result) + (ending if ends and result else "")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text.encode("utf-8", "surrogateescape"))
    return Applied(path, change, diff)


def inside(tree: Path, path: str) -> Path:
    """The place of a relative path in `tree`. StepError `patch_failed` when it would leave the tree."""
    parts = PurePosixPath(path).parts
    if not path or path.startswith("/") or "\\" in path or "\0" in path or ".." in parts or not parts:
        raise _failed(path, "the path leaves the workspace")
    if ".git" in parts:
        raise _failed(path, "the path is in .git")
    place = tree
    for part in parts:
        place = place / part
        if place.is_symlink():
            raise _failed(path, f"{place.relative_to(tree)} is a link")
    if place.is_dir():
        raise _failed(path, "the path is a folder")
    return place


def _parse(path: str, diff: str) -> _Diff:
    lines = diff.split("\n")
    while lines and not lines[-1].strip("\r"):
        lines.pop()
    names: dict[str, str | None] = {"--- ": None, "+++ ": None}
    hunks: list[tuple[str, list[str]]] = []
    missing = {" ": False, "-": False, "+": False}
    at = 0
    while at < len(lines) and not _HUNK.match(lines[at]):
        for mark in names:
            if lines[at].startswith(mark):
                names[mark] = lines[at][4:].partition("\t")[0].strip()
        at += 1
    while at < len(lines):
        header = _HUNK.match(lines[at])
        if header is None:
            raise _failed(path, f"line {at + 1} of the diff is not part of a hunk: {lines[at][:80]!r}")
        left = [int(header[2] or 1), int(header[4] or 1)]
        canonical = f"@@ -{header[1]},{left[0]} +{header[3]},{left[1]} @@"
        body: list[str] = []
        at += 1
        while at < len(lines) and (any(left) or lines[at].startswith("\\")):
            line = lines[at].replace("\r", "") if lines[at] in ("", "\r") else lines[at]
            kind = line[:1] or " "
            if kind == "\\" and body:
                missing[body[-1][0]] = True
            elif kind in missing:
                left[0] -= kind in " -"
                left[1] -= kind in " +"
                body.append(line or " ")
            else:
                break
            at += 1
        if any(left):
            raise _failed(path, f"hunk {len(hunks) + 1} does not have the lines that its header counts")
        hunks.append((canonical, body))
    if not hunks:
        raise _failed(path, "the diff has no hunk")
    marked = any(missing.values())
    old_ends = not (missing["-"] or missing[" "]) if marked else None
    new_ends = not (missing["+"] or missing[" "]) if marked else None
    return _Diff(names["--- "], names["+++ "], hunks, old_ends, new_ends)


def _lines(data: bytes) -> tuple[list[str], str, bool]:
    """Lines without their ends, the line end, and whether the last line has one."""
    text = data.decode("utf-8", "surrogateescape")
    ending = "\r\n" if "\n" in text and text.count("\r\n") == text.count("\n") else "\n"
    lines = text.split(ending)
    newline = lines[-1] == ""
    return (lines[:-1] if newline else lines), ending, newline


def _apply(path: str, parsed: _Diff, lines: list[str], ending: str) -> list[str]:
    body = [line for _, part in parsed.hunks for line in part]
    stray = parsed.old_path != _NULL and not any("\r" in line for line in lines)
    drop_cr = ending == "\r\n" or (stray and all(line.endswith("\r") for line in body))
    text = ["--- a/file", "+++ b/file"]
    expected: list[tuple[str, str]] = []
    for header, part in parsed.hunks:
        text.append(header)
        for line in part:
            clean = (line.removesuffix("\r") if drop_cr else line).translate(_HIDE)
            text.append(clean)
            expected.append((clean[0], clean[1:]))
    try:
        found = list(whatthepatch.parse_patch(text))
        changes = found[0].changes if len(found) == 1 else None
        if changes is None or [_kind(change) for change in changes] != expected:
            raise _failed(path, "the diff cannot be read")
        result = whatthepatch.apply_diff(found[0], [line.translate(_HIDE) for line in lines])
    except WhatThePatchException as error:
        raise _failed(path, str(error).translate(_SHOW)) from error
    except (IndexError, ValueError) as error:
        raise _failed(path, f"the diff does not fit: {error}") from error
    return [line.translate(_SHOW) for line in result]


def _kind(change: whatthepatch.patch.Change) -> tuple[str, str]:
    kind = "+" if change.old is None else "-" if change.new is None else " "
    return kind, str(change.line)


def _failed(path: str, why: str) -> StepError:
    return StepError("patch_failed", f"{path}: {why}", retryable=False, details={"path": path, "reason": why})
