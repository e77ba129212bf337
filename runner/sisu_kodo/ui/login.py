"""A token becomes a cookie, and is forgotten again."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ..http.shim import Shared
from .forms import read_form
from .pages import PageRoute, asked, page, see_other
from .people import check_same_origin, forget_token, remember_token

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/login")
async def ask(request: Request, shim: Shared) -> Response:
    if not shim.settings.tokens:
        return see_other("/ops")
    return page("login.html", None, next=_local(asked(request, "next")), wrong=False)


@router.post("/login")
async def log_in(request: Request, shim: Shared) -> Response:
    form = await read_form(request, shim)
    token = form.text("token")
    if shim.settings.tokens.find(token) is None:
        return page("login.html", None, 401, next=_local(form.maybe("next")), wrong=True)
    response = see_other(_local(form.maybe("next")))
    remember_token(request, response, token)
    return response


@router.post("/logout")
async def log_out(request: Request) -> Response:
    check_same_origin(request)
    response = see_other("/login")
    forget_token(response)
    return response


def _local(target: str | None) -> str:
    """A path of this server, whatever was asked for."""
    if target is None or not target.startswith("/") or target.startswith("//"):
        return "/ops"
    if "\\" in target or not target.isprintable():
        return "/ops"
    return target
