"""The credit of all connections together: what may be under way, and the share of one. Pure.

What clients have under way waits somewhere: in sockets, in the log, before the service. It is
bounded in time, not in bytes: in each round the pool sees how many batch bytes were applied, and
lets clients have so much under way as is applied in ``QUEUE_NS`` at that pace. So a service that
takes 200 us a message holds its clients back at kilobytes, and one that takes 2 us at megabytes,
and whoever is accepted waits about as long with either.

The distance from the leader's written to its service position bounds it as well, in bytes, for
what the pace of the past does not tell.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
ROUND_NS: Final = 100_000_000
"""The pace is looked at anew this often."""
QUEUE_NS: Final = 200_000_000
"""What is under way should be applied within this."""
TOTAL_BYTES_FREE: Final = 512 * KIB
"""So much may be under way at any pace, unless it is the service that takes too long: a slow
disk is not made faster by asking less of it."""
TOTAL_BYTES_FIRST: Final = 64 * KIB
"""So much may be under way before anything is known of the pace."""
TOTAL_BYTES_MIN: Final = 4 * KIB
TOTAL_BYTES_MAX: Final = 64 * MIB
SHARE_BYTES_MIN: Final = KIB
"""The share of one connection does not fall below this, however many there are."""
FIRST_BYTES_MAX: Final = 16 * KIB
"""Credit of a connection that has used none yet."""
BACKLOG_BYTES_FREE: Final = 8 * MIB
"""Up to this distance from the written to the service position credit does not shrink."""
BACKLOG_BYTES_MAX: Final = 64 * MIB
"""At this distance nothing more is granted."""


class CreditPool:
    """Shares of the credit that the pace of the service allows."""

    __slots__ = (
        "_active_before",
        "_applied_before",
        "_began_at",
        "_credit_bytes",
        "_delay",
        "_divided_by",
        "_mark",
        "_marked_at",
        "active",
        "round",
        "share",
        "total",
    )

    def __init__(self, credit_bytes: int) -> None:
        """Begin without knowing the pace; one connection never gets more than ``credit_bytes``."""
        self.round = 0
        """Number of the present round."""
        self.active = 0
        """Connections that have brought ingress in it, as their owner counts them."""
        self.total = TOTAL_BYTES_FIRST
        """Batch bytes that all connections together should have under way."""
        self.share = min(credit_bytes, FIRST_BYTES_MAX)
        """... and that one of them may have."""
        self._credit_bytes = credit_bytes
        self._active_before = 1
        self._divided_by = 1
        self._applied_before = 0
        self._began_at = 0
        self._mark = 0
        """A commit position: when it was seen and when it was applied tells the delay."""
        self._marked_at = 0
        self._delay = 0

    @property
    def sharers(self) -> int:
        """How many connections have brought ingress lately; at least one."""
        return max(self.active, self._active_before)

    def begin(self, now: int, applied_bytes: int) -> None:
        """Begin to serve: what was measured before ended with the time that was served before.

        Args:
            now: Loop time in nanoseconds.
            applied_bytes: Batch bytes applied so far, as ``on_turn`` is told.

        """
        self._mark = self._delay = 0
        self._began_at, self._applied_before = now, applied_bytes

    def first(self, connections: int) -> int:
        """Return how many batch bytes one of ``connections`` may have that has just come.

        All of them may come and send at once, before a round tells how fast that is applied.
        """
        first = min(FIRST_BYTES_MAX, self.total // max(1, connections))
        return min(self.share, max(SHARE_BYTES_MIN, first))

    def on_turn(self, now: int, applied_bytes: int, positions: tuple[int, int, int]) -> None:
        """Judge the pace, once in a round; divide anew when more share it than did.

        Args:
            now: Loop time in nanoseconds.
            applied_bytes: Batch bytes applied so far, of all connections.
            positions: Written, commit and service position of the leader.

        """
        written, committed, service = positions
        if self._mark and service >= self._mark:
            self._delay = max(self._delay, now - self._marked_at)
            self._mark = 0
        if now - self._began_at >= ROUND_NS:
            self._judge(now, applied_bytes, service)
            if not self._mark and committed > service:
                self._mark, self._marked_at = committed, now
            self._divide(written - service)
        elif self.active > self._divided_by or written - service > BACKLOG_BYTES_FREE:
            self._divide(written - service)

    def _judge(self, now: int, applied_bytes: int, service: int) -> None:
        """End a round: set the total by how much it has applied, and how long that took."""
        applied = applied_bytes - self._applied_before
        pace = applied * QUEUE_NS // (now - self._began_at)
        delay = max(self._delay, now - self._marked_at if self._mark > service else 0)
        total = self.total
        if delay >= QUEUE_NS // 2:
            # There was work throughout, so the pace is all the service has. A delay is known when
            # it is over: to let more in until it exceeds what is wanted would be too late by then.
            # The mean with rounds before, for the pace changes beside other programs.
            total = max(TOTAL_BYTES_MIN, min(2 * pace, (total + pace) // 2))
        else:
            # Less was asked for than could be applied: forget slowly what could be.
            total = max(pace, min(TOTAL_BYTES_FREE, total + total // 8), total - total // 16)
        self.total = min(TOTAL_BYTES_MAX, total)
        self._applied_before, self._began_at, self._delay = applied_bytes, now, 0
        self._active_before = max(1, self.active, self._active_before * 3 // 4)
        self.active = 0
        self.round += 1

    def _divide(self, backlog_bytes: int) -> None:
        """Give each of those that are active the same."""
        self._divided_by = self.sharers
        total = min(self.total, backlog_room(backlog_bytes))
        share = total // self._divided_by
        self.share = min(self._credit_bytes, max(SHARE_BYTES_MIN, share)) if total else 0


def backlog_room(backlog_bytes: int) -> int:
    """Return how many batch bytes the distance from written to service position still allows."""
    if backlog_bytes <= BACKLOG_BYTES_FREE:
        return TOTAL_BYTES_MAX
    room = max(0, BACKLOG_BYTES_MAX - backlog_bytes)
    return TOTAL_BYTES_MAX * room // (BACKLOG_BYTES_MAX - BACKLOG_BYTES_FREE)
