"""An event loop whose time is a number: waiting costs none, and nothing else is going on."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Selector(selectors.DefaultSelector):
    """Moves the loop's time on by what it was asked to wait, unless a file is ready."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("everything waits, and for nothing: a deadlock")
        if not ready and timeout is not None and timeout > 0:
            self.loop.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at 1000 s, so that nothing is true because a clock reads nought."""

    def __init__(self) -> None:
        """Make one; run it with ``run_virtually``."""
        self.now = 1000.0
        selector = _Selector()
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        """Return virtual seconds."""
        return self.now


class VirtualClock:
    """A ``quorate.clock.Clock`` that reads the running loop, shifted like another machine's."""

    def __init__(self, shift_s: float = 0.0) -> None:
        """Shift all readings by so many seconds."""
        self.shift_s = shift_s

    def monotonic(self) -> int:
        """Return virtual nanoseconds."""
        return int((asyncio.get_running_loop().time() + self.shift_s) * 1e9)

    def boottime(self) -> int:
        """Return the same."""
        return self.monotonic()

    def wall(self) -> int:
        """Return a date in 2026."""
        return 1_790_000_000_000_000_000 + self.monotonic()


def run_virtually(story: Coroutine[Any, Any, None]) -> None:
    """Run a story in virtual time, to its end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story)
