"""Recipes: what there is, how a version looks, and a start."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ..errors import SisuError
from ..http.shim import Shared, Shim
from .drawing import drawing
from .formats import pretty
from .forms import Form, fields_of, filled, json_object, read_form
from .pages import PageRoute, asked, asked_number, page, query_of, see_other
from .people import Looker, Person, remember_name

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/recipes")
async def recipes(request: Request, shim: Shared, person: Looker) -> Response:
    return page("recipes.html", person, here="recipes", recipes=await shim.engine.value("page_recipes"))


@router.get("/recipe")
async def recipe(request: Request, shim: Shared, person: Looker) -> Response:
    """`?name=…&version=…`: without a version the active one."""
    return await _recipe(
        request, shim, person, asked(request, "name") or "", asked_number(request, "version")
    )


@router.post("/ui/start")
async def start(request: Request, shim: Shared, person: Looker) -> Response:
    """Create the intent and start its run. The same again is shown as what it is: a replay, or drift."""
    person.require("starter")
    form = await read_form(request, shim)
    name, version = form.text("recipe"), form.number("version")
    who = person.signs(form.text("name"))
    try:
        told = await shim.engine.value("page_recipe", name=name, version=version)
        intent = await shim.engine.value("create_intent", intent=json.dumps(_intent(told, form)))
        options = _options(form, told, who)
        run = await shim.engine.value("start_run", intent_id=intent["intentId"], options=json.dumps(options))
    except SisuError as refusal:
        if refusal.http in (403, 404) or refusal.http >= 500:
            raise
        existing = intent["intentId"] if refusal.http == 409 else None
        return await _recipe(
            request, shim, person, name, version, form=form, refusal=refusal, existing=existing
        )
    done = "restarted" if run["isReplay"] else "started"
    response = see_other(query_of("/", wid=run["workflowID"], done=done))
    if not person.named and who:
        remember_name(response, who)
    return response


def _intent(told: dict[str, Any], form: Form) -> dict[str, Any]:
    schema = told["inputSchema"]
    inputs = filled(schema, form, "f_") if fields_of(schema) else json_object(form, "inputs")
    return {"goal": form.text("goal"), "inputs": inputs, "constraints": json_object(form, "constraints")}


def _options(form: Form, told: dict[str, Any], who: str) -> dict[str, Any]:
    options: dict[str, Any] = {"recipeName": told["name"], "lane": form.text("lane") or "interactive"}
    if told["status"] != "active":
        options["recipeVersion"] = told["version"]
    if form.text("partition"):
        options["queuePartitionKey"] = form.text("partition")
    if who:
        options["startedBy"] = who
    return options


async def _recipe(
    request: Request,
    shim: Shim,
    person: Person,
    name: str,
    version: int | None,
    form: Form | None = None,
    refusal: SisuError | None = None,
    existing: str | None = None,
) -> Response:
    told = await shim.engine.value("page_recipe", name=name, version=version)
    return page(
        "recipe.html",
        person,
        refusal.http if refusal else 200,
        here="recipes",
        told=told,
        drawing=drawing(told["steps"]),
        body=pretty(told["body"]),
        fields=fields_of(told["inputSchema"]),
        form=form,
        refusal=refusal,
        existing=existing,
    )
