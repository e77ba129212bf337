"""The database side: connections, what one sees in it, and a clean slate between examples."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.types.json import Jsonb

from .mutations import mutate
from .recipes import JSON, RECIPES, TICK_MS
from .work import MOST_RECOVERIES

CALLERS = 3
LOCK_NOT_AVAILABLE = "55P03"

TABLES = """
select c.oid::regclass::text from pg_class as c join pg_namespace as s on s.oid = c.relnamespace
where c.relkind = 'r' and (s.nspname = 'app' or s.nspname = 'pgmq' and c.relname like 'q\\_%') order by 1
"""
PICTURE = """
select jsonb_build_object(
  'runs', (select jsonb_agg(jsonb_build_array(r.run_id, r.status, r.error ->> 'code', r.app_version, r.forked_from, r.intent_id)) from app.runs as r),
  'steps', (select jsonb_agg(jsonb_build_array(s.run_id, s.idx, s.task_key, s.attempt, s.status, s.queue_name, s.cached_from,
      case when s.status = 'ERROR' then s.error ->> 'code' end,
      case when s.status = 'PENDING' and s.msg_id is not null then jsonb_build_array(s.worker, s.msg_id, s.read_ct) end,
      case when s.status = 'PENDING' and s.msg_id is null then s.tasks_open end)) from app.run_steps as s),
  'gates', (select jsonb_agg(jsonb_build_array(g.run_id, g.gate_key, g.status, g.round)) from app.gates as g),
  'timers', (select jsonb_agg(jsonb_build_array(m.run_id, m.kind, case m.kind when 'retry' then m.idx end, m.task_key, m.gate_key))
    from app.timers as m where m.fired_at is null and m.closed_at is null),
  'leases', (select jsonb_agg(jsonb_build_array(l.queue_name, l.msg_id, l.read_ct, l.run_id, l.task_key, l.expires_at < clock_timestamp())) from app.leases() as l),
  'receipts', (select jsonb_agg(jsonb_build_array(m.run_id, m.task_key, m.seen_count)) from app.mock_receipts as m),
  'intents', (select jsonb_agg(i.intent_id) from app.intents as i),
  'artifacts', (select jsonb_agg(jsonb_build_array(a.run_id, a.step_idx, a.task_key, a.attempt, case a.kind when 'none' then 'none' else a.name end) order by a.idx)
    from app.artifacts as a where a.step_idx is not null),
  'audits', (select jsonb_object_agg(run_id, n) from (select a.run_id, count(*) as n from app.artifacts as a where a.step_id = 'OPS' group by 1) as x))
