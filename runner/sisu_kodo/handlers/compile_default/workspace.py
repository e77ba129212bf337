"""The run's own copy of the user's project. The user's tree is only ever read.

A workspace is a function of the source tree and the patch plan: whoever lacks it builds it again and compares
its tree hash. It appears under its name whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...artifacts import canonical, sha256
from ...models import JSON, StepError
from ...sbx import scratch
from . import patches

SCRATCH = ".scratch"
"""Folder beside the workspaces for what is in the making; no run id begins with a dot."""

_LEFT_OUT = {".git", ".hg", ".svn", ".venv", "venv", "node_modules", ".tox", ".nox", ".sisu", ".DS_Store"}
_LEFT_OUT |= {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"}
_LEFT_OUT_ENDS = (".pyc", ".pyo", ".egg-info")
_MOST_ENTRIES = 20_000
_MOST_BYTES = 512 * 1024 * 1024
_PACKAGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or link of a tree; `path` is relative, with slashes. A link's hash is that of its target."""

    path: str
    place: Path
    mode: str
    size: int
    sha256: str

    def text(self) -> str | None:
        """The file as UTF-8 text; None for links and other bytes."""
        if self.mode == "link":
            return None
        try:
            return self.place.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return None


def source(intent: Mapping[str, JSON]) -> Path:
    """The project that the intent names (`inputs.workspace`, relative to the working directory), else the
    example project. Raises StepError `workspace_missing`, `workspace_refused`.
    """
    inputs = intent.get("inputs")
    named = inputs.get("workspace") if isinstance(inputs, Mapping) else None
    if named is None:
        return example()
    if not isinstance(named, str) or not named.strip() or "\0" in named:
        raise _refused("inputs.workspace must be the path of a folder")
    place = (Path.cwd() / Path(named).expanduser()).resolve()
    if not place.is_dir():
        raise StepError("workspace_missing", f"there is no folder {named} on this machine", retryable=False)
    return place


def example() -> Path:
    """examples/broken-calc: inside the installed package, or at the root of a checkout."""
    for place in (_PACKAGE / "_examples", _PACKAGE.parents[1] / "examples"):
        if (place / "broken-calc").is_dir():
            return place / "broken-calc"
    raise StepError("workspace_missing", "the example project is not installed", retryable=False)


def scan(root: Path) -> list[Entry]:
    """The files and links of a tree, sorted by path, without version control, caches and environments.

    Raises StepError `workspace_refused` for a link that leaves the tree, for what is neither file, folder nor
    link, and for more than 20,000 entries or 512 MB.
    """
    root = root.resolve()
    found: list[Entry] = []
    total = 0
    for folder, folders, names in os.walk(root, onerror=_raise):
        kept = sorted(name for name in folders if not _left_out(name))
        links = [name for name in kept if (Path(folder) / name).is_symlink()]
        folders[:] = [name for name in kept if name not in links]
        for name in [*links, *(name for name in names if not _left_out(name))]:
            entry = _entry(root, Path(folder) / name)
            total += entry.size
            found.append(entry)
            if len(found) > _MOST_ENTRIES or total > _MOST_BYTES:
                raise _refused(f"the project is larger than {_MOST_ENTRIES} files or {_MOST_BYTES >> 20} MB")
    return sorted(found, key=lambda each: each.path)


def tree_hash(entries: Sequence[Entry]) -> str:
    """Hex sha256 over path, mode and content of every entry."""
    return sha256(canonical([[each.path, each.mode, each.sha256] for each in entries]))


def ready(place: Path, wanted: str) -> bool:
    """Whether the workspace is there with the tree hash `wanted`."""
    return place.is_dir() and tree_hash(scan(place)) == wanted


@dataclass(frozen=True, slots=True)
class Built:
    """A workspace in its place: tree hash, and what was changed in it."""

    sha256: str
    applied: list[patches.Applied]


def build(place: Path, origin: Path, patch_plan: Sequence[Mapping[str, JSON]]) -> Built:
    """Copy `origin`, apply the patches, move the whole to `place`; what was there before is replaced.

    May be repeated and may race with itself: the result is the same tree. Raises StepError `patch_failed`,
    `workspace_refused`, `infra_failure` (disk full, no permission).
    """
    try:
        with scratch.folder(place.parent / SCRATCH) as temporary:
            tree = temporary / "tree"
            _copy(origin, tree)
            applied = patches.apply_all(tree, patch_plan)
            found = tree_hash(scan(tree))
            if not ready(place, found):
                _move(tree, place, temporary / "old", found)
            return Built(found, applied)
    except OSError as error:
        raise StepError("infra_failure", f"the workspace cannot be built: {error}", retryable=True) from error


def _copy(origin: Path, tree: Path) -> None:
    tree.mkdir()
    for entry in scan(origin):
        target = tree / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.mode == "link":
            target.symlink_to(entry.place.readlink())
        else:
            shutil.copyfile(entry.place, target)
            target.chmod(0o755 if entry.mode == "program" else 0o644)


def _move(tree: Path, place: Path, old: Path, wanted: str) -> None:
    for _ in range(3):
        with contextlib.suppress(FileNotFoundError):
            place.rename(old)
        try:
            tree.rename(place)
            return
        except OSError:
            if ready(place, wanted):  # another attempt was faster, with the same tree
                return
            shutil.rmtree(old, ignore_errors=True)
    raise OSError(f"{place} cannot be replaced")


def _entry(root: Path, place: Path) -> Entry:
    path = place.relative_to(root).as_posix()
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise _refused(f"the file name {os.fsencode(path)!r} is not UTF-8") from None
    facts = place.lstat()
    if stat.S_ISLNK(facts.st_mode):
        target = str(place.readlink())
        if target.startswith("/") or not place.resolve().is_relative_to(root):
            raise _refused(f"the link {path} leaves the project")
        return Entry(path, place, "link", 0, sha256(target.encode("utf-8", "surrogateescape")))
    if not stat.S_ISREG(facts.st_mode):
        raise _refused(f"{path} is neither a file, a folder nor a link")
    mode = "program" if facts.st_mode & stat.S_IXUSR else "file"
    return Entry(path, place, mode, facts.st_size, sha256(place.read_bytes()))


def _left_out(name: str) -> bool:
    return name in _LEFT_OUT or name.endswith(_LEFT_OUT_ENDS)


def _raise(error: OSError) -> None:
    raise error


def _refused(why: str) -> StepError:
    return StepError("workspace_refused", why, retryable=False)
