"""A round: runs wait, runners execute them, and right after it the ceiling is measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import click
from psycopg import Connection

from sisu_kodo.client import Client

from .ceiling import measure_ceiling
from .common import SQL, Row, runners, start_all, wait_until_over

_PATIENCE = 600.0


@dataclass(frozen=True)
class Load:
    """What a round executes: so many runs of a recipe, whose runs have so many steps (tasks counted), by so
    many runner processes with these options.
    """

    recipe: Row
    runs: int
    steps: int
    runners: int
    options: Sequence[str]
    is_chain: bool = True


@dataclass(frozen=True)
class Round:
    """The engine and, right after it, the ceiling. `seconds`: first claim to last commit."""

    seconds_to_start: float
    seconds: float
    steps: int
    ceiling: float

    @property
    def rate(self) -> float:
        """Steps per second."""
        return self.steps / self.seconds

    @property
    def ratio(self) -> float:
        """Share of the ceiling."""
        return self.rate / self.ceiling


def play(dsn: str, client: Client, conn: Connection[Row], load: Load, label: str) -> Round:
    """Start, execute, count; then the ceiling. The runners are there before the first claim, and have
    executed a fifth as many runs before: their connections have made their plans.
    """
    name = load.recipe["name"]
    client.put_recipe(load.recipe)
    with runners(dsn, conn, load.runners, load.options):
        start_all(client, name, f"{label}, to warm up", max(1, load.runs // 5))
        wait_until_over(conn, _PATIENCE)
        conn.execute(SQL["pause"])
        began = time.perf_counter()
        ids = start_all(client, name, label, load.runs)
        seconds_to_start = time.perf_counter() - began
        conn.execute(SQL["unpause"])
        wait_until_over(conn, _PATIENCE)
    span = conn.execute(SQL["span"], {"run_ids": ids}).fetchone()
    if span is None or span["done"] != load.runs:
        raise click.ClickException(f"only {span and span['done']} of {load.runs} runs ended in SUCCESS")
    # a fan-out has no order among its tasks: to the ceiling each is a run of one step
    runs, steps = (load.runs, load.steps) if load.is_chain else (load.runs * load.steps, 1)
    return Round(seconds_to_start, span["seconds"], span["steps"], measure_ceiling(dsn, runs, steps))


def median_round(rounds: Sequence[Round]) -> Round:
    """The one with the median ratio."""
    return sorted(rounds, key=lambda each: each.ratio)[len(rounds) // 2]
