"""Places: the order of the checkpoints of a handler, and what is recorded at each.

A checkpoint gets the next place in the order of the calls, and the code has to call the same ones in the same
order every time. Where a handler has tasks of its own, that order is a matter of timing; there a checkpoint
is found again by its name, and one that the code does not reach any more is noticed at the end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .models import JSON, StepError

Task = asyncio.Task[Any]


@dataclass(slots=True)
class Place:
    """A checkpoint of one turn. `entry` is what is recorded there; with a `fault` it has no place."""

    seq: int
    kind: str
    name: str
    entry: Mapping[str, JSON] | None = None
    fault: StepError | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do, or to wait for."""
        if self.entry is None:
            return False
        if self.kind == "sleep":
            return bool(self.entry["value"]["over"])
        return self.kind != "gate" or "payload" in self.entry["value"]

    def read(self, value: JSON) -> JSON:
        """What the handler gets for a value as it is stored."""
        match self.kind:
            case "step":
                return value
            case "emit":
                return value["artifactId"]
            case "gate":
                return value["payload"]
        return None

    def recorded(self) -> JSON:
        """What the handler gets for what is recorded here."""
        return self.read(self.entry["value"] if self.entry else None)


@dataclass(slots=True, eq=False)
class _Group:
    """Tasks of a handler that were alive at the same time. `later` says who reached a name first."""

    later: dict[tuple[str, str], Task] = field(default_factory=dict)


class Places:
    """The places of one turn. `recorded` are `{seq, kind, name, value}`, `main` is the handler's own task."""

    def __init__(
        self, step_id: str, recorded: Iterable[Mapping[str, JSON]], main: Task | None = None
    ) -> None:
        self._step_id = step_id
        self._recorded: dict[int, Mapping[str, JSON]] = {entry["seq"]: entry for entry in recorded}
        self._taken: set[int] = set()
        self._passed: list[tuple[int, str, str]] = []
        self._next = 0
        self._main = main
        self._groups: dict[Task, _Group] = {}
        self._alive: set[Task] = set()
        self._lock = threading.Lock()

    def take(self, kind: str, name: str, task: Task | None = None) -> Place:
        """The place of a checkpoint that `task` calls.

        Raises StepError `determinism_error` when another one is recorded there, `ambiguous_checkpoint` when
        two tasks side by side use one name.
        """
        with self._lock:
            seq = self._by_name(kind, name) if self._has_company(kind, name, task) else self._in_order()
            self._taken.add(seq)
            entry = self._recorded.pop(seq, None)
        if entry is not None and (entry["kind"], entry["name"]) != (kind, name):
            raise self._another(seq, entry, kind, name)
        return Place(seq, kind, name, entry)

    def missed(self) -> StepError | None:
        """A checkpoint that tasks of the handler passed over, and nobody reached since."""
        for seq, kind, name in self._passed:
            if seq in self._recorded:
                return self._another(seq, self._recorded[seq], kind, name)
        return None

    def _in_order(self) -> int:
        while self._next in self._taken:
            self._next += 1
        return self._next

    def _by_name(self, kind: str, name: str) -> int:
        for seq, entry in self._recorded.items():
            if (entry["kind"], entry["name"]) == (kind, name):
                return seq
        seq = self._in_order()
        while seq in self._taken or seq in self._recorded:
            if seq in self._recorded:
                self._passed.append((seq, kind, name))
            seq += 1
        return seq

    def _has_company(self, kind: str, name: str, task: Task | None) -> bool:
        if task is None or task is self._main:
            return bool(self._alive)
        group = self._groups.get(task)
        if group is None:
            group = next((self._groups[other] for other in self._alive), None) or _Group()
            self._groups[task] = group
            self._alive.add(task)
            task.add_done_callback(self._alive.discard)
        elif group.later.setdefault((kind, name), task) is not task:
            message = f"{self._step_id}: two tasks of the handler reach {kind} {name} side by side"
            raise StepError("ambiguous_checkpoint", f"{message}: give them different names", retryable=False)
        return True

    def _another(self, seq: int, entry: Mapping[str, JSON], kind: str, name: str) -> StepError:
        was = f"{entry['kind']} {entry['name']}"
        message = f"{self._step_id}: checkpoint {seq} was {was}, the code now says {kind} {name}"
        drift = [
            {"field": key, "existing": entry[key], "incoming": value}
            for key, value in (("kind", kind), ("name", name))
            if entry[key] != value
        ]
        return StepError("determinism_error", message, retryable=False, details={"drift": drift})
