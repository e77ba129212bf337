"""The rows of TimelineLive: steps in order with their gates, attempts and tasks, and where their bars lie.

The axis is 1000 wide, from the start of the run to its end or to now. A run may wait a day for a human and
work for a second: stretches in which nothing ran are drawn shorter when they would take over a quarter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import formats

WIDTH = 1000.0
_IDLE_SHARE = 0.2
_LEAST = 3.0


@dataclass(frozen=True)
class Bar:
    """A stretch on the axis. `kind` says how it is drawn: wait, run, ok, bad, off, gate or stale."""

    x: float
    width: float
    kind: str
    title: str


@dataclass(frozen=True)
class Row:
    """A step, a gate, or a task. `attempt` is its latest attempt (or gate, or task) as SQL tells it."""

    kind: str
    name: str
    status: str
    attempt: dict[str, Any]
    bars: tuple[Bar, ...]
    took: str
    notes: tuple[str, ...] = ()
    earlier: tuple[dict[str, Any], ...] = ()
    tasks: dict[str, Any] | None = None
    rows: tuple[Row, ...] = ()
    more: int = 0
    label: str = ""


@dataclass(frozen=True)
class Timeline:
    rows: tuple[Row, ...]
    ticks: tuple[str, ...]
    compressed: bool
    total: str


@dataclass
class Axis:
    """Time to place, with the idle stretches drawn shorter. Pieces are (from, to, x, width)."""

    pieces: list[tuple[float, float, float, float]] = field(default_factory=list)
    compressed: bool = False

    @classmethod
    def of(cls, start: float, end: float, busy: Iterable[tuple[float, float]]) -> Axis:
        end = max(end, start + 1)
        stretches = _merged(busy, start, end)
        work = sum(to - since for since, to, is_busy in stretches if is_busy)
        idle = (end - start) - work
        compressed = work > 0 and idle > (end - start) * 0.25 and idle > 2000
        axis = cls(compressed=compressed)
        at = 0.0
        for since, to, is_busy in stretches:
            share = (to - since) / (end - start)
            if compressed:
                share = (
                    (to - since) / work * (1 - _IDLE_SHARE) if is_busy else (to - since) / idle * _IDLE_SHARE
                )
            axis.pieces.append((since, to, at, share * WIDTH))
            at += share * WIDTH
        return axis

    def x(self, t: float) -> float:
        for since, to, at, width in self.pieces:
            if t <= to:
                return at + width * max(0.0, t - since) / max(1e-9, to - since)
        return WIDTH

    def time(self, x: float) -> float:
        """The time that lies at a place."""
        for since, to, at, width in self.pieces:
            if x <= at + width:
                return since + (to - since) * max(0.0, x - at) / max(1e-9, width)
        return self.pieces[-1][1]

    def bar(self, since: float | None, to: float | None, kind: str, title: str) -> Iterable[Bar]:
        if since is None or to is None:
            return
        x = min(self.x(since), WIDTH - _LEAST)
        width = max(_LEAST, self.x(to) - x) if kind != "wait" else self.x(to) - x
        if width >= 0.5:
            yield Bar(round(x, 1), round(width, 1), kind, title)


def timeline(told: dict[str, Any]) -> Timeline:
    """The rows of a run that app.page_run tells about."""
    attempts = told["attempts"]
    start = told["header"]["createdAt"]
    end = told["endedAt"] or told["now"]
    axis = Axis.of(start, end, _busy(attempts, told["tasks"], end))
    tasks = {each["idx"]: each for each in told["tasks"]}
    rows: list[Row] = []
    for step in told["steps"]:
        idx = step["idx"]
        rows += (_gate(axis, gate, end) for gate in told["gates"] if gate["idx"] == idx and gate["openedAt"])
        own = [each for each in attempts if each["idx"] == idx]
        rows.append(_step(axis, step, own, tasks.get(idx), end))
    return Timeline(tuple(rows), _ticks(axis, start), axis.compressed, formats.duration(end - start))


def _ticks(axis: Axis, start: float) -> tuple[str, ...]:
    """What stands over the quarters; one that would read like the one before says how much later it is."""
    words: list[str] = []
    told = 0.0
    for quarter in range(5):
        at = axis.time(WIDTH * quarter / 4) - start
        word = formats.duration(at)
        if quarter and word == formats.duration(told):
            words.append(f"+{formats.duration(at - told)}")
        else:
            words.append(word)
            told = at
    return tuple(words)


def _busy(
    attempts: Sequence[dict[str, Any]], tasks: Sequence[dict[str, Any]], end: float
) -> Iterable[tuple[float, float]]:
    for each in attempts:
        if each["startedAt"] is not None and each["cachedFrom"] is None and each["parkedAt"] is None:
            yield each["startedAt"], each["endedAt"] or end
    for each in tasks:
        if each["startedAt"] is not None:
            yield each["startedAt"], (end if each["PENDING"] else each["endedAt"]) or end


def _merged(busy: Iterable[tuple[float, float]], start: float, end: float) -> list[tuple[float, float, bool]]:
    """The whole axis as stretches that are busy or idle, in order."""
    found: list[tuple[float, float, bool]] = []
    at = start
    for since, to in sorted((max(a, start), min(max(a, b), end)) for a, b in busy if b >= start and a <= end):
        if since > at:
            found.append((at, since, False))
        if to > max(at, since):
            found.append((max(at, since), to, True))
        at = max(at, to)
    if at < end or not found:
        found.append((at, max(end, at + 1), False))
    return found


_KIND = {"SUCCESS": "ok", "ERROR": "bad", "CANCELLED": "off", "PENDING": "run", "ENQUEUED": "wait"}


def _attempt_bars(axis: Axis, each: dict[str, Any], end: float) -> Iterable[Bar]:
    if each["cachedFrom"] is not None or each.get("skipped"):
        return
    number = f"attempt {each['attempt']}"
    over = each["endedAt"] or end
    began = each["startedAt"]
    waited = (began or over) - each["enqueuedAt"]
    yield from axis.bar(
        each["enqueuedAt"], began or over, "wait", f"{number} waited {formats.duration(waited)} in line"
    )
    if began is not None:
        kind = "stale" if each["stale"] else _KIND[each["status"]]
        yield from axis.bar(
            began, over, kind, f"{number}: {each['status']}, {formats.duration(over - began)}"
        )


def _took(each: dict[str, Any], end: float) -> str:
    if each["startedAt"] is None or each["cachedFrom"] is not None or each.get("skipped"):
        return "–"
    return formats.duration((each["endedAt"] or end) - each["startedAt"])


def _step(
    axis: Axis, step: dict[str, Any], own: Sequence[dict[str, Any]], tasks: dict[str, Any] | None, end: float
) -> Row:
    if not own:
        planned = {
            "idx": step["idx"],
            "error": None,
            "artifacts": 0,
            "attempt": 0,
            "stale": False,
            "worker": None,
        }
        return Row("step", step["stepID"], "", planned, (), "–")
    last = own[-1]
    bars = [bar for each in own for bar in _attempt_bars(axis, each, end)]
    notes = []
    if last["cachedFrom"]:
        notes.append(f"reused from {formats.short(last['cachedFrom'])}")
    if last["skipped"]:
        notes.append("skipped: its condition was not true")
    if last["attempt"] > 1:
        notes.append(f"attempt {last['attempt']} of {max(step['maxAttempts'], last['attempt'])}")
    if last["parkedAt"]:
        notes.append("parked: it sleeps" if step["sleeps"] else "parked: it waits for time or a human")
    if last["inLine"] and last["status"] == "PENDING":
        notes.append("in line again")
    rows: tuple[Row, ...] = ()
    more = 0
    if tasks is not None:
        rows = tuple(
            task_row(axis, each, end) for each in sorted(tasks["sample"], key=lambda t: t["taskIdx"])
        )
        more = tasks["total"] - len(rows)
    return Row(
        "step", step["stepID"], last["status"], last, tuple(bars), _took(last, end), tuple(notes),
        tuple(each for each in own[:-1] if each["error"]), tasks, rows, more,
    )  # fmt: skip


def task_row(axis: Axis | None, each: dict[str, Any], end: float) -> Row:
    """A task; without an axis it has no bars."""
    bars = tuple(_attempt_bars(axis, each, end)) if axis is not None else ()
    notes: tuple[str, ...] = (f"attempt {each['attempt']}",) if each["attempt"] > 1 else ()
    if each["cachedFrom"]:
        notes += ("reused",)
    name = f"task {each['taskIdx']}"
    return Row(
        "task", name, each["status"], each, bars, _took(each, end), notes, label=task_label(each["input"])
    )


def task_label(text: str | None) -> str:
    """What a task does: its command as one types it, else its input."""
    if not text:
        return ""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return " ".join(value)
    return text


def _gate(axis: Axis, gate: dict[str, Any], end: float) -> Row:
    answered = gate["answeredAt"]
    over = answered or (end if gate["status"] == "OPEN" else gate["expiresAt"] or end)
    over = min(over, end)
    notes = []
    for reply in gate["replies"]:
        decision = reply["payload"].get("decision")
        words = {"yes": "approved by", "no": "rejected by"}.get(str(decision), "answered by")
        notes.append(f"{words} {reply['origin']}")
    title = f"{gate['gateKey']}: {gate['status']}, {formats.duration(over - gate['openedAt'])}"
    bars = tuple(axis.bar(gate["openedAt"], over, "gate", title))
    return Row(
        "gate", gate["gateKey"], gate["status"],
        {**gate, "error": None, "artifacts": 0, "attempt": 0, "stale": False},
        bars, formats.duration(over - gate["openedAt"]), tuple(notes),
    )  # fmt: skip
