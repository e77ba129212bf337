"""What every page shares: the templates, the headers, and errors as pages."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from fastapi.routing import APIRoute
from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ..errors import SisuError, Unauthorized
from ..http.bodies import checked_text, refused
from ..logs import Log
from . import formats
from .people import Person

_log = Log(__name__)

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
STATUSES = (
    "ENQUEUED", "PENDING", "WAITING_INPUT", "SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
)  # fmt: skip
_HTMX = json.dumps(
    {
        "allowEval": False,
        "includeIndicatorStyles": False,
        "selfRequestsOnly": True,
        "historyEnabled": False,
        "timeout": 5000,
    }
)


@cache
def environment() -> Environment:
    """The templates. Everything is escaped; what a row does not have is empty."""
    env = Environment(
        loader=PackageLoader("sisu_kodo.ui"),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {
        "duration": formats.duration,
        "clock": formats.clock,
        "iso": formats.iso,
        "size": formats.size,
        "short": formats.short,
        "pretty": formats.pretty,
        "plural": formats.plural,
        "number": formats.number,
        "url": lambda value: quote(str(value), safe=""),
    }
    env.globals |= {"htmx_config": _HTMX, "statuses": STATUSES, "query": query_of}
    return env


def render(template: str, **context: Any) -> str:
    return environment().get_template(template).render(**context)


def page(template: str, person: Person | None, status: int = 200, **context: Any) -> Response:
    """A whole page; `here` of the context names its place in the navigation."""
    return HTMLResponse(render(template, person=person, **{"here": "", **context}), status, HEADERS)


def fragment(html: str, status: int = 200) -> Response:
    """A piece of a page for htmx."""
    return HTMLResponse(html, status, HEADERS)


def nothing_new() -> Response:
    """What a poll is answered when everything is as it was: htmx leaves the page alone."""
    return Response(status_code=204, headers=HEADERS)


def stamp(told: Any, grain_ms: int) -> str:
    """A name for what SQL told, its `now` counted in steps of so many ms: the same name, the same page."""
    now = told["now"] // grain_ms
    text = json.dumps({**told, "now": now}, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def see_other(url: str) -> Response:
    return RedirectResponse(url, 303)


def query_of(path: str, **wanted: Any) -> str:
    """`path` with those of the parameters that are not None or empty."""
    kept = {name: value for name, value in wanted.items() if value not in (None, "", [])}
    return f"{path}?{urlencode(kept, doseq=True)}" if kept else path


def asked(request: Request, name: str) -> str | None:
    """A parameter of the query, None when it is empty. Raises BadRequest for what cannot be stored."""
    value = request.query_params.get(name, "")
    if faults := [(name, fault) for fault in checked_text(value)]:
        raise refused(faults)
    return value.strip() or None


def asked_number(request: Request, name: str) -> int | None:
    """Raises BadRequest unless it is a whole number of a size that SQL takes."""
    value = asked(request, name)
    if value is None:
        return None
    if not value.lstrip("-").isascii() or not value.lstrip("-").isdigit() or len(value) > 9:
        raise refused([(name, "must be an integer")])
    return int(value)


class Parts:
    """The sections of a page that a poll may replace, each under a hash of what it shows.

    The poll says which hashes it has; a section that did not change is not sent again, so that what somebody
    types or has selected there stays.
    """

    def __init__(self, names: Iterable[str], template: str, context: Mapping[str, Any]) -> None:
        self.html = {name: Markup(render(template.format(name), **context)) for name in names}
        self._hashes = {
            name: hashlib.sha256(html.encode("utf-8", "replace")).hexdigest()[:8]
            for name, html in self.html.items()
        }

    @property
    def seen(self) -> str:
        """What a client has that has all of it."""
        return "".join(self._hashes.values())

    def news(self, seen: str) -> dict[str, Markup]:
        """The sections that differ from what the client has."""
        had = [seen[i : i + 8] for i in range(0, len(seen), 8)]
        if len(had) != len(self.html):
            return self.html
        return {
            name: html
            for (name, html), old in zip(self.html.items(), had, strict=True)
            if self._hashes[name] != old
        }


class PageRoute(APIRoute):
    """A route whose refusals and failures are pages, too. Each answer says how long it took to make."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handled(request: Request) -> Response:
            began = time.perf_counter()
            try:
                response = await handler(request)
            except SisuError as error:
                response = failure(request, error)
            response.headers["server-timing"] = f"page;dur={(time.perf_counter() - began) * 1000:.1f}"
            return response

        return handled


def failure(request: Request, error: SisuError) -> Response:
    """The page that stands for `error`; without a token, the way to log in."""
    trace_id = str(request.scope.get("state", {}).get("trace_id", ""))
    if isinstance(error, Unauthorized):
        target = query_of("/login", next=f"{request.url.path}?{request.url.query}".rstrip("?"))
        if request.headers.get("hx-request"):
            return Response(status_code=401, headers={"hx-redirect": "/login"})
        return see_other(target)
    if error.http >= 500:
        _log.error("page.failed", error, trace_id=trace_id, path=request.url.path)
    status = 503 if error.http >= 500 else error.http
    return page("error.html", None, status, error=error, code=status, trace_id=trace_id)
