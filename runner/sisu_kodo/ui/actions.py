"""What a person does to a run: each form calls the one function that the API calls, and comes back."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ..errors import SisuError
from ..http.bodies import refused
from ..http.shim import Shared, Shim
from .forms import Form, fields_of, filled, json_object, read_form
from .pages import PageRoute, query_of, see_other
from .people import Looker, Person, remember_name
from .run import read_run, run_page

router = APIRouter(include_in_schema=False, route_class=PageRoute)

CONTROLS = ("cancel", "resume", "repair")


@router.post("/ui/gate")
async def answer_gate(request: Request, shim: Shared, person: Looker) -> Response:
    """Approve, reject or answer a gate."""
    person.require("approver")
    form = await read_form(request, shim)
    run_id, name = form.text("wid"), person.signs(form.text("name"))
    try:
        done = await _answer(shim, form, run_id, name)
    except SisuError as refusal:
        return await _refused(request, shim, person, run_id, refusal)
    return _back(run_id, done, name, person)


@router.post("/ui/control")
async def control(request: Request, shim: Shared, person: Looker) -> Response:
    """Cancel, resume or repair a run."""
    person.require("operator")
    form = await read_form(request, shim)
    run_id, op, name = form.text("wid"), form.text("op"), person.signs(form.text("name"))
    if op not in CONTROLS:
        raise refused([("op", f"must be one of {', '.join(CONTROLS)}")])
    try:
        await shim.engine.value(
            f"{op}_run", run_id=run_id, actor=name, reason=form.text("reason"), dry_run=False
        )
    except SisuError as refusal:
        return await _refused(request, shim, person, run_id, refusal)
    return _back(run_id, op, name, person)


@router.post("/ui/fork")
async def fork(request: Request, shim: Shared, person: Looker) -> Response:
    """Fork a run at a step, or say what a fork would reuse."""
    person.require("operator")
    form = await read_form(request, shim)
    run_id, name, is_dry = form.text("wid"), person.signs(form.text("name")), bool(form.text("dry"))
    try:
        step_n = form.number("step_n")
        inputs = json_object(form, "inputs") if form.text("inputs") else None
        forked = await shim.engine.value(
            "fork_run",
            run_id=run_id,
            step_n=step_n,
            actor=name or ("preview" if is_dry else ""),
            reason=form.text("reason") or ("preview" if is_dry else ""),
            app_version=form.maybe("app_version"),
            inputs=None if inputs is None else json.dumps(inputs),
            dry_run=is_dry,
        )
    except SisuError as refusal:
        return await _refused(request, shim, person, run_id, refusal)
    if not is_dry:
        return _back(forked["forkedWorkflowID"], "fork", name, person)
    told = await read_run(shim, run_id)
    steps = [{**step, "reused": step["idx"] < step_n} for step in told["steps"]]
    return await run_page(request, shim, person, run_id, preview={**forked, "steps": steps, "form": form})


async def _answer(shim: Shim, form: Form, run_id: str, name: str) -> str:
    """Which of run.DONE it came to."""
    gate_key, decision, shown = form.text("gate"), form.text("decision"), form.maybe("shown")
    told = await read_run(shim, run_id)
    gate = next((each for each in told["gates"] if each["gateKey"] == gate_key), None)
    notes = form.text("notes")
    if decision == "no" and not notes:
        raise refused([("notes", "a rejection needs its reason")])
    # the same person saying the same at the same gate is one reply, however often the button is pressed
    dedupe_key = f"page:{gate['round'] if gate else 1}:{name}"[:256]
    if gate_key == "approve-plan":
        await shim.engine.value(
            "approve_plan",
            run_id=run_id,
            approved_by=name,
            notes=notes or None,
            decision=decision,
            dedupe_key=dedupe_key,
            shown_sha256=shown,
        )
        return _word(gate, decision)
    answered = await shim.engine.value(
        "reply_gate",
        run_id=run_id,
        gate_key=gate_key,
        payload=json.dumps(_payload(told, gate, form, decision, notes)),
        dedupe_key=dedupe_key,
        origin=name,
        shown_sha256=shown,
    )
    return "replay" if answered.get("isReplay") else _word(gate, decision)


def _payload(
    told: dict[str, Any], gate: dict[str, Any] | None, form: Form, decision: str, notes: str
) -> dict[str, Any]:
    schema = told["gateSchemas"].get(gate["gateKey"]) if gate else None
    payload = filled(schema, form, "f_") if fields_of(schema) else json_object(form, "payload")
    if decision:
        payload["decision"] = decision
    if notes:
        payload["notes"] = notes
    return payload


def _word(gate: dict[str, Any] | None, decision: str) -> str:
    if gate is None or gate["status"] != "OPEN":
        return "kept"
    return {"yes": "approved", "no": "rejected"}.get(decision, "answered")


async def _refused(request: Request, shim: Shim, person: Person, run_id: str, refusal: SisuError) -> Response:
    """The run's page with the refusal at its top; nothing was written."""
    if refusal.http in (403, 404) or refusal.http >= 500:
        raise refusal
    return await run_page(request, shim, person, run_id, refusal)


def _back(run_id: str, done: str, name: str, person: Person) -> Response:
    response = see_other(query_of("/", wid=run_id, done=done))
    if not person.named:
        remember_name(response, name)
    return response
