"""The callers' verbs from Python: one method, one function of the schema, errors translated."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from psycopg import Connection
from psycopg.rows import dict_row

from . import database
from .errors import translated
from .models import JSON
from .queries import query
from .telemetry.spans import run_span_id
from .traces import trace_url

TERMINAL = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
"""Statuses that a run does not leave by itself."""


@dataclass(frozen=True)
class StoredArtifact:
    """An artifact with its bytes; `sha256` is theirs."""

    artifact_id: int
    run_id: str
    step_id: str
    kind: str
    name: str
    media_type: str
    size: int
    sha256: str
    body: bytes


class Client:
    """Calls on one autocommit connection. Every method raises SisuError. `trace_base_url` (TRACE_BASE_URL)
    gives the headers of runs their `traceUrl`.
    """

    def __init__(self, connection: Connection[Any], trace_base_url: str | None = None) -> None:
        self._connection = connection
        self._trace_base_url = trace_base_url

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Calls within the block commit together, or not at all."""
        with self._connection.transaction():
            yield

    def put_recipe(self, recipe: Mapping[str, JSON], activate: bool = True) -> dict[str, Any]:
        """`{name, version, status, isReplay}`; the version put is the active one afterwards."""
        put = self._object("put_recipe", recipe=json.dumps(recipe))
        if activate:
            self.activate_recipe(put["name"], put["version"])
        return put

    def activate_recipe(self, name: str, version: int | None = None) -> dict[str, Any]:
        """`{name, version}`; None is the newest version."""
        return self._object("activate_recipe", name=name, version=version)

    def recipes(self) -> list[dict[str, Any]]:
        """All versions, newest first."""
        return self._rows("recipes")

    def create_intent(self, intent: Mapping[str, JSON]) -> dict[str, Any]:
        """`{intentId, isReplay}`"""
        return self._object("create_intent", intent=json.dumps(intent))

    def start_run(self, intent_id: str, **options: JSON) -> dict[str, Any]:
        """Run header and `isReplay`; options that are None are left out."""
        given = {name: value for name, value in options.items() if value is not None}
        return self._header(self._object("start_run", intent_id=intent_id, options=json.dumps(given)))

    def start_runs(self, runs: Sequence[Mapping[str, JSON]]) -> list[dict[str, Any]]:
        """Many at once, all or nothing; the answers in the same order."""
        return [self._header(each) for each in self._list("start_runs", runs=json.dumps(runs))]

    def approve_plan(
        self,
        run_id: str,
        approved_by: str,
        notes: str | None = None,
        decision: str = "yes",
        dedupe_key: str | None = None,
        shown_sha256: str | None = None,
    ) -> dict[str, Any]:
        """`{accepted, workflowID, approvedAt, isReplay, missing?}`"""
        return self._object(
            "approve_plan",
            run_id=run_id,
            approved_by=approved_by,
            notes=notes,
            decision=decision,
            dedupe_key=dedupe_key,
            shown_sha256=shown_sha256,
        )

    def reply_gate(
        self,
        run_id: str,
        gate_key: str,
        payload: Mapping[str, JSON],
        dedupe_key: str,
        origin: str,
        shown_sha256: str | None = None,
    ) -> dict[str, Any]:
        """`{ok, isReplay, repliedAt, missing?}`"""
        return self._object(
            "reply_gate",
            run_id=run_id,
            gate_key=gate_key,
            payload=json.dumps(payload),
            dedupe_key=dedupe_key,
            origin=origin,
            shown_sha256=shown_sha256,
        )

    def sleep_run(self, run_id: str, ms: int) -> dict[str, Any]:
        """Run header, `isReplay` and `wakeAt` (epoch ms)."""
        return self._header(self._object("sleep_run", run_id=run_id, ms=ms))

    def control(
        self, action: str, run_id: str, actor: str, reason: str, dry_run: bool = False
    ) -> dict[str, Any]:
        """`action` is cancel, resume or repair: `{accepted, workflowID, status, dryRun}`"""
        return self._object(f"{action}_run", run_id=run_id, actor=actor, reason=reason, dry_run=dry_run)

    def fork(
        self,
        run_id: str,
        step_n: int,
        actor: str,
        reason: str,
        *,
        app_version: str | None = None,
        inputs: Mapping[str, JSON] | None = None,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """`{accepted, workflowID, forkedWorkflowID, stepN, dryRun}`"""
        return self._object(
            "fork_run",
            run_id=run_id,
            step_n=step_n,
            actor=actor,
            reason=reason,
            app_version=app_version,
            inputs=None if inputs is None else json.dumps(inputs),
            dry_run=dry_run,
        )

    def explain(self, run_id: str) -> dict[str, Any]:
        """`{run_id, status, why, held_by, since, next_at, unblock}`"""
        return self._rows("explain_run", run_id=run_id)[0]

    def control_batch(
        self, action: str, selection: Mapping[str, JSON], actor: str, reason: str, dry_run: bool = False
    ) -> list[dict[str, Any]]:
        """`action` is cancel, resume or repair, `selection` is `{runIds}` or `{filter}`.

        One `{run_id, accepted, status, code, message, forked_run_id}` per run, in the order given.
        """
        chosen = json.dumps(selection)
        return self._rows(f"{action}_batch", selection=chosen, actor=actor, reason=reason, dry_run=dry_run)

    def fork_batch(
        self,
        selection: Mapping[str, JSON],
        step_n: int,
        actor: str,
        reason: str,
        *,
        app_version: str | None = None,
        inputs: Mapping[str, JSON] | None = None,
        dry_run: bool = False,
    ) -> list[dict[str, Any]]:
        """Rows as those of control_batch; forked_run_id names the fork."""
        return self._rows(
            "fork_batch",
            selection=json.dumps(selection),
            step_n=step_n,
            actor=actor,
            reason=reason,
            app_version=app_version,
            inputs=None if inputs is None else json.dumps(inputs),
            dry_run=dry_run,
        )

    def redrive(
        self, queue_name: str, actor: str, reason: str, max_runs: int = 100, dry_run: bool = False
    ) -> list[dict[str, Any]]:
        """Resumes the dead lanes of a queue, oldest first; rows as those of control_batch."""
        return self._rows(
            "redrive", queue_name=queue_name, actor=actor, reason=reason, max_runs=max_runs, dry_run=dry_run
        )

    def pause_queue(
        self,
        queue_name: str,
        actor: str,
        reason: str,
        *,
        partition: str | None = None,
        pause: bool = True,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Pauses a queue or a partition, or lets go on: `{accepted, queueName, paused, pausedAt, dryRun}`"""
        which = {} if partition is None else {"partition_key": partition}
        name = f"{'pause' if pause else 'unpause'}_{'queue' if partition is None else 'partition'}"
        return self._object(name, queue_name=queue_name, actor=actor, reason=reason, dry_run=dry_run, **which)

    def set_limits(
        self, queue_name: str, limits: Mapping[str, JSON], actor: str, reason: str, *, dry_run: bool = False
    ) -> dict[str, Any]:
        """`{accepted, queueName, limits, dryRun}`; None takes a limit away, one left out stays."""
        return self._object(
            "set_limits",
            queue_name=queue_name,
            limits=json.dumps(limits),
            actor=actor,
            reason=reason,
            dry_run=dry_run,
        )

    def set_partition(
        self,
        queue_name: str,
        partition: str,
        options: Mapping[str, JSON],
        actor: str,
        reason: str,
        *,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """`{accepted, queueName, partition, weight, maxRunning, dryRun}`; options `{weight, maxRunning}`."""
        return self._object(
            "set_partition",
            queue_name=queue_name,
            partition_key=partition,
            options=json.dumps(options),
            actor=actor,
            reason=reason,
            dry_run=dry_run,
        )

    def purge_runs(
        self,
        older_than: timedelta,
        actor: str,
        reason: str,
        *,
        statuses: Sequence[str] | None = None,
        max_runs: int = 1000,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Purges runs that ended longer ago, the oldest first: `{accepted, purged, bodies, more, dryRun}`"""
        chosen = None if statuses is None else list(statuses)
        return self._object(
            "purge_runs",
            older_than=older_than,
            actor=actor,
            reason=reason,
            statuses=chosen,
            max_runs=max_runs,
            dry_run=dry_run,
        )

    def fork_diff(self, a: str, b: str) -> list[dict[str, Any]]:
        """What run b did otherwise than run a, a row per step."""
        return self._rows("fork_diff", a=a, b=b)

    def inbox(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What needs a human, most urgent first."""
        return self._rows("inbox", kind=kind)

    def gates_open(self, limit: int = 1000) -> list[dict[str, Any]]:
        """Gates that wait for a human, with the call that answers each."""
        return self._rows("gates_open", limit=limit)

    def slow_steps(self) -> list[dict[str, Any]]:
        """How long steps take, slowest first."""
        return self._rows("slow_steps")

    def queue_depth(self) -> list[dict[str, Any]]:
        """What waits and what is at work, per queue and partition."""
        return self._rows("queue_depth")

    def queue_fairness(self) -> list[dict[str, Any]]:
        """Weight, slots, tokens and share of each partition."""
        return self._rows("queue_fairness")

    def run(self, run_id: str) -> dict[str, Any]:
        """The run header."""
        return self._header(self._object("get_run", run_id=run_id))

    def steps(self, run_id: str) -> list[dict[str, Any]]:
        """Steps and tasks, latest attempt of each, in order."""
        return self._list("get_steps", run_id=run_id)

    def gates(self, run_id: str) -> list[dict[str, Any]]:
        return self._list("list_gates", run_id=run_id)

    def artifacts(self, run_id: str) -> list[dict[str, Any]]:
        """Artifacts without their bytes."""
        return self._list("list_artifacts", run_id=run_id)

    def artifact(self, artifact_id: int) -> StoredArtifact:
        with translated(), self._connection.cursor() as cursor:
            row = cursor.execute(query("get_artifact"), {"artifact_id": artifact_id}).fetchone()
        assert row is not None, "app.get_artifact answers with a row or an error"
        return StoredArtifact(*row)

    def runs(self, **wanted: JSON) -> dict[str, Any]:
        """`{runs, nextCursor}`; filters: status, name, limit, cursor."""
        given = {name: value for name, value in wanted.items() if value is not None}
        page = self._object("list_runs", filter=json.dumps(given))
        return {**page, "runs": [self._header(each) for each in page["runs"]]}

    def timeline(self, run_id: str) -> list[dict[str, Any]]:
        return self._rows("timeline", run_id=run_id)

    def put_schedule(
        self, schedule: Mapping[str, JSON], actor: str, reason: str, dry_run: bool = False
    ) -> dict[str, Any]:
        """`{accepted, name, paused, nextAt, isNew, isReplay, dryRun}`"""
        return self._object(
            "put_schedule", schedule=json.dumps(schedule), actor=actor, reason=reason, dry_run=dry_run
        )

    def control_schedule(
        self, action: str, name: str, actor: str, reason: str, dry_run: bool = False
    ) -> dict[str, Any]:
        """`action` is pause, unpause or delete: `{accepted, name, paused, nextAt, dryRun}`"""
        return self._object(f"{action}_schedule", name=name, actor=actor, reason=reason, dry_run=dry_run)

    def schedules(self) -> list[dict[str, Any]]:
        """The rows of `app.v_schedules`, by name."""
        return self._rows("schedules")

    def cron_ticks(
        self, expression: str, timezone: str, after: datetime | None = None, n: int = 5
    ) -> list[datetime]:
        """The next `n` ticks of a cron expression; after the engine's now unless `after` is given."""
        rows = self._rows("cron_ticks", expression=expression, timezone=timezone, after=after, n=n)
        return [row["tick"] for row in rows]

    def broken_laws(self) -> list[dict[str, Any]]:
        """The rows of `app.v_invariants`: empty is healthy."""
        return self._rows("invariants")

    def _header(self, header: dict[str, Any]) -> dict[str, Any]:
        span_id = run_span_id(header["workflowID"])
        return {**header, "traceUrl": trace_url(self._trace_base_url, header["traceId"], span_id)}

    def _object(self, statement: str, /, **arguments: Any) -> dict[str, Any]:
        return cast(dict[str, Any], self._value(statement, arguments))

    def _list(self, statement: str, /, **arguments: Any) -> list[dict[str, Any]]:
        return cast(list[dict[str, Any]], self._value(statement, arguments))

    def _value(self, statement: str, arguments: Mapping[str, Any]) -> Any:
        with translated():
            row = self._connection.execute(query(statement), arguments).fetchone()
        return row[0] if row else None

    def _rows(self, name: str, **arguments: Any) -> list[dict[str, Any]]:
        with translated(), self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query(name), arguments).fetchall()


@contextmanager
def connected(dsn: str, trace_base_url: str | None = None) -> Iterator[Client]:
    """A client on a connection of its own, closed after the block. Raises DatabaseError, SisuError."""
    with closing(database.connect(dsn)) as connection:
        yield Client(connection, trace_base_url)
