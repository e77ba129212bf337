"""Small mistakes in the engine's SQL, each of which the machine has to find.

`SISU_MODEL_MUTATION=<name>` makes one of them in the test's own database; the run of the machine must then be red. `python -m tests.model.mutations`
makes them one after the other and tells after how many steps each was found.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection


@dataclass(frozen=True)
class Mutation:
    """In the function `app.<function>`, `old` becomes `new`."""

    function: str
    old: str
    new: str


MUTATIONS = {
    "any worker commits": Mutation("accept_results", "s.worker = accept_results.worker and", ""),
    "any read count commits": Mutation("accept_results", "and s.read_ct = g.read_ct", ""),
    "gates stay open": Mutation("close_runs", "and g.status = 'OPEN'", "and g.status = 'OPEN' and false"),
    "timers stay open": Mutation("close_runs", "and m.closed_at is null", "and m.closed_at is null and m.kind = 'retry'"),
    "tasks in line stay": Mutation("close_runs", "s.msg_id is null", "s.msg_id is null and s.task_key = ''"),
    "resume takes ERROR": Mutation("allowed_statuses", "array['CANCELLED',", "array['CANCELLED', 'ERROR',"),
    "retries are not counted": Mutation("retry_or_give_up", "p.used < case", "0 < case"),
    "retries are counted since the start": Mutation(
        "retry_or_give_up", "s.ended_at >= coalesce(r.reopened_at, '-infinity')", "true"
    ),
    "lost workers use up attempts": Mutation("retry_or_give_up", "and not s.lost and s.ended_at", "and s.ended_at"),
    "a step may kill workers for ever": Mutation("lose_leases", "a.in_a_row >= a.max_recoveries", "false"),
    "giving back is losing": Mutation("lose_leases", "lose_leases.code = 'lease_expired' and a.in_a_row", "a.in_a_row"),
    "an unwanted task is tried again": Mutation("is_wanted", "p.tasks_open > 0", "true"),
    "the second reply counts": Mutation("reply_gate", "earlier.payload <> reply_gate.payload", "earlier.payload is null"),
    "a gate has no end": Mutation("check_reply", "gate.expires_at <= t", "false"),
    "a late answer does not stop the end of a gate": Mutation("settle_gate", "m.kind = 'gate_ttl'", "m.kind = 'retry'"),
    "a join counts one too few": Mutation("join_tasks", "s.tasks_open > 0", "s.tasks_open > 1"),
    "any version is claimed": Mutation("pick", "and s.app_version = version", ""),
    "priority is not looked at": Mutation("pick", "order by s.priority, s.queue_seq", "order by s.queue_seq"),
    "dry runs write": Mutation("control_run", "if not is_dry then", "if true then"),
    "receipts count twice": Mutation("keep_receipts", "(run_id, task_key, first_seen, last_seen)\n  select a.run_id, a.task_key, t, t", "(run_id, task_key, seen_count, first_seen, last_seen)\n  select a.run_id, a.task_key, 2, t, t"),
    "what succeeded runs again": Mutation("fan_out", "k.status in ('ERROR', 'CANCELLED')", "k.status in ('ERROR', 'CANCELLED', 'SUCCESS')"),
    "lane is no drift": Mutation("check_drift", "app.drift('lane', r.lane, q.lane),", ""),
    "a fork forgets the gates": Mutation("copy_steps", "g.run_id = source and g.status = 'ANSWERED'", "g.run_id = source and g.status = 'OPEN'"),
    "a fork reuses what failed": Mutation("copy_steps", "s.idx < step_n and", "s.idx <= step_n and"),
    "a cancel is not told": Mutation("heartbeat", "r.ended_at is not null or", ""),
    "timers fire early": Mutation("fire_timers", "d.fire_at <= t order by", "d.fire_at <= t + interval '5 minutes' order by"),
    "a claim waits": Mutation("pick", "for update skip locked", "for update"),
}  # fmt: skip


def mutate(conn: Connection[Any], name: str) -> None:
    """Makes the mistake. AssertionError when the function does not look like that any more."""
    one = MUTATIONS[name]
    row = conn.execute(
        "select pg_get_functiondef(oid) from pg_proc where pronamespace = 'app'::regnamespace and proname = %s",
        [one.function],
    ).fetchone()
    assert row is not None and one.old in row[0], f"mutation {name!r}: app.{one.function} has changed"
    conn.execute(row[0].replace(one.old, one.new).encode())


def main() -> int:
    """Runs the machine once per mistake; the exit code is the number of those that it did not find."""
    chosen = sys.argv[1:] or list(MUTATIONS)
    missed = 0
    for name in chosen:
        variables = {**os.environ, "SISU_MODEL_MUTATION": name, "SISU_MODEL_SHRINK": "0"}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", "tests/model/test_stateful.py"]
        done = subprocess.run(
            command, cwd=Path(__file__).parents[2], env=variables, capture_output=True, text=True, check=False
        )
        steps = re.search(r"after (\d+) calls", done.stdout)
        why = re.search(r"Mismatch: (.*)|^E +(AssertionError: .*)", done.stdout, re.MULTILINE)
        found = done.returncode == 1 and steps is not None
        missed += not found
        reason = (why[1] or why[2])[:110] if why else done.stdout[-300:]
        print(
            f"{name:38} {'after ' + steps[1] + ' calls' if found and steps else 'NOT FOUND'}: {reason}",
            flush=True,
        )
    return missed


if __name__ == "__main__":
    sys.exit(main())
