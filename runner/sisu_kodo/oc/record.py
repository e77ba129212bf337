"""OC_MODE=record: ask the live server and keep the answer for replay.

A recording that exists is replaced: recording again is how one refreshes it. The file appears whole or not at
all.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..models import JSON, StepError
from .model import Answer, Planner


@dataclass(frozen=True, slots=True)
class Record:
    live: Planner
    recordings: Path

    def plan(self, request: JSON) -> Answer:
        answer = self.live.plan(request)
        try:
            write_recording(self.recordings, answer.key, request, answer.plan)
        except OSError as error:
            message = f"cannot write the recording: {error}"
            raise StepError("infra_failure", message, retryable=True) from error
        return Answer(answer.plan, "record", answer.key)


def write_recording(folder: Path, key: str, request: JSON, plan: JSON) -> Path:
    """Write `<key>.json` atomically, replacing it. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"request": request, "plan": plan}, file, ensure_ascii=False, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        return temporary.replace(folder / f"{key}.json")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
