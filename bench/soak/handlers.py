"""Handlers of the soak's recipes. Each output tells what came before it, so that a lost or repeated step
shows; each success leaves exactly one artifact.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from sisu_kodo import Artifact, StepContext, StepError, StepResult, handler

_LOOK = 0.15
"""Seconds between two looks at `cancelled()`: long enough for a resume to come before the handler stops."""


@handler("soak/link")
async def link(ctx: StepContext) -> StepResult:
    """One link of a chain, on the runner's loop."""
    end = time.monotonic() + _seconds(ctx)
    while (left := end - time.monotonic()) > 0:
        _stop_if_told(ctx)
        await asyncio.sleep(min(left, _LOOK))
    return _kept(ctx, _chain(ctx))


@handler("soak/thread")
def thread(ctx: StepContext) -> StepResult:
    """One link of a chain, in a thread."""
    end = time.monotonic() + _seconds(ctx)
    while (left := end - time.monotonic()) > 0:
        _stop_if_told(ctx)
        time.sleep(min(left, _LOOK))
    return _kept(ctx, _chain(ctx))


@handler("soak/flaky")
async def flaky(ctx: StepContext) -> StepResult:
    """Fails on the first two attempts."""
    await asyncio.sleep(0.02)
    if ctx.attempt <= 2:
        raise StepError("infra_failure", f"attempt {ctx.attempt} is made to fail")
    return _kept(ctx, _chain(ctx))


@handler("soak/answered")
async def answered(ctx: StepContext) -> StepResult:
    """The step behind a gate: puts the answer into the chain."""
    return _kept(ctx, [*_chain(ctx), ctx.gates["answer"]["word"]])


@handler("soak/spread")
async def spread(ctx: StepContext) -> StepResult:
    """Fans out as many tasks as the inputs say."""
    count = int(ctx.intent["inputs"]["tasks"])
    return StepResult(_chain(ctx), [_trace(ctx)], tasks=[{"n": n} for n in range(count)])


@handler("soak/part")
async def part(ctx: StepContext) -> StepResult:
    """A task with a receipt; every fifth fails on its first attempt."""
    number = int((ctx.task or {})["n"])
    end = time.monotonic() + _seconds(ctx)
    while (left := end - time.monotonic()) > 0:
        _stop_if_told(ctx)
        await asyncio.sleep(min(left, _LOOK))
    if number % 5 == 0 and ctx.attempt == 1:
        raise StepError("infra_failure", "the first attempt is made to fail")
    return StepResult({"n": number, "square": number * number}, [_trace(ctx)], receipt=True)


@handler("soak/gather")
async def gather(ctx: StepContext) -> StepResult:
    """What the tasks of the step before made, in their order."""
    outputs = [task["output"] for task in ctx.outputs[f"S{ctx.idx - 1}"]["tasks"]]
    total = sum(output["square"] for output in outputs)
    return _kept(ctx, {"n": [output["n"] for output in outputs], "total": total})


@handler("soak/items")
async def items(ctx: StepContext) -> StepResult:
    """The root of a graph: items for its map."""
    count = int(ctx.intent["inputs"]["tasks"])
    return _kept(ctx, {"items": [{"n": n} for n in range(count)]})


@handler("soak/word")
async def word(ctx: StepContext) -> StepResult:
    """The answer of the gate, a little later."""
    await asyncio.sleep(_seconds(ctx))
    return _kept(ctx, ctx.gates["answer"]["word"])


@handler("soak/join")
async def join(ctx: StepContext) -> StepResult:
    """What all branches of the graph made."""
    outputs = [task["output"] for task in ctx.outputs["MapST"]["tasks"]]
    total = sum(output["square"] for output in outputs)
    facts = {"n": [output["n"] for output in outputs], "total": total}
    return _kept(ctx, {**facts, "word": ctx.outputs["WordST"], "quiet": ctx.outputs.get("QuietST")})


@handler("soak/poison")
def poison(ctx: StepContext) -> StepResult:
    """Kills its runner until the file `inputs.cure` exists."""
    if not Path(ctx.intent["inputs"]["cure"]).exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return _kept(ctx, _chain(ctx))


@handler("soak/durable")
async def durable(ctx: StepContext) -> StepResult:
    """A whole run in one function: checkpoints, a sleep, a gate. The draw is made once."""
    first = await ctx.step("draw", random.random)
    await ctx.sleep(0.3, "nap")
    word = (await ctx.wait_for("answer", ttl=600))["word"]
    again = await ctx.step("draw again", lambda: first)
    rest = []
    for number in range(3):
        _stop_if_told(ctx)
        rest.append(await ctx.step(f"part {number}", _slowly, number))
    return _kept(ctx, {"word": word, "same": first == again, "parts": rest})


async def _slowly(number: int) -> int:
    await asyncio.sleep(0.1)
    return number


def _seconds(ctx: StepContext) -> float:
    """`inputs.ms`: one number for all steps, or one per step."""
    pause: Any = ctx.intent["inputs"].get("ms", 20)
    return float(pause[ctx.idx] if isinstance(pause, list) else pause) / 1000


def _chain(ctx: StepContext) -> list[str]:
    """The steps so far, by what the step before handed over."""
    before = ctx.outputs[f"S{ctx.idx - 1}"] if ctx.idx else []
    return [*before, ctx.step_id]


def _kept(ctx: StepContext, output: Any) -> StepResult:
    return StepResult(output, [_trace(ctx)])


def _trace(ctx: StepContext) -> Artifact:
    return Artifact("trace", "trace.json", inline={"step": ctx.step_id, "pid": os.getpid()})


def _stop_if_told(ctx: StepContext) -> None:
    if ctx.cancelled():
        raise StepError("cancelled", "stopped before the end", retryable=False)
