"""Static files: the style sheet, the script, and htmx as its package ships it."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ..errors import NotFound
from ..http.answers import etag, matches
from .pages import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_FILES = {
    "page.css": (("sisu_kodo.ui", "static/page.css"), "text/css; charset=utf-8"),
    "page.js": (("sisu_kodo.ui", "static/page.js"), "text/javascript; charset=utf-8"),
    "mark.svg": (("sisu_kodo.ui", "static/mark.svg"), "image/svg+xml"),
    "htmx.js": (("js_lib_htmx", "static/htmx/htmx.min.js"), "text/javascript; charset=utf-8"),
}


@cache
def asset(name: str) -> tuple[bytes, str]:
    """The bytes of a file, and their sha256."""
    (package, path), _ = _FILES[name]
    content = files(package).joinpath(path).read_bytes()
    return content, hashlib.sha256(content).hexdigest()


@router.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    if name not in _FILES:
        raise NotFound(f"no file {name}", code="route_not_found")
    content, digest = asset(name)
    headers = {
        "etag": etag(digest),
        "cache-control": "no-cache",
        "cross-origin-resource-policy": "same-origin",
    }
    if matches(request.headers.get("if-none-match"), headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(content, 200, {**headers, "content-type": _FILES[name][1]})
