"""What goes into a sandbox and what comes out: plain records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from ..models import JSON


@dataclass(frozen=True, slots=True)
class Limits:
    """What a command may use; each is a positive integer.

    `wallSeconds` of real time, `cpuSeconds` of each process, `memoryMB` of address space of each process,
    `fileMB` per file written, `processes` at once, `openFiles` per process, `outputKB` kept of stdout and of
    stderr each (head and tail; the rest is counted and dropped).
    """

    wallSeconds: int = 120
    cpuSeconds: int = 60
    memoryMB: int = 1024
    fileMB: int = 64
    processes: int = 64
    openFiles: int = 256
    outputKB: int = 512

    def __post_init__(self) -> None:
        for name, value in self.as_json().items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"limit {name} must be a positive integer, not {value!r}")

    def as_json(self) -> dict[str, int]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_json(cls, given: Mapping[str, JSON]) -> Limits:
        """Raises ValueError naming a limit that is unknown or not a positive integer."""
        unknown = sorted(set(given) - {each.name for each in fields(cls)})
        if unknown:
            raise ValueError(f"there is no limit named {', '.join(unknown)}")
        return cls(**given)

    def within(self, caps: Limits) -> Limits:
        """The smaller one of each."""
        mine, most = self.as_json(), caps.as_json()
        return Limits(**{name: min(mine[name], most[name]) for name in mine})


@dataclass(frozen=True, slots=True)
class Job:
    """One command to run on a copy of `tree`.

    `cmd[0]` "python" means the runner's own interpreter. `scratch` is a folder in which the sandbox may make
    one of its own (removed at the end). `attempt` counts from 1. `sleep_ms` only matters to the mock.
    `cancelled` is polled; once true the command is killed.
    """

    cmd: tuple[str, ...]
    tree: Path | None
    scratch: Path
    limits: Limits = field(default_factory=Limits)
    attempt: int = 1
    sleep_ms: int = 0
    cancelled: Callable[[], bool] = bool


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """How a command ended. `exit_code` is 128 + the signal's number when a signal ended it.

    `limit` names the limit that ended it: wallSeconds, cpuSeconds, memoryMB or None. `files` are those that
    the command left in `../out`. `isolation` is {provider, method, network, filesystem, processes, uid, …}.
    """

    exit_code: int
    timed_out: bool = False
    limit: str | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    max_rss_kb: int = 0
    files: Mapping[str, bytes] = field(default_factory=dict)
    isolation: Mapping[str, JSON] = field(default_factory=dict)
    deterministic: bool = False

    @property
    def out_of_memory(self) -> bool:
        return self.limit == "memoryMB"