"""
FINAL = """
select concat_ws(' ', s.run_id, s.idx, s.task_key, s.attempt), md5(s::text) from app.run_steps as s where s.status in ('SUCCESS', 'ERROR', 'CANCELLED')
union all select 'artifact ' || a.artifact_id, md5(a::text) from app.artifacts as a
union all select 'intent ' || i.intent_id, md5(i::text) from app.intents as i
"""
AGE = """
with aged as (select q.msg_id from pgmq.{queue} as q where q.vt > clock_timestamp() order by q.msg_id for update skip locked)
update pgmq.{queue} as q set vt = q.vt - interval '1 day' from aged where aged.msg_id = q.msg_id returning q.msg_id
"""


@dataclass(frozen=True)
class Answer:
    """What a call gave: rows, or the SQLSTATE and the code of its refusal."""

    rows: list[tuple[Any, ...]]
    sqlstate: str | None = None
    code: str | None = None
    text: str = ""

    @property
    def value(self) -> Any:
        return self.rows[0][0]


class Harness:
    """One database for all examples: an observer, three callers that may sit in a transaction, an owner."""

    def __init__(self, connect: Callable[..., Connection[Any]]) -> None:
        self.observer, self.owner = connect(), connect()
        self.callers = [connect() for _ in range(CALLERS)]
        for conn in (self.observer, self.owner):
            conn.execute("set plan_cache_mode = force_generic_plan")
        self.tables = [row[0] for row in self.owner.execute(TABLES)]
        hashes = (
            f"(select md5(string_agg(t::text, chr(10) order by t::text)) from {t} as t)"
            for t in self.tables
            if t != "app.queue_samples"  # the pace of the queues: no promise rests on it
        )
        self.everything = f"select md5(concat_ws('|', {', '.join(hashes)}))"
        self.queues = [t.removeprefix("pgmq.") for t in self.tables if t.startswith("pgmq.")]
        self._install()
        # what an installation with recipes has no rows in is what runs leave behind
        self.emptied = [
            t for t in self.tables if not self._one(self.owner, f"select exists (select from {t})")
        ]

    def _install(self) -> None:
        version = "select app.put_setting('app_version', '\"0.1.0\"')"
        self.owner.execute(version)
        if self.owner.execute(
            "select from app.v_arguments where shape = 'setting' and path = 'test_database'"
        ).fetchone():
            self.owner.execute("select app.put_setting('test_database', 'true')")
        # nothing ages: the model knows a line by its order alone
        settings = "max_recoveries = %s, lease_seconds = 3600, ageing_seconds = null"
        self.owner.execute(f"update app.queues set {settings}".encode(), [MOST_RECOVERIES])
        if mistake := os.environ.get("SISU_MODEL_MUTATION"):
            mutate(self.owner, mistake)
        for recipe in RECIPES:
            self.owner.execute("select app.put_recipe(%s)", [Jsonb(recipe.body())])
            self.owner.execute("select app.activate_recipe(%s, %s)", [recipe.name, recipe.version])

    def reset(self, intents: Sequence[JSON], workers: Mapping[str, str]) -> None:
        """As after the installation: no runs, the clock is right, the first chain is active; but for these intents and workers."""
        for conn in self.callers:
            conn.rollback()
            conn.execute("reset all")
            conn.execute("set lock_timeout = '40ms'")
        self.owner.execute(f"truncate {', '.join(self.emptied)} restart identity".encode())
        self.owner.execute("delete from app.settings where key = 'clock_offset'")
        self.owner.execute("select app.set_queue_partitioning(false), app.activate_recipe('chain', 1)")
        for body in intents:
            self.owner.execute("select app.create_intent(%s)", [Jsonb(body)])
        for name, version in workers.items():
            info = {"appVersion": version, "queues": ["intentQ", "sbxQ", "controlQ"], "concurrency": 9}
            self.owner.execute("select app.register_worker(%s, %s)", [name, Jsonb(info)])

    def call(self, conn: Connection[Any], statement: str, *arguments: Any) -> Answer:
        """One statement. What is no refusal of the lattice, and no wait for a lock, is raised."""
        given = [Jsonb(one) if isinstance(one, (dict, list)) else one for one in arguments]
        try:
            return Answer(conn.execute(statement.encode(), given).fetchall())
        except psycopg.Error as error:
            state = error.sqlstate or ""
            if state == LOCK_NOT_AVAILABLE:
                return Answer([], state, None, str(error))
            assert state in ("PT400", "PT404", "PT409"), f"{state} {error}\n{statement} {arguments}"
            detail = json.loads(error.diag.message_detail or "null")
            assert isinstance(detail, dict) and detail.get("code"), f"a refusal without a code: {error}"
            return Answer([], state, detail["code"], str(error))

    def hash(self, conn: Connection[Any] | None = None) -> str:
        """Of every row that a connection sees; without one, of every committed row."""
        return str(self._one(conn or self.observer, self.everything))

    def laws(self, conn: Connection[Any] | None = None) -> list[Any]:
        """The rows of app.v_invariants."""
        return (conn or self.observer).execute("select * from app.v_invariants", prepare=True).fetchall()

    def picture(self, conn: Connection[Any] | None = None) -> JSON:
        """What the model predicts, as the connection sees it."""
        seen = self._one(conn or self.observer, PICTURE)
        assert isinstance(seen, dict)
        return seen

    def finals(self) -> dict[str, str]:
        """What must never change again."""
        return dict(self.observer.execute(FINAL.encode(), prepare=True).fetchall())

    def age_leases(self) -> list[tuple[str, int]]:
        """All leases that no transaction has its hands on run out."""
        aged: list[tuple[str, int]] = []
        names = dict(
            self.owner.execute("select lower('q_' || queue_name), queue_name from app.queues").fetchall()
        )
        for queue in self.queues:
            rows = self.owner.execute(AGE.format(queue=queue).encode()).fetchall()
            aged += [(names[queue], row[0]) for row in rows]
        return aged

    def advance(self, ticks: int) -> None:
        self.owner.execute("select app.advance(%s * interval '1 millisecond')", [ticks * TICK_MS])

    @staticmethod
    def _one(conn: Connection[Any], statement: str) -> Any:
        row = conn.execute(statement.encode(), prepare=True).fetchone()
        assert row is not None
        return row[0]


def differences(expected: JSON, seen: JSON) -> list[str]:
    """Where two pictures differ, in words."""
    found = []
    for part in sorted(expected):
        want, got = _sorted(expected[part]), _sorted(seen.get(part))
        if want != got:
            only_expected = [row for row in want if row not in got]
            only_seen = [row for row in got if row not in want]
            found.append(f"{part}: the contract says {only_expected}, the database {only_seen}")
    return found


def _sorted(rows: Sequence[Any] | JSON | None) -> list[str]:
    if isinstance(rows, dict):
        rows = list(rows.items())
    return sorted(json.dumps(row) for row in rows or [])
