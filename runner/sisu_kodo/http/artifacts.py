"""`GET /api/artifacts/{artifactId}`: bytes that a handler made, served so that no browser runs them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from .answers import etag, matches
from .shim import ArtifactId, Reader, Shared
from .spec import not_modified, spec

router = APIRouter(tags=["artifacts"])

_TYPE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,63}/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,63}")
_PARAMETERS = re.compile(r"(;\s*[a-zA-Z0-9_-]+=[a-zA-Z0-9_./-]+)*")
_SHOWN = re.compile(
    r"text/(?!html\b|xml\b|javascript\b)[a-z0-9.+-]+|application/json|image/(?:png|jpeg|gif|webp)"
)
"""Types that are shown in place; everything else is a download."""
_TYPE_OF_KIND = {"patch": "text/x-diff", "stdout": "text/plain", "stderr": "text/plain", "none": "text/plain"}
HEADERS = {
    "cache-control": "private, max-age=31536000, immutable",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
    "cross-origin-resource-policy": "same-origin",
}


@router.get(
    "/api/artifacts/{artifactId}",
    **spec(
        "getArtifact",
        "The bytes of an artifact",
        {
            200: (
                {
                    "application/json": {"schema": {}},
                    "text/plain": {"schema": {"type": "string"}},
                    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                },
                "The bytes, under the artifact's media type; the ETag is their sha256.",
            ),
            304: not_modified(),
        },
    ),
)
async def get_artifact(request: Request, shim: Shared, caller: Reader, artifact_id: ArtifactId) -> Response:
    """An artifact never changes. What a browser might run (HTML, SVG, …) comes as a download."""
    row = await shim.engine.row("get_artifact", artifact_id=artifact_id)
    _, _, _, kind, name, media_type, _, sha256, body = row
    headers = {"etag": etag(sha256), **HEADERS}
    if matches(request.headers.get("if-none-match"), headers["etag"]):
        return Response(status_code=304, headers=headers)
    shown = served_type(kind, media_type)
    headers["content-type"] = shown
    headers["content-disposition"] = disposition(name, shown)
    return Response(bytes(body), 200, headers)


def served_type(kind: str, media_type: str) -> str:
    """A Content-Type that is safe to send: the stored one if it is well formed, else that of the kind."""
    kind_type = _TYPE_OF_KIND.get(kind)
    main, _, rest = media_type.partition(";")
    main = main.strip().lower()
    if not _TYPE.fullmatch(main) or not _PARAMETERS.fullmatch(f";{rest}" if rest else ""):
        main, rest = kind_type or "application/octet-stream", ""
    if kind_type and main == "application/octet-stream":
        main, rest = kind_type, ""
    if main.startswith("text/") and "charset" not in rest.lower():
        rest = f"{rest};charset=utf-8" if rest else "charset=utf-8"
    return f"{main}; {rest.strip('; ')}" if rest.strip("; ") else main


def disposition(name: str, content_type: str) -> str:
    """Content-Disposition: shown in place only where nothing can run."""
    how = "inline" if _SHOWN.fullmatch(content_type.partition(";")[0].strip()) else "attachment"
    last = PurePosixPath(name.replace("\0", "")).name or "artifact"
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", last)[:100]
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(last[:200], safe='')}"
