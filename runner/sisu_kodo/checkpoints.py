"""Checkpoints inside a handler: what its code has done before is not done again.

A handler runs from its beginning whenever its attempt gets a worker: the first time, after a crash, after
every wait. What it did under `ctx.step` and `ctx.emit` was committed and is read from the record instead;
what it waits for under `ctx.sleep` and `ctx.wait_for` ends its turn until it is there.

    Ledger               one turn of a handler: its places, and what ended it
    OnLoop · InThread    what `ctx` calls in an async handler, and in a sync one
    Refusing             what it calls where there are no checkpoints
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, NoReturn

from .artifacts import as_json
from .json_text import written
from .models import JSON, Artifact, StepError
from .places import Place, Places, Task

_LONGEST_NAME = 128
_inside: ContextVar[str | None] = ContextVar("sisu_step", default=None)


class TurnOver(BaseException):
    """Ends a handler's turn. Not an Exception, so that no `except Exception` keeps it: let it pass."""


class Waiting(TurnOver):
    """The handler sleeps or asks: `wait` is what `app.work` takes. Its attempt goes on when that is over."""

    def __init__(self, wait: dict[str, JSON]) -> None:
        super().__init__(f"waits for the {wait['kind']} {wait['name']}")
        self.wait = wait


class LaneLost(TurnOver):
    """The attempt is over, or somebody else's: nothing that this handler still does counts."""


class Ledger:
    """One turn of a handler. `cancelled` asks it to stop, `lost` says that its lane is gone, `kept` hears of
    every checkpoint that was committed (seq, kind, name).
    """

    def __init__(
        self,
        step_id: str,
        recorded: Iterable[Mapping[str, JSON]],
        *,
        cancelled: Callable[[], bool] = bool,
        lost: Callable[[], bool] = bool,
        main: Task | None = None,
        kept: Callable[[int, str, str], None] | None = None,
    ) -> None:
        self._step_id = step_id
        self._kept = kept
        self._places = Places(step_id, recorded, main)
        self._cancelled = cancelled
        self._lost = lost
        self._fault: StepError | None = None
        self._waiting: Waiting | None = None
        self._gates: set[str] = set()
        self.is_open = True

    def is_wanted(self) -> bool:
        """Whether what the handler does still counts."""
        return self.is_open and not self._lost()

    def take(self, kind: str, name: str, task: Task | None = None) -> Place:
        """The place of a checkpoint. What is wrong with it is told by `replays`."""
        try:
            if (outer := _inside.get()) is not None:
                message = f"{self._step_id}: {kind} {name} is inside step {outer}, which is one checkpoint"
                raise StepError("nested_checkpoint", message, retryable=False)
            if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
                message = (
                    f"{self._step_id}: the name of a {kind} is a text of 1 to {_LONGEST_NAME} characters"
                )
                raise StepError("checkpoint_invalid", f"{message}, not {name!r:.200}", retryable=False)
            if kind == "gate" and name in self._gates:
                message = f"{self._step_id}: the gate {name} has been asked: another question is another gate"
                raise StepError("gate_key_taken", message, retryable=False)
            if kind == "gate":
                self._gates.add(name)
            return self._places.take(kind, name, task)
        except StepError as error:
            self._fault = error
            return Place(-1, kind, str(name), fault=error)

    def replays(self, place: Place) -> bool:
        """Whether it is over. If not, it may begin: raises what forbids that."""
        if place.fault is not None:
            raise place.fault
        if place.is_over:
            return True
        if not self.is_wanted():
            raise LaneLost
        if self._fault is not None:
            raise self._fault
        if self._waiting is not None:
            raise self._waiting
        if self._cancelled():
            message = f"{self._step_id} was told to stop before {place.kind} {place.name}"
            raise StepError("cancelled", message, retryable=False)
        return False

    def wait(self, place: Place, facts: dict[str, JSON], began: float) -> Waiting:
        """The end of the turn: what to raise."""
        self.replays(place)
        wait = {"seq": place.seq, "kind": place.kind, "name": place.name, **facts}
        if "ms" in wait:  # what it slept while steps beside it ended
            wait["ms"] = max(0, wait["ms"] - round((time.monotonic() - began) * 1000))
        self._waiting = Waiting(wait)
        return self._waiting

    @contextmanager
    def keeping(self, place: Place) -> Iterator[None]:
        """Within the block the place is committed; a refusal is told with its name."""
        try:
            yield
        except StepError as error:
            if error.code == "determinism_error":
                self._fault = error
                raise
            message = f"{self._step_id}: {place.kind} {place.name}: {error.message}"
            raise StepError(error.code, message, error.retryable, details=error.details) from error
        if self._kept is not None:
            self._kept(place.seq, place.kind, place.name)

    def written(self, place: Place, **facts: JSON) -> str:
        """The entry as `app.checkpoint` takes it. Raises StepError `result_rejected` for what is not JSON."""
        try:
            return written({"seq": place.seq, "kind": place.kind, "name": place.name, **facts})
        except (TypeError, ValueError) as error:
            raise StepError("result_rejected", f"its result is not JSON: {error}", retryable=False) from error

    def ended(self, raised: BaseException | None) -> BaseException | None:
        """What the handler's end comes to: None, or the exception that counts.

        A fault counts whatever the handler did about it, and a wait that it did not let pass is
        `wait_swallowed`.
        """
        if self._fault is not None:
            return self._fault
        if self._waiting is None:
            return raised or self._places.missed()
        if isinstance(raised, BaseExceptionGroup):  # a TaskGroup
            raised = raised.split(TurnOver)[1] or self._waiting
        if raised is not None and not _comes_from(raised, self._waiting):
            return raised
        if isinstance(raised, Waiting):
            return raised
        message = (
            f"{self._step_id}: the handler {self._waiting}, but did not let that pass: "
            "it catches BaseException, or gathers exceptions as results"
        )
        return StepError("wait_swallowed", message, retryable=False)


