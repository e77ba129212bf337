"""How `sisu ops` looks: blocks for ids and calls to paste, tables for figures, JSON on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import click
from rich.text import Text

from . import render

KINDS = ("gate", "paused queue", "paused partition", "stalled", "overdue timer", "dead lane", "failed")
"""Kinds of the inbox, as `app.v_ops_inbox` names them."""

_KIND_STYLES = {
    "gate": "yellow",
    "paused queue": "magenta",
    "paused partition": "magenta",
    "stalled": "red",
    "overdue timer": "red",
    "dead lane": "red",
    "failed": "red",
}
_LONGEST_REASON = 160
_USUAL_AGEING = 600
"""Seconds, as a queue has it from the start."""


def batch(action: str, rows: list[dict[str, Any]], dry_run: bool, as_json: bool) -> None:
    """What a control action did to each run; how many, on standard error."""
    if as_json:
        render.say_json(rows)
        return
    out = render.console()
    done = 0
    for row in rows:
        if row["accepted"]:
            done += 1
            what = row["forked_run_id"] or row["status"]
            line = Text(f"{row['run_id']}  {action}{' (dry run)' if dry_run else ''}: ")
            line.append(what, style=render.STYLES.get(what, ""))
        else:
            line = Text.assemble(f"{row['run_id']}  {action}: ", (_refusal(row), "red"))
        out.print(line, soft_wrap=True)
    if len(rows) != 1:
        would = "would be done" if dry_run else "done"
        click.echo(f"{done} {would}, {len(rows) - done} refused" if rows else "no runs fit", err=True)


def queue_switched(answer: dict[str, Any], as_json: bool) -> None:
    """What `sisu ops pause` and `unpause` answer."""
    if as_json:
        render.say_json(answer)
        return
    stands = f"paused since {render.clock(answer['pausedAt'])[:8]}" if answer["paused"] else "served"
    render.console().print(
        f"{_place(answer)}  {stands}{' (dry run: as it was)' if answer['dryRun'] else ''}", soft_wrap=True
    )


def limits(answer: dict[str, Any], as_json: bool) -> None:
    """What `sisu ops limits` answers."""
    if as_json:
        render.say_json(answer)
        return
    said = limits_text(answer["limits"]) or "no limits"
    render.console().print(f"{_place(answer)}  {said}{_dry(answer)}", soft_wrap=True)


def partition_set(answer: dict[str, Any], as_json: bool) -> None:
    """What `sisu ops weight` answers."""
    if as_json:
        render.say_json(answer)
        return
    most = "" if answer["maxRunning"] is None else f", {answer['maxRunning']} at once"
    render.console().print(f"{_place(answer)}  weight {answer['weight']}{most}{_dry(answer)}", soft_wrap=True)


def limits_text(limits: dict[str, Any]) -> str:
    """`10 at once, 50/30s, 3 at once per partition`; ageing only where it is not the usual."""
    parts = []
    for at_once, rate, each in (
        ("maxRunning", "rate", ""),
        ("maxRunningPerPartition", "ratePerPartition", " per partition"),
        ("maxRunningPerWorker", "", " per worker"),
    ):
        if (most := limits.get(at_once)) is not None:
            parts.append(f"{most} at once{each}")
        if (pace := limits.get(rate)) is not None:
            parts.append(f"{pace['limit']}/{pace['seconds']}s{each}")
    if (ageing := limits.get("ageingSeconds")) != _USUAL_AGEING:
        parts.append("no ageing" if ageing is None else f"ageing after {span(ageing)}")
    return ", ".join(parts)


def camel(name: str) -> str:
    """`max_running` as `maxRunning`."""
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


def purge_progress(total: dict[str, Any]) -> None:
    """How far `sisu ops purge --all` has come, to standard error."""
    click.echo(f"\r{total['purged']} runs, {total['bodies']} bodies …", nl=not total["more"], err=True)


def purged(total: dict[str, Any], as_json: bool) -> None:
    """What `sisu ops purge` did, or would do."""
    if as_json:
        render.say_json(total)
    elif total["dryRun"]:
        render.console().print(
            f"{total['purged']}{' or more' if total['more'] else ''} runs would go (dry run)"
        )
    else:
        more = "; there are more: --all takes them too" if total["more"] else ""
        render.console().print(f"{total['purged']} runs and {total['bodies']} bodies purged{more}")


def explanations(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Rows of `app.explain_run`; one row alone is one JSON object."""
    if as_json:
        render.say_json(rows[0] if len(rows) == 1 else rows)
        return
    out = render.console()
    for row in rows:
        out.print(Text.assemble((row["run_id"], "bold"), "  ", render.status(row["status"])), soft_wrap=True)
        for name in ("why", "held_by", "since", "next_at", "unblock"):
            if row[name] is not None:
                line = Text.assemble((f"{name.replace('_', ' '):<9}", "dim"), str(row[name]))
                out.print(line, soft_wrap=True)


