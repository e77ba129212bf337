"""Rules: people. Gates, cancel, resume, repair, fork; the clock; transactions; reads; hands on the tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg

from . import calls, work
from .actions import action, any_of, between
from .harness import CALLERS, Answer
from .machine import GOALS, Machine, Mismatch, intent, same
from .recipes import JSON, intent_id
from .rules_start import CALLER
from .world import LIVE, TERMINAL, Refused, World

PICK = between(0, 9999)
DRY = any_of([False, False, False, True])
DEDUPE = any_of([None, None, "a", "b"])
DECISION = any_of(["yes", "yes", "yes", "no"])
STATUS = any_of(["ENQUEUED", "PENDING", "WAITING_INPUT", *TERMINAL])
CHANGE = any_of(["output = '1'", "worker = 'x'", "status = 'PENDING'", "ended_at = now()"])
LEGAL = {
    ("ENQUEUED", "PENDING"), ("ENQUEUED", "ERROR"), ("ENQUEUED", "CANCELLED"), ("PENDING", "WAITING_INPUT"),
    ("PENDING", "SUCCESS"), ("PENDING", "ERROR"), ("PENDING", "CANCELLED"), ("PENDING", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"),
    ("WAITING_INPUT", "PENDING"), ("WAITING_INPUT", "ERROR"), ("WAITING_INPUT", "CANCELLED"), ("CANCELLED", "ENQUEUED"),
    ("WAITING_INPUT", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"), ("MAX_RECOVERY_ATTEMPTS_EXCEEDED", "ENQUEUED"), ("ERROR", "ENQUEUED"),
}  # fmt: skip
ROWS_OF = """
select md5(concat((select r::text from app.runs as r where r.run_id = %(id)s),
  (select string_agg(s::text, chr(10) order by s::text) from app.run_steps as s where s.run_id = %(id)s),
  (select string_agg(g::text, chr(10) order by g::text) from app.gates as g where g.run_id = %(id)s),
  (select string_agg(p::text, chr(10) order by p::text) from app.gate_replies as p where p.run_id = %(id)s),
  (select string_agg(m::text, chr(10) order by m::text) from app.timers as m where m.run_id = %(id)s),
  (select string_agg(a::text, chr(10) order by a::text) from app.artifacts as a where a.run_id = %(id)s and a.step_id <> 'OPS')))
"""
SET_STATUS = """
update app.runs set status = %(to)s, started_at = app.now(), error = '{"code": "x", "message": "x"}',
  ended_at = case when %(to)s = any (%(terminal)s) then app.now() end
