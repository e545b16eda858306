"""The only reader of time; everything else is handed a ``Clock`` or an ``Instant``."""

from __future__ import annotations

import time
from functools import partial
from typing import Protocol

STALL_BOUND_NS = 100_000_000
"""Loop time a turn may add at most: below every election timeout, so that a turn that took
long, for whatever reason, never makes a time-out pass by itself."""


class Clock(Protocol):
    """The three clocks of a member, in nanoseconds; the simulator has another one."""

    def monotonic(self) -> int:
        """Return time that never goes back and stands still while the machine is suspended."""
        ...

    def boottime(self) -> int:
        """Return time that never goes back and counts while the machine is suspended."""
        ...

    def wall(self) -> int:
        """Return Unix time as this machine believes it; may jump either way."""
        ...


class SystemClock:
    """The clocks of this machine."""

    # The interpreter's own functions, without one of ours around each: read several times a turn.
    monotonic = staticmethod(time.monotonic_ns)
    boottime = staticmethod(partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME))
    wall = staticmethod(time.time_ns)


class LoopTime:
    """Time as the turns of the loop saw it pass; every time-out is judged by it.

    A turn adds what the monotonic clock moved, at most ``STALL_BOUND_NS``: a callback that
    stalls all members alike, a pause of the machine or a garbage collection then causes no
    election, because nobody's time-out passes unheard.

    Invariant:
        Never goes back, and never moves faster than the clock it is fed with.
    """

    __slots__ = ("_last", "now")

    def __init__(self, monotonic: int) -> None:
        """Begin at 0, at the given reading of the monotonic clock in nanoseconds."""
        self._last = monotonic
        self.now = 0

    def turn(self, monotonic: int) -> bool:
        """Take the reading at the start of a turn; ``now`` is the loop time afterwards.

        Returns:
            True when the turn before took longer than the bound: read all sockets before a
            time-out is judged.

        """
        passed = monotonic - self._last
        if passed > 0:
            self._last = monotonic
            self.now += min(passed, STALL_BOUND_NS)
        return passed > STALL_BOUND_NS
