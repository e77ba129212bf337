"""The run's workspace: a faithful copy, never the user's tree."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from sisu_kodo.handlers.compile_default import workspace
from sisu_kodo.models import StepError


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    root = tmp_path / "origin"
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "a.py").write_text("a = 1\n")
    (root / "run.sh").write_text("true\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("pkg/a.py")
    return root


def _code(origin: Path) -> str:
    with pytest.raises(StepError) as caught:
        workspace.scan(origin)
    assert caught.value.retryable is False
    return caught.value.code


def test_version_control_caches_and_environments_stay_behind(origin: Path, tmp_path: Path) -> None:
    for name in (".git", ".venv", "pkg/__pycache__", ".pytest_cache", "node_modules"):
        (origin / name).mkdir()
        (origin / name / "file").write_text("x")
    (origin / "pkg" / "a.pyc").write_text("x")
    place = tmp_path / "workspaces" / "run"
    built = workspace.build(place, origin, [])
    found = sorted(each.relative_to(place).as_posix() for each in place.rglob("*"))
    assert found == ["link", "pkg", "pkg/a.py", "run.sh"]
    assert os.access(place / "run.sh", os.X_OK) and not os.access(place / "pkg/a.py", os.X_OK)
    assert (place / "link").is_symlink() and built.sha256 == workspace.tree_hash(workspace.scan(origin))


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "pkg/../../outside"])
def test_a_link_that_leaves_the_tree_is_refused(origin: Path, target: str) -> None:
    (origin.parent / "outside").write_text("x")
    (origin / "bad").symlink_to(target)
    assert _code(origin) == "workspace_refused"


def test_a_pipe_is_refused(origin: Path) -> None:
    os.mkfifo(origin / "pipe")
    assert _code(origin) == "workspace_refused"


def test_the_hash_sees_content_names_and_modes(origin: Path) -> None:
    seen = {workspace.tree_hash(workspace.scan(origin))}
    (origin / "pkg" / "a.py").write_text("a = 2\n")
    seen.add(workspace.tree_hash(workspace.scan(origin)))
    (origin / "pkg" / "a.py").rename(origin / "pkg" / "b.py")
    seen.add(workspace.tree_hash(workspace.scan(origin)))
    (origin / "run.sh").chmod(0o644)
    seen.add(workspace.tree_hash(workspace.scan(origin)))
    assert len(seen) == 4


def test_a_tampered_workspace_is_replaced(origin: Path, tmp_path: Path) -> None:
    place = tmp_path / "workspaces" / "run"
    built = workspace.build(place, origin, [])
    (place / "pkg" / "a.py").write_text("broken\n")
    (place / "more").write_text("x")
    assert not workspace.ready(place, built.sha256)
    assert workspace.build(place, origin, []).sha256 == built.sha256
    assert workspace.ready(place, built.sha256) and not (place / "more").exists()


def test_builders_that_race_all_end_with_the_same_tree(origin: Path, tmp_path: Path) -> None:
    place = tmp_path / "workspaces" / "run"
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(workspace.build(place, origin, []).sha256))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1 and workspace.ready(place, found[0])
    assert sorted(each.name for each in place.parent.iterdir()) == [workspace.SCRATCH, "run"]


def test_a_workspace_is_relative_to_the_working_directory(
    origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(origin.parent)
    assert workspace.source({"inputs": {"workspace": "origin"}}) == origin.resolve()
    assert workspace.source({"inputs": {}}).name == "broken-calc"
    for given, code in (
        ("nowhere", "workspace_missing"),
        (7, "workspace_refused"),
        ("", "workspace_refused"),
    ):
        with pytest.raises(StepError) as caught:
            workspace.source({"inputs": {"workspace": given}})
        assert (caught.value.code, caught.value.retryable) == (code, False)


def test_a_full_disk_is_an_infrastructure_failure(origin: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StepError) as caught:
        workspace.build(tmp_path / "file" / "run", origin, [])
    assert (caught.value.code, caught.value.retryable) == ("infra_failure", True)