def so_many(rows: list[dict[str, Any]], each: int | None) -> list[dict[str, Any]]:
    """The first `each` items of every kind of the inbox; None: all."""
    seen: Counter[str] = Counter()
    found = []
    for row in rows:
        seen[row["kind"]] += 1
        if each is None or seen[row["kind"]] <= each:
            found.append(row)
    return found


def inbox(rows: list[dict[str, Any]], each: int) -> None:
    """What needs a human, at most `each` of a kind."""
    out = render.console()
    if not rows:
        out.print("nothing needs a human")
        return
    total = Counter(str(row["kind"]) for row in rows)
    out.print(Text(", ".join(f"{count} {kind}" for kind, count in total.items()), style="bold"))
    for row in so_many(rows, each):
        kind = str(row["kind"])
        where = "/".join(filter(None, (row["queue_name"], row["partition_key"])))
        until = f"  ends in {span((row['deadline'] - _now(row)).total_seconds())}" if row["deadline"] else ""
        head = Text.assemble("\n", (f"{kind:<14}", _KIND_STYLES.get(kind, "")), f"{span(row['age_s']):>7}  ")
        out.print(head.append("  ".join(filter(None, (row["recipe"], where))) + until), soft_wrap=True)
        known = not row["run_id"] or row["run_id"] in row["call"]
        _indented(row["reason"], None if known else row["run_id"], row["call"])
    for kind, count in total.items():
        if count > each:
            out.print(f"\n{count - each} more: sisu ops inbox --kind '{kind}' --limit {count}", style="dim")


def failed(page: dict[str, Any], as_json: bool) -> None:
    """Runs that ended in ERROR."""
    if as_json:
        render.say_json(page)
        return
    out = render.console()
    if not page["runs"]:
        out.print("no runs")
    for run in page["runs"]:
        error, recipe = run["error"] or {}, run["recipe"]
        when = datetime.fromtimestamp(run["updatedAt"] / 1000).strftime("%d %b %H:%M:%S")
        out.print(Text.assemble((run["workflowID"], "bold")), soft_wrap=True)
        words = f"  {when}  {recipe['name']} v{recipe['version']}  {error.get('stepID') or ''}".rstrip()
        out.print(Text.assemble(words, "  ", (_short(render.error_text(error)), "red")), soft_wrap=True)


