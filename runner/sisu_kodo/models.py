"""What passes between the engine, the runner and a handler: small frozen records, no behaviour."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .config import Config

JSON = Any
"""Anything that `json.dumps` accepts: None, bool, int, float, str, list, dict with str keys."""


@dataclass(frozen=True, slots=True)
class RecipeRef:
    """The recipe version that a run is pinned to, with the settings its author wrote for the handlers."""

    name: str
    version: int
    settings: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A named piece of evidence: exactly one of `inline` (any JSON but null) and `body` (bytes).

    `media_type` describes `body`; an inline artifact is always `application/json`.
    Raises ValueError when both or neither are given.
    """

    kind: str
    name: str
    inline: JSON | None = None
    body: bytes | None = None
    media_type: str = "application/json"

    def __post_init__(self) -> None:
        if (self.inline is None) == (self.body is None):
            raise ValueError(f"artifact {self.name!r} needs exactly one of inline and body")


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a handler returns when a plain JSON value is not enough.

    `tasks` is for steps with a fan-out: one JSON value per task. `receipt` asks for a row in
    `app.mock_receipts` that commits together with the result.
    """

    output: JSON = None
    artifacts: Sequence[Artifact] = ()
    tasks: Sequence[JSON] | None = None
    receipt: bool = False


class StepError(Exception):
    """Ends the attempt in ERROR under `code`.

    `retryable` True or False decides; None leaves it to the recipe's `retryableCodes`.
    `artifacts` are kept although the attempt failed; `details` is any JSON for the error column.
    """

    def __init__(
        self,
        code: str,
        message: str,
        retryable: bool | None = None,
        artifacts: Sequence[Artifact] = (),
        details: JSON = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.artifacts = artifacts
        self.details = details


@dataclass(frozen=True, slots=True)
class StepContext:
    """Everything a handler may know about the attempt it executes.

    `outputs` maps the step ids that finished before this one to their outputs, `gates` the gate keys
    to their answers, `task` is the fan-out task (None for a step's own handler).
    `cancelled()` turns true when the run was cancelled, the lease was lost or the attempt timed out;
    it may be asked from any thread. `deadline` is in seconds of `time.monotonic()`, None without a timeout.
    """

    run_id: str
    step_id: str
    idx: int
    task_key: str
    attempt: int
    handler: str
    intent: dict[str, JSON]
    recipe: RecipeRef
    outputs: dict[str, JSON]
    gates: dict[str, JSON]
    task: JSON | None
    oc_mode: str
    sbx_mode: str
    trace_id: str | None
    config: Config
    cancelled: Callable[[], bool]
    deadline: float | None = None


class Assignment(NamedTuple):
    """One row of `app.work`; the field order is the column order of `app.assignment`."""

    outcome: str
    run_id: str
    step_id: str
    idx: int
    task_key: str
    attempt: int
    queue_name: str
    msg_id: int
    read_ct: int
    handler: str
    timeout_ms: int | None
    context: dict[str, JSON] | None
    reason: str | None


class Directive(NamedTuple):
    """One row of `app.heartbeat`: `lost` (another worker has it) or `cancel` (the run was cancelled)."""

    directive: str
    run_id: str
    idx: int
    task_key: str
    queue_name: str
    msg_id: int
