"""How the soak looks: a line per round, a bar while it goes on, the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from .play import Options, Report, RoundReport

_MOST_FINDINGS = 20
_COLUMNS = (
    # title, field
    ("runs", "runs"),
    ("tasks", "tasks"),
    ("attempts", "attempts"),
    ("kills", "kills"),
    ("poison", "suicides"),
    ("backends", "terminated"),
    ("stops", "stops"),
    ("drains", "drains"),
    ("lost", "lost"),
    ("refused", "refused"),
    ("duplicates", "duplicates"),
    ("laws", "broken_laws"),
    ("wrong", "wrong"),
)
_LEGEND = (
    "kills: SIGKILL; poison: a handler that kills its runner; backends: pg_terminate_backend;\n"
    "stops: SIGSTOP past the lease; drains: SIGTERM; lost: attempts that lost their worker;\n"
    "refused: commits that were fenced off; laws: rows of app.v_invariants; wrong: runs that ended otherwise"
)


class Shown:
    """Prints rounds as they end; `bar` may be switched off."""

    def __init__(self, console: Console, bar: Progress, rounds: int) -> None:
        self._console = console
        self._bar = bar
        self._task = bar.add_task("", total=rounds)

    def tick(self, number: int, ended: int, runs: int) -> None:
        self._bar.update(self._task, description=f"round {number}: {ended} of {runs} runs have ended")

    def round(self, report: RoundReport) -> None:
        self._bar.advance(self._task)
        line = _line(str(report.number), [_count(report, name) for _, name in _COLUMNS], report.seconds)
        self._console.print(line, style="red" if report.findings else "")


@contextmanager
def progress(options: Options, quiet: bool) -> Iterator[Shown]:
    """Header, rounds and bar for the length of the block. Only a terminal gets the bar."""
    console = Console(quiet=quiet, highlight=False, soft_wrap=True)
    broken = f", broken on purpose: {options.sabotage}" if options.sabotage else ""
    facts = f"{options.runners} runners, leases of {options.lease} s{broken}"
    console.print(f"{options.rounds} rounds, seed {options.seed}, {facts}")
    console.print(_LEGEND, style="dim")
    console.print(_header(), style="bold")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        yield Shown(console, bar, options.rounds)


def verdict(report: Report, evidence: str | None) -> None:
    """Totals, what was found, and the answer."""
    out = Console(highlight=False, soft_wrap=True)
    out.print(_line("all", [report.total(name) for _, name in _COLUMNS], report.seconds), style="bold")
    findings = report.findings
    for found in findings[:_MOST_FINDINGS]:
        out.print(f"[red]{escape(found.what)}[/]  {found.run_id}  {escape(found.detail)}")
    if len(findings) > _MOST_FINDINGS:
        out.print(f"… and {len(findings) - _MOST_FINDINGS} more (--json has all)")
    if evidence is not None:
        out.print(f"kept: {escape(evidence)}")
    if report.ok:
        out.print(
            f"[green]survived[/]: {report.total('runs')} runs ended as they must; every result, artifact and"
            " receipt was committed exactly once; no law is broken"
        )
    elif findings:
        out.print(f"[red]broken[/]: {len(findings)} findings; again with --seed {report.options.seed}")
    else:
        out.print("[red]no proof[/]: too little happened; more --rounds")


def _header() -> str:
    return "".join(["round", *(f"{title:>{_width(title)}}" for title, _ in _COLUMNS), f"{'seconds':>9}"])


def _line(name: str, values: list[int], seconds: float) -> str:
    cells = (f"{value:>{_width(title)},}" for (title, _), value in zip(_COLUMNS, values, strict=True))
    return "".join([f"{name:>5}", *cells, f"{seconds:>9.1f}"])


def _width(title: str) -> int:
    return max(len(title), 5) + 2


def _count(report: RoundReport, name: str) -> int:
    value = getattr(report, name)
    return len(value) if isinstance(value, list) else int(value)
