"""`make bench`: every figure beside the ceiling measured in the same run, as one report."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import psutil
from psycopg.rows import dict_row
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sisu_kodo import database
from sisu_kodo.config import load_config, package_version

from .common import ROOT, one
from .context import Bench
from .ledger import MARKS, TARGETS, aim, bound, number, verdict
from .report import INDEX, Facts, Report, Section, as_json, found_in
from .sections import SECTIONS

RESULTS = ROOT / "bench" / "results"
PARTIAL = ROOT / "build" / "bench"
_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size")
_EPILOG = """
\b
Sections
  throughput  steps/s: 1, 4, 20 steps, fan-out; 1 and 4 runners        5 minutes
  latency     one run at a time                                       <1
  starts      start_run, start_runs                                    1
  claims      1 k to 1 M waiting; 1 M timers; 1 M runs over            5
  fairness    a hot tenant against 99 small ones                       1
  idle        statements of an idle runner                             2
  wal         bytes and round trips a step                            <1
  oracles     views and pages with 1 M runs                            3
  memory      of a runner, over 100,000 runs                           3
  snapshot    a transaction that holds its snapshot, and none         26

\b
Examples
  make bench
  make bench ARGS="--only starts --only latency"
  make bench ARGS=--scale=0.01                 all of it in small: does it work?
A full run writes bench/results, any other build/bench (--out says otherwise).

\b
Exit codes
  0  all sections were measured      1  a section failed      2  wrong usage
"""


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--only", multiple=True, type=click.Choice(list(SECTIONS)), help="These sections; may be repeated."
)
@click.option(
    "--scale", type=click.FloatRange(0.0001, 1), default=1.0, show_default=True, help="Shrink all sizes."
)
@click.option(
    "--snapshot-minutes",
    type=click.FloatRange(0, 600),
    default=10.0,
    show_default=True,
    help="How long the snapshot is held; 0 leaves it out.",
)
@click.option(
    "--memory-runs",
    type=click.IntRange(2000),
    default=100_000,
    show_default=True,
    help="Runs after which a runner is weighed last.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of the report.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON instead of the ledger.")
def main(
    only: tuple[str, ...],
    scale: float,
    snapshot_minutes: float,
    memory_runs: int,
    out: Path | None,
    is_json: bool,
) -> None:
    """Measure everything that is promised of speed, and write one report. About 45 minutes on two cores."""
    server = database.ensure_up(load_config())
    bench = Bench(server, scale, snapshot_minutes, memory_runs)
    names = [name for name in SECTIONS if not only or name in only]
    is_full = scale == 1 and len(names) == len(SECTIONS) and snapshot_minutes >= 10 and memory_runs >= 100_000
    report = Report(facts(server, scale, is_full), out or (RESULTS if is_full else PARTIAL), planned=names)
    console = Console(stderr=is_json, highlight=False, width=None if sys.stdout.isatty() else 110)
    measure(bench, report, console)
    if is_json:
        click.echo(as_json(report), nl=False)
    else:
        show(report, console)
    sys.exit(1 if report.failed else 0)


def measure(bench: Bench, report: Report, console: Console) -> None:
    """Section by section; one that fails is told, and the others go on."""
    report.write()
    with _progress(console, report.planned) as bar:
        for name in report.planned:
            section = run_section(replace(bench, say=bar.say(name)), name)
            report.add(section)
            line = f"{name:<11} {section.seconds:6.0f} s"
            bar.ended(f"{line}  failed: {section.error}" if section.error else line, bool(section.error))


def run_section(bench: Bench, name: str) -> Section:
    """Measure it; an error becomes its result."""
    began = time.perf_counter()
    try:
        section = SECTIONS[name](bench)
    except Exception as error:
        traceback.print_exc()
        first = str(error).strip().partition("\n")[0]
        section = Section(name, name.capitalize(), "", error=f"{type(error).__name__}: {first}")
    return replace(section, seconds=time.perf_counter() - began)


def facts(server: str, scale: float, is_full: bool) -> Facts:
    """The machine, the server, the code."""
    with closing(database.connect(server, row_factory=dict_row)) as conn:
        version = conn.info.parameter_status("server_version") or "?"
        settings = {name: one(conn, "setting", setting=name)["value"] for name in _SETTINGS}
    return Facts(
        version=package_version(),
        commit=_commit(),
        began=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        server=version,
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}",
        cores=os.cpu_count() or 0,
        memory_gb=psutil.virtual_memory().total / 2**30,
        settings=settings,
        scale=scale,
        is_full=is_full,
        load_before=os.getloadavg()[0],
    )


def show(report: Report, console: Console) -> None:
    """The ledger and where the rest is."""
    table = Table(box=None, pad_edge=False)
    for title in ("", "figure", "measured", "target", "aim"):
        table.add_column(title, justify="left" if title in ("", "figure") else "right")
    found = found_in(report.sections)
    for target in TARGETS:
        if (got := found.get(target.key)) is not None:
            mark = MARKS[verdict(target, got)]
            table.add_row(
                mark,
                target.figure,
                number(got.value, target.unit, target.digits),
                bound(target, target.least),
                bound(target, aim(target, got)),
            )
    console.print(table)
    console.print(f"report: {report.folder / INDEX}", soft_wrap=True)


def _commit() -> str:
    """Of the checkout, `…-dirty` when it has changes; `unknown` outside of one."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return told.stdout.strip() if told.returncode == 0 else "unknown"


class _Bar:
    """What the terminal shows: a line per section that has ended, a bar while one is measured."""

    def __init__(self, bar: Progress, console: Console, sections: int) -> None:
        self._bar = bar
        self._console = console
        self._task = bar.add_task("", total=sections)

    def say(self, name: str) -> Callable[[str], None]:
        """Tells what a section is at."""
        return lambda text: self._bar.update(self._task, description=escape(f"{name}: {text}"))

    def ended(self, line: str, is_failure: bool) -> None:
        self._bar.advance(self._task)
        self._console.print(escape(line), style="red" if is_failure else "")


@contextmanager
def _progress(console: Console, planned: Sequence[str]) -> Iterator[_Bar]:
    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        yield _Bar(bar, console, len(planned))


if __name__ == "__main__":
    main()
