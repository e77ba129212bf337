"""What the database says after a round: figures, duplicates, broken laws, runs that ended otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from sisu_kodo.client import Client
from sisu_kodo.models import JSON

from .script import Part, Stage
from .statements import STATEMENTS


@dataclass(frozen=True)
class Finding:
    """Something that must not be. `what` is the promise, `detail` how it is broken."""

    what: str
    run_id: str
    detail: str


@dataclass(frozen=True)
class Figures:
    """Sizes of a set of runs. `lost` are attempts whose worker was lost or gave them back."""

    runs: int
    tasks: int
    attempts: int
    lost: int


def figures(conn: Connection[Any], run_ids: list[str] | None = None) -> Figures:
    """Sizes of these runs, or of all."""
    return Figures(**_rows(conn, "figures", run_ids)[0])


def duplicates(conn: Connection[Any], run_ids: list[str] | None = None) -> list[Finding]:
    """What was committed more often than once, or where it does not belong; of these runs, or of all."""
    return [Finding(**row) for row in _rows(conn, "duplicates", run_ids)]


def broken_laws(client: Client) -> list[Finding]:
    """The rows of `app.v_invariants`."""
    return [Finding(row["law"], row["run_id"], row["detail"]) for row in client.broken_laws()]


def wrong_ends(stage: Stage) -> list[Finding]:
    """Runs that did not end as the script says, with what they wait for or why they failed."""
    rows = {row["run_id"]: row for row in _rows(stage.conn, "outputs", stage.run_ids)}
    found: list[Finding] = []
    for part in stage.parts:
        row = rows[part.run_id]
        kind = part.role.kind
        if part.surprise is not None:
            found.append(Finding("the script can be played", part.run_id, f"{kind}: {part.surprise}"))
        if row["status"] != part.expected:
            why = row["error"] or stage.client.explain(part.run_id)["why"]
            detail = f"{kind}: {row['status']} instead of {part.expected}: {why}"
            found.append(Finding("a run ends as the script says", part.run_id, detail))
        elif part.expected == "SUCCESS" and not _as_written(part, row["output"]):
            detail = f"{kind}: the last step's output is {str(row['output'])[:300]}"
            found.append(Finding("a run makes what the script says", part.run_id, detail))
    return found


def _as_written(part: Part, output: JSON) -> bool:
    if part.role.tasks:
        return [task["status"] for task in output["tasks"]] == ["SUCCESS"] * part.role.tasks
    return part.role.output is None or bool(output == part.role.output)


def _rows(conn: Connection[Any], statement: str, run_ids: list[str] | None) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(STATEMENTS[statement], {"run_ids": run_ids}).fetchall()
