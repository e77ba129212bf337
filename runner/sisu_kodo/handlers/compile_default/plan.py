"""What is asked of the planner, and what counts as a plan."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from ...models import JSON, StepError
from .workspace import Entry

FOLDER = Path(__file__).parent
DEFAULT_RECORDING = FOLDER / "recordings" / "default.json"
_MOST_FILE_BYTES = 32 * 1024
_MOST_TEXT_BYTES = 256 * 1024


@cache
def schema() -> dict[str, Any]:
    """JSON Schema of a plan."""
    loaded: dict[str, Any] = json.loads((FOLDER / "plan.schema.json").read_text(encoding="utf-8"))
    return loaded


def build_request(intent: dict[str, JSON], entries: list[Entry]) -> dict[str, JSON]:
    """The planner's question: goal, inputs and constraints, and the project's files.

    Where the project lies is left out, so that the same project asks the same question on every machine. Text
    of files beyond 32 KB each, or 256 KB together, is left out; their hashes are there.
    """
    inputs = intent.get("inputs")
    wanted = {key: value for key, value in inputs.items() if key not in ("workspace", "patch", "mock")} \
        if isinstance(inputs, dict) else inputs  # fmt: skip
    files: list[JSON] = []
    room = _MOST_TEXT_BYTES
    for entry in entries:
        facts: dict[str, JSON] = {"path": entry.path, "sha256": entry.sha256, "size": entry.size}
        if entry.size <= min(_MOST_FILE_BYTES, room) and (text := entry.text()) is not None:
            facts["text"] = text
            room -= entry.size
        files.append(facts)
    return {
        "goal": intent.get("goal"),
        "inputs": wanted,
        "constraints": intent.get("constraints"),
        "project": files,
    }


def checked(plan: JSON) -> dict[str, Any]:
    """The plan itself when it follows the schema. Raises StepError `plan_invalid` with every fault."""
    faults = [
        {"path": error.json_path.removeprefix("$").removeprefix("."), "message": error.message[:500]}
        for error in sorted(Draft202012Validator(schema()).iter_errors(plan), key=lambda each: each.json_path)
    ]
    if not faults:
        paths = [item["path"] for item in plan["patchPlan"]]
        twice = sorted({path for path in paths if paths.count(path) > 1})
        faults = [{"path": "patchPlan", "message": f"{path} is changed by two items"} for path in twice]
    if faults:
        text = "; ".join(f"{fault['path'] or 'plan'}: {fault['message']}" for fault in faults)
        message = f"the plan is not valid: {text}"[:2000]
        raise StepError("plan_invalid", message, retryable=False, details=faults)
    assert isinstance(plan, dict)
    return plan
