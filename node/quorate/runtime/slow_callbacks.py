"""The alarm for a callback of the service that took too long."""

from __future__ import annotations

from typing import Final

from quorate.consensus.effects import Alarm, Effect

SHOWN_NS: Final = 600_000_000_000
"""For how long the alarm stands after the last such callback: what is over by itself must be
seen by whoever looks every few minutes, but is not to be repaired for ever."""
_NAME: Final = "callback_slow"


class SlowCallbacks:
    """Says when the alarm is raised, and when it is taken back.

    Args:
        limit_ns: What a callback may take.

    """

    def __init__(self, limit_ns: int = 10_000_000_000) -> None:
        """Begin without an alarm."""
        self.limit_ns = limit_ns
        self._ends_at: int | None = None

    def judge(self, now_ns: int, slowest_ns: int) -> list[Effect]:
        """Return what is news.

        Args:
            now_ns: Loop time.
            slowest_ns: What the slowest callback since the last call has taken, 0 for none.

        """
        if slowest_ns > self.limit_ns:
            self._ends_at = now_ns + SHOWN_NS
            return [Alarm(_NAME, f"a callback took {slowest_ns // 1_000_000} ms")]
        if self._ends_at is not None and now_ns >= self._ends_at:
            self._ends_at = None
            return [Alarm(_NAME, "", raised=False)]
        return []
