"""When sessions were heard last, in the leader's loop time: who is silent for too long. Pure.

Only the serving leader judges, and its clocks start afresh when it begins to serve: time that
passed without a leader is nobody's fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from quorate.gateway.connection import ClientConnection


class SessionClocks:
    """The silence of sessions, connected or not."""

    def __init__(self) -> None:
        """Know nobody."""
        self._heard_at: dict[int, int] = {}

    def start(self, session_ids: Iterable[int], now: int) -> None:
        """Begin afresh: every session counts as heard now."""
        self._heard_at = dict.fromkeys(session_ids, now)

    def heard(self, session_id: int, at: int) -> None:
        """Note a sign of life of a session."""
        self._heard_at[session_id] = at

    def forget(self, session_id: int) -> None:
        """Drop a session that has ended."""
        self._heard_at.pop(session_id, None)

    def keep(self, session_ids: Sequence[int]) -> None:
        """Drop whatever is noted of sessions other than these."""
        if len(self._heard_at) > len(session_ids):
            heard = self._heard_at
            self._heard_at = {number: heard[number] for number in session_ids if number in heard}

    def silent(
        self,
        session_ids: Iterable[int],
        attached: Mapping[int, ClientConnection],
        now: int,
        timeout_ns: int,
    ) -> list[int]:
        """Return the sessions that have said nothing for longer than ``timeout_ns``.

        A connection that this side does not read from is not silent.
        """
        expired: list[int] = []
        for session_id in session_ids:
            connection = attached.get(session_id)
            if connection is not None:
                if not connection.is_reading:
                    connection.heard_at = now
                self._heard_at[session_id] = connection.heard_at
            # Not known yet: opened while this leader serves, and its connection lost since.
            if now - self._heard_at.setdefault(session_id, now) > timeout_ns:
                expired.append(session_id)
        return expired
