"""Runs one command under supervision: wall clock, output caps, and no process left behind.

    supervise REPORT_FD    stdin: one line of JSON (the spec), then silence; its end means: kill everything
    inner SPEC             inside bubblewrap: take the limits, become the command

The report on REPORT_FD is one JSON object: {"failed": text} when the command could not be started, else
{status, reason, wall, cpu, maxRssKB, dropped, isolation}. A runner that dies closes stdin, so nothing of a
command outlives its runner.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import stat
import sys
import time
from typing import Any

from . import command, namespaces

_GRACE_SECONDS = 2.0
_DRAIN_SECONDS = 2.0
_CHUNK = 65536
_STDIN = 0


class Capture:
    """One output stream: its head goes to a file as it comes, its tail is kept for the end."""

    def __init__(self, path: str, cap: int) -> None:
        read_end, self.write_end = os.pipe()
        self.read_end: int | None = read_end
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._head_left = cap - cap // 2
        self._tail_cap = cap // 2
        self._tail = bytearray()
        self.dropped = 0

    def pump(self) -> None:
        """Take what is there; to be called when the read end is readable."""
        if self.read_end is None:
            return
        data = os.read(self.read_end, _CHUNK)
        if not data:
            os.close(self.read_end)
            self.read_end = None
            return
        head, rest = data[: self._head_left], data[self._head_left :]
        self._head_left -= len(head)
        self._write(head)
        self._tail += rest
        if (surplus := len(self._tail) - self._tail_cap) > 0:
            self.dropped += surplus
            del self._tail[:surplus]

    def close(self) -> None:
        if self.dropped:
            self._write(f"\n[… {self.dropped} bytes left out …]\n".encode())
        self._write(bytes(self._tail))
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._file, data) :]


def main(arguments: list[str]) -> None:
    if arguments[0] == "inner":
        spec = json.loads(arguments[1])
        own_user = command.counts_processes_per_namespace()
        command.prepare(spec, command.wanted_limits(spec["limits"], own_user), None)
        command.become(spec["cmd"], spec["env"])
    report = int(arguments[1])
    os.set_inheritable(report, False)
    try:
        outcome = launch(json.loads(_read_line(_STDIN)), report)
    except OSError as error:
        outcome = {"failed": str(error)}
    if outcome is not None:
        os.write(report, json.dumps(outcome).encode())


def launch(spec: dict[str, Any], report: int) -> dict[str, Any] | None:
    """Isolate, then supervise: in a second process where that one is the first of its own namespace."""
    kind = namespaces.enter() if spec["namespaces"] else "none"
    if kind == "none":
        namespaces.adopt_orphans()
        return run(spec, kind)
    child = os.fork()
    if child == 0:
        namespaces.die_with_parent()
        return run(spec, kind)
    os.close(report)
    os.close(_STDIN)
    os.waitpid(child, 0)
    return None


def run(spec: dict[str, Any], kind: str) -> dict[str, Any]:
    """Start the command, watch it, and leave nothing of it behind. Returns the report. Raises OSError."""
    captures = [Capture(spec[name], spec["limits"]["outputKB"] * 1024) for name in ("stdout", "stderr")]
    user = spec["user"] if kind != "user" else None
    view = spec["view"] if kind != "none" else None
    if user is not None and view is None and not all(map(_reachable, spec["needs"])):
        user = None
    if user is not None:
        for path in spec["owned"]:
            _give(path, user)
    if view is not None:
        namespaces.own_view(view["root"], view["readOnly"], view["writable"])
    own_user = user is not None or (kind == "user" and command.counts_processes_per_namespace())
    rlimits = command.wanted_limits(spec["limits"], own_user) if spec["limitsHere"] else {}
    isolation = {
        "network": "host" if kind == "none" else "none",
        "filesystem": "shared" if view is None else "own-view",
        "processes": "shared" if kind == "none" else "own",
        "uid": os.geteuid() if user is None else user[0],
        "rlimits": {name: spec["limits"].get(name, 0) for name in rlimits},
    }
    wake = _wake_on_child()
    started = time.monotonic()
    pid, fault = _fork_command(spec, captures, rlimits, user)
    status, reason = _watch(pid, captures, wake, started + spec["limits"]["wallSeconds"])
    wall = time.monotonic() - started
    _kill_rest(pid, kind)
    _drain(captures)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    if fault_text := _read_all(fault):
        return {"failed": fault_text}
    return {
        "status": os.waitstatus_to_exitcode(status),
        "reason": reason,
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "maxRssKB": usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1),
        "dropped": sum(capture.dropped for capture in captures),
        "isolation": isolation,
    }


def _fork_command(
    spec: dict[str, Any],
    captures: list[Capture],
    rlimits: dict[str, tuple[int, int, int]],
    user: list[int] | None,
) -> tuple[int, int]:
    """Returns the process id and a descriptor that says what went wrong before exec."""
    fault, fault_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            os.dup2(os.open(os.devnull, os.O_RDONLY), _STDIN)
            os.dup2(captures[0].write_end, 1)
            os.dup2(captures[1].write_end, 2)
            command.prepare(spec, rlimits, user)
            command.become(spec["cmd"], spec["env"])
        except BaseException as error:
            os.write(fault_end, str(error).encode() or b"failed")
        os._exit(126)
    os.close(fault_end)
    for capture in captures:
        os.close(capture.write_end)
    return pid, fault


def _watch(pid: int, captures: list[Capture], wake: int, end: float) -> tuple[int, str | None]:
    """Until the command has ended: (wait status, why we killed it: wallSeconds, cancelled or None)."""
    reason: str | None = None
    kill_at = end
    watched = [_STDIN, wake]
    while True:
        status = _reap(pid)
        if status is not None:
            return status, reason
        streams = [capture.read_end for capture in captures if capture.read_end is not None]
        ready, _, _ = select.select(watched + streams, [], [], max(0.0, min(kill_at - time.monotonic(), 1.0)))
        if _STDIN in ready and not os.read(_STDIN, _CHUNK):
            watched.remove(_STDIN)
            reason, kill_at = "cancelled", float("inf")
            _signal_group(pid, signal.SIGKILL)
        if wake in ready:
            os.read(wake, _CHUNK)
        for capture in captures:
            if capture.read_end in ready:
                capture.pump()
        if time.monotonic() >= kill_at:
            if reason is None:
                reason, kill_at = "wallSeconds", time.monotonic() + _GRACE_SECONDS
                _signal_group(pid, signal.SIGTERM)
            else:
                kill_at = float("inf")
                _signal_group(pid, signal.SIGKILL)


def _reap(pid: int) -> int | None:
    """Collect every dead child; the command's wait status once it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            gone, status = os.waitpid(-1, os.WNOHANG)
            if gone == 0:
                break
            if gone == pid:
                found = status
    return found


