"""The control plane: exactly six routes under /api/ops/wf, the depth of the queues, and a durable sleep."""

from __future__ import annotations

import json
import re
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from . import models
from .answers import answer, tagged
from .bodies import checked_text, refused
from .shim import Operator, Reader, RunId, Shared, Shim, Sleeper, known, named
from .spec import not_modified, spec
from .tokens import Caller

router = APIRouter(tags=["ops"])
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_CONTROL: dict[str, Any] = {
    "refusals": (400, 404, 409),
    "body": "control",
    "body_hides": ("run_id",),
    "example": {"actor": "fde", "reason": "stalled"},
}


@router.get(
    "/api/ops/wf",
    **spec(
        "listRuns",
        "Runs, newest first",
        {200: (models.RunPage, "One page.")},
        refusals=(400,),
        query_shape="list_runs",
        query={
            "status": ("status", "ERROR"),
            "name": ("name", "compile-default"),
            "limit": ("limit", 50),
            "cursor": ("cursor", None),
        },
    ),
)
async def list_runs(request: Request, shim: Shared, caller: Reader) -> Response:
    """`cursor` is the `nextCursor` of the page before."""
    page = await shim.engine.value("list_runs", filter=_query(request, "limit"))
    return answer({**page, "runs": [shim.header(header) for header in page["runs"]]})


@router.get(
    "/api/ops/wf/{workflowID}",
    **spec("inspectRun", "A run's header", {200: (models.RunHeader, "The run."), 304: not_modified()}),
)
async def inspect_run(request: Request, shim: Shared, caller: Reader, run_id: RunId) -> Response:
    """As `GET /api/runs/{workflowID}`."""
    header = shim.header(await shim.engine.value("get_run", run_id=run_id))
    return tagged(header, request.headers.get("if-none-match"))


@router.get(
    "/api/ops/wf/{workflowID}/steps",
    **spec(
        "inspectSteps",
        "The steps of a run and their tasks",
        {200: (list[models.Step], "Latest attempt of each, in order."), 304: not_modified()},
    ),
)
async def inspect_steps(request: Request, shim: Shared, caller: Reader, run_id: RunId) -> Response:
    """As `GET /api/runs/{workflowID}/steps`."""
    steps = await shim.engine.value("get_steps", run_id=run_id)
    return tagged(steps, request.headers.get("if-none-match"))


@router.post(
    "/api/ops/wf/{workflowID}/cancel",
    **spec(
        "cancelRun",
        "Cancel a run at its next step boundary",
        {202: (models.Controlled, "Accepted, and audited.")},
        **_CONTROL,
    ),
)
async def cancel_run(request: Request, shim: Shared, caller: Operator, run_id: RunId) -> Response:
    """A step in flight may commit, the next never starts. With a token, `actor` is its name."""
    return await _control(request, shim, caller, "http_cancel_run", run_id)


@router.post(
    "/api/ops/wf/{workflowID}/resume",
    **spec(
        "resumeRun",
        "Let a cancelled run go on at its last checkpoint",
        {202: (models.Controlled, "Accepted, and audited.")},
        **_CONTROL,
    ),
)
async def resume_run(request: Request, shim: Shared, caller: Operator, run_id: RunId) -> Response:
    """A run in ERROR is repaired or forked instead (409). With a token, `actor` is its name."""
    return await _control(request, shim, caller, "http_resume_run", run_id)


@router.post(
    "/api/ops/wf/{workflowID}/fork",
    **spec(
        "forkRun",
        "Fork a run at a step",
        {202: (models.Forked, "Accepted, and audited.")},
        **{
            **_CONTROL,
            "body": "fork_run",
            "example": {"stepN": 2, "actor": "fde", "reason": "patch-applied"},
        },
    ),
)
async def fork_run(request: Request, shim: Shared, caller: Operator, run_id: RunId) -> Response:
    """A new run: steps before `stepN` are reused, the others run. With a token, `actor` is its name."""
    return await _control(request, shim, caller, "http_fork_run", run_id)


@router.get(
    "/api/ops/queue-depth",
    **spec(
        "queueDepth",
        "What waits, per queue and partition",
        {200: (list[models.QueueDepth], "The rows of app.v_ops_queue_depth.")},
        refusals=(),
    ),
)
async def queue_depth(request: Request, shim: Shared, caller: Reader) -> Response:
    """The same truth as `select * from app.v_ops_queue_depth`."""
    return answer(await shim.engine.value("http_queue_depth"))


@router.post(
    "/api/ops/sleep",
    **spec(
        "sleepRun",
        "Start a run that does nothing but sleep",
        {202: (models.SleepStarted, "It sleeps; or the same sleep again.")},
        refusals=(400, 409),
        query_shape="sleep_run",
        query={"wf": ("run_id", "sleep_1"), "sleep": ("ms", 60000)},
    ),
)
async def sleep_run(request: Request, shim: Shared, caller: Sleeper) -> Response:
    """`wf` is the id of the run, `sleep` its duration in ms. It wakes whoever is alive by then."""
    if json.loads(await shim.body(request)):
        raise refused([("", "must be empty: wf and sleep are in the query")])
    header = await shim.engine.value("http_sleep_run", query=_query(request, "sleep"))
    return answer(shim.header(header), 202, {"location": f"/api/runs/{header['workflowID']}"})


async def _control(request: Request, shim: Shim, caller: Caller, statement: str, run_id: str) -> Response:
    accepted = await shim.engine.value(
        statement,
        body=await shim.body(request),
        named=named(caller, "actor"),
        known=known(run_id=run_id),
    )
    return answer(accepted, 202)


def _query(request: Request, number: str) -> str:
    """The query as a JSON object; `number` becomes one if it reads as an integer. Raises BadRequest."""
    found: dict[str, Any] = {}
    faults: list[tuple[str, str]] = []
    for name, value in request.query_params.multi_items():
        if name in found:
            faults.append((name, "is given twice"))
        faults.extend((name, fault) for fault in (*checked_text(name), *checked_text(value)))
        found[name] = int(value) if name == number and _INTEGER.fullmatch(value) else value
    if faults:
        raise refused(faults)
    return json.dumps(found)
