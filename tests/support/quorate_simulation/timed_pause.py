"""A process that stands still for a while: what happens to it meanwhile waits, in order."""

from __future__ import annotations

from collections.abc import Callable

from quorate_simulation.timed_clock import Schedule


class Pause:
    """The pauses of one member, which may become longer while they last."""

    def __init__(self, schedule: Schedule) -> None:
        """Run."""
        self.until = 0
        """Virtual time at which the process goes on."""
        self._schedule = schedule
        self._held: list[Callable[[], None]] = []
        self._life = 0

    def end(self) -> None:
        """The process is gone, and with it what waited."""
        self.until = 0
        self._held = []
        self._life += 1

    def when_over(self, event: Callable[[], None]) -> None:
        """Let something happen now, or when the pause is over, behind what waits already.

        If each event planned its own return, those that have waited since the first end of a
        pause that became longer would come behind those of the second: a link would break after
        the one that replaced it was up, and a client's messages would change places.
        """
        if not self._held and self._schedule.now >= self.until:
            event()
            return
        if not self._held:
            self._plan(self._life)
        self._held.append(event)

    def _plan(self, life: int) -> None:
        self._schedule.at(self.until, lambda: self._go_on(life))

    def _go_on(self, life: int) -> None:
        """Let happen what has waited, unless the pause has become longer."""
        if self._life != life:
            return
        if self._schedule.now < self.until:
            self._plan(life)
            return
        held, self._held = self._held, []
        for event in held:
            if self._life == life:
                event()