where run_id = %(id)s
"""


class ControlRules(Machine):
    def pick_run(self, caller: int, pick: int) -> str:
        """A run that is there, mostly; else one that nobody started."""
        runs = sorted(self.view(caller).all_runs())
        return runs[pick % len(runs)] if runs and pick % 40 else "ih_" + "0" * 64

    def pick_with(self, caller: int, pick: int, *statuses: str) -> str:
        """A run of one of these statuses when there is one, and not always."""
        runs = self.view(caller).all_runs()
        fitting = sorted(run_id for run_id, run in runs.items() if run.status in statuses)
        return fitting[pick % len(fitting)] if fitting and pick % 4 else self.pick_run(caller, pick)

    def pick_gated(self, caller: int, pick: int, key: str) -> str:
        """A run that has the gate, mostly one that waits."""
        runs = {r: run for r, run in self.view(caller).all_runs().items() if run.recipe.gate(key)}
        waiting = sorted(r for r, run in runs.items() if run.status == "WAITING_INPUT")
        chosen = waiting if waiting and pick % 4 else sorted(runs)
        return chosen[pick % len(chosen)] if chosen and pick % 16 else self.pick_run(caller, pick)

    # --- gates ------------------------------------------------------------------------------------------------------

    @action(
        weight=lambda self: 3 if self.has("WAITING_INPUT") else 0.7,
        when=lambda self: any(run.recipe.gate("approve-plan") for run in self.base.runs.values()),
        caller=CALLER,
        pick=PICK,
        by=any_of(["ann", "ann", "bob"]),
        decision=DECISION,
        dedupe=DEDUPE,
    )
    def approve_plan(self, caller: int, pick: int, by: str, decision: str, dedupe: str | None) -> None:
        run_id = self.pick_gated(caller, pick, "approve-plan")
        notes = "not this" if decision == "no" else None
        self.perform(
            "approve_plan", caller, "select app.approve_plan(%s, %s, %s, %s, %s)", [run_id, by, notes, decision, dedupe],
            lambda world, answer: same(calls.approve_plan(world, run_id, by, notes, decision, dedupe), answer.value),
            targets=[run_id],
        )  # fmt: skip

    @action(
        weight=lambda self: 3 if self.has("WAITING_INPUT") else 0.7,
        when=lambda self: any(run.recipe.gate("sign") for run in self.base.runs.values()),
        caller=CALLER, pick=PICK, key=any_of(["tell", "sign", "sign", "approve-plan", "other"]),
        payload=any_of([{"decision": "yes"}, {"decision": "yes", "more": 1}, {"decision": "no"}, {"n": 1}]),
        dedupe=any_of(["a", "b"]),
    )  # fmt: skip
    def reply_gate(self, caller: int, pick: int, key: str, payload: JSON, dedupe: str) -> None:
        run_id = self.pick_gated(caller, pick, key)
        if (open_doors := self.open_doors(caller)) and pick % 3:
            run_id, key = open_doors[pick % len(open_doors)]
        self.answer(caller, run_id, key, payload, dedupe)

    def open_doors(self, caller: int) -> list[tuple[str, str]]:
        """The gates that wait for an answer."""
        runs = self.view(caller).all_runs()
        return [
            (r, key) for r, run in runs.items() for key, door in run.doors.items() if door.status == "OPEN"
        ]

    def answer(self, caller: int, run_id: str, key: str, payload: JSON, dedupe: str) -> None:
        self.perform(
            "reply_gate", caller, "select app.reply_gate(%s, %s, %s, %s, 'test')", [run_id, key, payload, dedupe],
            lambda world, answer: same(calls.reply_gate(world, run_id, key, payload, dedupe), answer.value),
            targets=[run_id],
        )  # fmt: skip

    # --- control ----------------------------------------------------------------------------------------------------

    def control(
        self, op: str, caller: int, run_id: str, dry: bool, model: Callable[[World, str, bool], JSON]
    ) -> None:
        self.perform(
            op, caller, f"select app.{op}(%s, 'ann', 'because', %s)", [run_id, dry],
            lambda world, answer: same(model(world, run_id, dry), answer.value),
            targets=[run_id],
        )  # fmt: skip

    @action(weight=lambda self: 2 if self.has(*LIVE) else 0.3, caller=CALLER, pick=PICK, dry=DRY)
    def cancel(self, caller: int, pick: int, dry: bool) -> None:
        live = ("WAITING_INPUT",) if pick % 3 == 0 else ("ENQUEUED", "PENDING", "WAITING_INPUT")
        self.control("cancel_run", caller, self.pick_with(caller, pick, *live), dry, calls.cancel_run)

    @action(
        weight=lambda self: 3 if self.has("CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED") else 0.3,
        caller=CALLER,
        pick=PICK,
        dry=DRY,
    )
    def resume(self, caller: int, pick: int, dry: bool) -> None:
        run_id = self.pick_with(caller, pick, "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
        self.control("resume_run", caller, run_id, dry, calls.resume_run)

    @action(weight=lambda self: 4 if self.has("ERROR") else 0.3, caller=CALLER, pick=PICK, dry=DRY)
    def repair(self, caller: int, pick: int, dry: bool) -> None:
        self.control("repair_run", caller, self.pick_with(caller, pick, "ERROR"), dry, calls.repair_run)

    @action(
        weight=2,
        caller=CALLER, pick=PICK, step_n=between(0, 4), dry=DRY,
        version=any_of([None, None, "v2"]), patch=any_of([None, None, {"mended": True}]),
    )  # fmt: skip
    def fork(
        self, caller: int, pick: int, step_n: int, dry: bool, version: str | None, patch: JSON | None
    ) -> None:
        run_id = self.pick_run(caller, pick)
        source, conn = self.view(caller).find(run_id), self.harness.callers[caller]
        body = self._intent_of(source.intent) if source else {}
        before = conn.execute(ROWS_OF, {"id": run_id}).fetchone()
        answer = self.perform(
            "fork_run", caller, "select app.fork_run(%s, %s, 'ann', 'because', %s, %s, %s)",
            [run_id, step_n, version, patch, dry],
            lambda world, answer: same(calls.fork_run(world, run_id, step_n, version, patch, body, dry), answer.value),
            targets=[run_id, source.root or run_id] if source else [],
        )  # fmt: skip
        if answer and conn.execute(ROWS_OF, {"id": run_id}).fetchone() != before:
            raise Mismatch(f"the fork touched its source {run_id}")

    @staticmethod
    def _intent_of(wid: str) -> JSON:
        """The body of an intent, by its id: one of the goals, mended or not."""
        plain = [intent(goal) for goal in range(GOALS)]
        mended = [{**body, "inputs": {**body["inputs"], "mended": True}} for body in plain]
        return next(body for body in [*plain, *mended] if intent_id(body) == wid)

    # --- time, transactions -----------------------------------------------------------------------------------------

    @action(weight=1, ticks=any_of([1, 2, 1, 4]))
    def advance(self, ticks: int) -> None:
        with self.by_owner("advance"):
            self.harness.advance(ticks)
            self.base.clock += ticks
        self.verify()

    @action(weight=2, when=lambda self: len(self.open) < CALLERS - 1, caller=CALLER)
    def begin(self, caller: int) -> None:
        caller = self.free(caller)
        self.harness.callers[caller].execute("begin")
        self.open[caller] = World(self.base)
        self.count("begin", "done")

    @action(weight=6, when=lambda self: self.open, pick=PICK)
    def commit(self, pick: int) -> None:
        caller = sorted(self.open)[pick % len(self.open)]
        self.harness.callers[caller].commit()
        world = self.open.pop(caller)
        self.tell_claims(world)
        world.merge()
        self.count("commit", "done")
        self.verify()

    @action(when=lambda self: self.open, pick=PICK)
    def rollback(self, pick: int) -> None:
        before = self.harness.hash()
        self.abort(sorted(self.open)[pick % len(self.open)])
        if self.harness.hash() != before:
            raise Mismatch("what was rolled back is there")
        self.count("rollback", "done")

    # --- reads, and hands on the tables -----------------------------------------------------------------------------

    @action(caller=CALLER, pick=PICK)
    def read(self, caller: int, pick: int) -> None:
        run_id = self.pick_run(caller, pick)

        def predict(world: World, answer: Answer) -> None:
            expected = calls.header(world, run_id)
            header, steps, explained, listed, waiting, gates = answer.rows[0]
            same(expected, header)
            seen = [[s["idx"], s["status"], s["attempt"]] for s in steps if not s.get("taskKey")]
            if seen != calls.steps(world, run_id):
                raise Mismatch(f"get_steps says {seen}, expected {calls.steps(world, run_id)}")
            runs = world.all_runs()
            open_gates = sum(d.status == "OPEN" for run in runs.values() for d in run.doors.values())
            line = sum(a.status == "ENQUEUED" for run in runs.values() for a in run.attempts)
            found = (explained, listed, waiting, gates)
            if found != (expected["status"], len(runs), line, open_gates):
                raise Mismatch(f"the oracles say {found}")

        self.perform(
            "read", caller,
            """select app.get_run(%s), app.get_steps(%s), (app.explain_run(%s)).status,
              jsonb_array_length(app.list_runs('{"limit": 1000}') -> 'runs'),
              (select coalesce(sum(enqueued), 0)::integer from app.v_ops_queue_depth), (select count(*)::integer from app.v_gates_open)""",
            [run_id] * 3, lambda world, answer: predict(world, answer) if answer.rows else calls.header(world, run_id),
        )  # fmt: skip

    @action(pick=PICK, final=any_of([False, True]), to=STATUS, change=CHANGE)
    def by_owner_hand(self, pick: int, final: bool, to: str, change: str) -> None:
        if final:
            self.change_final(pick, change)
        else:
            self.set_status(pick, to)

    def set_status(self, pick: int, to: str) -> None:
        """The owner's own UPDATE: an illegal transition is PT409 for everybody."""
        runs = {r: run for r, run in self.base.all_runs().items() if r not in self.others(-1)}
        illegal = sorted(r for r, run in runs.items() if run.status != to and (run.status, to) not in LEGAL)
        if not illegal:
            return
        given = {"to": to, "terminal": list(TERMINAL), "id": illegal[pick % len(illegal)]}
        self.by_hand("set status", SET_STATUS, given)

    def change_final(self, pick: int, change: str) -> None:
        runs = {r: run for r, run in self.base.all_runs().items() if r not in self.others(-1)}
        final = [
            (run_id, a.idx, a.task, a.number)
            for run_id, run in sorted(runs.items())
            for a in run.attempts
            if a.status in ("SUCCESS", "ERROR", "CANCELLED")
        ]
        if final:
            run_id, idx, task, number = final[pick % len(final)]
            where = "run_id = %(id)s and idx = %(idx)s and task_key = %(task)s and attempt = %(n)s"
            given = {"id": run_id, "idx": idx, "task": task, "n": number}
            self.by_hand("change a final attempt", f"update app.run_steps set {change} where {where}", given)

    def by_hand(self, action: str, statement: str, given: JSON) -> None:
        before = self.harness.hash()
        try:
            self.harness.owner.execute(statement.encode(), given)
        except psycopg.Error as error:
            if error.sqlstate != "PT409":
                raise Mismatch(f"{action}: {error.sqlstate} {error}") from error
        else:
            raise Mismatch(f"{action} was not refused: {given}")
        if self.harness.hash() != before:
            raise Mismatch(f"{action} was refused and wrote")
        self.count(action, "refused PT409")

    @action(
        caller=CALLER, pick=PICK,
        case=any_of(["actor", "step", "gate", "result", "want", "lease", "filter", "worker", "artifact", "intent"]),
    )  # fmt: skip
    def malformed(self, caller: int, pick: int, case: str) -> None:
        """Calls whose shape is wrong: PT400 before anything else is looked at."""
        run_id = self.pick_run(caller, pick)
        lane = {"runId": run_id, "idx": 0, "taskKey": "", "queue": "intentQ", "msgId": 1, "readCt": "0"}
        statements: dict[str, tuple[str, list[Any]]] = {
            "actor": ("select app.cancel_run(%s, ' ', null)", [run_id]),
            "step": ("select app.fork_run(%s, -1, 'ann', 'x')", [run_id]),
            "gate": ("select app.reply_gate(%s, 'sign', '[]', 'a', 'x')", [run_id]),
            "result": ("select app.work('w1', %s)", [[{**lane, "attempt": 1, "status": "DONE"}]]),
            "want": (
                "select app.work('w1', '[]', %s)",
                [{"queues": {"intentQ": -1, "nowhere": 1}, "more": 1}],
            ),
            "lease": ("select app.release('w1', %s)", [[lane]]),
            "filter": ("select app.list_runs(%s)", [{"status": "ODD", "limit": 0}]),
            "worker": ("select app.register_worker('w1', %s)", [{"appVersion": "", "queues": "intentQ"}]),
            "artifact": ("select app.get_artifact(%s)", [0]),
            "intent": (
                "select app.create_intent(%s)",
                [{"goal": " ", "inputs": [], "more": json.dumps(run_id)}],
            ),
        }
        statement, arguments = statements[case]

        def refuse(world: World, answer: Answer) -> None:
            raise Refused("PT400", "schema_violation")

        self.perform("malformed", caller, statement, arguments, refuse)


__all__ = ["ControlRules", "work"]
