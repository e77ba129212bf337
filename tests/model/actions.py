"""What a machine may do next: methods with a weight, a condition, and how their arguments are drawn.

Hypothesis chooses seeds and shrinks the list of steps; what a step does comes from dice that its seed starts. Hypothesis' own draws
prefer the first and the smallest, and its rules have all the same weight, half of them switched off in each example: then hardly any run
comes to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., None])
Draw = Callable[[Random], Any]
ACTIONS: list[Action] = []


@dataclass(frozen=True)
class Action:
    """A method of the machine, by name."""

    name: str
    weight: float | Callable[[Any], float]
    when: Callable[[Any], Any]
    arguments: dict[str, Draw]

    def chance(self, machine: Any) -> float:
        """Its weight, as things are."""
        if not self.when(machine):
            return 0
        return self.weight(machine) if callable(self.weight) else self.weight


def action(
    weight: float | Callable[[Any], float] = 1,
    when: Callable[[Any], Any] = lambda machine: True,
    **arguments: Draw,
) -> Callable[[Method], Method]:
    """Marks a method that the machine may call."""

    def mark(method: Method) -> Method:
        ACTIONS.append(Action(method.__name__, weight, when, arguments))
        return method

    return mark


def any_of(values: Sequence[Any]) -> Draw:
    """One of these; what is there twice comes twice as often."""
    return lambda dice: dice.choice(values)


def between(lowest: int, highest: int) -> Draw:
    return lambda dice: dice.randint(lowest, highest)


def either(*draws: Draw) -> Draw:
    return lambda dice: dice.choice(draws)(dice)


def both(*draws: Draw) -> Draw:
    """A tuple."""
    return lambda dice: tuple(draw(dice) for draw in draws)


def several(draw: Draw, at_least: int = 0, at_most: int = 3) -> Draw:
    """A list."""
    return lambda dice: [draw(dice) for _ in range(dice.randint(at_least, at_most))]


def fields(always: dict[str, Draw], optional: dict[str, Draw]) -> Draw:
    """An object; every third of the optional fields is there."""
    return lambda dice: {
        name: draw(dice)
        for name, draw in [*always.items(), *optional.items()]
        if name in always or dice.random() < 0.34
    }
