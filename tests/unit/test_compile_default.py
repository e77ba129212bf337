"""The handlers of compile-default, one after the other as the engine calls them; no database."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sisu_kodo import artifacts
from sisu_kodo.builtin import recipes
from sisu_kodo.config import load_config
from sisu_kodo.handlers.compile_default import plan as plans
from sisu_kodo.handlers.compile_default import steps, workspace
from sisu_kodo.models import JSON, Artifact, RecipeRef, StepContext, StepError, StepResult
from sisu_kodo.registry import load_all

RECIPE: dict[str, Any] = next(recipe for recipe in recipes() if recipe["name"] == "compile-default")
ORDER = (
    ("CompileST", steps.compile_plan),
    ("ApplyPatchST", steps.apply_patch),
    ("DecideST", steps.decide),
    ("ExecuteST", steps.execute),
)


@pytest.fixture
def ctx(tmp_path: Path) -> StepContext:
    """Context of the first step of a run in mock mode."""
    return StepContext(
        run_id="ih_test",
        step_id="CompileST",
        idx=0,
        task_key="",
        attempt=1,
        handler="",
        intent={"goal": "demo", "inputs": {}, "constraints": {}},
        recipe=RecipeRef("compile-default", 1, RECIPE["settings"]),
        outputs={},
        gates={},
        task=None,
        oc_mode="replay",
        sbx_mode="mock",
        trace_id=None,
        config=load_config(sisu_home=tmp_path / "home"),
        cancelled=lambda: False,
    )


def _walk(
    ctx: StepContext, inputs: JSON = None, constraints: JSON = None
) -> tuple[StepContext, dict[str, StepResult]]:
    """All four steps: the context of the first task, and the results by step."""
    intent = {"goal": "demo", "inputs": inputs or {}, "constraints": constraints or {}}
    ctx, results = replace(ctx, intent=intent), {}
    for idx, (step_id, function) in enumerate(ORDER):
        result = function(replace(ctx, step_id=step_id, idx=idx))
        results[step_id] = result
        ctx = replace(ctx, outputs=ctx.outputs | {step_id: json.loads(json.dumps(result.output))})
    tasks = results["ExecuteST"].tasks
    assert tasks is not None
    return replace(ctx, step_id="ExecuteST", idx=3, task=tasks[0], task_key="t"), results


def _task(ctx: StepContext) -> dict[str, Any]:
    assert isinstance(ctx.task, dict)
    return ctx.task


def _kinds(found: Any) -> list[str]:
    return [artifact.kind for artifact in found]


def _named(found: Any, name: str) -> Artifact:
    (artifact,) = (each for each in found if each.name == name)
    assert isinstance(artifact, Artifact)
    return artifact


def _fails(code: str, function: Any, ctx: StepContext) -> StepError:
    with pytest.raises(StepError) as caught:
        function(ctx)
    assert caught.value.code == code, caught.value.message
    return caught.value


def test_the_recipe_names_only_handlers_that_exist() -> None:
    registry = load_all()
    named = [step["handler"] for step in RECIPE["steps"]] + [RECIPE["steps"][3]["fanOut"]["handler"]]
    assert [name for name in named if name not in registry] == []
    assert [step["stepId"] for step in RECIPE["steps"]] == [step_id for step_id, _ in ORDER]
    assert "version" not in RECIPE
    longest = RECIPE["settings"]["limits"]["wallSeconds"] * 1000
    assert RECIPE["steps"][3]["fanOut"]["timeoutMS"] > 2 * longest


def test_every_step_leaves_its_artifacts(ctx: StepContext) -> None:
    _, results = _walk(ctx)
    assert _kinds(results["CompileST"].artifacts) == ["artifact_index", "plan_card"]
    assert _kinds(results["ApplyPatchST"].artifacts) == ["artifact_index", "patch"]
    assert _kinds(results["DecideST"].artifacts) == ["artifact_index", "decision"]
    assert results["ExecuteST"].output == {"tasks": 1} and len(results["ExecuteST"].tasks or ()) == 1


def test_the_index_lists_what_follows_with_the_hash_of_its_bytes(ctx: StepContext) -> None:
    _, results = _walk(ctx)
    index, patch = results["ApplyPatchST"].artifacts
    assert patch.body is not None and isinstance(index.inline, dict)
    expected = {"idx": 1, "kind": "patch", "name": patch.name, "size": len(patch.body)}
    assert index.inline == {"artifacts": [expected | {"sha256": artifacts.sha256(patch.body)}]}


def test_the_default_recording_is_a_valid_plan_with_one_task(ctx: StepContext) -> None:
    recorded = json.loads(plans.DEFAULT_RECORDING.read_text())["plan"]
    assert plans.checked(recorded) == recorded
    task_ctx, _ = _walk(ctx)
    assert _task(task_ctx)["files"] == ["tests/test_calc.py"]
    assert _task(task_ctx)["cmd"][:3] == ["python", "-m", "pytest"]


def test_the_users_tree_is_not_touched(ctx: StepContext, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(workspace.example(), project, ignore=shutil.ignore_patterns("__pycache__"))
    before = workspace.tree_hash(workspace.scan(project))
    _, results = _walk(ctx, {"workspace": str(project)})
    output = results["ApplyPatchST"].output
    assert workspace.tree_hash(workspace.scan(project)) == before != output["sha256"]
    assert Path(output["workspace"]) == ctx.config.workspaces / "ih_test"
    assert "while tokens" in (ctx.config.workspaces / "ih_test/calc/parser.py").read_text()


def test_the_repaired_project_passes_in_the_sandbox(ctx: StepContext) -> None:
    task_ctx, _ = _walk(replace(ctx, sbx_mode="live"))
    result = steps.execute_task(task_ctx)
    assert _kinds(result.artifacts) == ["artifact_index", "file", "stdout", "stderr", "timings"]
    assert result.output == {"exitCode": 0, "files": ["junit.xml"]} and result.receipt is False
    assert b"9 passed" in (_named(result.artifacts, "stdout.txt").body or b"")
    assert b'failures="0"' in (_named(result.artifacts, "junit.xml").body or b"")
    timings = _named(result.artifacts, "timings.json").inline
    assert isinstance(timings, dict)
    assert timings["wallMS"] > 0 and timings["isolation"]["provider"] == "local"
    assert {"method", "network", "filesystem", "uid", "rlimits"} <= set(timings["isolation"])


def test_without_the_patch_the_failure_can_be_read(ctx: StepContext) -> None:
    task_ctx, results = _walk(replace(ctx, sbx_mode="live"), {"patch": False})
    assert list(results["ApplyPatchST"].artifacts) == []
    error = _fails("command_failed", steps.execute_task, task_ctx)
    assert error.retryable is False and error.details["exitCode"] == 1
    assert _kinds(error.artifacts) == ["artifact_index", "file", "stdout", "stderr", "timings"]
    stdout = (_named(error.artifacts, "stdout.txt").body or b"").decode()
    assert "evaluate('10 - 4 + 3')" in stdout and "2 failed, 7 passed" in error.message


def test_a_lost_workspace_is_built_again(ctx: StepContext) -> None:
    task_ctx, results = _walk(replace(ctx, sbx_mode="live"))
    shutil.rmtree(ctx.config.workspaces)
    assert steps.execute_task(task_ctx).output["exitCode"] == 0
    assert workspace.ready(ctx.config.workspaces / "ih_test", results["ApplyPatchST"].output["sha256"])


def test_a_lost_workspace_of_a_changed_project_is_refused(ctx: StepContext, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(workspace.example(), project, ignore=shutil.ignore_patterns("__pycache__"))
    task_ctx, _ = _walk(replace(ctx, sbx_mode="live"), {"workspace": str(project)})
    shutil.rmtree(ctx.config.workspaces)
    (project / "more.py").write_text("")
    assert _fails("workspace_changed", steps.execute_task, task_ctx).retryable is False


def test_applying_twice_gives_the_same_workspace(ctx: StepContext) -> None:
    task_ctx, results = _walk(ctx)
    again = steps.apply_patch(replace(task_ctx, task=None))
    assert again.output == results["ApplyPatchST"].output


def test_the_mock_gives_a_receipt_and_repeats_itself(ctx: StepContext) -> None:
    task_ctx, _ = _walk(ctx)
    first, second = (steps.execute_task(task_ctx) for _ in range(2))
    assert first == second and first.receipt is True
    assert _kinds(first.artifacts) == ["artifact_index", "stdout", "stderr", "timings"]


@pytest.mark.parametrize(
    ("name", "code"),
    [("FAIL_ME", "command_failed"), ("TIMEOUT_ME", "command_timeout"), ("INFRA_FAIL", "infra_failure")],
)
def test_the_mock_misbehaves_as_named(ctx: StepContext, name: str, code: str) -> None:
    task_ctx, _ = _walk(ctx, {"mock": {"cmd": [name]}})
    error = _fails(code, steps.execute_task, task_ctx)
    assert error.retryable is (code == "infra_failure")
    assert bool(error.artifacts) is (code != "infra_failure")


def test_a_flaky_task_succeeds_on_its_second_attempt(ctx: StepContext) -> None:
    task_ctx, _ = _walk(ctx, {"mock": {"cmd": ["FLAKY_INFRA_FAIL"], "sleepMS": 1}})
    assert _task(task_ctx)["sleepMS"] == 1
    assert _fails("infra_failure", steps.execute_task, task_ctx).retryable is True
    assert steps.execute_task(replace(task_ctx, attempt=2)).receipt is True


def test_a_rehearsal_never_reaches_a_real_sandbox(ctx: StepContext) -> None:
    task_ctx, _ = _walk(replace(ctx, sbx_mode="live"), {"mock": {"cmd": ["FAIL_ME"]}})
    assert _task(task_ctx)["cmd"][0] == "python" and "sleepMS" not in _task(task_ctx)


@pytest.mark.parametrize("given", [[], {"cmd": []}, {"cmd": "FAIL_ME"}, {"cmd": [1]}, {"sleepMS": -1}])
def test_a_malformed_rehearsal_is_refused(ctx: StepContext, given: JSON) -> None:
    with pytest.raises(StepError, match=r"inputs\.mock") as caught:
        _walk(ctx, {"mock": given})
    assert caught.value.code == "mock_invalid"


def test_out_of_memory_has_its_own_code(ctx: StepContext) -> None:
    task_ctx, _ = _walk(replace(ctx, sbx_mode="live"))
    hungry = {"cmd": ["python", "-c", "bytearray(900 << 20)"], "files": [], "limits": {"memoryMB": 256}}
    error = _fails("command_oom", steps.execute_task, replace(task_ctx, task=hungry))
    assert error.retryable is False and _kinds(error.artifacts)[-1] == "timings"


def test_a_command_that_is_too_slow_has_its_own_code(ctx: StepContext) -> None:
    task_ctx, _ = _walk(replace(ctx, sbx_mode="live"))
    slow = {"cmd": ["python", "-c", "import time; time.sleep(60)"], "files": [], "limits": {"wallSeconds": 1}}
    error = _fails("command_timeout", steps.execute_task, replace(task_ctx, task=slow))
    assert error.retryable is False and "wallSeconds 1" in error.message


def test_constraints_lower_the_limits_and_never_raise_them(ctx: StepContext) -> None:
    task_ctx, _ = _walk(ctx, constraints={"limits": {"wallSeconds": 5, "memoryMB": 999_999}})
    caps = RECIPE["settings"]["limits"]
    assert _task(task_ctx)["limits"] == caps | {"wallSeconds": 5}
    for given, named in (
        ({"wallSecond": 5}, "wallSecond"),
        ({"wallSeconds": "5"}, "wallSeconds"),
        ([], "limits"),
    ):
        with pytest.raises(StepError, match=named) as caught:
            _walk(ctx, constraints={"limits": given} if given else {"limits": [1]})
        assert caught.value.code == "limits_invalid"


def test_more_tests_than_the_recipe_allows_are_refused(ctx: StepContext) -> None:
    small = replace(ctx, recipe=RecipeRef("compile-default", 1, {"maxTasks": 0}))
    with pytest.raises(StepError) as caught:
        _walk(small)
    assert caught.value.code == "too_many_tasks"


@pytest.mark.parametrize("test", ["/etc/passwd", "../x.py", "-x", "--pdb"])
def test_a_test_outside_of_the_project_is_refused(ctx: StepContext, test: str) -> None:
    outputs = {"CompileST": {"plan": {"tests": [test]}}}
    assert _fails("plan_invalid", steps.decide, replace(ctx, outputs=outputs)).retryable is False


def test_an_invalid_plan_lists_every_fault() -> None:
    plan = {
        "goal": "",
        "design": [1],
        "files": [],
        "risks": [],
        "tests": [],
        "patchPlan": [{"path": "x"}],
        "more": 1,
    }
    with pytest.raises(StepError) as caught:
        plans.checked(plan)
    assert (caught.value.code, caught.value.retryable) == ("plan_invalid", False)
    paths = {fault["path"] for fault in caught.value.details}
    assert paths == {"", "goal", "design[0]", "tests", "patchPlan[0]"}
    shapeless: list[JSON] = [None, [], "text"]
    for value in shapeless:
        with pytest.raises(StepError):
            plans.checked(value)


def test_two_patches_for_one_file_are_refused() -> None:
    recorded = json.loads(plans.DEFAULT_RECORDING.read_text())["plan"]
    with pytest.raises(StepError, match="two items"):
        plans.checked(recorded | {"patchPlan": recorded["patchPlan"] * 2})


def test_the_request_is_the_same_wherever_the_project_lies(ctx: StepContext, tmp_path: Path) -> None:
    keys = set()
    for name in ("one", "two"):
        project = tmp_path / name
        shutil.copytree(workspace.example(), project, ignore=shutil.ignore_patterns("__pycache__"))
        intent = {"goal": "demo", "inputs": {"workspace": str(project), "n": 1}, "constraints": {}}
        keys.add(steps.compile_plan(replace(ctx, intent=intent)).output["planner"]["key"])
    assert len(keys) == 1


def test_the_recording_among_the_examples_is_found(ctx: StepContext) -> None:
    folder = Path(__file__).resolve().parents[2] / "examples" / "recordings"
    config = load_config(sisu_home=ctx.config.sisu_home, oc_recordings=folder)
    goal = "Repair the calculator so that its tests pass."
    intent = {"goal": goal, "inputs": {}, "constraints": {}}
    output = steps.compile_plan(replace(ctx, config=config, intent=intent)).output
    assert output["planner"]["source"] == "recording"
    assert [file.stem for file in folder.glob("*.json")] == [output["planner"]["key"]]


def test_the_default_plan_on_another_project_says_so(ctx: StepContext, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    with pytest.raises(StepError, match="default recording") as caught:
        _walk(ctx, {"workspace": str(tmp_path / "project")})
    assert caught.value.code == "patch_failed" and caught.value.details["path"] == "calc/parser.py"
