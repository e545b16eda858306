"""How much a client may send ahead: batch bytes of one connection, granted and used. Pure."""

from __future__ import annotations

from collections import deque

from quorate.gateway.credit_pool import SHARE_BYTES_MIN


class CreditAccount:
    """The credit of one connection since its session was opened or resumed there.

    What the connection may have under way begins small and doubles while the client uses it, up
    to its share of what all may have (``credit_pool``): so a thousand clients that do nothing
    hold little credit, and cannot all at once send what would take seconds to apply.

    Invariant:
        ``applied_bytes <= received_bytes``, and ``granted_bytes`` never falls.
    """

    __slots__ = (
        "_applied_sequence",
        "_grown_at",
        "_under_way",
        "_window",
        "applied_bytes",
        "granted_bytes",
        "received_bytes",
    )

    def __init__(self, window: int, applied_sequence: int = 0) -> None:
        """Grant the first ``window`` bytes to a session that has been applied so far."""
        self.received_bytes = 0
        self.applied_bytes = 0
        self.granted_bytes = window
        self._window = window
        self._grown_at = 0
        self._applied_sequence = applied_sequence
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

    def on_applied(self, sequence: int) -> int:
        """Free what is applied up to this ingress sequence; return how many bytes that is.

        Of batches that are applied in part, as many bytes as there are messages.
        """
        under_way, before = self._under_way, self.applied_bytes
        while under_way:
            last, end = under_way[0]
            if last > sequence > self._applied_sequence:
                part = (end - self.applied_bytes) * (sequence - self._applied_sequence)
                self.applied_bytes += part // (last - self._applied_sequence)
                break
            if last > sequence:
                break
            self.applied_bytes = end
            self._applied_sequence = last
            under_way.popleft()
        else:
            self.applied_bytes = self.received_bytes
        self._applied_sequence = max(self._applied_sequence, sequence)
        return self.applied_bytes - before

    def on_gap(self) -> None:
        """Free everything: what lies behind a gap is ignored by the service."""
        self._under_way.clear()
        self.applied_bytes = self.received_bytes

    def grant(self, share: int) -> int | None:
        """Return the new limit if it is worth a message: a quarter more, or all is used up.

        Args:
            share: Batch bytes that one connection may have under way now, if it uses them.

        """
        window = self._window
        if window < share:
            window = self._grow(share)
        elif window > share:
            window = share
        limit = self.applied_bytes + window
        growth = limit - self.granted_bytes
        if growth <= 0 or (4 * growth < window and not self.is_used_up):
            return None
        self.granted_bytes = limit
        return limit

    def _grow(self, share: int) -> int:
        """Double the window once for each window that was applied, if the client wants more."""
        if not self._window:
            # Begun when nobody was granted anything: there is nothing to double, or to use up.
            self._window = min(SHARE_BYTES_MIN, share)
        left = self.granted_bytes - self.received_bytes
        if self.applied_bytes >= self._grown_at and 2 * left < self._window:
            self._grown_at = self.received_bytes
            self._window = min(2 * self._window, share)
        return self._window

    @property
    def is_used_up(self) -> bool:
        """Whether the client may not begin another batch."""
        return self.received_bytes >= self.granted_bytes

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way and the client may send: nothing to do until it does."""
        return not self._under_way and not self.is_used_up
