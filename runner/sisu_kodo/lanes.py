"""Lanes, slots and results of one runner: what it holds, how much more it may take, what it still has to
report.

All of it lives on one event loop, so there are no locks. A lane is a run's (or a fan-out task's) place in a
queue; it keeps its slot from the claim to the answer of the commit that ends it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .counters import Counters
from .models import JSON, Assignment, RecipeRef, StepError

if TYPE_CHECKING:
    from .telemetry.spans import Span, StepSpan
    from .telemetry.tracer import Tracer

LaneKey = tuple[str, int, int]
"""Queue, message id, read count: the fencing token."""


_ASK_AGAIN = 0.02
"""Seconds after which a call that has results to bring also asks a queue that was empty."""


def quoted(text: str) -> str:
    """A field of a row of an array, as Postgres writes it: quotes and backslashes are escaped for the row and
    once more for the array.
    """
    escaped = text.replace("\\", "\\" * 4).replace('"', '\\"\\"')
    return f'\\"{escaped}\\"'


class Flag:
    """False until it is set. Any thread may ask."""

    __slots__ = ("_is_set",)

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set


class Lane:
    """One claimed lane with the attempt that it is at. `name` is what names it to the database, `head` the
    same as the beginning of a row of `app.result` in an array. `fault` says why its context cannot be read.
    """

    __slots__ = (
        "attempt",
        "began",
        "cancelled",
        "context",
        "doomed",
        "fault",
        "head",
        "key",
        "leased",
        "name",
        "recipe",
        "running",
        "span",
        "task",
    )

    def __init__(self, attempt: Assignment) -> None:
        self.attempt = attempt
        self.key: LaneKey = (attempt.queue_name, attempt.msg_id, attempt.read_ct)
        self.context: dict[str, JSON] = {}
        self.fault: StepError | None = None
        if attempt.context is not None:
            self._read(attempt.context)
        recipe = self.context.get("recipe") or {}
        self.recipe = RecipeRef(
            recipe.get("name", ""), recipe.get("version", 0), recipe.get("settings") or {}
        )
        self.name: dict[str, JSON] = {
            "runId": attempt.run_id,
            "taskKey": attempt.task_key,
            "queue": attempt.queue_name,
            "msgId": attempt.msg_id,
            "readCt": attempt.read_ct,
        }
        run, task, queue = (quoted(name) for name in (attempt.run_id, attempt.task_key, attempt.queue_name))
        self.head = f'"({run},{task},{queue},{attempt.msg_id},{attempt.read_ct}'
        self.cancelled = Flag()
        self.running = False
        self.doomed = False
        self.leased = time.monotonic()
        self.began = 0.0  # time.monotonic() of the current attempt
        self.task: asyncio.Task[None] | None = None
        self.span: StepSpan | None = None  # of the current attempt, where it is traced

    def advance(self, attempt: Assignment, output: JSON) -> None:
        """Take the lane's next attempt. Its context is the one sent along, or the old one and the finished
        output.
        """
        finished = self.attempt
        if attempt.context is not None:
            self._read(attempt.context)
        elif not finished.task_key and finished.step_id != attempt.step_id:
            # a new dict: a handler may have kept the one before
            self.context["outputs"] = {**(self.context.get("outputs") or {}), finished.step_id: output}
            for of_the_attempt in ("checkpoints", "startedAt"):
                self.context.pop(of_the_attempt, None)
        self.attempt = attempt
        if self.cancelled.is_set():
            self.cancelled = Flag()

    def _read(self, context: str) -> None:
        try:
            self.context = json.loads(context)
        except (ValueError, RecursionError) as error:
            message = f"the intent and the outputs before this step cannot be read: {error}"
            self.fault = StepError("context_unreadable", message, retryable=False)

    def lease(self) -> dict[str, JSON]:
        """The lease as `app.heartbeat` and `app.release` take it."""
        return self.name | {"idx": self.attempt.idx}


class Result:
    """What one attempt reports: its JSON text, and the output for the lane's next step."""

    __slots__ = ("is_kept", "lane", "output", "replaced", "span", "text")

    def __init__(self, lane: Lane, text: str, output: JSON = None) -> None:
        self.lane = lane
        self.text = text
        self.output = output
        self.replaced = False
        self.is_kept = False  # refused, because it was committed before and the answer was lost
        self.span: Span | None = None