class OnLoop:
    """The checkpoints of an async handler: every call takes its place at once and returns an awaitable.

    `commit` stores an entry (JSON text) and returns its value; `in_thread` runs a function in a thread.
    """

    def __init__(
        self,
        ledger: Ledger,
        commit: Callable[[str], Awaitable[JSON]],
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
    ) -> None:
        self._ledger = ledger
        self._commit = commit
        self._in_thread = in_thread
        self._busy = 0
        self._quiet = asyncio.Event()

    def step(
        self, name: str, fn: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]
    ) -> Coroutine[Any, Any, JSON]:
        return self._step(self._take("step", name), partial(fn, *args, **kwargs))

    def emit(self, artifact: Artifact) -> Coroutine[Any, Any, int]:
        return self._emit(self._take("emit", artifact.name), artifact)

    def wait(self, kind: str, name: str, facts: dict[str, JSON]) -> Coroutine[Any, Any, JSON]:
        return self._wait(self._take(kind, name), facts, time.monotonic())

    async def _step(self, place: Place, function: partial[Any]) -> JSON:
        if await self._replays(place):
            return place.recorded()
        with self._at_work():
            with _step_named(place.name):
                if _is_async(function.func):
                    value = function()
                else:  # it may take its time: the other lanes and the heartbeat go on
                    value = await self._in_thread(partial(copy_context().run, function))
                if inspect.isawaitable(value):
                    value = await value
            with self._ledger.keeping(place):
                return place.read(await self._commit(self._ledger.written(place, value=value)))

    async def _emit(self, place: Place, artifact: Artifact) -> int:
        if await self._replays(place):
            return int(place.recorded())
        with self._at_work(), self._ledger.keeping(place):
            entry = self._ledger.written(place, artifact=as_json(artifact))
            return int(place.read(await self._commit(entry)))

    async def _wait(self, place: Place, facts: dict[str, JSON], began: float) -> JSON:
        if await self._replays(place):
            return place.recorded()
        await asyncio.sleep(0)  # what was called beside it begins …
        while self._busy:  # … and is done and kept before the turn ends
            self._quiet.clear()
            await self._quiet.wait()
        raise self._ledger.wait(place, facts, began)

    async def _replays(self, place: Place) -> bool:
        if not self._ledger.replays(place):
            return False
        await asyncio.sleep(0)  # the handler's other tasks have their turns, as when it was new
        return True

    def _take(self, kind: str, name: str) -> Place:
        return self._ledger.take(kind, name, asyncio.current_task())

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._quiet.set()


class InThread:
    """The checkpoints of a sync handler: every call returns when it is done."""

    def __init__(self, ledger: Ledger, commit: Callable[[str], JSON]) -> None:
        self._ledger = ledger
        self._commit = commit

    def step(self, name: str, fn: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]) -> JSON:
        place = self._ledger.take("step", name)
        if self._ledger.replays(place):
            return place.recorded()
        with _step_named(place.name):
            value = fn(*args, **kwargs)
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            message = f"step {name} is async, its handler is not: declare the handler with async def"
            raise StepError("handler_error", message, retryable=False)
        with self._ledger.keeping(place):
            return place.read(self._commit(self._ledger.written(place, value=value)))

    def emit(self, artifact: Artifact) -> int:
        place = self._ledger.take("emit", artifact.name)
        if self._ledger.replays(place):
            return int(place.recorded())
        with self._ledger.keeping(place):
            entry = self._ledger.written(place, artifact=as_json(artifact))
            return int(place.read(self._commit(entry)))

    def wait(self, kind: str, name: str, facts: dict[str, JSON]) -> JSON:
        place = self._ledger.take(kind, name)
        if self._ledger.replays(place):
            return place.recorded()
        raise self._ledger.wait(place, facts, time.monotonic())


class Refusing:
    """No checkpoints here: every call raises StepError `code`."""

    def __init__(self, code: str, reason: str) -> None:
        self._code = code
        self._reason = reason

    def step(self, name: str, fn: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]) -> NoReturn:
        self._refuse(f"step {name}")

    def emit(self, artifact: Artifact) -> NoReturn:
        self._refuse(f"emit {artifact.name}")

    def wait(self, kind: str, name: str, facts: dict[str, JSON]) -> NoReturn:
        self._refuse(f"{kind} {name}")

    def _refuse(self, what: str) -> NoReturn:
        raise StepError(self._code, f"{what}: {self._reason}", retryable=False)


@contextmanager
def _step_named(name: str) -> Iterator[None]:
    outer = _inside.get()
    _inside.set(name)
    try:
        yield
    finally:
        _inside.set(outer)  # not reset: a coroutine may be closed in another context


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


def _comes_from(error: BaseException, origin: BaseException) -> bool:
    """Whether `error` was raised while `origin` was handled, or is it."""
    seen: BaseException | None = error
    while seen is not None and seen is not origin:
        seen = seen.__context__
    return seen is origin
