"""OC_MODE=replay: recorded answers, no network.

A recording is `<key>.json`: {"request": …, "plan": …}. A request that was never recorded gets the recipe's
own default recording.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..models import JSON, StepError
from .model import Answer, request_key


@dataclass(frozen=True, slots=True)
class Replay:
    recordings: Path | None
    default: Path

    def plan(self, request: JSON) -> Answer:
        key = request_key(request)
        if self.recordings is not None:
            file = self.recordings / f"{key}.json"
            if file.is_file():
                return Answer(_plan_of(file), "recording", key)
        return Answer(_plan_of(self.default), "default", key)


def _plan_of(file: Path) -> JSON:
    try:
        return json.loads(file.read_text(encoding="utf-8"))["plan"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"the recording {file.name} cannot be used: {type(error).__name__}: {error}"
        raise StepError("planner_failed", message, retryable=False) from error
