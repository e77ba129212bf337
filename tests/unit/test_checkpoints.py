"""Checkpoints without a database: replay, determinism, the order of what runs at once, waits."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from sisu_kodo import StepContext, StepError, TurnOver
from sisu_kodo.checkpoints import InThread, LaneLost, Ledger, OnLoop, Waiting
from sisu_kodo.models import JSON
from sisu_kodo.testing import Rehearsal, Unanswered


class Record:
    """What `app.checkpoint` would keep, across the turns of a handler."""

    def __init__(self) -> None:
        self.entries: dict[int, dict[str, JSON]] = {}

    def keep(self, seq: int, kind: str, name: str, value: JSON) -> None:
        self.entries[seq] = {"seq": seq, "kind": kind, "name": name, "value": value}

    @property
    def names(self) -> list[str]:
        return [self.entries[seq]["name"] for seq in sorted(self.entries)]

    def ledger(self, **facts: Any) -> Ledger:
        return Ledger("S0", [self.entries[seq] for seq in sorted(self.entries)], **facts)

    async def commit(self, text: str) -> JSON:
        entry = json.loads(text)
        self.keep(entry["seq"], entry["kind"], entry["name"], entry.get("value"))
        return entry.get("value")

    def turn(self, body: Callable[[OnLoop], Any], **facts: Any) -> Any:
        """One turn of an async handler; what ended it is raised."""

        async def main() -> Any:
            ledger = self.ledger(main=asyncio.current_task(), **facts)
            value, raised = None, None
            try:
                value = await body(OnLoop(ledger, self.commit, asyncio.to_thread))
            except BaseException as error:
                raised = error
            if (ended := ledger.ended(raised)) is not None:
                raise ended
            return value

        return asyncio.run(main())


def step(at: OnLoop, name: str, fn: Callable[..., Any], *args: Any) -> Any:
    return at.step(name, fn, args, {})


def run_both(rehearsal: Rehearsal, sync: Any, on_loop: Any, kind: str, **facts: Any) -> Any:
    return rehearsal.run(sync if kind == "sync" else on_loop, **facts)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_was_done_is_read_from_the_record(kind: str) -> None:
    calls: list[int] = []

    def count(n: int, *, by: int = 1) -> dict[int, tuple[int, int]]:
        calls.append(n)
        return {n: (n, by)}

    def sync(ctx: StepContext) -> Any:
        return [ctx.step("a", count, 1), ctx.step("b", count, 2, by=3)]

    async def on_loop(ctx: StepContext) -> Any:
        return [await ctx.step("a", count, 1), await ctx.step("b", count, 2, by=3)]

    rehearsal = Rehearsal()
    first = run_both(rehearsal, sync, on_loop, kind)
    assert first == [{"1": [1, 1]}, {"2": [2, 3]}], "the first time too it is what JSON makes of it"
    assert run_both(rehearsal, sync, on_loop, kind) == first and calls == [1, 2]
    assert [(each["seq"], each["kind"], each["name"]) for each in rehearsal.checkpoints] == [
        (0, "step", "a"),
        (1, "step", "b"),
    ]


def test_a_function_of_an_async_handler_may_be_of_any_kind() -> None:
    main = threading.current_thread()

    class Callable_:
        async def __call__(self, n: int) -> int:
            await asyncio.sleep(0)
            return n

    async def handler(ctx: StepContext) -> Any:
        async def plain(n: int) -> int:
            return n

        return [
            await ctx.step("async", plain, 1),
            await ctx.step("callable", Callable_(), 2),
            await ctx.step("lambda", lambda: plain(3)),
            await ctx.step("sync", lambda: threading.current_thread() is main),
        ]

    assert Rehearsal().run(handler) == [1, 2, 3, False]


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (("step", "charge"), ["step charge", "step refund"]),
        (("sleep", "refund"), ["sleep refund", "step refund"]),
    ],
)
def test_another_name_or_kind_at_a_place_is_a_determinism_error(
    kind: str, kept: tuple[str, str], words: list[str]
) -> None:
    rehearsal = Rehearsal()
    value = {"over": True} if kept[0] == "sleep" else 1
    rehearsal.checkpoints.append({"seq": 0, "kind": kept[0], "name": kept[1], "value": value})
    ran: list[str] = []

    def sync(ctx: StepContext) -> None:
        try:
            ctx.step("refund", ran.append, "refund")
        except Exception:
            ctx.step("swallowed", ran.append, "and it went on")

    async def on_loop(ctx: StepContext) -> None:
        try:
            await ctx.step("refund", ran.append, "refund")
        except Exception:
            await ctx.step("swallowed", ran.append, "and it went on")

    with pytest.raises(StepError) as caught:
        run_both(rehearsal, sync, on_loop, kind)
    error = caught.value
    assert (error.code, error.retryable) == ("determinism_error", False)
    assert all(word in error.message for word in words) and error.message.startswith("TestST: checkpoint 0")
    assert error.details == {
        "drift": [
            {"field": "kind", "existing": kept[0], "incoming": "step"}
            if kept[0] != "step"
            else {"field": "name", "existing": "charge", "incoming": "refund"}
        ]
    }
    assert ran == [], "nothing is done after it, whatever the handler catches"


def test_a_determinism_error_that_is_caught_is_one_still(kind: str) -> None:
    rehearsal = Rehearsal()
    rehearsal.checkpoints.append({"seq": 0, "kind": "step", "name": "charge", "value": 1})

    def sync(ctx: StepContext) -> str:
        with suppress(Exception):
            ctx.step("refund", int)
        return "fine"

    async def on_loop(ctx: StepContext) -> str:
        with suppress(Exception):
            await ctx.step("refund", int)
        return "fine"

    with pytest.raises(StepError, match="the code now says step refund"):
        run_both(rehearsal, sync, on_loop, kind)


def test_what_a_function_raises_is_raised_and_not_kept(kind: str) -> None:
    failures = ["once"]

    def flaky() -> str:
        if failures:
            raise LookupError(failures.pop())
        return "fine"

    def sync(ctx: StepContext) -> Any:
        return ctx.step("flaky", flaky)

    async def on_loop(ctx: StepContext) -> Any:
        return await ctx.step("flaky", flaky)

    rehearsal = Rehearsal()
    with pytest.raises(LookupError, match="once"):
        run_both(rehearsal, sync, on_loop, kind)
    assert rehearsal.checkpoints == []
    assert run_both(rehearsal, sync, on_loop, kind) == "fine"


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan")], ids=["object", "set", "nan"])
def test_a_result_that_is_not_json_names_its_step(kind: str, value: Any) -> None:
    def sync(ctx: StepContext) -> Any:
        return ctx.step("odd", lambda: value)

    async def on_loop(ctx: StepContext) -> Any:
        return await ctx.step("odd", lambda: value)

    with pytest.raises(StepError, match="step odd") as caught:
        run_both(Rehearsal(), sync, on_loop, kind)
    assert (caught.value.code, caught.value.retryable) == ("result_rejected", False)


@pytest.mark.parametrize("name", ["", "  ", "x" * 129, None, 7])
def test_a_name_is_a_short_text(kind: str, name: Any) -> None:
    def sync(ctx: StepContext) -> Any:
        return ctx.step(name, int)

    async def on_loop(ctx: StepContext) -> Any:
        return await ctx.step(name, int)

    with pytest.raises(StepError) as caught:
        run_both(Rehearsal(), sync, on_loop, kind)
    assert caught.value.code == "checkpoint_invalid"


def test_a_step_inside_a_step_is_refused(kind: str) -> None:
    def sync(ctx: StepContext) -> Any:
        return ctx.step("outer", lambda: ctx.step("inner", int))

    async def on_loop(ctx: StepContext) -> Any:
        async def outer() -> Any:
            return await ctx.step("inner", int)

        return await ctx.step("outer", outer)

    with pytest.raises(StepError, match="step inner is inside step outer") as caught:
        run_both(Rehearsal(), sync, on_loop, kind)
    assert caught.value.code == "nested_checkpoint"
    assert Rehearsal().run(lambda ctx: [ctx.step("a", int), ctx.step("b", int)]) == [0, 0]


def test_an_async_function_in_a_sync_handler_is_refused() -> None:
    async def later() -> int:
        return 1

    with pytest.raises(StepError, match="declare the handler with async def"):
        Rehearsal().run(lambda ctx: ctx.step("later", later))


def test_emits_sleeps_and_gates(kind: str) -> None:
    def sync(ctx: StepContext) -> Any:
        first = ctx.emit("note", "n.txt", body=b"hi", media_type="text/plain")
        second = ctx.emit("facts", "f.json", inline={"n": 1})
        assert ctx.sleep(3600, "an hour") is None
        return [first, second, ctx.wait_for("really", title="Really?", ttl=60, shows=["S0"])]

    async def on_loop(ctx: StepContext) -> Any:
        first = await ctx.emit("note", "n.txt", body=b"hi", media_type="text/plain")
        second = await ctx.emit("facts", "f.json", inline={"n": 1})
        assert await ctx.sleep(3600, "an hour") is None
        return [first, second, await ctx.wait_for("really", title="Really?", ttl=60, shows=["S0"])]

    rehearsal = Rehearsal(answers={"really": {"answer": 42}})
    assert run_both(rehearsal, sync, on_loop, kind) == [1, 2, {"answer": 42}]
    assert rehearsal.turns == 3, "it began anew after each wait"
    assert rehearsal.artifacts == [
        {"kind": "note", "name": "n.txt", "mediaType": "text/plain", "body": "aGk="},
        {"kind": "facts", "name": "f.json", "mediaType": "application/json", "inline": {"n": 1}},
    ]
    with pytest.raises(Unanswered, match="really"):
        run_both(Rehearsal(), sync, on_loop, kind)


def test_what_a_wait_asks_for() -> None:
    def waits(wait: Callable[[StepContext], Any]) -> dict[str, JSON]:
        rehearsal = Rehearsal()
        asked: list[dict[str, JSON]] = []
        rehearsal._over = lambda wait: asked.append(wait) or {"over": True, "payload": {}}  # type: ignore
        rehearsal.run(wait)
        return asked[0]

    assert waits(lambda ctx: ctx.sleep(1.5)) == {"seq": 0, "kind": "sleep", "name": "sleep", "ms": 1500}
    assert waits(lambda ctx: ctx.wait_for("g")) == {
        "seq": 0,
        "kind": "gate",
        "name": "g",
        "gate": {"kind": "input"},
    }
    asked = waits(
        lambda ctx: ctx.wait_for(
            "g",
            title="T",
            kind="approval",
            ttl_ms=5,
            on_expiry="answer",
            answer={"decision": "yes"},
            shows=("A",),
            quorum=2,
            self_approval=False,
        )
    )
    assert asked["gate"] == {
        "kind": "approval",
        "title": "T",
        "ttlMS": 5,
        "onExpiry": "answer",
        "answer": {"decision": "yes"},
        "shows": ["A"],
        "quorum": 2,
        "selfApproval": False,
    }


def test_a_wait_passes_except_exception_and_runs_finally(kind: str) -> None:
    cleaned: list[int] = []

    def sync(ctx: StepContext) -> str:
        try:
            ctx.sleep(1)
        except Exception:
            return "swallowed"
        finally:
            cleaned.append(1)
        return "slept"

    async def on_loop(ctx: StepContext) -> str:
        try:
            await ctx.sleep(1)
        except Exception:
            return "swallowed"
        finally:
            cleaned.append(1)
        return "slept"

    assert run_both(Rehearsal(), sync, on_loop, kind) == "slept" and len(cleaned) == 2


@pytest.mark.parametrize("how", ["returns", "raises", "goes on"])
def test_a_swallowed_wait_is_an_error_by_name(kind: str, how: str) -> None:
    ran: list[str] = []

    def sync(ctx: StepContext) -> Any:
        try:
            ctx.sleep(1, "a nap")
        except BaseException:
            if how == "raises":
                raise ValueError("something else") from None
            if how == "goes on":
                with suppress(BaseException):
                    ctx.step("after", ran.append, "after")
        return "done"

    async def on_loop(ctx: StepContext) -> Any:
        try:
            await ctx.sleep(1, "a nap")
        except BaseException:
            if how == "raises":
                raise ValueError("something else") from None
            if how == "goes on":
                with suppress(BaseException):
                    await ctx.step("after", ran.append, "after")
        return "done"

    with pytest.raises(StepError, match="waits for the sleep a nap") as caught:
        run_both(Rehearsal(), sync, on_loop, kind)
    assert (caught.value.code, caught.value.retryable) == ("wait_swallowed", False)
    assert ran == []


def test_gathered_as_a_result_a_wait_is_swallowed() -> None:
    async def handler(ctx: StepContext) -> Any:
        return await asyncio.gather(ctx.step("a", int), ctx.sleep(1), return_exceptions=True)

    with pytest.raises(StepError) as caught:
        Rehearsal().run(handler)
    assert caught.value.code == "wait_swallowed"


def test_what_runs_at_once_gets_its_places_in_the_order_of_the_calls() -> None:
    async def nap(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    record = Record()

    async def body(at: OnLoop) -> Any:
        return await asyncio.gather(*(step(at, f"nap {s}", nap, s) for s in (0.03, 0.02, 0.01)))

    assert record.turn(body) == [0.03, 0.02, 0.01]
    assert list(record.entries) == [2, 1, 0], "they ended the other way round"
    assert record.names == ["nap 0.03", "nap 0.02", "nap 0.01"]
    del record.entries[1]  # the crash came before this one was kept
    assert record.turn(body) == [0.03, 0.02, 0.01] and record.names[1] == "nap 0.02"


def test_branches_of_their_own_find_their_checkpoints_by_name() -> None:
    speed = {"tea": (0.03, 0.0), "ink": (0.0, 0.01)}
    record = Record()
    ran: list[str] = []

    async def work(name: str, seconds: float) -> str:
        await asyncio.sleep(seconds)
        ran.append(name)
        return name

    async def branch(at: OnLoop, item: str) -> list[str]:
        fetch, store = speed[item]
        return [
            await step(at, f"fetch {item}", work, f"fetch {item}", fetch),
            await step(at, f"store {item}", work, f"store {item}", store),
        ]

    async def body(at: OnLoop) -> Any:
        branches = await asyncio.gather(*(branch(at, item) for item in speed))
        return [*branches, await step(at, "end", work, "end", 0)]

    first = record.turn(body)
    assert record.names == ["fetch tea", "fetch ink", "store ink", "store tea", "end"]
    ran.clear()
    speed["tea"], speed["ink"] = speed["ink"], speed["tea"]
    assert record.turn(body) == first and ran == []

    del record.entries[3], record.entries[4]
    assert record.turn(body) == first and ran == ["store tea", "end"]
    assert record.names == ["fetch tea", "fetch ink", "store ink", "store tea", "end"]

    async def other(at: OnLoop) -> Any:
        async def ink() -> None:
            await step(at, "fetch ink", int)

        await asyncio.gather(branch(at, "tea"), ink())
        return await step(at, "end", work, "end", 0)

    with pytest.raises(StepError, match="checkpoint 2 was step store ink, the code now says step end"):
        record.turn(other)

    async def renamed(at: OnLoop) -> Any:
        async def both() -> None:
            await step(at, "fetch tea", int)
            await step(at, "drop tea", int)

        await asyncio.create_task(both())

    with pytest.raises(StepError, match="checkpoint 1 was step fetch ink, the code now says step drop tea"):
        record.turn(renamed)


def test_a_task_beside_the_handlers_own_calls() -> None:
    record = Record()

    async def body(at: OnLoop) -> Any:
        async def beside() -> list[int]:
            return [await step(at, f"beside {n}", int, n) for n in range(4)]

        task = asyncio.create_task(beside())
        return [*[await step(at, f"own {n}", int, n) for n in range(4)], *await task]

    assert record.turn(body) == [0, 1, 2, 3] * 2 == record.turn(body)
    assert sorted(record.names) != record.names, "they took turns"
    record.keep(7, "step", "gone", 7)
    with pytest.raises(StepError, match="the code now says"):
        record.turn(body)


def test_branches_that_share_a_name_are_refused() -> None:
    async def branch(at: OnLoop, n: int) -> Any:
        return [await step(at, "fetch", int), await step(at, "store", int, n)]

    async def body(at: OnLoop) -> Any:
        return await asyncio.gather(branch(at, 1), branch(at, 2))

    with pytest.raises(StepError, match="step store side by side") as caught:
        Record().turn(body)
    assert caught.value.code == "ambiguous_checkpoint"


def test_branches_one_after_the_other_may_share_names() -> None:
    async def branch(at: OnLoop, n: int) -> Any:
        return [await step(at, "fetch", int), await step(at, "store", int, n)]

    async def body(at: OnLoop) -> Any:
        return [await asyncio.create_task(branch(at, n)) for n in (1, 2)]

    record = Record()
    assert record.turn(body) == [[0, 1], [0, 2]] == record.turn(body)
    one_each = Record()

    async def same_name(at: OnLoop) -> Any:
        async def one(n: int) -> Any:
            return await step(at, "one", int, n)

        return await asyncio.gather(*(one(n) for n in range(5)))

    assert one_each.turn(same_name) == [0, 1, 2, 3, 4] == one_each.turn(same_name)


def test_steps_beside_a_wait_end_and_are_kept_before_the_turn_does() -> None:
    record = Record()
    ran: list[str] = []

    async def slow() -> str:
        await asyncio.sleep(0.05)
        ran.append("slow")
        return "slow"

    async def body(at: OnLoop) -> Any:
        return await asyncio.gather(at.wait("sleep", "nap", {"ms": 1000}), step(at, "slow", slow))

    with pytest.raises(Waiting) as caught:
        record.turn(body)
    assert record.names == ["slow"] and list(record.entries) == [1]
    assert caught.value.wait["seq"] == 0 and 900 <= caught.value.wait["ms"] <= 960, "it slept meanwhile"
    record.keep(0, "sleep", "nap", {"over": True})
    assert record.turn(body) == [None, "slow"] and ran == ["slow"]


def test_a_wait_in_a_task_group_is_a_wait() -> None:
    record = Record()

    async def body(at: OnLoop) -> Any:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(step(at, "a", int))
            group.create_task(at.wait("gate", "g", {"gate": {}}))
        return task.result()

    with pytest.raises(Waiting):
        record.turn(body)
    record.keep(1, "gate", "g", {"payload": {}})
    assert record.turn(body) == 0

    async def fails(at: OnLoop) -> Any:
        async def broken() -> None:
            raise LookupError("broken")

        async with asyncio.TaskGroup() as group:
            group.create_task(at.wait("gate", "other", {"gate": {}}))
            group.create_task(step(at, "b", broken))

    with pytest.raises(BaseExceptionGroup) as caught:
        Record().turn(fails)
    assert caught.group_contains(LookupError) and not caught.group_contains(TurnOver)


def test_a_gate_that_is_still_unanswered_is_waited_for_again() -> None:
    record = Record()
    record.keep(0, "gate", "g", {})

    async def body(at: OnLoop) -> Any:
        return await at.wait("gate", "g", {"gate": {"kind": "input"}})

    with pytest.raises(Waiting) as caught:
        record.turn(body)
    assert caught.value.wait == {"seq": 0, "kind": "gate", "name": "g", "gate": {"kind": "input"}}
    record.keep(0, "gate", "g", {"payload": {"n": 1}})
    assert record.turn(body) == {"n": 1}


def test_a_gate_is_asked_once() -> None:
    def handler(ctx: StepContext) -> Any:
        return [ctx.wait_for("one"), ctx.wait_for("two"), ctx.wait_for("one")]

    with pytest.raises(StepError, match="the gate one has been asked") as caught:
        Rehearsal(answers={"one": {}, "two": {}}).run(handler)
    assert caught.value.code == "gate_key_taken"


def test_nothing_new_begins_when_the_handler_was_told_to_stop() -> None:
    record = Record()
    record.keep(0, "step", "before", 1)
    ran: list[str] = []

    async def body(at: OnLoop) -> Any:
        assert await step(at, "before", ran.append, "before") == 1
        await step(at, "after", ran.append, "after")

    with pytest.raises(StepError) as caught:
        record.turn(body, cancelled=lambda: True)
    assert (caught.value.code, caught.value.retryable) == ("cancelled", False)
    with pytest.raises(LaneLost):
        record.turn(body, lost=lambda: True)
    assert ran == []
    at = InThread(record.ledger(cancelled=lambda: True), lambda text: None)
    assert at.step("before", int, (), {}) == 1
    with pytest.raises(StepError, match="step after"):
        at.step("after", int, (), {})


def test_a_context_made_by_hand_has_no_checkpoints() -> None:
    def handler(ctx: StepContext) -> None:
        replace(ctx, checkpoints=None).step("a", int)

    with pytest.raises(StepError, match=r"sisu_kodo\.testing"):
        Rehearsal().run(handler)
