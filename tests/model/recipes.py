"""The recipes of the model: what the database is told, and what the model reads. Time is counted in ticks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import rfc8785

JSON = dict[str, Any]
# coarse enough that the seconds an example takes never decide anything
TICK_MS = 300_000


@dataclass(frozen=True)
class Retry:
    """How often, and how many ticks lie between; `infra` is retryable, but for a step without a policy."""

    attempts: int = 1
    first_wait: int = 0
    factor: int = 2
    longest_wait: int = 1000

    def wait(self, used: int) -> int:
        """Ticks before the next attempt when so many were used."""
        return int(min(self.first_wait * self.factor ** (used - 1), self.longest_wait))

    def body(self) -> JSON:
        backoff = {
            "initialMS": self.first_wait * TICK_MS,
            "factor": self.factor,
            "maxMS": self.longest_wait * TICK_MS,
            "jitter": 0,
        }
        return {"maxAttempts": self.attempts, "backoff": backoff, "retryableCodes": ["infra"]}


@dataclass(frozen=True)
class Gate:
    """A gate before a step; `ttl` in ticks."""

    key: str
    kind: str = "approval"
    ttl: int | None = None

    def body(self) -> JSON:
        ttl = {"ttlMS": self.ttl * TICK_MS} if self.ttl else {}
        return {"key": self.key, "kind": self.kind, **ttl}


@dataclass(frozen=True)
class Step:
    """One step; `fan` is the retry policy of its tasks, which go to sbxQ, at most `most` of them."""

    step_id: str
    queue: str = "intentQ"
    retry: Retry = Retry()
    gate: Gate | None = None
    fan: Retry | None = None
    most: int = 4

    def body(self) -> JSON:
        body: JSON = {"stepId": self.step_id, "handler": f"t/{self.step_id}", "queue": self.queue}
        if self.retry != Retry():
            body["retry"] = self.retry.body()
        if self.gate:
            body["gate"] = self.gate.body()
        if self.fan:
            body["fanOut"] = {
                "queue": "sbxQ",
                "handler": "t/task",
                "maxTasks": self.most,
                "retry": self.fan.body(),
            }
        return body


@dataclass(frozen=True)
class Recipe:
    """A version of a recipe."""

    name: str
    version: int
    steps: tuple[Step, ...]

    @property
    def last(self) -> int:
        return len(self.steps) - 1

    def queues(self) -> set[str]:
        """Every queue that a run of it may pass."""
        return {step.queue for step in self.steps} | {"sbxQ" for step in self.steps if step.fan}

    def gate(self, key: str) -> tuple[int, Gate] | None:
        """The gate of this key and the index of its step."""
        return next(((n, s.gate) for n, s in enumerate(self.steps) if s.gate and s.gate.key == key), None)

    def body(self) -> JSON:
        return {"name": self.name, "version": self.version, "steps": [step.body() for step in self.steps]}


RECIPES = (
    Recipe("chain", 1, (Step("A"), Step("B"))),
    Recipe("chain", 2, (Step("A"), Step("B", retry=Retry(2)), Step("C"))),
    Recipe(
        "four",
        1,
        (
            Step("CompileST"),
            Step("ApplyPatchST"),
            Step("DecideST", gate=Gate("approve-plan")),
            Step("ExecuteST", fan=Retry(2, first_wait=2), retry=Retry(3)),
        ),
    ),
    Recipe("stubborn", 1, (Step("A", retry=Retry(3, 2, 2, 3)), Step("B", retry=Retry(2)))),
    Recipe("queues", 1, (Step("A"), Step("B", queue="controlQ"), Step("C", queue="controlQ"), Step("D"))),
    Recipe(
        "asks",
        1,
        (
            Step("A", gate=Gate("tell", "input", ttl=4)),
            Step("B", gate=Gate("approve-plan", ttl=6)),
            Step("C", gate=Gate("sign")),
        ),
    ),
    Recipe("fans", 1, (Step("A", fan=Retry(3)), Step("B", fan=Retry()), Step("C"))),
)
VERSIONS = {(recipe.name, recipe.version): recipe for recipe in RECIPES}
NAMES = sorted({recipe.name for recipe in RECIPES})


def digest(value: Any) -> str:
    """Hex sha256 of the canonical JSON."""
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


def intent_id(body: JSON) -> str:
    return "ih_" + digest(body)


def task_key(run_id: str, step_id: str, task: Any) -> str:
    return digest({"runId": run_id, "stepId": step_id, "task": task})
