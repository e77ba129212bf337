"""How long to wait before the next try."""

from __future__ import annotations

import random


class Backoff:
    """Full jitter: the n-th wait is drawn from [0.05, min(longest, first * 2**n)] seconds."""

    def __init__(self, first: float = 0.2, longest: float = 5.0) -> None:
        self._first = first
        self._longest = longest
        self._tries = 0

    def next(self) -> float:
        """Seconds to wait now."""
        ceiling = min(self._longest, self._first * 2 ** min(self._tries, 16))
        self._tries += 1
        return random.uniform(0.05, ceiling)

    def reset(self) -> None:
        """It worked: start again from the shortest wait."""
        self._tries = 0
