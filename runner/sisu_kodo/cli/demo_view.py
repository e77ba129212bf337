"""What `sisu demo` prints."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..client import Client
from . import render

_FAILURE_LINES = 40
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def title(out: Console, patch: bool) -> None:
    words = "a failing test, a plan, your approval, a repaired project"
    if not patch:
        words = "the same with the patch left out: it must fail, and say why"
    out.print(Text.assemble(("Sisu-Kodo demo", "bold"), f"  {words}\n"))


def fact(out: Console, name: str, words: str) -> None:
    out.print(Text.assemble((f"{name:<10}", "dim"), words))


def heading(out: Console, words: str) -> None:
    out.print()
    out.print(Text(words, style="bold"))


def plan(out: Console, client: Client, run_id: str) -> None:
    """The plan card and the diff, as a reviewer sees them."""
    found = client.artifacts(run_id)
    for each in _of_kind(found, "plan_card"):
        card = _json(client.artifact(each["artifactId"]).body)
        if isinstance(card, dict):
            heading(out, "The plan")
            out.print(Padding(_card(card), (0, 0, 0, 2), expand=False))
    for each in _of_kind(found, "patch"):
        heading(out, f"The diff: {each['name']}")
        text = client.artifact(each["artifactId"]).body.decode("utf-8", "replace")
        for line in _diff(text).rstrip().splitlines():
            out.print(Text(f"  {line}", style=_DIFF_STYLES.get(line[:1], "")))
    if not _of_kind(found, "patch"):
        heading(out, "The diff: none, the patch was left out")


def approved(out: Console) -> None:
    out.print()
    out.print(Text("approved by demo", style="green"))
    out.print()


def timeline(out: Console, rows: Iterable[dict[str, Any]]) -> None:
    """The rows of v_run_timeline in order."""
    heading(out, "Timeline")
    grid = render.table("step", "attempt", "status", "waited", "took", right=("attempt", "waited", "took"))
    for row in sorted(
        rows, key=lambda row: (row["idx"], not row["step_id"].startswith("gate"), row["enqueued_at"])
    ):
        name = f"  task {row['task_key'][:8]}" if row["task_key"] else row["step_id"]
        waited = render.duration(row["waited_ms"]) if row["waited_ms"] is not None else ""
        took = render.duration(row["duration_ms"]) if row["duration_ms"] is not None else ""
        grid.add_row(name, str(row["attempt"]), render.status(row["status"]), waited, took)
    out.print(grid)


def artifacts(out: Console, found: list[dict[str, Any]]) -> None:
    heading(out, "Artifacts")
    out.print(render.artifacts_table(found, out.width))


def failure(out: Console, client: Client, found: list[dict[str, Any]]) -> None:
    """The end of the output of the command that failed."""
    for each in _of_kind(found, "stdout"):
        text = client.artifact(each["artifactId"]).body.decode("utf-8", "replace").rstrip()
        lines = text.splitlines()
        heading(out, f"What the sandbox printed (artifact {each['artifactId']})")
        for line in lines[-_FAILURE_LINES:]:
            out.print(Text(f"  {line}"))


def laws(out: Console, rows: list[dict[str, Any]]) -> None:
    heading(out, "SELECT * FROM app.v_invariants")
    for row in rows:
        out.print(Text(f"  {row['law']}  {row['run_id']}  {row['detail']}", style="red"))
    out.print(Text(f"  ({len(rows)} rows)", style="green" if not rows else "red"))


def ending(out: Console, header: dict[str, Any], replay: bool) -> None:
    """How it ended, and what to do next."""
    out.print()
    line = Text.assemble(render.status(header["status"]))
    line.append(f" after {render.duration(header['updatedAt'] - header['createdAt'])}")
    if header["nextAction"]:
        line.append(f", next: {header['nextAction']}")
    if header["error"]:
        line.append(f"\n{render.error_text(header['error'])}", style="red")
    out.print(line)
    if replay:
        out.print(
            "This was a replay: the same intent is the same run, and nothing was executed twice. "
            "For a new run: make demo ARGS=--new"
        )
    for words in (f"sisu show {header['workflowID']}", "sisu artifact ID", "sisu db psql"):
        out.print(Text(f"  {words}", style="dim"))


def _card(card: dict[str, Any]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_row(Text("goal", style="dim"), str(card.get("goal") or ""))
    for name in ("design", "files", "risks", "tests"):
        for number, each in enumerate(card.get(name) or []):
            words = each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)
            grid.add_row(Text(name if number == 0 else "", style="dim"), Text(words))
    return grid


def _of_kind(found: Iterable[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in found if each["kind"] == kind]


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _diff(text: str) -> str:
    value = _json(text.encode())
    if isinstance(value, dict):
        return str(value.get("diff") or value.get("patch") or text)
    return value if isinstance(value, str) else text
