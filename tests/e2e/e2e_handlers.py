"""Handlers of the walkthroughs, for runners that are processes of their own.

Those of compile-default, each behind a counter: `counted/<name>` writes a line to the file SISU_TEST_COUNT
and then is the real one.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import Callable
from pathlib import Path

from sisu_kodo import StepContext, StepError, StepResult, handler
from sisu_kodo.handlers.compile_default import steps

COUNTED = {
    "compile-default/compile": steps.compile_plan,
    "compile-default/apply-patch": steps.apply_patch,
    "compile-default/decide": steps.decide,
    "compile-default/execute": steps.execute,
    "compile-default/execute-task": steps.execute_task,
}


def _count(ctx: StepContext) -> None:
    """One line per execution; a write this short to a file opened for appending is whole."""
    line = f"{ctx.run_id} {ctx.step_id} {ctx.task_key or '-'} {ctx.attempt}\n"
    file = os.open(os.environ["SISU_TEST_COUNT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def _counted(function: Callable[[StepContext], StepResult]) -> Callable[[StepContext], StepResult]:
    @functools.wraps(function)
    def counted(ctx: StepContext) -> StepResult:
        _count(ctx)
        return function(ctx)

    return counted


for _name, _function in COUNTED.items():
    handler(f"counted/{_name}")(_counted(_function))


@handler("e2e/tasks")
async def tasks(ctx: StepContext) -> StepResult:
    """Fans out as many tasks as the inputs say."""
    return StepResult(tasks=[{"n": n} for n in range(ctx.intent["inputs"]["tasks"])])


@handler("e2e/task")
async def task(ctx: StepContext) -> StepResult:
    """A counted task with a receipt."""
    _count(ctx)
    await asyncio.sleep(0.1)
    return StepResult((ctx.task or {})["n"], receipt=True)


@handler("e2e/slow-to-stop")
def slow_to_stop(ctx: StepContext) -> str:
    """Sees on its first attempt that its run was cancelled, and says so only when the file `go` is there."""
    marks = Path(ctx.intent["inputs"]["marks"])
    if ctx.attempt > 1:
        return "done"
    (marks / "begun").touch()
    while not ctx.cancelled():
        time.sleep(0.01)
    (marks / "told").touch()
    while not (marks / "go").exists():
        time.sleep(0.01)
    raise StepError("cancelled", "stopped before the end", retryable=False)
