"""Handlers for the tests of traces (`sisu runner --import …`)."""

from __future__ import annotations

from opentelemetry import trace

from sisu_kodo import StepContext, StepError, handler
from sisu_kodo.logs import Log
from tests.integration import runner_handlers  # noqa: F401  test/hold and its like

_log = Log("sisu_kodo.test")


@handler("trace/fail")
async def fail(ctx: StepContext) -> None:
    """Fails with a message that has a secret in it; the second attempt succeeds when `again` is given."""
    if ctx.attempt > 1 and ctx.intent["inputs"].get("again"):
        return
    raise StepError("no_luck", "cannot reach postgresql://ann:hunter2@db/x", retryable=True)


@handler("trace/say")
async def say(ctx: StepContext) -> None:
    _log.info("said", how="async")


@handler("trace/say-sync")
def say_sync(ctx: StepContext) -> None:
    _log.info("said", how="sync")


@handler("trace/checkpoints")
async def checkpoints(ctx: StepContext) -> str:
    """Two checkpoints around a wait for a human."""
    await ctx.step("first", lambda: "a secret value")
    await ctx.wait_for("ok")
    return str(await ctx.step("second", lambda: 2))


@handler("trace/own-span")
def own_span(ctx: StepContext) -> None:
    """Makes a span of its own, as an instrumented library would."""
    with trace.get_tracer("a library").start_as_current_span("library call"):
        pass


@handler("trace/transactional", transactional=True)
def transactional(ctx: StepContext, conn: object) -> str:
    return "committed"
