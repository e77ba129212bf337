"""Rounds: start a batch, let the fleet suffer until all of it has ended, ask the oracle."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from psycopg import Connection

from sisu_kodo import database
from sisu_kodo.client import Client

from . import oracle
from .fleet import Fleet, Hits, fleet
from .oracle import Finding
from .recipes import RECIPES
from .script import Stage, roles
from .statements import STATEMENTS

_SABOTAGE = "sabotage_"
SABOTAGES = tuple(
    name.removeprefix(_SABOTAGE).replace("_", "-") for name in STATEMENTS if name.startswith(_SABOTAGE)
)
"""Ways to break the engine, so that one can see the soak find it."""
_TICK = 0.03
_SETTLE = 0.5


@dataclass(frozen=True)
class Options:
    """`lease` in whole seconds; `patience`: how long a round may take; `sabotage` breaks the engine first."""

    rounds: int = 20
    seed: int = 0
    runners: int = 3
    lease: int = 1
    patience: float = 60.0
    sabotage: str | None = None


@dataclass(frozen=True)
class RoundReport:
    """One round. `refused` are results of workers that no longer held the lease, as they logged them."""

    number: int
    seconds: float
    runs: int
    tasks: int
    attempts: int
    lost: int
    kills: int
    suicides: int
    terminated: int
    stops: int
    drains: int
    refused: int
    duplicates: list[Finding] = field(default_factory=list)
    broken_laws: list[Finding] = field(default_factory=list)
    wrong: list[Finding] = field(default_factory=list)

    @property
    def findings(self) -> list[Finding]:
        return [*self.duplicates, *self.broken_laws, *self.wrong]


@dataclass(frozen=True)
class Report:
    """The whole soak. `late` was found at the end, over all runs; `log` counts the runners' own words."""

    options: Options
    rounds: list[RoundReport]
    late: list[Finding]
    log: dict[str, int]
    seconds: float

    def total(self, column: str) -> int:
        """Sum of a number, or of the lengths of a list, over the rounds."""
        values = [getattr(each, column) for each in self.rounds]
        return sum(len(value) if isinstance(value, list) else value for value in values)

    @property
    def findings(self) -> list[Finding]:
        return [*(found for each in self.rounds for found in each.findings), *self.late]

    @property
    def ok(self) -> bool:
        """Nothing was found, and there was something to survive."""
        return not self.findings and self.is_proof

    @property
    def is_proof(self) -> bool:
        """Whether anything happened at all that could have gone wrong."""
        return all(self.total(column) > 0 for column in ("kills", "terminated", "stops", "lost"))

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok, "isProof": self.is_proof}


def soak(
    dsn: str,
    folder: Path,
    options: Options,
    on_round: Callable[[RoundReport], None] = lambda report: None,
    on_tick: Callable[[int, int, int], None] = lambda number, ended, runs: None,
    until_duplicate: bool = False,
) -> Report:
    """Play the rounds in the database `dsn`, which is migrated and the soak's own; files go to `folder`.

    `on_round(report)` is called after each round, `on_tick(round, runs that ended, runs)` all the time.
    `until_duplicate` ends with the first round that has one.
    """
    rng = Random(options.seed)
    began = time.monotonic()
    with closing(database.connect(dsn, application_name="sisu soak")) as conn:
        prepare(dsn, conn, options)
        reports: list[RoundReport] = []
        with fleet(dsn, conn, rng, folder, options.runners, options.lease + 1) as runners:
            for number in range(1, options.rounds + 1):
                stage = Stage(conn, Client(conn), rng, folder, number)
                reports.append(play_round(stage, runners, options.patience, on_tick))
                on_round(reports[-1])
                if until_duplicate and reports[-1].duplicates:
                    break
            crashes, log = runners.hits.crashes, runners.log_counts()
        known = {found for each in reports for found in each.findings}
        late = [found for found in oracle.duplicates(conn) if found not in known]
        late += [found for found in oracle.broken_laws(Client(conn)) if found not in known]
        late += [Finding("a runner lives until it is told", "", text) for text in crashes]
        late += _unexpected(log)
    return Report(options, reports, late, dict(sorted(log.items())), round(time.monotonic() - began, 1))


def prepare(dsn: str, conn: Connection[Any], options: Options) -> None:
    """Recipes, short leases, and the sabotage if there is one."""
    database.register_builtin(dsn)
    client = Client(conn)
    for recipe in RECIPES:
        client.put_recipe(recipe)
    conn.execute(STATEMENTS["short_leases"], {"lease": options.lease})
    if options.sabotage is not None:
        conn.execute(STATEMENTS[_SABOTAGE + options.sabotage.replace("-", "_")])


def play_round(
    stage: Stage, runners: Fleet, patience: float, on_tick: Callable[[int, int, int], None]
) -> RoundReport:
    """One round, from its first start to the oracle's answer."""
    before, refused = replace(runners.hits), runners.log_counts()["lane.refused"]
    began = time.monotonic()
    stage.begin(roles(stage.folder, stage.number))
    runners.open_fire()
    while not stage.over() and time.monotonic() < began + patience:
        runners.tick()
        stage.tick()
        on_tick(stage.number, stage.ended(), len(stage.parts))
        time.sleep(_TICK)
    settle(stage, runners)
    seconds = time.monotonic() - began
    sizes = oracle.figures(stage.conn, stage.run_ids)
    return RoundReport(
        number=stage.number,
        seconds=round(seconds, 1),
        **asdict(sizes),
        **_difference(runners.hits, before),
        refused=runners.log_counts()["lane.refused"] - refused,
        duplicates=oracle.duplicates(stage.conn, stage.run_ids),
        broken_laws=oracle.broken_laws(stage.client),
        wrong=oracle.wrong_ends(stage),
    )


def settle(stage: Stage, runners: Fleet) -> None:
    """Everybody lives again, and whoever is late may say what it has."""
    runners.calm()
    least, most = time.monotonic() + _SETTLE, time.monotonic() + 10 * _SETTLE
    while time.monotonic() < most:
        runners.tick()
        row = stage.conn.execute(STATEMENTS["leases"]).fetchone()
        if time.monotonic() > least and row is not None and row[0] == 0:
            break
        time.sleep(_TICK)


def _difference(now: Hits, before: Hits) -> dict[str, int]:
    columns = ("kills", "suicides", "terminated", "stops", "drains")
    return {column: getattr(now, column) - getattr(before, column) for column in columns}


def _unexpected(log: Counter[str]) -> list[Finding]:
    """Words of the runners that mean that something is wrong although it may look right."""
    words = ("result.rejected", "result.dropped", "handler.failed", "work.failed 40P01")
    return [Finding("a runner never says", "", f"{word}, {log[word]} times") for word in words if log[word]]
