"""What a machine may do next: methods with a weight, a condition and strategies for their arguments.

Hypothesis would give every rule the same weight and switch half of them off in each example; then hardly any run comes to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st

Method = TypeVar("Method", bound=Callable[..., None])
ACTIONS: list[Action] = []


@dataclass(frozen=True)
class Action:
    """A method of the machine, by name."""

    name: str
    weight: int
    when: Callable[[Any], Any]
    arguments: st.SearchStrategy[dict[str, Any]]


def action(
    weight: int = 1, when: Callable[[Any], Any] = lambda machine: True, **strategies: st.SearchStrategy[Any]
) -> Callable[[Method], Method]:
    """Marks a method that the machine may call."""

    def mark(method: Method) -> Method:
        ACTIONS.append(Action(method.__name__, weight, when, st.fixed_dictionaries(strategies)))
        return method

    return mark
