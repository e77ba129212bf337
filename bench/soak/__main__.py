"""`make wf:intent:chaos:soak`: the soak in a scratch database of the configured server."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

import click

from bench.common import scratch_database
from sisu_kodo import database
from sisu_kodo.config import Config, load_config
from sisu_kodo.database.errors import DatabaseError

from . import view
from .play import SABOTAGES, Options, Report, soak

_EPILOG = """
\b
Examples
  make wf:intent:chaos:soak
  make wf:intent:chaos:soak ARGS="--rounds 3 --seed 7"
  make wf:intent:chaos:soak ARGS="--rounds 1 --break late-commits"      must end with 1

\b
Exit codes
  0 everything ended as it must, exactly once      2 wrong usage
  1 it did not, or too little happened that could have gone wrong
"""


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True)
@click.option("--seed", type=int, help="The same script and the same strikes again.  [default: random]")
@click.option("--runners", type=click.IntRange(1, 20), default=3, show_default=True)
@click.option("--lease", type=click.IntRange(1, 60), default=1, show_default=True, metavar="SECONDS")
@click.option(
    "--patience",
    type=click.FloatRange(1),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a round may take.",
)
@click.option(
    "--break", "sabotage", type=click.Choice(SABOTAGES), help="Break the engine first: the soak must find it."
)
@click.option("--keep", is_flag=True, help="When something is wrong, leave the database and the logs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    rounds: int,
    seed: int | None,
    runners: int,
    lease: int,
    patience: float,
    sabotage: str | None,
    keep: bool,
    as_json: bool,
) -> None:
    """Run batches while runners are killed, stopped and cut off; count what happened twice.

    A seed repeats the script and what strikes; processes and their timing are the machine's.
    """
    drawn = secrets.randbelow(10**6) if seed is None else seed
    options = Options(rounds, drawn, runners, lease, patience, sabotage)
    try:
        report = run(load_config(), options, keep, as_json)
    except DatabaseError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(0 if report.ok else 1)


def run(config: Config, options: Options, keep: bool, as_json: bool) -> Report:
    """The soak in a scratch database; shown while it goes on. Raises DatabaseError."""
    report: Report | None = None

    def wanted() -> bool:
        return keep and (report is None or not report.ok)

    server = database.ensure_up(config)
    folder = Path(tempfile.mkdtemp(prefix="sisu-soak-"))
    try:
        with scratch_database(server, "soak", wanted) as dsn, view.progress(options, as_json) as shown:
            report = soak(dsn, folder, options, shown.round, shown.tick)
    finally:
        if not wanted():
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2, default=str))
    else:
        view.verdict(report, f"{dsn}, logs in {folder}" if wanted() else None)
    return report


if __name__ == "__main__":
    main(prog_name="soak")
