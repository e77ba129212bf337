"""The local sandbox: a real process on this machine, isolated as far as the kernel lets us.

The command works on a copy of the tree (`work/`), may leave files in `../out`, and sees a cleared
environment. Everything it started is dead and its folders are gone when `run` returns; `isolation` says what
it had.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ..models import JSON, StepError
from . import scratch
from .methods import FOLDERS, Method, launcher, the_method
from .model import Job, Limits, SandboxResult

_POLL_SECONDS = 0.05
_PATIENCE_SECONDS = 20.0
"""Beyond the wall clock: by then the launcher itself must have stuck."""
_MOST_FILES, _MOST_FILE_BYTES = 20, 4 * 1024 * 1024
_INTERPRETER = ("python", "python3")
_NO_MEMORY = re.compile(rb"\bMemoryError\b|Cannot allocate memory|std::bad_alloc|[Oo]ut of memory")


def run(job: Job) -> SandboxResult:
    """Run a command. Raises StepError `infra_failure` or `cancelled`."""
    try:
        return _run(job, the_method(lambda method: _works(method, job.scratch)))
    except OSError as error:
        raise StepError("infra_failure", f"the sandbox failed: {error}", retryable=True) from error


def _works(method: Method, place: Path) -> bool:
    script = "import ctypes, ssl; print('works')"
    probe = Job((sys.executable, "-c", script), None, place, Limits(wallSeconds=20))
    try:
        result = _run(probe, method)
    except (StepError, OSError):
        return False
    return result.exit_code == 0 and result.stdout == b"works\n"


def _run(job: Job, method: Method) -> SandboxResult:
    with scratch.folder(job.scratch) as place:
        for name in (*FOLDERS, "root"):
            (place / name).mkdir()
        if job.tree is not None:
            shutil.copytree(job.tree, place / "work", symlinks=True, dirs_exist_ok=True)
        report = _launch(job, method, place)
        stdout, stderr = (_read(place / name) for name in ("stdout", "stderr"))
        return _result(report, stdout, stderr, _collect(place / "out"), method, job.limits)


def _launch(job: Job, method: Method, place: Path) -> dict[str, Any]:
    cmd = list(job.cmd)
    if cmd and cmd[0] in _INTERPRETER:
        cmd[0] = sys.executable
    spec = method.spec(place, cmd, environment(method, place), job.limits)
    read_end, write_end = os.pipe()
    try:
        with (place / "launch.err").open("wb") as errors:
            process = subprocess.Popen(
                [*launcher(), "supervise", str(write_end)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(write_end,),
                env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                cwd="/",
                start_new_session=True,
            )
        os.close(write_end)
        write_end = -1
        with process:
            data = _converse(process, json.dumps(spec).encode() + b"\n", read_end, job)
    finally:
        os.close(read_end)
        if write_end != -1:
            os.close(write_end)
    report: dict[str, Any] = json.loads(data) if data else {}
    if job.cancelled() or report.get("reason") == "cancelled":
        raise StepError("cancelled", "stopped before the command ended", retryable=False)
    if "status" not in report:
        detail = report.get("failed") or _read(place / "launch.err").decode("utf-8", "replace").strip()[-500:]
        message = f"the sandbox did not start: {detail or 'no report'}"
        raise StepError("infra_failure", message, retryable=True)
    return report


def _converse(process: subprocess.Popen[bytes], spec: bytes, report: int, job: Job) -> bytes:
    """Give the launcher its spec, wait for its report; closing its stdin kills the command."""
    assert process.stdin is not None
    lifeline = process.stdin
    data = bytearray()
    end = time.monotonic() + job.limits.wallSeconds + _PATIENCE_SECONDS
    try:
        with contextlib.suppress(BrokenPipeError):
            lifeline.write(spec)
            lifeline.flush()
        while True:
            if select.select([report], [], [], _POLL_SECONDS)[0]:
                chunk = os.read(report, 65536)
                if not chunk:
                    return bytes(data)
                data += chunk
            elif time.monotonic() > end:
                return b""
            elif not lifeline.closed and job.cancelled():
                lifeline.close()
    finally:
        if not lifeline.closed:
            with contextlib.suppress(BrokenPipeError):
                lifeline.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def environment(method: Method, place: Path) -> dict[str, str]:
    """All the variables a command gets."""
    own = str(Path(sys.executable).parent)
    return {
        "PATH": os.pathsep.join(dict.fromkeys([own, "/usr/local/bin", "/usr/bin", "/bin"])),
        "LANG": "C.UTF-8",
        "HOME": method.place(place, "home"),
        "TMPDIR": method.place(place, "tmp"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
    }


def _result(
    report: dict[str, Any],
    stdout: bytes,
    stderr: bytes,
    files: dict[str, bytes],
    method: Method,
    limits: Limits,
) -> SandboxResult:
    status, reason = report["status"], report["reason"]
    exit_code = 128 - status if status < 0 else status
    limit: str | None = None
    if reason == "wallSeconds":
        limit = reason
    elif exit_code == 128 + signal.SIGXCPU or (exit_code == 137 and report["cpu"] >= limits.cpuSeconds):
        limit = "cpuSeconds"
    elif exit_code == 137 or (exit_code != 0 and (_NO_MEMORY.search(stderr) or _NO_MEMORY.search(stdout))):
        limit = "memoryMB"
    isolation: dict[str, JSON] = method.isolation(report["isolation"], limits)
    return SandboxResult(
        exit_code,
        timed_out=limit in ("wallSeconds", "cpuSeconds"),
        limit=limit,
        stdout=stdout,
        stderr=stderr,
        wall_seconds=report["wall"],
        cpu_seconds=report["cpu"],
        max_rss_kb=report["maxRssKB"],
        files=files,
        isolation=isolation,
    )


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _collect(folder: Path) -> dict[str, bytes]:
    """The plain files in `folder`; links, pipes and what is too large are left: the command made them."""
    found: dict[str, bytes] = {}
    base = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for name in sorted(os.listdir(base))[:_MOST_FILES]:
            try:
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=base)
            except OSError:
                continue
            try:
                facts = os.fstat(file)
                if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and facts.st_size <= _MOST_FILE_BYTES:
                    with open(file, "rb", closefd=False) as opened:
                        found[name] = opened.read(_MOST_FILE_BYTES)
            finally:
                os.close(file)
    finally:
        os.close(base)
    return found
