"""Log time: what a leader stamps on frames, and a service's only clock.

Within a term it runs with CLOCK_BOOTTIME, slewed by at most 5 % towards the leader's wall
clock. At the start of a term it may jump forward to the median wall clock of a majority, the
lower one of two, and never goes back.
"""

from __future__ import annotations

from collections.abc import Collection

from quorate.consensus.types import Instant

SLEW_DIVISOR = 20
"""Log time runs at most 1/20 faster or slower than real time while it approaches the wall."""


def lower_median(walls: Collection[int]) -> int:
    """Return the median of these times, of two middle ones the lower."""
    ranked = sorted(walls)
    return ranked[(len(ranked) - 1) // 2]


class LogClock:
    """The log time of one leadership term, as its leader keeps it."""

    def __init__(self, now: Instant, last_timestamp: int, walls: Collection[int]) -> None:
        """Start at the median wall clock, or at the log's last timestamp if that is later."""
        self._time = max(last_timestamp, lower_median(walls))
        self._boottime = now.boottime

    def read(self, now: Instant) -> int:
        """Return log time in nanoseconds: never less than returned before."""
        elapsed = now.boottime - self._boottime
        if elapsed <= 0:
            return self._time
        behind = now.wall - (self._time + elapsed)
        slew_max = elapsed // SLEW_DIVISOR
        self._time += elapsed + max(-slew_max, min(behind, slew_max))
        self._boottime = now.boottime
        return self._time


class WallClocks:
    """The wall clocks that other members reported, carried forward by our real time."""

    def __init__(self) -> None:
        """Start without any report."""
        self._ahead: dict[int, int] = {}

    def report(self, now: Instant, seat: int, wall: int) -> None:
        """Remember the Unix time in nanoseconds that ``seat`` has just named."""
        self._ahead[seat] = wall - now.boottime

    def estimates(self, now: Instant) -> dict[int, int]:
        """Return each reporter's wall clock as it should read now."""
        return {seat: ahead + now.boottime for seat, ahead in self._ahead.items()}
