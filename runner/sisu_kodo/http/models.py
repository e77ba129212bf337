"""What the answers look like: for the document only, answers are passed on as the database gives them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

Status = Literal[
    "ENQUEUED",
    "PENDING",
    "WAITING_INPUT",
    "SUCCESS",
    "ERROR",
    "CANCELLED",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
]
StepStatus = Literal["ENQUEUED", "PENDING", "SUCCESS", "ERROR", "CANCELLED"]
NextAction = Literal["APPROVE_PLAN", "REPLY_GATE", "REPAIR", "RESUME"]

EXAMPLE_RUN = "ih_17e8647fcabb1957b67f173a68148d8f7ee5acf029d791d4560b812ddeb9a0cd"


class Fault(BaseModel):
    """One field that cannot be accepted."""

    path: str
    message: str


class Drift(BaseModel):
    """One argument that differs from the stored one."""

    field: str
    existing: Any
    incoming: Any


class Error(BaseModel):
    """Why a request was refused. A refused request has written nothing."""

    error: str
    code: str
    details: list[Fault] | None = Field(default=None, description="400: every fault, not the first.")
    drift: list[Drift] | None = Field(default=None, description="409: what differs.")
    status: str | None = Field(default=None, description="409: the status that forbids it.")
    hint: str | None = Field(default=None, description="The next action.")
    traceId: str | None = Field(default=None, description="500: what the server's log has it under.")


class IntentCreated(BaseModel):
    """An intent is named by its content."""

    intentId: str = Field(examples=[EXAMPLE_RUN])
    isReplay: bool


class RecipeVersion(BaseModel):
    """A recipe version, pinned at start."""

    name: str = Field(examples=["compile-default"])
    version: int = Field(examples=[1])


class RunHeader(BaseModel):
    """A run. Times are epoch ms."""

    workflowID: str = Field(examples=[EXAMPLE_RUN])
    status: Status
    workflowName: str = Field(examples=["compile-default"])
    recipe: RecipeVersion
    queueName: str = Field(examples=["intentQ"])
    queuePartitionKey: str | None
    lane: Literal["interactive", "batch"]
    priority: int = Field(examples=[1])
    createdAt: int = Field(examples=[1780000000000])
    updatedAt: int = Field(examples=[1780000001500])
    nextAction: NextAction | None = Field(description="What a human can do.")
    lastStep: str | None = Field(examples=["ApplyPatchST"])
    error: dict[str, Any] | None
    traceId: str = Field(examples=["4bf92f3577b34da6a3ce929d0e0e4736"])
    traceUrl: str | None
    appVersion: str
    ocMode: str
    sbxMode: str
    forkedFrom: str | None
    stale: bool = Field(description="Its worker gives no sign of life, or no worker of its version does.")
    purgedAt: int | None = Field(default=None, description="Set when only this header is left of it.")


class RunStarted(RunHeader):
    """A run, and whether it was there already."""

    isReplay: bool


class SleepStarted(RunStarted):
    """A run that sleeps."""

    wakeAt: int = Field(description="Epoch ms.", examples=[1780000060000])


class ArtifactRef(BaseModel):
    """An artifact without its bytes."""

    artifactId: int
    stepID: str
    taskKey: str | None
    attempt: int
    idx: int
    kind: str = Field(examples=["plan_card"])
    name: str
    mediaType: str
    size: int
    sha256: str


class Step(BaseModel):
    """The latest attempt of a step, or of a task of it."""

    stepID: str = Field(examples=["CompileST"])
    idx: int
    taskKey: str | None = None
    status: StepStatus
    attempt: int
    startedAt: int | None
    endedAt: int | None
    error: dict[str, Any] | None
    cachedFrom: str | None
    artifactRefs: list[ArtifactRef]
    traceId: str
    spanId: str | None


class Reply(BaseModel):
    """An answer that was accepted at a gate."""

    origin: str
    payload: dict[str, Any]
    dedupeKey: str
    repliedAt: int
    round: int
    shownSha256: str | None


class Gate(BaseModel):
    """Where a run waits for a human, or did."""

    gateKey: str = Field(examples=["approve-plan"])
    idx: int
    kind: Literal["approval", "input"]
    title: str | None
    status: Literal["OPEN", "ANSWERED", "EXPIRED", "CLOSED"]
    openedAt: int | None
    expiresAt: int | None
    answeredAt: int | None
    payload: dict[str, Any] | None
    round: int
    onExpiry: str
    shows: list[str]
    shownSha256: str | None
    quorum: int
    selfApproval: bool
    replies: list[Reply]


class Approved(BaseModel):
    """The plan was answered."""

    accepted: Literal[True]
    workflowID: str = Field(examples=[EXAMPLE_RUN])
    approvedAt: int = Field(examples=[1780000002000])
    isReplay: bool
    missing: int | None = Field(default=None, description="How many others have to say yes.")


class Replied(BaseModel):
    """The gate was answered."""

    ok: Literal[True]
    isReplay: bool
    repliedAt: int
    missing: int | None = Field(default=None, description="How many others have to say yes.")


class Controlled(BaseModel):
    """A control action that was accepted, and audited."""

    accepted: Literal[True]
    workflowID: str = Field(examples=[EXAMPLE_RUN])
    status: Status
    dryRun: bool


class Forked(BaseModel):
    """A fork: a new run; the source is as it was."""

    accepted: Literal[True]
    workflowID: str = Field(examples=[EXAMPLE_RUN])
    forkedWorkflowID: str = Field(examples=[f"{EXAMPLE_RUN}-f1"])
    stepN: int
    dryRun: bool


class RunPage(BaseModel):
    """Runs, newest first."""

    runs: list[RunHeader]
    nextCursor: str | None = Field(description="For `cursor`; null after the last page.")


class QueueDepth(BaseModel):
    """What waits in one partition of a queue."""

    queueName: str = Field(examples=["intentQ"])
    queuePartitionKey: str | None
    enqueued: int = Field(description="Steps in line.")
    pending: int = Field(description="Steps under a lease.")
    expired: int = Field(description="Leases that have expired.")
    oldestEnqueuedAt: int | None
    oldestAgeS: int | None
    pausedAt: int | None = Field(description="Since when nothing of the queue is claimed.")
    pausedBy: str | None
    pauseReason: str | None
    drainS: int | None = Field(description="Seconds until the line is empty, at the pace of the last minute.")
    isEstimated: bool = Field(description="The line is too long to be counted.")
    limits: dict[str, Any] = Field(description="Limits of the queue, as `app.set_limits` takes them.")
