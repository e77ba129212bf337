"""The handlers of compile-default.

Inputs of the intent that they read: `workspace` (folder of the project; default: the example project),
`patch` (false leaves the patch out), `mock` ({cmd, sleepMS}: what the mock sandbox is asked to do, in mock
mode only); of its constraints: `limits`, which may lower the recipe's.
"""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath
from typing import Any

from ... import artifacts, oc, sbx
from ...models import JSON, Artifact, StepContext, StepError, StepResult
from ...registry import handler
from . import plan as plans
from . import workspace

_COMPILE, _APPLY, _DECIDE = "CompileST", "ApplyPatchST", "DecideST"
_REPORT = "junit.xml"
_MEDIA_TYPES = {".xml": "application/xml", ".json": "application/json", ".txt": "text/plain; charset=utf-8"}


@handler("compile-default/compile")
def compile_plan(ctx: StepContext) -> StepResult:
    """Ask the planner; output {plan, planner, project}. StepError: plan_invalid, planner_failed,
    planner_unavailable, workspace_missing, workspace_refused, infra_failure.
    """
    config, mode = ctx.config, ctx.oc_mode or ctx.config.oc_mode or "replay"
    origin = workspace.source(ctx.intent)
    try:
        entries = workspace.scan(origin)
        request = plans.build_request(ctx.intent, entries)
    except OSError as error:
        raise StepError("infra_failure", f"the project cannot be read: {error}", retryable=True) from error
    planner = oc.planner(
        mode,
        schema=plans.schema(),
        default=plans.DEFAULT_RECORDING,
        recordings=config.oc_recordings,
        base_url=config.oc_base_url,
    )
    answer = planner.plan(request)
    plan = plans.checked(answer.plan)
    facts: dict[str, JSON] = {
        "planner": {"mode": mode, "source": answer.source, "key": answer.key},
        "project": {"path": str(origin), "sha256": workspace.tree_hash(entries), "files": len(entries)},
    }
    card = Artifact("plan_card", "plan.json", inline={**plan, **facts})
    return StepResult({"plan": plan, **facts}, artifacts.with_index([card]))


@handler("compile-default/apply-patch")
def apply_patch(ctx: StepContext) -> StepResult:
    """Build the run's workspace; output {workspace, sha256, files: [{path, change}]}. StepError:
    patch_failed, workspace_missing, workspace_refused, infra_failure.
    """
    place = _place(ctx)
    try:
        built = workspace.build(place, _origin(ctx), _patch_plan(ctx))
    except StepError as error:
        if error.code == "patch_failed" and ctx.outputs[_COMPILE]["planner"]["source"] == "default":
            hint = "the plan is the recipe's default recording, made for its example project"
            raise StepError(error.code, f"{error.message} ({hint})", False, details=error.details) from error
        raise
    patched = [
        artifacts.text("patch", f"{each.path}.patch", each.diff, "text/x-diff; charset=utf-8")
        for each in built.applied
    ]
    files = [{"path": each.path, "change": each.change} for each in built.applied]
    output = {"workspace": str(place), "sha256": built.sha256, "files": files}
    return StepResult(output, artifacts.with_index(patched))


@handler("compile-default/decide")
def decide(ctx: StepContext) -> StepResult:
    """One task per test file of the plan; output {tasks: [{cmd, files, limits}]}. StepError: plan_invalid,
    too_many_tasks, limits_invalid, mock_invalid.
    """
    tests = ctx.outputs[_COMPILE]["plan"]["tests"]
    most = ctx.recipe.settings.get("maxTasks", 50)
    if len(tests) > most:
        message = f"the plan asks for {len(tests)} tasks, the recipe allows {most}"
        raise StepError("too_many_tasks", message, retryable=False)
    limits = _limits(ctx).as_json()
    rehearsal = _rehearsal(ctx)
    tasks = [{"cmd": _command(test), "files": [test], "limits": limits, **rehearsal} for test in tests]
    decision = Artifact("decision", "decision.json", inline={"tasks": tasks})
    return StepResult({"tasks": tasks}, artifacts.with_index([decision]))


@handler("compile-default/execute")
def execute(ctx: StepContext) -> StepResult:
    """Fan the decided tasks out; output {tasks: number of them}."""
    tasks = ctx.outputs[_DECIDE]["tasks"]
    return StepResult({"tasks": len(tasks)}, tasks=tasks)


@handler("compile-default/execute-task")
def execute_task(ctx: StepContext) -> StepResult:
    """Run one task in the sandbox; output {exitCode, files: names}. StepError: command_failed,
    command_timeout, command_oom (with the artifacts, not retried), infra_failure, workspace_changed,
    sandbox_unavailable.
    """
    task, mode = ctx.task, ctx.sbx_mode or ctx.config.sbx_mode or "mock"
    if not isinstance(task, dict) or not task.get("cmd"):
        raise StepError("task_invalid", "a task is {cmd, files, limits}", retryable=False)
    job = sbx.Job(
        cmd=tuple(task["cmd"]),
        tree=None if mode == "mock" else _workspace(ctx),
        scratch=ctx.config.workspaces / workspace.SCRATCH,
        limits=sbx.Limits.from_json(task.get("limits") or {}),
        attempt=ctx.attempt,
        sleep_ms=task.get("sleepMS", 0),
        cancelled=ctx.cancelled,
    )
    result = sbx.run(job, mode, ctx.config.sbx_provider)
    found = _evidence(job, result)
    if result.exit_code == 0 and result.limit is None:
        output = {"exitCode": 0, "files": sorted(result.files)}
        return StepResult(output, found, receipt=mode == "mock")
    raise _command_error(job, result, found)


