"""Virtual time, and what each member takes it for."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

from quorate.clock import LoopTime
from quorate.consensus.types import Instant

MS = 1_000_000
SECOND = 1_000_000_000
UNIX_START = 1_700_000_000 * SECOND

Event = Callable[[], None]


class Schedule:
    """What will happen, in the order of virtual time; nanoseconds from 0."""

    def __init__(self) -> None:
        """Nothing is to happen."""
        self.now = 0
        self.events = 0
        self._heap: list[tuple[int, int, Event]] = []
        self._sequence = 0

    def at(self, time: int, event: Event) -> None:
        """Have something happen at a time, or now if that has passed."""
        self._sequence += 1
        heapq.heappush(self._heap, (max(time, self.now), self._sequence, event))

    def after(self, delay: int, event: Event) -> None:
        """Have something happen in so many nanoseconds."""
        self.at(self.now + delay, event)

    def run_until(self, time: int, enough: Callable[[], bool] | None = None) -> bool:
        """Let time pass; stop early when ``enough`` says so, which it is asked now and then.

        Returns:
            Whether ``enough`` was reached.

        """
        heap = self._heap
        looked_at = self.now
        while heap and heap[0][0] <= time:
            self.now, _, event = heapq.heappop(heap)
            event()
            self.events += 1
            if enough is not None and self.now - looked_at > 50 * MS:
                looked_at = self.now
                if enough():
                    return True
        self.now = time
        return enough is not None and enough()


class MachineClock:
    """The clocks of one machine: a rate of their own, a wall that jumps."""

    def __init__(self, schedule: Schedule, random: Random) -> None:
        """Draw rate and offsets."""
        self._schedule = schedule
        self.rate = random.choice((1.0, 1.0, random.uniform(0.75, 1.25)))
        self._offset = random.randrange(1000 * SECOND)
        self.wall_offset = random.choice((0, 0, random.randrange(-SECOND, SECOND)))

    def monotonic(self) -> int:
        """Return this machine's monotonic clock."""
        return self._offset + int(self._schedule.now * self.rate)

    def wall(self) -> int:
        """Return this machine's wall clock."""
        return UNIX_START + int(self._schedule.now * self.rate) + self.wall_offset

    def real(self, local_ns: int) -> int:
        """Return how much virtual time passes while this clock moves by so much."""
        return int(local_ns / self.rate)

    def instant(self, loop_time: LoopTime) -> tuple[Instant, bool]:
        """Return the clocks at the start of a turn, and whether the turn before was long."""
        monotonic = self.monotonic()
        stalled = loop_time.turn(monotonic)
        return Instant(loop_time.now, monotonic, self.wall()), stalled
