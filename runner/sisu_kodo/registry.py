"""Handlers by name. A handler is any function from StepContext to a JSON value or a StepResult, sync or
async.
"""

from __future__ import annotations

import dis
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

ENTRY_POINTS = "sisu_kodo.handlers"
"""Entry point group: each entry names a module that registers handlers when imported."""

_SUSPENDING = {
    "SEND",
    "GET_AWAITABLE",
    "GET_AITER",
    "GET_ANEXT",
    "BEFORE_ASYNC_WITH",
    "LOAD_SPECIAL",
    "YIELD_FROM",
}

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered function; `is_async` decides between the event loop and the thread pool.

    `awaits` is False for an async function without a single await in it: nothing can suspend it, so it needs
    no task of its own. A `transactional` one also takes the connection that its step commits on.
    """

    name: str
    function: Callable[..., Any]
    is_async: bool
    awaits: bool
    transactional: bool = False


class Registry:
    """A set of handlers. Registering another function under a taken name raises ValueError."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def add(self, name: str, function: Callable[..., Any], transactional: bool = False) -> None:
        if not name or not isinstance(name, str):
            raise ValueError("a handler needs a name, such as @handler('greet/hello')")
        known = self._handlers.get(name)
        if known is not None and _origin(known.function) != _origin(function):
            raise ValueError(f"handler {name!r} is already registered by {'.'.join(_origin(known.function))}")
        wanted = ("ctx", "conn") if transactional else ("ctx",)
        if not _takes(function, len(wanted)):
            raise ValueError(f"handler {name!r} has to take {' and '.join(wanted)}")
        is_async = inspect.iscoroutinefunction(function)
        awaits = transactional or not is_async or _awaits(function)
        self._handlers[name] = Handler(name, function, is_async, awaits, transactional)

    def handler(self, name: str, *, transactional: bool = False) -> Callable[[F], F]:
        """Decorator: `@registry.handler("greet/hello")`."""

        def register(function: F) -> F:
            self.add(name, function, transactional)
            return function

        return register

    def get(self, name: str) -> Handler | None:
        return self._handlers.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._handlers

    def __iter__(self) -> Iterator[Handler]:
        return iter(self._handlers.values())

    def __len__(self) -> int:
        return len(self._handlers)


default_registry = Registry()


def handler(name: str, *, transactional: bool = False, registry: Registry | None = None) -> Callable[[F], F]:
    """Register a function under `name` in the default registry, or in the one given.

    A function takes the StepContext; a transactional one also a psycopg connection, on which its own SQL and
    its step commit together. Raises ValueError for a function that does not, or a name that is taken.
    """
    return (default_registry if registry is None else registry).handler(name, transactional=transactional)


def load(module: str) -> None:
    """Import `module` (a dotted name, looked for in the working directory too) for the handlers it registers.

    Raises ImportError, or whatever the module raises.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.import_module(module)


def load_all(modules: Iterable[str] = ()) -> Registry:
    """Load the built-in handlers, those of installed packages (entry points) and `modules`, in that order."""
    for package in builtin_packages():
        importlib.import_module(package)
    for entry in entry_points(group=ENTRY_POINTS):
        entry.load()
    for module in modules:
        load(module)
    return default_registry


def builtin_packages() -> list[str]:
    """Dotted names of the packages under `sisu_kodo.handlers`, in alphabetical order."""
    try:
        root = importlib.import_module(f"{__package__}.handlers")
    except ModuleNotFoundError:
        return []
    return sorted(f"{root.__name__}.{found.name}" for found in pkgutil.iter_modules(root.__path__))


def _awaits(function: Callable[..., Any]) -> bool:
    """Whether the code of an async function could hand control back to the loop; True where it cannot be
    seen.
    """
    code = getattr(function, "__code__", None)
    return code is None or any(step.opname in _SUSPENDING for step in dis.get_instructions(code))


def _takes(function: Callable[..., Any], count: int) -> bool:
    """Whether it can be called with so many arguments; True where that cannot be seen."""
    try:
        inspect.signature(function).bind(*range(count))
    except (TypeError, ValueError) as error:
        return isinstance(error, ValueError)
    return True


def _origin(function: Callable[..., Any]) -> tuple[str, str]:
    return function.__module__, function.__qualname__
