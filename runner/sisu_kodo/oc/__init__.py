"""Planner clients (OC): who answers a plan request.

    planner(mode, …) → Planner, whose plan(request) → Answer

The request is any JSON; its key is the sha256 of its canonical JSON (RFC 8785), so the order in which it was
built never matters.
"""

from __future__ import annotations

from pathlib import Path

from ..models import JSON, StepError
from .live import Live
from .model import Answer, Planner, request_key
from .record import Record
from .replay import Replay

__all__ = ["Answer", "Live", "Planner", "Record", "Replay", "planner", "request_key"]


def planner(
    mode: str, *, schema: JSON, default: Path, recordings: Path | None = None, base_url: str | None = None
) -> Planner:
    """The planner that OC_MODE names: `replay`, `record` or `live`.

    `schema` is the JSON Schema of an answer, `default` the file of the recipe's own recording, `recordings`
    the folder of OC_RECORDINGS. Raises StepError `planner_unavailable` (not retried) when the mode is unknown
    or lacks a setting.
    """
    if mode == "replay":
        return Replay(recordings, default)
    if mode not in ("record", "live"):
        raise _unavailable(f"OC_MODE={mode} is none of replay, record, live")
    if not base_url:
        raise _unavailable(f"OC_MODE={mode} needs OC_BASE_URL")
    live = Live(base_url, schema)
    if mode == "live":
        return live
    if recordings is None:
        raise _unavailable("OC_MODE=record needs OC_RECORDINGS, a folder")
    return Record(live, recordings)


def _unavailable(why: str) -> StepError:
    return StepError("planner_unavailable", why, retryable=False)
