"""How much a client may send ahead: batch bytes of one connection, granted and used. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

MIB: Final = 1024 * 1024
CREDIT_TOTAL_BYTES: Final = 256 * MIB
"""What all connections together should have under way; many of them share it."""
CREDIT_BYTES_MIN: Final = 16 * 1024
"""The share of one connection does not fall below this, however many there are."""
BACKLOG_BYTES_FREE: Final = 8 * MIB
"""Up to this distance from the written to the service position credit does not shrink."""
BACKLOG_BYTES_MAX: Final = 64 * MIB
"""At this distance nothing more is granted."""


def credit_window(credit_bytes: int, connections: int, backlog_bytes: int) -> int:
    """Return the batch bytes that one connection may have under way now.

    Args:
        credit_bytes: The configured limit of one connection.
        connections: How many connections share the total.
        backlog_bytes: From the leader's written to its service position.

    """
    share = max(CREDIT_BYTES_MIN, CREDIT_TOTAL_BYTES // max(1, connections))
    window = min(credit_bytes, share)
    if backlog_bytes <= BACKLOG_BYTES_FREE:
        return window
    room = max(0, BACKLOG_BYTES_MAX - backlog_bytes)
    return window * room // (BACKLOG_BYTES_MAX - BACKLOG_BYTES_FREE)


class CreditAccount:
    """The credit of one connection since its session was opened or resumed there.

    Invariant:
        ``applied_bytes <= received_bytes``, and ``granted_bytes`` never falls.
    """

    __slots__ = ("_under_way", "applied_bytes", "granted_bytes", "received_bytes")

    def __init__(self, window: int) -> None:
        """Grant the first ``window`` bytes."""
        self.received_bytes = 0
        self.applied_bytes = 0
        self.granted_bytes = window
        self._under_way: deque[tuple[int, int]] = deque()

    def on_ingress(self, last_sequence: int, length: int, last_batch_length: int) -> bool:
        """Count batches that go into the log together, ``length`` bytes of them.

        Returns:
            Whether the last one, ``last_batch_length`` bytes, began within the credit.

        """
        self.received_bytes += length
        is_within = self.received_bytes - last_batch_length < self.granted_bytes
        self._under_way.append((last_sequence, self.received_bytes))
        return is_within

    def on_dropped(self, batch_length: int) -> None:
        """Count a batch that goes nowhere, which the client will send again."""
        self.received_bytes += batch_length
        if not self._under_way:
            self.applied_bytes = self.received_bytes

    def on_applied(self, sequence: int) -> None:
        """Free what is applied up to this ingress sequence."""
        under_way = self._under_way
        while under_way and under_way[0][0] <= sequence:
            self.applied_bytes = under_way.popleft()[1]
        if not under_way:
            self.applied_bytes = self.received_bytes

    def on_gap(self) -> None:
        """Free everything: what lies behind a gap is ignored by the service."""
        self._under_way.clear()
        self.applied_bytes = self.received_bytes

    def grant(self, window: int) -> int | None:
        """Return the new limit if it is worth a message: a quarter more, or all is used up."""
        limit = self.applied_bytes + window
        growth = limit - self.granted_bytes
        if growth <= 0 or (4 * growth < window and not self.is_used_up):
            return None
        self.granted_bytes = limit
        return limit

    @property
    def is_used_up(self) -> bool:
        """Whether the client may not begin another batch."""
        return self.received_bytes >= self.granted_bytes

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way and the client may send: nothing to do until it does."""
        return not self._under_way and not self.is_used_up