def gates(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Open gates, each with the call that answers it."""
    if as_json:
        render.say_json(rows)
        return
    out = render.console()
    if not rows:
        out.print("no gate is open")
    now = datetime.now(UTC)
    for row in rows:
        ends = f"  ends in {span((row['expires_at'] - now).total_seconds())}" if row["expires_at"] else ""
        head = Text.assemble((row["gate_key"], "yellow"), f"  {row['kind']} before {row['before_step']}")
        age = span((now - row["opened_at"]).total_seconds())
        missing = f"  {row['missing']} have to say yes" if row["missing"] > 1 else ""
        out.print(head.append(f"  open for {age}{ends}{missing}"), soft_wrap=True)
        _indented(row["title"], row["answer_with"])


def diff(a: str, b: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    """Two runs, step by step."""
    if as_json:
        render.say_json(rows)
        return
    out = render.console()
    out.print(Text.assemble(("a  ", "dim"), a), soft_wrap=True)
    out.print(Text.assemble(("b  ", "dim"), b), soft_wrap=True)
    grid = render.table(
        "step", "a", "b", "output", "tasks", "artifacts that differ", fold=("artifacts that differ",)
    )
    for row in rows:
        output = "cached" if row["cached"] else "same" if row["same_output"] else "differs"
        if not row["cached"] and row["output_a"] is None and row["output_b"] is None:
            output = ""
        tasks = f"{row['tasks_a']} {row['tasks_b']}" if row["tasks_a"] or row["tasks_b"] else ""
        grid.add_row(
            row["step_id"],
            _attempt(row["status_a"], row["attempt_a"]),
            _attempt(row["status_b"], row["attempt_b"]),
            Text(output, style="yellow" if output == "differs" else ""),
            tasks,
            ", ".join(row["artifacts"]),
        )
    out.print(grid)


def slow(rows: list[dict[str, Any]], as_json: bool) -> None:
    """How long steps take."""
    if as_json:
        render.say_json(rows)
        return
    if not rows:
        render.console().print("no step has ended")
        return
    counts = ("attempts", "retries", "lost", "failed")
    times = ("p50", "p95", "max", "in line p95")
    grid = render.table("recipe", "step", counts[0], *times, *counts[1:], right=(*counts, *times))
    for row in rows:
        step = row["step_id"] if row["part"] == "step" else f"{row['step_id']} task"
        took = [render.duration(row[name]) for name in ("p50_ms", "p95_ms", "max_ms", "waited_p95_ms")]
        further = [str(row[name] or "") for name in counts[1:]]
        grid.add_row(row["recipe"], step, str(row["attempts"]), *took, *further)
    render.console().print(grid)


def queues(rows: list[dict[str, Any]], as_json: bool) -> None:
    """What waits and what is at work."""
    if as_json:
        render.say_json(rows)
        return
    right = ("in line", "at work", "expired", "oldest", "empty in")
    grid = render.table(
        "queue", "partition", *right, "limits", "paused", right=right, fold=("limits", "paused")
    )
    shown: set[str] = set()
    for row in rows:
        oldest = "" if row["oldest_age_s"] is None else span(row["oldest_age_s"])
        expired = Text(str(row["expired"] or ""), style="red")
        paused = f"by {row['paused_by']}: {row['pause_reason']}" if row["paused_at"] else ""
        drained = "" if row["drain_s"] is None else span(row["drain_s"])
        waiting = f"{'~' if row['is_estimated'] else ''}{row['enqueued']}"
        figures = (waiting, str(row["pending"]), expired, oldest, drained)
        said = "" if row["queue_name"] in shown else limits_text(row["limits"])
        shown.add(row["queue_name"])
        grid.add_row(row["queue_name"], row["partition_key"], *figures, said, Text(paused, style="magenta"))
    render.console().print(grid)


def span(seconds: float) -> str:
    """`12 s`, `5 min`, `3 h`, `2 d`: as coarse as a glance needs."""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{max(0, seconds) // size:.0f} {unit}"
    return f"{seconds // 86400:.0f} d"


def _place(answer: dict[str, Any]) -> str:
    """The queue, or queue/partition."""
    return "/".join([answer["queueName"], *([answer["partition"]] if "partition" in answer else [])])


def _dry(answer: dict[str, Any]) -> str:
    return " (dry run: not set)" if answer["dryRun"] else ""


def _refusal(row: dict[str, Any]) -> str:
    """Why not, without the id that stands before it already."""
    if row["status"] is None:
        return "refused, there is no such run"
    why: str = row["message"]
    return (
        "refused, it " + why.removeprefix(f"run {row['run_id']} ")
        if why.startswith("run ")
        else f"refused, {why}"
    )


def _attempt(status: str | None, attempt: int | None) -> Text:
    if status is None:
        return Text("-", style="dim")
    return render.status(status).append(f" #{attempt}" if attempt and attempt > 1 else "", style="dim")


def _now(row: dict[str, Any]) -> datetime:
    """The engine's clock when the row was read."""
    moment: datetime = row["since"]
    return datetime.fromtimestamp(moment.timestamp() + row["age_s"], UTC)


def _indented(*lines: str | None) -> None:
    """Lines below a heading; the last is a statement, to be pasted as it stands."""
    *words, call = lines
    out = render.console()
    for line in words:
        if line:
            out.print(Text(f"  {_short(line)}"), soft_wrap=True)
    out.print(Text(f"  {call};", style="cyan"), soft_wrap=True)


def _short(text: str) -> str:
    first = text.strip().partition("\n")[0]
    return first if len(first) <= _LONGEST_REASON else first[: _LONGEST_REASON - 1] + "…"


def ids(found: Iterable[str | None]) -> None:
    """Run ids, one per line, each once, for a pipe."""
    for run_id in dict.fromkeys(found):
        if run_id:
            click.echo(run_id)
