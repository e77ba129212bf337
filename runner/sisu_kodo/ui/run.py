"""TimelineLive: `/?wid=<id>`, and the poll that keeps it true."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ..client import TERMINAL
from ..errors import SisuError
from ..http.shim import Shared, Shim
from .exhibits import View, view_of
from .formats import pretty
from .forms import fields_of
from .pages import (
    PageRoute,
    Parts,
    asked,
    fragment,
    nothing_new,
    page,
    query_of,
    render,
    see_other,
    stamp,
)
from .people import Looker, Person
from .sheet import sheet_of
from .timeline import timeline

router = APIRouter(include_in_schema=False, route_class=PageRoute)

PARTS = ("head", "gates", "steps", "why", "control", "audit")
DONE = {
    "approved": "Approved. The run goes on.",
    "rejected": "Rejected. The run has ended with your reason.",
    "answered": "Answered.",
    "kept": "Your answer is kept until the gate opens.",
    "replay": "That was answered before in the same way; nothing changed.",
    "cancel": "Cancelled. A step in flight may still commit, the next never starts.",
    "resume": "Resumed at its last checkpoint.",
    "repair": "Repaired: the failed step gets a new attempt.",
    "fork": "This is the fork. Steps before the chosen one are reused.",
    "started": "Started.",
    "restarted": "This very run was started before: nothing new was started (isReplay).",
}


@router.get("/")
async def front(request: Request, shim: Shared, person: Looker) -> Response:
    run_id = asked(request, "wid")
    if run_id is None:
        return see_other("/ops")
    return await run_page(request, shim, person, run_id)


@router.get("/ui/live")
async def live(request: Request, shim: Shared, person: Looker) -> Response:
    """What has changed since the page was drawn, and the next poll unless the run is over."""
    run_id = asked(request, "wid") or ""
    told = await read_run(shim, run_id)
    if asked(request, "at") == run_stamp(told):
        return nothing_new()
    folds = request.query_params.get("folds")
    parts = await parts_of(shim, person, told, None if folds is None else set(folds.split(".")))
    news = parts.news(asked(request, "seen") or "")
    return fragment(render("run/live.html", told=told, news=news, poll=poll_url(told, parts)))


async def run_page(
    request: Request,
    shim: Shim,
    person: Person,
    run_id: str,
    refusal: SisuError | None = None,
    preview: Any = None,
) -> Response:
    """The whole page; with a refused or a previewed call it says so at the top."""
    told = await read_run(shim, run_id)
    parts = await parts_of(shim, person, told, None)
    sheet = await sheet_of(request, shim, run_id) if request.method == "GET" else None
    context = {
        "told": told,
        "parts": parts.html,
        "poll": poll_url(told, parts),
        "sheet": sheet,
        "done": DONE.get(request.query_params.get("done", "")) if request.method == "GET" else None,
        "refusal": refusal,
        "preview": preview,
        "here": "run",
    }
    status = refusal.http if refusal else 200
    return page("run.html", person, status, **context)


async def read_run(shim: Shim, run_id: str) -> dict[str, Any]:
    """What app.page_run tells, with traceUrl."""
    told: dict[str, Any] = await shim.engine.value("page_run", run_id=run_id)
    return {**told, "header": shim.header(told["header"])}


def poll_url(told: dict[str, Any], parts: Parts) -> str | None:
    """Where the next poll goes; None when the run is over."""
    if told["header"]["status"] in TERMINAL:
        return None
    return query_of("/ui/live", wid=told["header"]["workflowID"], at=run_stamp(told), seen=parts.seen)


def run_stamp(told: dict[str, Any]) -> str:
    """Bars of what is at work grow every second, those of what waits every few."""
    works = any(
        each["status"] == "PENDING" and each["parkedAt"] is None and not each["inLine"]
        for each in told["attempts"]
    )
    return stamp(told, 1000 if works else 5000)


async def parts_of(shim: Shim, person: Person, told: dict[str, Any], folds: set[str] | None) -> Parts:
    """The sections of the page. `folds` are the open ones among what folds; None leaves it to the page."""
    open_gates = [gate for gate in told["gates"] if gate["status"] == "OPEN"]
    context = {
        "told": told,
        "header": told["header"],
        "run_id": told["header"]["workflowID"],
        "person": person,
        "timeline": timeline(told),
        "folds": folds,
        "gates": [await gate_of(shim, told, gate) for gate in open_gates],
        "intent": pretty(told["intent"]),
        "live": told["header"]["status"] not in TERMINAL,
    }
    return Parts(PARTS, "run/{}.html", context)


async def gate_of(shim: Shim, told: dict[str, Any], gate: dict[str, Any]) -> dict[str, Any]:
    """An open gate with what it shows and the fields it asks for."""
    run_id = told["header"]["workflowID"]
    rows = (
        await shim.engine.value("page_exhibits", run_id=run_id, gate_key=gate["gateKey"])
        if gate["shows"]
        else []
    )
    shown: list[tuple[dict[str, Any], View]] = [
        (
            row,
            view_of(row["kind"], row["name"], row["media_type"], row["body"].encode())
            if row["body"] is not None
            else View("bytes"),
        )
        for row in rows
    ]
    return {
        **gate,
        "plans": [view for _, view in shown if view.kind == "plan"],
        "exhibits": [(row, view) for row, view in shown if view.kind != "plan"],
        "fields": fields_of(told["gateSchemas"].get(gate["gateKey"])),
        "yes": sum(
            1
            for reply in gate["replies"]
            if reply["round"] == gate["round"] and reply["payload"].get("decision") == "yes"
        ),
    }
