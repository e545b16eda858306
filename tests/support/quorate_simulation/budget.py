"""How many seeds a run tries: for so long, or just so many.

A run by hand takes new seeds for a time. One that must give the same verdict on every machine
takes a number of them from a fixed one: a faster machine must not try seeds that nobody has.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator


class Budget:
    """The seeds of one test, by ``QUORATE_<NAME>_SEED``, ``_SECONDS`` and ``_COUNT``."""

    def __init__(self, name: str) -> None:
        """Take the budget of ``name`` from the environment."""
        prefix = f"QUORATE_{name}"
        self.seconds = float(os.environ.get(f"{prefix}_SECONDS", "10"))
        self._count = int(os.environ.get(f"{prefix}_COUNT", "0"))
        self._first = int(os.environ.get(f"{prefix}_SEED", "0")) or random.SystemRandom().randrange(
            1 << 40
        )
        self._name = prefix

    def __str__(self) -> str:
        """Return how to run the same seeds again."""
        return f"first seed {self._first}: {self._name}_SEED={self._first} runs the same ones"

    def seeds(self) -> Iterator[int]:
        """Yield seeds until the number is reached, or the time is over where none is set."""
        seed = self._first
        ends = time.monotonic() + self.seconds
        while seed - self._first < self._count if self._count else time.monotonic() < ends:
            yield seed
            seed += 1
