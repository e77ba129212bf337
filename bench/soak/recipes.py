"""The soak's recipes, and recordings that make plans of several tasks for compile-default."""

from __future__ import annotations

import json
from pathlib import Path

from sisu_kodo import oc
from sisu_kodo.handlers.compile_default import plan, workspace
from sisu_kodo.models import JSON

HANDLERS = "bench.soak.handlers"
_RETRY: dict[str, JSON] = {
    "maxAttempts": 3,
    "backoff": {"initialMS": 50, "factor": 2, "maxMS": 200},
    "retryableCodes": ["infra_failure"],
}


def _steps(*steps: dict[str, JSON]) -> list[dict[str, JSON]]:
    return [{"stepId": f"S{position}", **step} for position, step in enumerate(steps)]


RECIPES: list[dict[str, JSON]] = [
    {
        "name": "soak-chain",
        "steps": _steps(
            {"handler": "soak/link"},
            {"handler": "soak/thread"},
            {"handler": "soak/link"},
            {"handler": "soak/thread"},
        ),
    },
    {
        "name": "soak-retry",
        "steps": _steps(
            {"handler": "soak/link"},
            {"handler": "soak/flaky", "retry": _RETRY},
            {"handler": "soak/link"},
        ),
    },
    {
        "name": "soak-gate",
        "steps": _steps(
            {"handler": "soak/link"},
            {"handler": "soak/answered", "gate": {"key": "answer", "kind": "input"}},
        ),
    },
    {
        "name": "soak-fan",
        "steps": _steps(
            {
                "handler": "soak/spread",
                "fanOut": {"queue": "sbxQ", "handler": "soak/part", "maxTasks": 1000, "retry": _RETRY},
            },
            {"handler": "soak/gather"},
        ),
    },
    {
        "name": "soak-graph",
        "steps": [
            {"stepId": "RootST", "handler": "soak/items"},
            {"stepId": "SleepST", "needs": ["RootST"], "sleep": {"ms": 400}},
            {
                "stepId": "MapST",
                "needs": ["RootST"],
                "map": {
                    "over": "$.outputs.RootST.items[*]",
                    "queue": "sbxQ",
                    "handler": "soak/part",
                    "retry": _RETRY,
                },
            },
            {
                "stepId": "WordST",
                "needs": ["RootST"],
                "gate": {"key": "answer", "kind": "input"},
                "handler": "soak/word",
            },
            {
                "stepId": "QuietST",
                "needs": ["RootST"],
                "when": "$.outputs.RootST.items.size() > 1000",
                "handler": "soak/word",
            },
            {
                "stepId": "JoinST",
                "needs": ["SleepST", "MapST", "WordST", "QuietST"],
                "handler": "soak/join",
            },
        ],
    },
    {"name": "soak-durable", "steps": _steps({"handler": "soak/durable"})},
    {
        "name": "soak-poison",
        "queue": "controlQ",
        "steps": _steps({"handler": "soak/poison"}),
    },
]


def record_plan(folder: Path, intent: dict[str, JSON], tasks: int) -> None:
    """Record the example project's plan for this intent, with `tasks` test files: OC_MODE=replay with
    OC_RECORDINGS=folder then makes that many tasks.
    """
    default = json.loads(plan.DEFAULT_RECORDING.read_text(encoding="utf-8"))["plan"]
    request = plan.build_request(intent, workspace.scan(workspace.source(intent)))
    recorded = {**default, "tests": [f"tests/test_{number}.py" for number in range(tasks)]}
    text = json.dumps({"request": request, "plan": plan.checked(recorded)})
    (folder / f"{oc.request_key(request)}.json").write_text(text, encoding="utf-8")
