"""How runs look: tables in a terminal, plain lines where there is none, JSON on request."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.segment import Segment
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

STYLES = {
    "SUCCESS": "green",
    "ERROR": "red",
    "PENDING": "cyan",
    "WAITING_INPUT": "yellow",
    "CANCELLED": "magenta",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "red",
}
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PLAIN_WIDTH = 160
_WIDE = 135


class _Terminal(Console):
    """Prints texts as they are: brackets and colons are no markup, control characters are left out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render(self, *given: Any, **options: Any) -> Iterator[Segment]:
        for each in super().render(*given, **options):
            yield each if each.control else each._replace(text=_CONTROLS.sub("", each.text))


def console() -> Console:
    """Standard output: as wide as the terminal, or wide enough for a sha256 when it is none."""
    if sys.stdout.isatty():
        return _Terminal()
    return _Terminal(width=_PLAIN_WIDTH, soft_wrap=True)


def say_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def started(header: dict[str, Any], as_json: bool) -> None:
    """What `sisu start` answers."""
    if as_json:
        say_json(header)
        return
    out = console()
    recipe = header["recipe"]
    what = "replay: this run exists already" if header["isReplay"] else "started"
    out.print(Text.assemble((header["workflowID"], "bold"), f"  {what}"))
    out.print(Text.assemble(f"{recipe['name']} v{recipe['version']}  ", status(header["status"])))


def approved(answer: dict[str, Any], refused: bool, as_json: bool) -> None:
    """What `sisu approve` answers."""
    if as_json:
        say_json(answer)
        return
    word = "rejected" if refused else "approved"
    replay = " (replay)" if answer.get("isReplay") else ""
    console().print(f"{answer['workflowID']}  plan {word}{replay}{_missing(answer)}")


def replied(answer: dict[str, Any], as_json: bool) -> None:
    """What `sisu reply` answers."""
    if as_json:
        say_json(answer)
        return
    console().print(("answered before" if answer["isReplay"] else "answered") + _missing(answer))


def _missing(answer: dict[str, Any]) -> str:
    return f"; {answer['missing']} more have to say yes" if answer.get("missing") else ""


def run(details: dict[str, Any], as_json: bool) -> None:
    """A run as a whole: `{run, steps, gates, artifacts}`."""
    if as_json:
        say_json(details)
        return
    out = console()
    out.print(header_lines(details["run"]))
    if details["steps"]:
        out.print(steps_table(details["steps"]))
    if waiting := [gate for gate in details["gates"] if gate["status"] == "OPEN"]:
        out.print(gates_table(waiting))
    if details["artifacts"]:
        out.print(artifacts_table(details["artifacts"], out.width))


def gates_table(gates: Iterable[dict[str, Any]]) -> Table:
    """Open gates: what is asked, until when, and the hash of what is shown."""
    grid = table("gate", "asks for", "title", "until", "shown", fold=("title",))
    for gate in gates:
        kind = gate["kind"] if gate["quorum"] == 1 else f"{gate['kind']} of {gate['quorum']}"
        grid.add_row(
            gate["gateKey"], kind, gate["title"] or "", moment(gate["expiresAt"]), gate["shownSha256"] or ""
        )
    return grid


def runs(page: dict[str, Any], as_json: bool) -> None:
    """A page of `app.list_runs`: a table, or in a narrow terminal the whole id and a line below it."""
    if as_json:
        say_json(page)
        return
    if not page["runs"]:
        console().print("no runs")
        return
    out = console()
    grid = table("created", "run", "recipe", "status", "next", fold=("run",))
    for each in page["runs"]:
        recipe, word = f"{each['recipe']['name']} v{each['recipe']['version']}", status(each["status"])
        when, further = clock(each["createdAt"]), each["nextAction"] or ""
        if out.width >= _WIDE:
            grid.add_row(when, each["workflowID"], recipe, word, further)
        else:
            out.print(Text(each["workflowID"], style="bold"), soft_wrap=True)
            out.print(Text.assemble(f"  {when}  {recipe}  ", word, f"  {further}".rstrip()), soft_wrap=True)
    if out.width >= _WIDE:
        out.print(grid)
    if page.get("nextCursor"):
        out.print(f"more: sisu list --cursor {page['nextCursor']}", style="dim", soft_wrap=True)


