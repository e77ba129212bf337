"""What passes between the engine, the runner and a handler: small frozen records, no behaviour."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

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


class Checkpoints(Protocol):
    """What `StepContext` asks for checkpoints; an async handler's answers are awaited."""

    def step(self, name: str, fn: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]) -> Any: ...
    def emit(self, artifact: Artifact) -> Any: ...
    def wait(self, kind: str, name: str, facts: dict[str, JSON]) -> Any: ...


@dataclass(slots=True)  # not frozen: one is made for every attempt, and that would double its cost
class StepContext:
    """Everything a handler may know about the attempt it executes.

    `outputs` maps the step ids that finished before this one to their outputs, `gates` the gate keys
    to their answers, `task` is the fan-out task (None for a step's own handler).
    `cancelled()` turns true when the run was cancelled, the lease was lost or the attempt timed out;
    it may be asked from any thread. `deadline` is in seconds of `time.monotonic()`, None without a timeout.

    `step`, `emit`, `sleep` and `wait_for` are checkpoints: each is done once, however often the handler is
    run. An async handler awaits them. Their names are up to 128 characters, and the code has to reach the
    same ones in the same order every time; else the attempt fails with `determinism_error`.
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
    checkpoints: Checkpoints | None = None

    def step(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call `fn(*args, **kwargs)` and keep its result, a JSON value: never again for this step. Returns it
        as it is stored.

        What `fn` raises is raised, and not kept. In an async handler a `fn` that is not async runs in a
        thread. Raises StepError `cancelled` when the handler was told to stop, `result_rejected` when the
        result is not JSON.
        """
        return self._checkpoints().step(name, fn, args, kwargs)

    def emit(
        self,
        kind: str,
        name: str,
        *,
        inline: JSON | None = None,
        body: bytes | None = None,
        media_type: str | None = None,
    ) -> Any:
        """Keep an artifact now, whatever becomes of the attempt. Returns its id."""
        kept = media_type or ("application/json" if body is None else "application/octet-stream")
        return self._checkpoints().emit(Artifact(kind, name, inline, body, kept))

    def sleep(self, seconds: float, name: str | None = None) -> Any:
        """Go on so many seconds later. Meanwhile the attempt needs no worker."""
        return self._checkpoints().wait("sleep", name or "sleep", {"ms": round(seconds * 1000)})

    def wait_for(
        self,
        gate_key: str,
        *,
        title: str | None = None,
        kind: str = "input",
        ttl: float | None = None,
        ttl_ms: int | None = None,
        on_expiry: str | None = None,
        answer: Mapping[str, JSON] | None = None,
        shows: Sequence[str] | None = None,
        quorum: int | None = None,
        self_approval: bool | None = None,
    ) -> Any:
        """Open a gate of this run and go on with the payload of its answer. Meanwhile the attempt needs no
        worker.

        `kind` is `input` (any object) or `approval` (`decision` yes or no; the handler reads which). The gate
        expires after `ttl` seconds (or `ttl_ms`), then by `on_expiry`: `fail`, `cancel`, or `answer` with
        that answer. `shows` are step ids whose artifacts the answer is about, `quorum` how many people have
        to answer, `self_approval` whether who started the run may.
        """
        gate = {
            "kind": kind,
            "title": title,
            "ttlMS": ttl_ms if ttl is None else round(ttl * 1000),
            "onExpiry": on_expiry,
            "answer": None if answer is None else dict(answer),
            "shows": None if shows is None else list(shows),
            "quorum": quorum,
            "selfApproval": self_approval,
        }
        given = {name: value for name, value in gate.items() if value is not None}
        return self._checkpoints().wait("gate", gate_key, {"gate": given})

    def _checkpoints(self) -> Checkpoints:
        if self.checkpoints is None:
            message = "this context was made without checkpoints: sisu_kodo.testing makes them for tests"
            raise StepError("no_checkpoints", message, retryable=False)
        return self.checkpoints


class Assignment(NamedTuple):
    """One row of `app.work`; the field order is the column order of `app.assignment`. `context` is JSON text:
    each lane reads its own.
    """

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
    context: str | None
    reason: str | None


class Directive(NamedTuple):
    """One row of `app.heartbeat`: `lost` (another worker has it) or `cancel` (the run was cancelled)."""

    directive: str
    run_id: str
    idx: int
    task_key: str
    queue_name: str
    msg_id: int
