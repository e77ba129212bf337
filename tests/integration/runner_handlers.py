"""Handlers for the runner's tests that need a process of its own (`sisu runner --import …`)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from sisu_kodo import StepContext, StepResult, handler
from sisu_kodo.sbx import Job, run


def _mark(ctx: StepContext, word: str) -> None:
    folder = ctx.intent["inputs"].get("marks")
    if folder:
        path = Path(folder) / f"{word}-{ctx.step_id}-{ctx.task_key[:8]}-{ctx.attempt}"
        path.write_text("", encoding="utf-8")


def _released(ctx: StepContext) -> bool:
    folder = ctx.intent["inputs"].get("marks")
    return bool(folder) and (Path(folder) / "go").exists()


@handler("test/noop")
async def noop(ctx: StepContext) -> dict[str, int]:
    return {"idx": ctx.idx}


@handler("test/slow")
async def slow(ctx: StepContext) -> str:
    """Waits a little, so that many runs are under way at once."""
    await asyncio.sleep(0.02)
    return "slow"


@handler("test/hold")
def hold(ctx: StepContext) -> str:
    """Says that it has begun, then holds its lane until the file `go` appears or the run is cancelled."""
    _mark(ctx, "begun")
    while not _released(ctx) and not ctx.cancelled():
        time.sleep(0.01)
    _mark(ctx, "cancelled" if ctx.cancelled() else "ended")
    return "held"


@handler("test/plan")
def plan(ctx: StepContext) -> StepResult:
    """Fans out as many tasks as the inputs say."""
    return StepResult(output="planned", tasks=[{"n": n} for n in range(ctx.intent["inputs"].get("tasks", 1))])


@handler("test/task")
def task(ctx: StepContext) -> StepResult:
    """A task with a receipt that holds its lane like test/hold."""
    hold(ctx)
    return StepResult(output=ctx.task, receipt=True)


@handler("test/sandbox")
def sandbox(ctx: StepContext) -> int:
    """Runs a command that sleeps in a real sandbox, with a grandchild; both have the mark as an argument."""
    nap = "import time; time.sleep(120)"
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {nap!r}, sys.argv[1]])"
    job = Job(
        ("python", "-c", inner, ctx.intent["inputs"]["mark"]),
        None,
        Path(ctx.intent["inputs"]["marks"]) / "scratch",
        cancelled=ctx.cancelled,
    )
    return run(job, "live", "local").exit_code


@handler("test/patient")
async def patient(ctx: StepContext) -> str:
    """An async handler that looks at the flag now and then, and steps when it holds."""
    _mark(ctx, "begun")
    while not ctx.cancelled():
        await asyncio.sleep(0.01)
    _mark(ctx, "cancelled")
    return str(await ctx.step("too late", _mark, ctx, "stepped"))


@handler("test/stepping")
def stepping(ctx: StepContext) -> int:
    """Holds its lane like test/hold, then takes a step that returns the number of the attempt."""
    _mark(ctx, "begun")
    while not _released(ctx):
        time.sleep(0.01)
    try:
        return int(ctx.step("after", lambda: ctx.attempt))
    except BaseException:
        _mark(ctx, "refused")
        raise


@handler("test/errands")
async def errands(ctx: StepContext) -> None:
    """Four steps that each write a line; before the third it waits for the file `go`."""
    path = Path(ctx.intent["inputs"]["marks"]) / "errands"

    def run_errand(word: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{word}\n")

    await ctx.step("one", run_errand, "one")
    await ctx.step("two", run_errand, "two")
    while not _released(ctx):
        await asyncio.sleep(0.01)
    await ctx.step("three", run_errand, "three")
    await ctx.step("four", run_errand, "four")
