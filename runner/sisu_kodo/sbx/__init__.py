"""Sandboxes: where the commands of a task run.

    run(job, mode, provider) → SandboxResult

A command that fails is a result. StepError `infra_failure` (to be retried) says that the sandbox itself could
not do its work, `cancelled` that the caller asked to stop.
"""

from __future__ import annotations

from ..models import StepError
from .local import run as run_local
from .mock import run as run_mock
from .model import Job, Limits, SandboxResult

__all__ = ["Job", "Limits", "SandboxResult", "run"]


def run(job: Job, mode: str, provider: str = "local") -> SandboxResult:
    """Run a command in the sandbox that SBX_MODE (`mock`, `live`) and SBX_PROVIDER (`local`) name.

    Blocks until the command has ended and nothing of it is left. Raises StepError: `infra_failure`,
    `cancelled`, `sandbox_unavailable` (a mode or provider that this runner does not have; not retried).
    """
    if mode == "mock":
        return run_mock(job)
    if mode == "live" and provider == "local":
        return run_local(job)
    name = f"SBX_PROVIDER={provider}" if mode == "live" else f"SBX_MODE={mode}"
    raise StepError("sandbox_unavailable", f"this runner has no sandbox for {name}", retryable=False)