def _kill_rest(pid: int, kind: str) -> None:
    """SIGKILL for whatever the command left running, until none of it is there any more."""
    end = time.monotonic() + _DRAIN_SECONDS
    while time.monotonic() < end:
        _signal_group(pid, signal.SIGKILL)
        if kind != "none":
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)  # we are the first process of the namespace: this spares only us
        else:
            for child in _children():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(child, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def _children() -> list[int]:
    """Our children, adopted orphans among them (Linux)."""
    found, me = [], str(os.getpid())
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                    if file.read().rpartition(b")")[2].split()[1].decode() == me:
                        found.append(int(name))
    return found


def _drain(captures: list[Capture]) -> None:
    end = time.monotonic() + _DRAIN_SECONDS
    while (streams := [c.read_end for c in captures if c.read_end is not None]) and time.monotonic() < end:
        ready, _, _ = select.select(streams, [], [], 0.1)
        for capture in captures:
            if capture.read_end in ready:
                capture.pump()
    for capture in captures:
        capture.close()


def _wake_on_child() -> int:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return read_end


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _reachable(path: str) -> bool:
    """Whether a user without any right of its own can walk to `path`."""
    path = os.path.realpath(path)
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return False
    return True


def _give(path: str, user: list[int]) -> None:
    os.chown(path, *user)
    for folder, folders, files in os.walk(path):
        for name in folders + files:
            os.chown(os.path.join(folder, name), *user, follow_symlinks=False)


def _read_line(descriptor: int) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n") and (chunk := os.read(descriptor, _CHUNK)):
        data += chunk
    return bytes(data)


def _read_all(descriptor: int) -> str:
    data = b""
    while chunk := os.read(descriptor, _CHUNK):
        data += chunk
    return data.decode("utf-8", "replace")
