"""`POST /api/runs`, and what there is to read of a run."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from . import models
from .answers import answer, tagged
from .shim import Reader, RunId, Shared, Starter, named
from .spec import not_modified, spec
from .waiting import Reading, Since, Wait, held

router = APIRouter(tags=["runs"])


@router.post(
    "/api/runs",
    **spec(
        "startRun",
        "Start a run of an intent, or meet the one that was started so",
        {200: (models.RunStarted, "The same start again."), 201: (models.RunStarted, "It was started.")},
        refusals=(400, 404, 409),
        body="start_run",
        body_hides=("intent",),
        body_needs={"intentId": True},
        example={
            "intentId": models.EXAMPLE_RUN,
            "recipeName": "compile-default",
            "queuePartitionKey": "ui-default",
        },
    ),
)
async def start_run(request: Request, shim: Shared, caller: Starter) -> Response:
    """`workflowID` is the intent's id. Any argument that differs from the stored one is drift (409)."""
    header = await shim.engine.value(
        "http_start_run", body=await shim.body(request), named=named(caller, "startedBy")
    )
    place = {"location": f"/api/runs/{header['workflowID']}"}
    return answer(shim.header(header), 200 if header["isReplay"] else 201, place)


@router.get(
    "/api/runs/{workflowID}",
    **spec("getRun", "A run's header", {200: (models.RunHeader, "The run."), 304: not_modified()}),
)
async def get_run(
    request: Request, shim: Shared, caller: Reader, run_id: RunId, wait: Wait = 0, since: Since = None
) -> Response:
    """With `wait` it is a long poll: answered when the run differs from what the caller knows (If-None-Match
    or `since`), at the latest after so many seconds; at once when the run is over.
    """

    async def read() -> Reading:
        header = shim.header(await shim.engine.value("get_run", run_id=run_id))
        return Reading(header, header, asks=header["nextAction"] is not None)

    header = await held(shim, request, wait, since, read) if wait else (await read()).shown
    return tagged(header, request.headers.get("if-none-match"))


@router.get(
    "/api/runs/{workflowID}/steps",
    **spec(
        "getSteps",
        "The steps of a run and their tasks",
        {200: (list[models.Step], "Latest attempt of each, in order."), 304: not_modified()},
    ),
)
async def get_steps(request: Request, shim: Shared, caller: Reader, run_id: RunId) -> Response:
    """Only the latest attempt of each; `attempt` says how many there were."""
    steps = await shim.engine.value("get_steps", run_id=run_id)
    return tagged(steps, request.headers.get("if-none-match"))


@router.get(
    "/api/runs/{workflowID}/artifacts",
    **spec(
        "listArtifacts",
        "The artifacts of a run, without their bytes",
        {200: (list[models.ArtifactRef], "In step order, control actions last."), 304: not_modified()},
    ),
)
async def list_artifacts(request: Request, shim: Shared, caller: Reader, run_id: RunId) -> Response:
    """Of every attempt. `GET /api/artifacts/{artifactId}` has the bytes."""
    found = await shim.engine.value("list_artifacts", run_id=run_id)
    return tagged(found, request.headers.get("if-none-match"))
