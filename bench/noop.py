"""The handler of the benchmark recipe: an async function that does nothing."""

from __future__ import annotations

from sisu_kodo import StepContext, handler


@handler("bench/noop")
async def noop(ctx: StepContext) -> dict[str, int]:
    return {"idx": ctx.idx}
