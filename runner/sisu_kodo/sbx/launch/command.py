"""The last steps before a command: its user, its limits, exec. Runs in the forked child."""

from __future__ import annotations

import os
import platform
import resource
import signal
import sys
from typing import Any, NoReturn

from . import namespaces

_MB = 1024 * 1024
_PER_NAMESPACE_PROCESS_COUNT = (5, 14)


def wanted_limits(limits: dict[str, int], own_user: bool) -> dict[str, tuple[int, int, int]]:
    """Limit name → (resource, soft, hard), never above the hard limit we already have.

    The kernel counts processes per user: only where the command has a user (or user namespace) to itself does
    that limit mean anything.
    """
    table = {
        "cpuSeconds": (resource.RLIMIT_CPU, limits["cpuSeconds"], limits["cpuSeconds"] + 2),
        "fileMB": (resource.RLIMIT_FSIZE, limits["fileMB"] * _MB, limits["fileMB"] * _MB),
        "openFiles": (resource.RLIMIT_NOFILE, limits["openFiles"], limits["openFiles"]),
        "coreMB": (resource.RLIMIT_CORE, 0, 0),
    }
    if sys.platform != "darwin":  # there the kernel takes the value and does not hold to it
        table["memoryMB"] = (resource.RLIMIT_AS, limits["memoryMB"] * _MB, limits["memoryMB"] * _MB)
    if own_user:
        table["processes"] = (resource.RLIMIT_NPROC, limits["processes"], limits["processes"])
    return {name: (what, *_within(what, soft, hard)) for name, (what, soft, hard) in table.items()}


def _within(what: int, soft: int, hard: int) -> tuple[int, int]:
    ceiling = resource.getrlimit(what)[1]
    if ceiling == resource.RLIM_INFINITY:
        return soft, hard
    return min(soft, ceiling), min(hard, ceiling)


def counts_processes_per_namespace() -> bool:
    """Whether RLIMIT_NPROC inside a user namespace holds, and counts only what runs there: root is exempt."""
    try:
        release = tuple(int(part) for part in platform.release().split(".")[:2])
    except ValueError:
        return False
    return namespaces.LINUX and os.geteuid() != 0 and release >= _PER_NAMESPACE_PROCESS_COUNT


def prepare(spec: dict[str, Any], rlimits: dict[str, tuple[int, int, int]], user: list[int] | None) -> None:
    """Change into the folder, the user and the limits. Raises OSError or ValueError."""
    os.chdir(spec["cwd"])
    os.umask(0o022)
    if user is not None:
        os.setgroups([])
        os.setgid(user[1])
        os.setuid(user[0])
    if spec.get("limitsHere", True):  # else bubblewrap comes first, and needs what it has
        namespaces.lock_privileges()
    namespaces.die_with_parent()
    for what, soft, hard in rlimits.values():
        resource.setrlimit(what, (soft, hard))


def become(cmd: list[str], env: dict[str, str]) -> NoReturn:
    """Exec the command; 127 when there is no such program, 126 when it cannot be run."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and that would be inherited
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(cmd[0], cmd, env)
    except OSError as error:
        os.write(2, f"{cmd[0]}: {error.strerror}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