class Call:
    """One planned call of `app.work`."""

    __slots__ = ("alone", "crowded", "drain", "poll", "results", "wakes", "want")

    def __init__(
        self,
        results: list[Result],
        want: dict[str, int] | None = None,
        *,
        wakes: dict[str, int] | None = None,
        crowded: frozenset[str] = frozenset(),
        poll: bool = False,
        drain: bool = False,
    ) -> None:
        self.results = results
        self.want = want or {}
        self.wakes = wakes or {}
        self.crowded = crowded
        self.poll = poll
        self.drain = drain
        self.alone = -1  # the desk's `moves` when it was planned, if nothing was in hand


class Desk:
    """The state that the pumps of a runner share.

    `limits` are slots per queue. `share` is how many results and how many lanes per queue one call may carry,
    so that the pumps split a full house between them instead of one doing it all.
    """

    def __init__(self, limits: Mapping[str, int], pumps: int, most: int = 400) -> None:
        self.limits = dict(limits)
        self.lanes: dict[LaneKey, Lane] = {}
        self.results: deque[Result] = deque()
        self.busy = dict.fromkeys(limits, 0)
        self.asked = dict.fromkeys(limits, 0)
        self.ready = dict.fromkeys(limits, True)
        self.wakes = dict.fromkeys(limits, 0)
        self._asked_at = dict.fromkeys(limits, 0.0)
        self.listening = False
        self.poll_due = True
        self.claiming = True
        self.keeping = True
        self.in_flight = 0
        self.moves = 0  # calls answered: lanes begin and end in them
        self.counters = Counters()
        self.tracer: Tracer | None = None
        self.stir = asyncio.Event()
        self.share = max(1, min(most, -(-sum(limits.values()) // pumps)))
        self._shares = {queue: max(1, min(most, -(-limit // pumps))) for queue, limit in limits.items()}

    # -- what happened ---------------------------------------------------------------------------------------

    def post(self, result: Result) -> None:
        """A handler ended; its result waits for the next call."""
        self.results.append(result)
        self.stir.set()

    def wake(self, queues: Iterable[str] | None = None) -> None:
        """Work may be ready in these queues (None: in any)."""
        for queue in self.limits if queues is None else queues:
            if queue in self.ready:
                self.ready[queue] = True
                self.wakes[queue] += 1
        self.stir.set()

    def tick(self) -> None:
        """The poll interval has passed."""
        self.poll_due = True
        self.stir.set()

    def drain(self) -> None:
        """Claim nothing new and run no further step."""
        self.claiming = self.keeping = False
        self.stir.set()

    # -- what to do ------------------------------------------------------------------------------------------

    def due(self) -> bool:
        """Whether a call of `app.work` has something to say or to ask."""
        if self.results:
            return True
        if not self.claiming:
            return False
        return self.poll_due or any(ready and self.free(queue) > 0 for queue, ready in self.ready.items())

    def free(self, queue: str) -> int:
        return self.limits[queue] - self.busy[queue] - self.asked[queue]

    def over(self) -> bool:
        """Whether nothing is held, nothing is to be reported and nothing will be claimed."""
        return not self.claiming and not self.results and not self.in_flight and not any(self.busy.values())

    def plan(self) -> Call:
        """Take what is ready and reserve what may be claimed. Every plan ends in `settle` or `undo`."""
        results = [self.results.popleft() for _ in range(min(len(self.results), self.share))]
        want: dict[str, int] = {}
        poll = False
        crowded = frozenset(queue for queue, asked in self.asked.items() if asked)
        if self.claiming:
            poll, self.poll_due = self.poll_due, False
            for queue in self.limits:
                count = min(self.free(queue), self._shares[queue])
                if count > 0 and (poll or self._worth_asking(queue)):
                    self._asked_at[queue] = time.monotonic()
                    want[queue] = count
                    self.asked[queue] += count
                    self.ready[queue] = False
        call = Call(results, want, wakes=dict(self.wakes), crowded=crowded, poll=poll, drain=not self.keeping)
        if not self.lanes and not self.in_flight:
            call.alone = self.moves
        self.in_flight += 1
        return call

    def _worth_asking(self, queue: str) -> bool:
        """Not for a queue that was just found empty, as long as we are told when that changes."""
        return (
            self.ready[queue] or not self.listening or time.monotonic() > self._asked_at[queue] + _ASK_AGAIN
        )

    def at_rest(self, call: Call) -> bool:
        """Whether this answered call asked for all queues and got nothing, and nothing else of ours was under
        way since it began: a claim does not see what is committed meanwhile.
        """
        asked_for_all = call.poll and len(call.want) == len(self.limits)
        nothing_in_hand = not self.lanes and not self.in_flight
        return asked_for_all and nothing_in_hand and self.moves == call.alone + 1

    def undo(self, call: Call) -> None:
        """The call failed as a whole: its results wait at the front again."""
        self.results.extendleft(reversed(call.results))
        self._returned(call)
        self.poll_due = self.poll_due or call.poll
        self.wake(call.want)

    # -- what the database answered --------------------------------------------------------------------------

    def settle(self, call: Call, rows: Iterable[Assignment]) -> tuple[list[Lane], list[Lane]]:
        """Apply an answer. Returns the lanes to run now and those that were refused."""
        start: list[Lane] = []
        refused: list[Lane] = []
        sent = {result.lane.key: result for result in call.results}
        got = dict.fromkeys(call.want, 0)
        for row in rows:
            key = (row.queue_name, row.msg_id, row.read_ct)
            if row.outcome != "continued" or row.attempt > 1:
                self.counters.row(row)
            if row.outcome == "assigned":
                lane = Lane(row)
                self.lanes[key] = lane
                self.busy[row.queue_name] += 1
                got[row.queue_name] = got.get(row.queue_name, 0) + 1
                start.append(lane)
            elif (result := sent.pop(key, None)) is not None:
                if row.outcome == "continued":
                    result.lane.advance(row, result.output)
                    start.append(result.lane)
                else:
                    result.is_kept = row.reason == "already_committed"
                    self.drop(result.lane)
                    refused.append(result.lane)
        for result in sent.values():
            self.drop(result.lane)
        self._returned(call)
        self.counters.answered(len(call.results) - len(refused))
        if self.tracer is not None:
            self.tracer.settled(call.results, refused)
        for queue, wanted in call.want.items():
            # Two claims at once skip what the other takes: a short answer then does not mean an empty queue.
            crowded = queue in call.crowded or self.asked[queue] > 0
            more = got[queue] > 0 if crowded else got[queue] >= wanted
            self.ready[queue] = self.ready[queue] or more or self.wakes[queue] != call.wakes[queue]
        self.stir.set()
        return start, refused

    def drop(self, lane: Lane) -> None:
        """The lane is no longer ours: its slot is free."""
        if self.lanes.pop(lane.key, None) is not None:
            self.busy[lane.attempt.queue_name] -= 1
            self.stir.set()

    def linger(self, queue: str, count: int) -> None:
        """A timed-out thread keeps a slot of its own until it ends (`count` 1, then -1)."""
        self.busy[queue] += count
        self.stir.set()

    def held(self) -> list[Lane]:
        return list(self.lanes.values())

    def _returned(self, call: Call) -> None:
        self.in_flight -= 1
        self.moves += 1
        for queue, count in call.want.items():
            self.asked[queue] -= count


def want_json(call: Call, app_version: str) -> dict[str, Any]:
    """The `want` argument of `app.work`."""
    return {"queues": call.want, "appVersion": app_version, "recover": call.poll, "drain": call.drain}
