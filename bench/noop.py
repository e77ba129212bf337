"""The handlers of the benchmarks: async functions that do nothing."""

from __future__ import annotations

from sisu_kodo import StepContext, StepResult, handler

TASKS = 100
"""Tasks that `bench/fan` makes."""


@handler("bench/noop")
async def noop(ctx: StepContext) -> dict[str, int]:
    return {"idx": ctx.idx}


@handler("bench/fan")
async def fan(ctx: StepContext) -> StepResult:
    return StepResult(tasks=[{"n": n} for n in range(TASKS)])