def recipe_put(answer: dict[str, Any], draft: bool, as_json: bool) -> None:
    """What `sisu recipe put` and `activate` answer."""
    if as_json:
        say_json(answer)
        return
    again = "  replay: nothing changed" if answer["isReplay"] else ""
    console().print(f"{answer['name']} v{answer['version']}  {'draft' if draft else 'active'}{again}")


def recipes(found: list[dict[str, Any]], as_json: bool) -> None:
    """All recipe versions."""
    if as_json:
        say_json(found)
        return
    grid = table("recipe", "version", "status", "steps", right=("version",), fold=("steps",))
    for each in found:
        grid.add_row(
            each["name"],
            str(each["version"]),
            each["status"],
            ", ".join(each["steps"]),
        )
    console().print(grid)


def header_lines(header: dict[str, Any]) -> RenderableType:
    """Two lines on a run, and more for its error and its trace."""
    recipe = header["recipe"]
    first = Text.assemble((header["workflowID"], "bold"))
    second = Text.assemble(f"{recipe['name']} v{recipe['version']}  ", status(header["status"]))
    if header.get("nextAction"):
        second.append(f"  next: {header['nextAction']}", style="bold")
    if header.get("stale"):
        second.append("  stale: no worker is at it", style="yellow")
    lines = [first, second]
    if header.get("error"):
        lines.append(Text(error_text(header["error"]), style="red"))
    if header.get("traceUrl"):
        lines.append(Text(f"trace: {header['traceUrl']}", style="dim", no_wrap=True, overflow="ignore"))
    return Group(*lines)


def steps_table(steps: Iterable[dict[str, Any]]) -> RenderableType:
    """Steps and tasks with attempt, status and duration; what failed says why below."""
    errors = []
    grid = table("step", "attempt", "status", "started", "took", right=("attempt", "took"))
    for step in steps:
        grid.add_row(
            step_name(step),
            str(step["attempt"]),
            status(step["status"]),
            clock(step["startedAt"]),
            took(step),
        )
        if step.get("error"):
            errors.append(Text(f"{step_name(step).strip()}: {error_text(step['error'])}", style="red"))
    return Group(grid, *errors)


def artifacts_table(artifacts: Iterable[dict[str, Any]], width: int) -> Table:
    """Artifacts with the whole sha256: a column of its own, or under the name in a narrow terminal."""
    if width >= _WIDE:
        grid = table("id", "step", "kind", "name", "bytes", "sha256", right=("id", "bytes"), fold=("name",))
        for each in artifacts:
            number, size = str(each["artifactId"]), str(each["size"])
            grid.add_row(number, each["stepID"], each["kind"], each["name"], size, each["sha256"])
        return grid
    grid = table("id", "artifact, sha256", "bytes", right=("id", "bytes"), fold=("artifact, sha256",))
    for each in artifacts:
        name = Text(f"{each['stepID']}  {each['kind']}  {each['name']}\n")
        grid.add_row(str(each["artifactId"]), name.append(each["sha256"], style="dim"), str(each["size"]))
    return grid


def step_name(step: dict[str, Any]) -> str:
    """`ExecuteST`, or `ExecuteST task 1f0c2b7e` for a fan-out task."""
    key = step.get("taskKey")
    return f"  task {key[:8]}" if key else str(step["stepID"])


def status(word: str) -> Text:
    return Text(word, style=STYLES.get(word, "dim"))


def error_text(error: Any) -> str:
    """Code and first line of an error column."""
    if not isinstance(error, dict):
        return str(error)
    message = str(error.get("message") or "").strip().partition("\n")[0]
    return f"{error.get('code')}: {message}" if message else str(error.get("code"))


