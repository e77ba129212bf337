"""The mock sandbox: runs nothing, answers at once and always the same; named commands misbehave.

FAIL_ME            exits 1
FLAKY_INFRA_FAIL   infrastructure failure on the first attempt, success after that
INFRA_FAIL         infrastructure failure on every attempt
TIMEOUT_ME         runs into its wall-clock limit
"""

from __future__ import annotations

import shlex
import time

from ..models import StepError
from .model import Job, SandboxResult

_ISOLATION = {"provider": "mock", "method": "none", "network": "none", "filesystem": "none"}
_POLL_SECONDS = 0.02


def run(job: Job) -> SandboxResult:
    """Sleep for `sleep_ms`, then answer. Raises StepError `infra_failure`, `cancelled`."""
    _sleep(job)
    name = job.cmd[0] if job.cmd else ""
    line = f"mock: {shlex.join(job.cmd)}\n".encode()
    if name == "INFRA_FAIL" or (name == "FLAKY_INFRA_FAIL" and job.attempt == 1):
        raise StepError("infra_failure", f"{name}: the mock sandbox did not start", retryable=True)
    if name == "FAIL_ME":
        return _result(1, line, b"FAIL_ME: the mock command failed\n")
    if name == "TIMEOUT_ME":
        return _result(137, line, b"TIMEOUT_ME: killed at the wall-clock limit\n", limit="wallSeconds")
    return _result(0, line, b"")


def _result(exit_code: int, stdout: bytes, stderr: bytes, limit: str | None = None) -> SandboxResult:
    return SandboxResult(
        exit_code,
        timed_out=limit is not None,
        limit=limit,
        stdout=stdout,
        stderr=stderr,
        isolation=_ISOLATION,
        deterministic=True,
    )


def _sleep(job: Job) -> None:
    end = time.monotonic() + job.sleep_ms / 1000
    while True:
        if job.cancelled():
            raise StepError("cancelled", "stopped before the command ended", retryable=False)
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, _POLL_SECONDS))
