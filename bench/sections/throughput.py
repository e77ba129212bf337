"""Throughput: runs of no-op steps through real runner processes, beside the bare SQL of the same server."""

from __future__ import annotations

from ..charts import Chart
from ..common import busy, fan_recipe, recipe
from ..context import Bench
from ..ledger import Measured
from ..noop import TASKS
from ..report import Section, Table
from ..rounds import Load, Round, median_round, play

_ROUNDS, _ROUNDS_JUDGED = 3, 7
"""The speed of a machine changes from second to second; the load that is judged has a median of more."""
_RUNNERS = (1, 4)
_STEPS_A_ROUND = 40_000
_WHAT = (
    "Runs of steps that do nothing wait in the queue, then one or four `sisu runner` processes, which have"
    " executed a fifth as many before, execute them; the time is that from the first claim to the last commit,"
    " by the database's clock. The ceiling is bare set-based"
    " SQL for as many steps (`ceiling_call` in `bench/bench.sql`: fifty results stored and fifty steps leased in one"
    f" statement, two connections), measured right after each round. Of {_ROUNDS} rounds, of"
    f" {_ROUNDS_JUDGED} with 4 steps and one runner, the one with the median ratio is told."
)


def measure(bench: Bench) -> Section:
    """Every recipe with every number of runners."""
    loads = [_load(bench, steps, count) for steps in (1, 4, 20, None) for count in _RUNNERS]
    found: list[tuple[str, Load, Round, list[float]]] = []
    for load in loads:
        name = f"{load.steps} step{'s' if load.steps > 1 else ''}" if load.is_chain else f"fan-out {TASKS}"
        rounds = []
        # a database for each: none finds the dead rows of another
        with bench.place("throughput") as place:
            count = _ROUNDS_JUDGED if _is_judged(load) else _ROUNDS
            for number in range(count):
                bench.say(f"{name}, {load.runners} runners, round {number + 1} of {count}")
                rounds.append(play(place.dsn, place.client, place.conn, load, f"round {number}"))
        found.append((name, load, median_round(rounds), sorted(each.ratio for each in rounds)))
    rows = [
        (
            name,
            str(load.runners),
            f"{load.runs:,}",
            f"{middle.rate:,.0f}",
            f"{middle.ceiling:,.0f}",
            f"{middle.ratio:.1%}",
            ", ".join(f"{ratio:.0%}" for ratio in ratios),
        )
        for name, load, middle, ratios in found
    ]
    main = next(middle for _, load, middle, _ in found if _is_judged(load))
    ceiling = f"{main.ceiling:,.0f}/s bare SQL"
    return Section(
        "throughput",
        "Throughput",
        _WHAT,
        [Table(("recipe", "runners", "runs", "steps/s", "ceiling", "ratio", "ratios of all rounds"), rows)],
        [
            Measured("steps_per_second", main.rate, main.ceiling, ceiling),
            Measured("share_of_ceiling", main.ratio * 100, 100, "of the ceiling of the same round"),
        ],
        [
            Chart(
                "throughput",
                "Steps per second, and the ceiling of the same rounds",
                "bars",
                "steps/s",
                [
                    ("runners", [middle.rate for _, _, middle, _ in found]),
                    ("bare set-based SQL", [middle.ceiling for _, _, middle, _ in found]),
                ],
                [f"{name}\n{load.runners} runner{'s' * (load.runners > 1)}" for name, load, _, _ in found],
            )
        ],
    )


def _is_judged(load: Load) -> bool:
    return load.is_chain and load.steps == 4 and load.runners == 1


def _load(bench: Bench, steps: int | None, count: int) -> Load:
    """None: the fan-out."""
    if steps is None:
        runs = bench.size(_STEPS_A_ROUND // TASKS, 2)
        return Load(fan_recipe(), runs, TASKS + 1, count, busy(count), is_chain=False)
    return Load(recipe(steps), bench.size(_STEPS_A_ROUND // steps, 20), steps, count, busy(count))