def clock(epoch_ms: int | None) -> str:
    """Local wall clock of a time in epoch milliseconds; empty for none."""
    return (
        datetime.fromtimestamp(epoch_ms / 1000).strftime("%H:%M:%S.%f")[:-3] if epoch_ms is not None else ""
    )


def moment(epoch_ms: int | None) -> str:
    """Local date and time of a time in epoch milliseconds; empty for none."""
    return datetime.fromtimestamp(epoch_ms / 1000).strftime("%Y-%m-%d %H:%M") if epoch_ms is not None else ""


def took(step: dict[str, Any]) -> str:
    """Duration between startedAt and endedAt."""
    if step.get("startedAt") is None or step.get("endedAt") is None:
        return ""
    return duration(step["endedAt"] - step["startedAt"])


def duration(milliseconds: float) -> str:
    """`12 ms`, `1.25 s`, `2 min 05 s`"""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.2f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


class View:
    """Progress of a run: a table redrawn in place, or a line for each change."""

    def __init__(
        self, screen: Live | None, out: Console | None, seen: set[tuple[str, int, str]] | None = None
    ) -> None:
        self._screen = screen
        self._out = out
        self._seen = set() if seen is None else seen

    def update(self, header: dict[str, Any], steps: list[dict[str, Any]]) -> None:
        """Show the state of now."""
        if self._screen is not None:
            self._screen.update(_progress(header, steps))
        elif self._out is not None:
            self._lines(self._out, header, steps)

    def _lines(self, out: Console, header: dict[str, Any], steps: list[dict[str, Any]]) -> None:
        for step in steps:
            if step["status"] != "ENQUEUED":
                word = Text.assemble(f"{step_name(step).strip():<16} ", status(step["status"]))
                again = f"  attempt {step['attempt']}" if step["attempt"] > 1 else ""
                self._line(
                    out,
                    step_name(step),
                    step["attempt"],
                    step["status"],
                    word.append(f"{again}  {took(step)}"),
                )
        word = Text.assemble(f"{'run':<16} ", status(header["status"]))
        if header["nextAction"]:
            word.append(f"  next: {header['nextAction']}")
        self._line(out, "run", 0, header["status"], word)

    def _line(self, out: Console, name: str, attempt: int, word: str, line: Text) -> None:
        if (name, attempt, word) not in self._seen:
            self._seen.add((name, attempt, word))
            out.print(Text(f"{datetime.now():%H:%M:%S}  ", style="dim") + line)


@contextmanager
def live(as_json: bool = False, seen: set[tuple[str, int, str]] | None = None) -> Iterator[View]:
    """A view for the length of the block; silent for JSON. `seen` are the changes told before."""
    if as_json:
        yield View(None, None)
        return
    out = console()
    if not out.is_terminal:
        yield View(None, out, seen)
        return
    with Live(console=out, refresh_per_second=10, transient=True) as screen:
        yield View(screen, None)


def _progress(header: dict[str, Any], steps: list[dict[str, Any]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for step in steps:
        running = step["status"] == "PENDING"
        mark: RenderableType = Spinner("dots", style="cyan") if running else _mark(step["status"])
        again = f"attempt {step['attempt']}" if step["attempt"] > 1 else ""
        grid.add_row(mark, step_name(step), status(step["status"]), took(step), again)
    foot = Text.assemble("run ", status(header["status"]))
    if header["nextAction"]:
        foot.append(f"  next: {header['nextAction']}", style="bold")
    return Group(grid, foot)


def _mark(word: str) -> Text:
    marks = {"SUCCESS": "✓", "ERROR": "✗", "CANCELLED": "–", "ENQUEUED": "·"}
    return Text(marks.get(word, "·"), style=STYLES.get(word, "dim"))


def table(*columns: str, right: tuple[str, ...] = (), fold: tuple[str, ...] = ()) -> Table:
    """The house table: no borders but a rule under the header; `fold` columns wrap, the others are cut."""
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim", padding=(0, 1))
    for column in columns:
        grid.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="fold" if column in fold else "ellipsis",
            no_wrap=column not in fold,
        )
    return grid
