"""No sequence of refused calls changes a row, and a refusal is always PT4xx: for every function that somebody may execute."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from .arguments import Arguments, Function, functions, shapes
from .harness import Harness
from .machine import VERSION_OF, intent
from .recipes import NAMES, intent_id, task_key
from .work import MOST_RECOVERIES

EXAMPLES = int(os.environ.get("SISU_MODEL_EXAMPLES", "250"))
CALLS = 8
STATES = (
    "ENQUEUED",
    "PENDING",
    "WAITING_INPUT",
    "SUCCESS",
    "ERROR",
    "CANCELLED",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
)
WORK = "select run_id, idx, task_key, attempt, queue_name, msg_id, read_ct from app.work('w1', %s, %s)"


class Stage:
    """A database with a run in every status, lanes in hand, gates open and answered."""

    def __init__(self, connect: Callable[..., Connection[Any]]) -> None:
        self.harness = Harness(connect)
        self.harness.reset([intent(n) for n in range(11)], VERSION_OF)
        self.conn = self.harness.owner
        self.lanes: list[dict[str, Any]] = []
        self.runs = [intent_id(intent(n)) for n in range(8)]
        for goal, name in enumerate(["asks", "chain", "four", "stubborn", "chain", "chain", "fans"]):
            self._call(
                "select app.start_run(%s, %s)",
                self.runs[goal],
                {"recipeName": name, "queuePartitionKey": f"p{goal}", "priority": goal},
            )
        waits, good, gated, bad, stopped, deadly, fanned, in_line = self.runs
        for run_id in (good, good, gated, gated):
            self._finish(run_id)
        self._finish(bad, status="ERROR", error={"code": "broken", "message": "m"})
        self._call("select app.cancel_run(%s, 'ann', 'x')", stopped)
        for _ in range(MOST_RECOVERIES + 1):
            self._claim(deadly)
            self.harness.age_leases()
            self._call(WORK, [], {"recover": True})
        self._finish(fanned, tasks=[1, 2])
        self.lanes = [self._claim(fanned)]
        self._call("select app.reply_gate(%s, 'sign', '{\"decision\": \"yes\"}', 'a', 'test')", waits)
        works, makes = intent_id(intent(8)), intent_id(intent(9))
        self._call("select app.start_run(%s, %s)", works, {"recipeName": "chain", "priority": 8})
        self._call("select app.start_run(%s, %s)", makes, {"recipeName": "fans", "priority": 9})
        self.lanes += [self._claim(works), self._claim(makes)]
        self._call("select app.start_run(%s, %s)", in_line, {"recipeName": "queues"})
        leases = [{key: lane[key] for key in lane if key != "attempt"} for lane in self.lanes]
        answers = [{"decision": "yes"}, {"decision": "no"}, {"n": 1}]
        self.held: dict[str, list[Any]] = {
            "result": self.lanes,
            "lease": leases,
            "payload": answers,
            "value": ["chain", "live", "2"],
        }
        self._call("select app.put_setting('default_recipe', '\"chain\"')")
        found = {row[0] for row in self.conn.execute("select distinct status from app.runs").fetchall()}
        assert found == set(STATES), found
        self.names: dict[str, list[str]] = {
            "run": self.runs,
            "intent": self.runs,
            "gate": ["approve-plan", "tell", "sign"],
            "worker": ["w1", "w3"],
            "taskkey": ["", task_key(fanned, "A", 1)],
            "partition": ["p0", "p1"],
            "queue": ["intentQ", "sbxQ"],
            "version": ["0.1.0", "v2"],
            "recipename": NAMES,
            "stepid": ["A", "B", "C", "D"],
            "traceid": ["0123456789abcdef0123456789abcdef"],
            "spanid": ["0123456789abcdef"],
            "mediatype": ["text/plain"],
            "body": ["aGk=", ""],
            "name": NAMES,
            "step": ["A", "B", "ExecuteST"],
            "dedupe": ["a", "b"],
            "decision": ["yes", "no"],
            "key": ["default_recipe", "oc_mode", "app_version", "approve-plan"],
        }

    def _call(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        given_ = [Jsonb(one) if isinstance(one, (dict, list)) else one for one in arguments]
        return self.conn.execute(statement.encode(), given_).fetchall()

    def _claim(self, run_id: str) -> dict[str, Any]:
        """The lane of this run; what else is claimed is given back."""
        names = ("runId", "idx", "taskKey", "attempt", "queue", "msgId", "readCt")
        wanted = None
        for queue in ("intentQ", "sbxQ"):
            for row in self._call(WORK, [], {"queues": {queue: 20}, "appVersion": "0.1.0"}):
                lane = dict(zip(names, row, strict=True))
                if lane["runId"] == run_id and wanted is None:
                    wanted = lane
                elif lane not in self.lanes:
                    given_ = {key: lane[key] for key in names if key != "attempt"}
                    self._call("select app.release('w1', %s)", [given_])
        assert wanted is not None, run_id
        return wanted

    def _finish(self, run_id: str, **more: Any) -> None:
        self._call(WORK, [{**self._claim(run_id), "status": "SUCCESS", **more}], {"drain": True})


def test_a_refused_call_is_pt4xx_and_changes_no_row(
    connect: Callable[..., Connection[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(connect)
    harness, conn = stage.harness, stage.conn
    known = functions(conn)
    arguments = Arguments(stage.names, stage.held, shapes(conn))
    counts: Counter[tuple[str, str]] = Counter()
    before = harness.hash()

    def attempt(function: Function, data: st.DataObject) -> None:
        role = data.draw(st.sampled_from(function.roles), label=f"{function.name} as")
        count = data.draw(st.integers(function.required, len(function.arguments)))
        chosen = [
            (name, kind, data.draw(arguments.of(function, name, kind), label=name))
            for name, kind in function.arguments[:count]
        ]
        note(f"{function.name} {chosen}")
        given_ = sql.SQL(", ").join(
            sql.SQL("{} => %s::{}").format(sql.Identifier(name), sql.SQL(kind))
            if name
            else sql.SQL("%s::{}").format(sql.SQL(kind))
            for name, kind, _ in chosen
        )
        conn.execute("savepoint before_the_call")
        conn.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        try:
            statement = sql.SQL("select * from {}({})").format(sql.SQL(function.name), given_)
            conn.execute(statement, [value for _, _, value in chosen]).fetchall()
            outcome = "accepted"
        except psycopg.Error as error:
            outcome = error.sqlstate or "?"
            note(f"→ {outcome} {error}")
            conn.execute("rollback to before_the_call")
            assert outcome.startswith("PT4"), f"{function.name}: {outcome} {error}"
            assert harness.hash(conn) == before, f"{function.name} was refused and wrote"
        else:
            conn.execute("rollback to before_the_call")
        counts[function.name, outcome] += 1

    @settings(
        max_examples=EXAMPLES,
        derandomize="SISU_MODEL_RANDOM" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink]
        if os.environ.get("SISU_MODEL_SHRINK") != "0"
        else [Phase.generate],
    )
    @given(data=st.data())
    def sequences(data: st.DataObject) -> None:
        conn.execute("begin; set local statement_timeout = '10s'")
        try:
            for _ in range(CALLS):
                attempt(data.draw(st.sampled_from(known), label="function"), data)
        finally:
            conn.rollback()

    sequences()
    assert harness.hash() == before
    with capsys.disabled():
        print(f"\n{sum(counts.values())} calls")
        for (name, outcome), count in sorted(counts.items()):
            print(f"  {name:28} {outcome:10} {count}")