def _origin(ctx: StepContext) -> Path:
    return workspace.source(ctx.intent)


def _patch_plan(ctx: StepContext) -> list[dict[str, Any]]:
    inputs = ctx.intent.get("inputs")
    if isinstance(inputs, dict) and inputs.get("patch") is False:
        return []
    found: list[dict[str, Any]] = ctx.outputs[_COMPILE]["plan"]["patchPlan"]
    return found


def _place(ctx: StepContext) -> Path:
    return ctx.config.workspaces / ctx.run_id


def _workspace(ctx: StepContext) -> Path:
    """The run's workspace, built again where this machine does not have it as ApplyPatchST left it."""
    place, wanted = _place(ctx), ctx.outputs[_APPLY]["sha256"]
    try:
        if workspace.ready(place, wanted):
            return place
    except OSError as error:
        raise StepError("infra_failure", f"the workspace cannot be read: {error}", retryable=True) from error
    built = workspace.build(place, _origin(ctx), _patch_plan(ctx))
    if built.sha256 != wanted:
        message = "the workspace is gone and the project has changed since ApplyPatchST"
        raise StepError("workspace_changed", message, retryable=False)
    return place


def _limits(ctx: StepContext) -> sbx.Limits:
    """The recipe's limits, lowered by the intent's."""
    caps_json = ctx.recipe.settings.get("limits") or {}
    constraints = ctx.intent.get("constraints")
    asked = constraints.get("limits") if isinstance(constraints, dict) else None
    if asked is not None and not isinstance(asked, dict):
        raise StepError("limits_invalid", "constraints.limits must be an object", retryable=False)
    try:
        caps = sbx.Limits.from_json(caps_json)
        return sbx.Limits.from_json({**caps.as_json(), **(asked or {})}).within(caps)
    except ValueError as error:
        raise StepError("limits_invalid", f"constraints.limits: {error}", retryable=False) from error


def _rehearsal(ctx: StepContext) -> dict[str, JSON]:
    """`inputs.mock`, in mock mode: what replaces a task's command, and how long it takes."""
    inputs, mode = ctx.intent.get("inputs"), ctx.sbx_mode or ctx.config.sbx_mode or "mock"
    asked = inputs.get("mock") if isinstance(inputs, dict) and mode == "mock" else None
    if asked is None:
        return {}
    cmd, pause = (asked.get("cmd"), asked.get("sleepMS", 0)) if isinstance(asked, dict) else (None, None)
    cmd_fits = cmd is None or (isinstance(cmd, list) and cmd and all(isinstance(word, str) for word in cmd))
    pause_fits = isinstance(pause, int) and not isinstance(pause, bool) and pause >= 0
    if not isinstance(asked, dict) or not cmd_fits or not pause_fits:
        message = "inputs.mock must be {cmd: [text, …], sleepMS: milliseconds}, each optional"
        raise StepError("mock_invalid", message, retryable=False)
    return ({} if cmd is None else {"cmd": cmd}) | ({"sleepMS": pause} if pause else {})


def _command(test: str) -> list[str]:
    path = PurePosixPath(test)
    if path.is_absolute() or ".." in path.parts or test.startswith("-") or "\0" in test:
        message = f"the test {test!r} is not a file of the project"
        details = [{"path": "tests", "message": message}]
        raise StepError("plan_invalid", message, retryable=False, details=details)
    return ["python", "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml=../out/{_REPORT}", test]


def _evidence(job: sbx.Job, result: sbx.SandboxResult) -> list[Artifact]:
    timings = {
        "cmd": list(job.cmd),
        "exitCode": result.exit_code,
        "limit": result.limit,
        "wallMS": round(result.wall_seconds * 1000),
        "cpuMS": round(result.cpu_seconds * 1000),
        "maxRssKB": result.max_rss_kb,
        "limits": job.limits.as_json(),
        "isolation": dict(result.isolation),
    }
    found = [
        artifacts.text("file", name, data, _MEDIA_TYPES.get(Path(name).suffix, "application/octet-stream"))
        for name, data in sorted(result.files.items())
    ]
    found.append(artifacts.text("stdout", "stdout.txt", result.stdout))
    found.append(artifacts.text("stderr", "stderr.txt", result.stderr))
    found.append(Artifact("timings", "timings.json", inline=timings))
    return artifacts.with_index(found)


def _command_error(job: sbx.Job, result: sbx.SandboxResult, found: list[Artifact]) -> StepError:
    text = shlex.join(job.cmd)
    details = {"exitCode": result.exit_code, "limit": result.limit}
    if result.timed_out and result.limit is not None:
        code, message = "command_timeout", f"reached {result.limit} {job.limits.as_json()[result.limit]}"
    elif result.out_of_memory:
        code, message = "command_oom", f"ran out of memory (memoryMB {job.limits.memoryMB})"
    else:
        lines = (result.stdout or result.stderr).decode("utf-8", "replace").strip().splitlines()
        last = lines[-1].strip("= ")[:300] if lines else ""
        code, message = "command_failed", f"exited with {result.exit_code}{': ' + last if last else ''}"
    return StepError(code, f"{text}: {message}", retryable=False, artifacts=found, details=details)
