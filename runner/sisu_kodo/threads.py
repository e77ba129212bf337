"""Between the event loop and threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from .checkpoints import LaneLost

T = TypeVar("T")
_LOOK_AROUND_SECONDS = 1.0


class Threads:
    """Threads for what must not hold up the loop: `await threads(function, *arguments)`."""

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="sisu-step")

    async def __call__(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(function, *arguments))


def wait_on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """In a thread: run `call()` on the loop and wait for what it returns. LaneLost when the loop ends."""
    if loop.is_closed():
        raise LaneLost
    future = asyncio.run_coroutine_threadsafe(call(), loop)
    while True:
        try:
            return future.result(_LOOK_AROUND_SECONDS)
        except concurrent.futures.CancelledError:
            raise LaneLost from None
        except TimeoutError:
            if future.done():
                raise
            if loop.is_closed():
                raise LaneLost from None
