"""`/ops`: the board of whoever is on duty, and what they do to many runs at once."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ..errors import SisuError
from ..http.bodies import refused
from ..http.shim import Shared, Shim
from .forms import Form, read_form
from .pages import STATUSES, PageRoute, Parts, asked, fragment, page, query_of, render, see_other
from .people import Looker, Person, remember_name

router = APIRouter(include_in_schema=False, route_class=PageRoute)

PARTS = ("attention", "runs", "fairness", "gates", "queues", "workers", "schedules", "failures")
OPS = ("cancel", "resume", "repair", "fork")
AGES = {"15 min": 900_000, "1 h": 3_600_000, "24 h": 86_400_000, "7 d": 604_800_000}
PAUSES = {"pause": "pause_queue", "unpause": "unpause_queue"}
DONE = {
    "pause": "{} is paused: what is under way ends, nothing new is handed out.",
    "unpause": "{} is served again.",
}
_FILTERS = ("status", "name", "partition", "text", "age", "cursor", "queue")
_PLACES = {"cursor", "queue"}
"""Where one looks, not what one looks for."""
_PAGE = 50


@router.get("/ops")
async def ops(request: Request, shim: Shared, person: Looker) -> Response:
    return await _board(request, shim, person)


@router.get("/ui/ops-live")
async def ops_live(request: Request, shim: Shared, person: Looker) -> Response:
    """What has changed on the board."""
    parts, wanted, _ = await _parts(request, shim, person)
    news = parts.news(asked(request, "seen") or "")
    return fragment(render("board/live.html", news=news, poll=_poll(wanted, parts)))


@router.post("/ui/batch")
async def batch(request: Request, shim: Shared, person: Looker) -> Response:
    """Cancel, resume, repair or fork the runs that are ticked; a dry run says what would happen."""
    person.require("operator")
    form = await read_form(request, shim)
    name, is_dry = person.signs(form.text("name")), bool(form.text("dry"))
    try:
        rows = await _batch(shim, form, name, is_dry)
    except SisuError as refusal:
        if refusal.http in (403, 404) or refusal.http >= 500:
            raise
        return await _board(request, shim, person, refusal=refusal)
    response = await _board(request, shim, person, rows=rows, op=form.text("op"), is_dry=is_dry, form=form)
    if not person.named and name:
        remember_name(response, name)
    return response


@router.post("/ui/queue")
async def queue(request: Request, shim: Shared, person: Looker) -> Response:
    """Pause a queue or one of its partitions, or let it be served again."""
    person.require("operator")
    form = await read_form(request, shim)
    op, name, queue_name = form.text("op"), person.signs(form.text("name")), form.text("queue")
    key = form.maybe("part")
    if op not in PAUSES:
        raise refused([("op", f"must be one of {', '.join(PAUSES)}")])
    try:
        await shim.engine.value(
            PAUSES[op] if key is None else f"{op}_partition",
            queue_name=queue_name,
            actor=name,
            reason=form.text("reason"),
            dry_run=False,
            **({} if key is None else {"partition_key": key}),
        )
    except SisuError as refusal:
        if refusal.http in (403, 404) or refusal.http >= 500:
            raise
        return await _board(request, shim, person, refusal=refusal, form=form)
    response = see_other(
        query_of("/ops", done=op, what=f"{key} of {queue_name}" if key else queue_name) + "#queues"
    )
    if not person.named:
        remember_name(response, name)
    return response


@router.get("/compare")
async def compare(request: Request, shim: Shared, person: Looker) -> Response:
    """`?a=…&b=…`: what one run did otherwise than another."""
    a, b = asked(request, "a") or "", asked(request, "b") or ""
    rows = await shim.engine.value("page_fork_diff", a=a, b=b)
    return page("compare.html", person, here="run", a=a, b=b, rows=rows)


async def _batch(shim: Shim, form: Form, name: str, is_dry: bool) -> list[dict[str, Any]]:
    op, run_ids = form.text("op"), form.every("run")
    faults = [] if op in OPS else [("op", f"must be one of {', '.join(OPS)}")]
    if not run_ids:
        faults.append(("run", "tick at least one run"))
    if faults:
        raise refused(faults)
    more = {"step_n": form.number("step_n")} if op == "fork" else {}
    rows: list[dict[str, Any]] = await shim.engine.value(
        f"page_{op}_batch",
        selection=json.dumps({"runIds": run_ids}),
        actor=name or ("preview" if is_dry else ""),
        reason=form.text("reason") or ("preview" if is_dry else ""),
        dry_run=is_dry,
        **more,
    )
    return rows


async def _board(
    request: Request,
    shim: Shim,
    person: Person,
    refusal: SisuError | None = None,
    rows: list[dict[str, Any]] | None = None,
    op: str = "",
    is_dry: bool = False,
    form: Form | None = None,
) -> Response:
    parts, wanted, told = await _parts(request, shim, person)
    recipes = await shim.engine.value("page_recipes")
    return page(
        "ops.html",
        person,
        refusal.http if refusal else 200,
        here="ops",
        parts=parts.html,
        poll=_poll(wanted, parts),
        wanted=wanted,
        done=_done(request),
        counts=told["runs"],
        queues=[each["queueName"] for each in told["queues"]],
        recipes=[recipe["name"] for recipe in recipes],
        ages=list(AGES),
        refusal=refusal,
        rows=rows,
        op=op,
        is_dry=is_dry,
        form=form,
    )


async def _parts(
    request: Request, shim: Shim, person: Person
) -> tuple[Parts, dict[str, str], dict[str, Any]]:
    """The sections, the filter as it was asked for, and what app.page_ops tells."""
    wanted = {name: value for name in _FILTERS if (value := asked(request, name)) is not None}
    told = await shim.engine.value("page_ops")
    told |= await shim.engine.value("page_queues", queue=wanted.get("queue"))
    found = await shim.engine.value("search_runs", filter=json.dumps(_filter(wanted)))
    later = query_of("/ops", **{**wanted, "cursor": found["nextCursor"]}) if found["nextCursor"] else None
    first = query_of("/ops", **{**wanted, "cursor": None}) if "cursor" in wanted else None
    context = {
        "told": told,
        "runs": found["runs"],
        "later": later,
        "first": first,
        "person": person,
        "filtered": bool(wanted.keys() - _PLACES),
        "wanted": wanted,
    }
    return Parts(PARTS, "board/{}.html", context), wanted, told


def _done(request: Request) -> str | None:
    """What the form before this page came to."""
    words = DONE.get(request.query_params.get("done", "")) if request.method == "GET" else None
    return words.format((asked(request, "what") or "The queue")[:400]) if words else None


def _filter(wanted: dict[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {"limit": _PAGE}
    made |= {name: wanted[name] for name in ("name", "partition", "text", "cursor") if name in wanted}
    if wanted.get("status") in STATUSES:
        made["status"] = wanted["status"]
    if wanted.get("age") in AGES:
        made["newerThanMS"] = AGES[wanted["age"]]
    return made


def _poll(wanted: dict[str, str], parts: Parts) -> str:
    return query_of("/ui/ops-live", **wanted, seen=parts.seen)
