"""Who looks at the page, and what they may do.

With tokens a browser logs in once: the token lives in a cookie that no script reads and no other site sends
(HttpOnly, SameSite=Strict). Without tokens everybody may do everything, under the name they give.
A form must come from a page of this server: the browser says so in Origin or Sec-Fetch-Site, and a form
without either is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote, unquote, urlsplit

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from ..errors import Forbidden, Unauthorized
from ..http.shim import Shared, Shim
from ..http.tokens import ANYBODY, Caller

TOKEN_COOKIE = "sisu_token"
NAME_COOKIE = "sisu_name"
_YEAR = 31_536_000


@dataclass(frozen=True)
class Person:
    """`named` is True when a token says who it is; else `name` is what they called themselves last."""

    caller: Caller
    name: str
    named: bool

    def may(self, *roles: str) -> bool:
        return self.caller.may(*roles)

    def require(self, *roles: str) -> None:
        """Raises Forbidden."""
        if not self.may(*roles):
            raise Forbidden(
                f"{self.name} may not do this", code="role_missing", hint=f"it takes {' or '.join(roles)}"
            )

    def signs(self, given: str) -> str:
        """The name under which they act: that of the token, or the one they gave."""
        return self.name if self.named else given.strip()


def _person(request: Request, shim: Shared) -> Person:
    caller = _caller(request, shim)
    if caller.name is not None:
        return Person(caller, caller.name, True)
    return Person(caller, unquote(request.cookies.get(NAME_COOKIE, ""))[:256], False)


def _caller(request: Request, shim: Shim) -> Caller:
    if not shim.settings.tokens:
        return ANYBODY
    caller = shim.settings.tokens.find(request.cookies.get(TOKEN_COOKIE, ""))
    if caller is None:
        raise Unauthorized("a token is wanted", code="token_missing", hint="log in")
    return caller


Looker = Annotated[Person, Depends(_person)]


def check_same_origin(request: Request) -> None:
    """Raises Forbidden unless the browser says that the form is from a page of this server."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    host = request.headers.get("host", "").lower()
    if site is not None and site != "same-origin":
        raise Forbidden("the form comes from another site", code="cross_origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host:
        raise Forbidden("the form comes from another site", code="cross_origin")
    if site is None and origin is None:
        raise Forbidden("nothing says that the form comes from this page", code="cross_origin")


def remember_name(response: Response, name: str) -> None:
    """For the next form."""
    response.set_cookie(NAME_COOKIE, quote(name), max_age=_YEAR, httponly=True, samesite="strict", path="/")


def remember_token(request: Request, response: Response, token: str) -> None:
    secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
    response.set_cookie(
        TOKEN_COOKIE, token, max_age=30 * 86_400, httponly=True, samesite="strict", secure=secure, path="/"
    )


def forget_token(response: Response) -> None:
    response.delete_cookie(TOKEN_COOKIE, path="/")
