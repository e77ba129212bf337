"""Where a human answers: the gates of a run, approve-plan, reply."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from . import models
from .answers import answer, tagged
from .shim import Approver, GateKey, Reader, RunId, Shared, known, named
from .spec import not_modified, spec
from .waiting import Reading, Since, Wait, held

router = APIRouter(tags=["gates"])


@router.get(
    "/api/runs/{workflowID}/gates",
    **spec(
        "listGates",
        "The gates of a run",
        {200: (list[models.Gate], "Those that opened, or were answered ahead of time."), 304: not_modified()},
    ),
)
async def list_gates(
    request: Request, shim: Shared, caller: Reader, run_id: RunId, wait: Wait = 0, since: Since = None
) -> Response:
    """With `wait` it is a long poll as on the run; without If-None-Match and `since` it waits for a gate to
    open, unless one is.
    """

    async def read() -> Reading:
        header = await shim.engine.value("get_run", run_id=run_id)
        gates = await shim.engine.value("list_gates", run_id=run_id)
        return Reading(header, gates, asks=any(gate["status"] == "OPEN" for gate in gates))

    if wait:
        gates = await held(shim, request, wait, since, read)
    else:
        gates = await shim.engine.value("list_gates", run_id=run_id)
    return tagged(gates, request.headers.get("if-none-match"))


@router.post(
    "/api/runs/{workflowID}/approve-plan",
    **spec(
        "approvePlan",
        "Answer the gate approve-plan",
        {202: (models.Approved, "Accepted; kept until the gate opens, if it has not yet.")},
        refusals=(400, 404, 409),
        body="approve_plan",
        body_hides=("run_id",),
        body_needs={"decision": False},
        example={"approvedBy": "ann", "notes": "read it"},
    ),
)
async def approve_plan(request: Request, shim: Shared, caller: Approver, run_id: RunId) -> Response:
    """`decision` is yes unless it is given; no ends the run in ERROR. With a token, it is `approvedBy`."""
    accepted = await shim.engine.value(
        "http_approve_plan",
        body=await shim.body(request),
        named=named(caller, "approvedBy"),
        known=known(run_id=run_id),
    )
    return answer(accepted, 202)


@router.post(
    "/api/runs/{workflowID}/gates/{gateKey}/reply",
    **spec(
        "replyGate",
        "Answer a gate",
        {200: (models.Replied, "Accepted, or the same reply again.")},
        refusals=(400, 404, 409),
        body="reply_gate",
        body_hides=("run_id", "gate_key"),
        example={"payload": {"decision": "yes"}, "dedupeKey": "1", "origin": "ann"},
    ),
)
async def reply_gate(
    request: Request, shim: Shared, caller: Approver, run_id: RunId, gate_key: GateKey
) -> Response:
    """The same `dedupeKey` with another payload is 409. With a token, `origin` is its name."""
    accepted = await shim.engine.value(
        "http_reply_gate",
        body=await shim.body(request),
        named=named(caller, "origin"),
        known=known(run_id=run_id, gate_key=gate_key),
    )
    return answer(accepted, 200)
