"""What planners share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..artifacts import canonical, sha256
from ..models import JSON


@dataclass(frozen=True, slots=True)
class Answer:
    """A planner's answer, not yet checked. `source` is `recording`, `default`, `record` or `live`; `key` the
    request's.
    """

    plan: JSON
    source: str
    key: str


class Planner(Protocol):
    """Answers plan requests. Raises StepError: `infra_failure` (retried), `planner_failed`."""

    def plan(self, request: JSON) -> Answer: ...


def request_key(request: JSON) -> str:
    """Hex sha256 of the request's canonical JSON."""
    return sha256(canonical(request))
