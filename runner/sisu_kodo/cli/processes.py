"""Processes of `sisu` that other commands start: found, locked so that there is one, and stopped in order."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_DRAIN_SECONDS = 30.0


def sisu_command(*arguments: str) -> list[str]:
    """The command line of this very program, so that `pkill -f 'sisu runner'` finds what it starts."""
    script = Path(sysconfig.get_path("scripts")) / "sisu"
    if script.is_file():
        return [sys.executable, str(script), *arguments]
    return [sys.executable, "-c", "from sisu_kodo.cli.main import main; main(prog_name='sisu')", *arguments]


def start_runner(
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    log: IO[str] | None = None,
    keep: tuple[int, ...] = (),
) -> subprocess.Popen[bytes]:
    """Start `sisu runner`, as `start_sisu` does."""
    return start_sisu("runner", arguments, environment, log, keep)


def start_sisu(
    command: str,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    log: IO[str] | None = None,
    keep: tuple[int, ...] = (),
) -> subprocess.Popen[bytes]:
    """Start `sisu COMMAND` in a session of its own, so that a Ctrl-C in this terminal does not reach it
    twice.

    `keep` are file descriptors that it inherits: a lock among them lasts as long as the process does.
    """
    return subprocess.Popen(
        sisu_command(command, *arguments),
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        pass_fds=keep,
    )


def stop_sisu(process: subprocess.Popen[bytes], patience: float = _DRAIN_SECONDS) -> int:
    """Drain the process; after `patience` seconds have it leave at once (a runner gives its leases back);
    then kill it. Returns its exit code.
    """
    for act, seconds in ((process.terminate, patience), (process.terminate, 5.0), (process.kill, 5.0)):
        if process.poll() is None:
            act()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
    return process.wait()


@contextmanager
def only_one(lock: Path) -> Iterator[int | None]:
    """The descriptor of the lock file `lock`, locked, or None when a live process holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield held
    finally:
        os.close(held)
