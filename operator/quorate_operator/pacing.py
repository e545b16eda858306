"""When a cluster is looked at again after a pass that went well."""

from __future__ import annotations

from dataclasses import dataclass, field

from quorate_operator.backoff import grown_s
from quorate_operator.queue import Key

UNSETTLED_FIRST_S = 2.0
UNSETTLED_MAX_S = 15.0
"""Until a cluster that is not as it should be is looked at again and its members asked anew.
What a leader sees of a follower is no news to it: that one has caught up shows by asking."""
BUSY_FIRST_S = 0.2
BUSY_MAX_S = 5.0
"""Steps are followed by another look, at first soon; a plan that never ends is slowed down."""


@dataclass(slots=True)
class Pacing:
    """Counts the passes in a row that are alike, of each cluster."""

    _busy: dict[Key, int] = field(default_factory=dict)
    """Passes in a row that did something."""
    _unsettled: dict[Key, int] = field(default_factory=dict)
    """Passes in a row over a cluster that is not as it should be, without any change."""

    def forget(self, key: Key) -> None:
        """Keep nothing of a key that is gone: the next cluster of its name is a new one."""
        self._busy.pop(key, None)
        self._unsettled.pop(key, None)

    def again_s(
        self, key: Key, deadline_s: float | None, *, acted: bool, written: bool, settled: bool
    ) -> float | None:
        """Count a pass; return in how many seconds the next one is, None if nothing asks for it.

        Args:
            key: Of the cluster.
            deadline_s: When the plan wants another look, if it does.
            acted: A step was done.
            written: The status that was recorded is another one than before.
            settled: The cluster is as it should be.

        """
        times = (
            deadline_s,
            self._busy_s(key, acted=acted),
            self._unsettled_s(key, settled=settled, changed=acted or written),
        )
        return min((time for time in times if time is not None), default=None)

    def _busy_s(self, key: Key, *, acted: bool) -> float | None:
        busy = self._busy[key] = self._busy.get(key, 0) + 1 if acted else 0
        return grown_s(BUSY_FIRST_S, busy - 1, BUSY_MAX_S) if busy else None

    def _unsettled_s(self, key: Key, *, settled: bool, changed: bool) -> float | None:
        if settled:
            self._unsettled.pop(key, None)
            return None
        count = self._unsettled[key] = 0 if changed else self._unsettled.get(key, -1) + 1
        return grown_s(UNSETTLED_FIRST_S, count, UNSETTLED_MAX_S, by=1.5)
