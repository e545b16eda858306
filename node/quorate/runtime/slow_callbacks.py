"""The alarm for a callback of the service that took too long."""

from __future__ import annotations

from typing import Final

from quorate.consensus.effects import Alarm, Effect

SHOWN_NS: Final = 600_000_000_000
"""For how long the alarm stands after the last such callback: what is over by itself must be
seen by whoever looks every few minutes, but is not to be repaired for ever."""
SLOW_ALARM: Final = "callback_slow"


class SlowCallbacks:
    """Says when the alarm is raised, and when it is taken back.

    Args:
        limit_ns: What a callback may take.

    """

    def __init__(self, limit_ns: int = 10_000_000_000) -> None:
        """Begin without an alarm."""
        self.limit_ns = limit_ns
        self._ends_at: int | None = None

    def on_slow(self, now_ns: int, took_ns: int) -> Effect:
        """Return the alarm for one that took more than the limit; ``now_ns`` is loop time."""
        self._ends_at = now_ns + SHOWN_NS
        return Alarm(SLOW_ALARM, f"a callback took {took_ns // 1_000_000} ms")

    def on_tick(self, now_ns: int) -> list[Effect]:
        """Return the end of the alarm, once its time is up."""
        if self._ends_at is None or now_ns < self._ends_at:
            return []
        self._ends_at = None
        return [Alarm(SLOW_ALARM, "", raised=False)]
