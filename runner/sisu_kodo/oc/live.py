"""OC_MODE=live: an OpenCode server at OC_BASE_URL.

One session a request: POST /session, then POST /session/{id}/message with the prompt and the JSON Schema that
the answer must have. The structured answer is `info.structured`; a server that lacks it puts JSON text into
the parts.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import quote, urlsplit

from ..models import JSON, StepError
from .model import Answer, request_key

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MOST_BYTES = 16 * 1024 * 1024
_SHORT_SECONDS = 10.0
_INSTRUCTIONS = (
    "Plan how to reach the goal in the project below. Answer with JSON that follows the given schema: in "
    "patchPlan one item per changed file, its diff a unified diff with exact line numbers and context; in "
    "tests the test files to run. Change nothing yourself.\n\n"
)


@dataclass(frozen=True, slots=True)
class Live:
    """`timeout` (seconds) is how long the model may take to answer."""

    base_url: str
    schema: JSON
    timeout: float = 300.0

    def plan(self, request: JSON) -> Answer:
        session = self._post("/session", {"title": _title(request)}, _SHORT_SECONDS)
        identity = session.get("id") if isinstance(session, dict) else None
        if not isinstance(identity, str) or not identity:
            raise _failed("the planner opened no session")
        text = _INSTRUCTIONS + json.dumps(request, ensure_ascii=False, indent=2)
        body = {
            "parts": [{"type": "text", "text": text}],
            "format": {"type": "json_schema", "schema": self.schema},
        }
        reply = self._post(f"/session/{quote(identity, safe='')}/message", body, self.timeout)
        return Answer(_structured(reply), "live", request_key(request))

    def _post(self, path: str, body: JSON, timeout: float) -> JSON:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise StepError("planner_unavailable", "OC_BASE_URL is not an http(s) address", retryable=False)
        request = urllib.request.Request(
            self.base_url.rstrip("/") + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            method="POST",
        )
        proxies = urllib.request.ProxyHandler({} if url.hostname in _LOOPBACK else None)
        try:
            with urllib.request.build_opener(proxies).open(request, timeout=timeout) as response:
                data = response.read(_MOST_BYTES + 1)
        except urllib.error.HTTPError as error:
            with error:
                if error.code < 500 and error.code not in (408, 425, 429):
                    raise _failed(f"the planner answered {error.code} to POST {path}") from error
                raise _infra(f"the planner answered {error.code}") from error
        except (OSError, HTTPException) as error:
            raise _infra(f"the planner cannot be reached: {getattr(error, 'reason', error)}") from error
        if len(data) > _MOST_BYTES:
            raise _failed("the planner's answer is larger than 16 MB")
        try:
            return json.loads(data)
        except ValueError as error:
            raise _infra("the planner's answer is not JSON") from error


def _title(request: JSON) -> str:
    goal = request.get("goal") if isinstance(request, dict) else None
    return str(goal or "plan")[:80]


def _structured(reply: JSON) -> JSON:
    info = reply.get("info") if isinstance(reply, dict) else None
    if not isinstance(info, dict):
        raise _failed("the planner's answer has no info")
    if fault := info.get("error"):
        detail = fault.get("data") if isinstance(fault, dict) else None
        message = detail.get("message") if isinstance(detail, dict) else None
        raise _failed(f"the planner gave up: {message or fault}"[:500])
    if info.get("structured") is not None:
        return info["structured"]
    for part in reversed(reply.get("parts") or []):
        if isinstance(part, dict) and part.get("type") == "text":
            try:
                return json.loads(part.get("text") or "")
            except ValueError:
                continue
    raise _failed("the planner's answer has no plan in it")


def _infra(message: str) -> StepError:
    return StepError("infra_failure", message, retryable=True)


def _failed(message: str) -> StepError:
    return StepError("planner_failed", message, retryable=False)
