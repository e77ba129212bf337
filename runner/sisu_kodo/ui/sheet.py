"""ArtifactSheet: what one step or task left behind, beside the timeline."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ..http.answers import etag, matches
from ..http.artifacts import HEADERS as ARTIFACT_HEADERS
from ..http.artifacts import disposition, served_type
from ..http.shim import ArtifactId, Shared, Shim
from .exhibits import view_of
from .formats import pretty
from .pages import PageRoute, asked, asked_number, fragment, page, render
from .people import Looker
from .timeline import task_row

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/ui/sheet")
async def sheet(request: Request, shim: Shared, person: Looker) -> Response:
    found = await sheet_of(request, shim, asked(request, "wid") or "")
    return fragment(render("sheet.html", sheet=found))


@router.get("/ui/artifacts/{artifactId}")
async def download(request: Request, shim: Shared, person: Looker, artifact_id: ArtifactId) -> Response:
    """The bytes, served as the API serves them: nothing in them runs."""
    row = await shim.engine.row("get_artifact", artifact_id=artifact_id)
    _, _, _, kind, name, media_type, _, sha256, body = row
    shown = served_type(kind, media_type)
    how = disposition(name, shown)
    if asked(request, "download"):
        how = how.replace("inline;", "attachment;", 1)
    headers = {**ARTIFACT_HEADERS, "etag": etag(sha256), "content-type": shown, "content-disposition": how}
    if matches(request.headers.get("if-none-match"), headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(bytes(body), 200, headers)


@router.get("/tasks")
async def tasks(request: Request, shim: Shared, person: Looker) -> Response:
    """The tasks of a step, 100 a page."""
    run_id, idx = asked(request, "wid") or "", asked_number(request, "idx") or 0
    after = asked_number(request, "after")
    told = await shim.engine.value(
        "page_tasks", run_id=run_id, idx=idx, after_task=-1 if after is None else after
    )
    step = await shim.engine.value("page_step", run_id=run_id, idx=idx, task_key="")
    header = await shim.engine.value("get_run", run_id=run_id)
    rows = [task_row(None, each, header["updatedAt"]) for each in told["tasks"]]
    return page("tasks.html", person, here="run", run_id=run_id, idx=idx, told=told, rows=rows, step=step)


async def sheet_of(request: Request, shim: Shim, run_id: str) -> dict[str, Any] | None:
    """The sheet that the query asks for: `sheet` is a step's index, `task` a task's key, `attempt` and
    `artifact` choose; None without `sheet`.
    """
    idx = asked_number(request, "sheet")
    if idx is None:
        return None
    step = await shim.engine.value("page_step", run_id=run_id, idx=idx, task_key=asked(request, "task") or "")
    attempts = step["attempts"]
    wanted = asked_number(request, "attempt")
    attempt = next(
        (each for each in attempts if each["attempt"] == wanted), attempts[0] if attempts else None
    )
    artifacts = attempt["artifacts"] if attempt else []
    chosen = asked_number(request, "artifact")
    artifact = next(
        (each for each in artifacts if each["artifactId"] == chosen), artifacts[0] if artifacts else None
    )
    view = None
    if artifact is not None:
        row = await shim.engine.row("get_artifact", artifact_id=artifact["artifactId"])
        view = view_of(row[3], row[4], row[5], bytes(row[8]))
    return {
        "run_id": run_id,
        "step": step,
        "attempt": attempt,
        "artifacts": artifacts,
        "artifact": artifact,
        "view": view,
        "input": pretty(attempt["input"]) if attempt and attempt["input"] is not None else None,
        "output": pretty(attempt["output"]) if attempt and attempt["output"] is not None else None,
        "checkpoints": [{**each, "value": pretty(each["value"])} for each in step["checkpoints"]],
    }
