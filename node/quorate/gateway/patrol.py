"""Looks at all connections and sessions now and then, and ends those that take too long."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from typing import Final, Protocol, TypeVar

from quorate.config import GatewayConfig
from quorate.gateway.connection import ClientConnection, ConnectionState
from quorate.gateway.doorkeeper import Doorkeeper
from quorate.gateway.ports import IngressPort
from quorate.gateway.refusals import Refusal, RefusalCounts
from quorate.gateway.session_clocks import SessionClocks
from quorate.protocol.entry_bodies import CloseReason
from quorate.protocol.session_messages import LinkError

_MS: Final = 1_000_000
_INTERVAL_NS: Final = 250 * _MS
"""Rare enough for ten thousand sessions, often enough for time-outs of seconds."""
NOT_READ_NS: Final = 10_000 * _MS
"""How long a client may leave a full buffer unread ..."""
READ_BYTES_MIN: Final = 64 * 1024
"""... which it does if it takes less than this of it: an answer of megabytes takes a slow line
longer, and whoever was cut off would be sent it again from its beginning, for ever."""

STRIDE: Final = 64
"""Connections, and sessions, that a walk begins with."""
PACE_NS: Final = 100_000
"""For each of the others: ten thousand take a second. In twenty turns on end, four times a second,
they were felt by whoever waited for an answer."""
EXPIRIES: Final = 16
"""Sessions that expire in one turn: each is an entry that every member applies, and who left
thousands behind at once is not to be felt by those who are there."""

T = TypeVar("T")


class Precinct(Protocol):
    """What is patrolled."""

    refusals: RefusalCounts

    @property
    def connections(self) -> Collection[ClientConnection]:
        """All of them."""

    def refuse(self, connection: ClientConnection, reason: Refusal, code: LinkError) -> None:
        """Count, say why, and end the connection."""

    def append_close(self, session_id: int, reason: CloseReason) -> None:
        """Put a session's close into the log."""


class Patrol:
    """Judges time-outs in loop time."""

    def __init__(self, config: GatewayConfig, port: IngressPort, doorkeeper: Doorkeeper) -> None:
        """Begin with the first call."""
        self.clocks = SessionClocks()
        self._open_timeout_ns = config.open_timeout_ms * _MS
        self._port = port
        self._doorkeeper = doorkeeper
        self._next_at = 0
        self._walked_at = 0
        self._connections: deque[ClientConnection] = deque()
        """Still to be looked at in the present walk."""
        self._session_ids: deque[int] = deque()

    def is_due(self, now: int) -> bool:
        """Tell whether it is time for another walk, or to go on with the present one."""
        return bool(self._connections or self._session_ids) or now >= self._next_at

    def walk(self, precinct: Precinct, now: int, *, serves: bool) -> None:
        """End what is overdue, as far as one turn goes.

        Args:
            precinct: Connections, and how to end them.
            now: Loop time in nanoseconds.
            serves: Whether this member may append: only then do sessions expire.

        """
        timeout_ns = self._port.container.settings.session_timeout_ns
        if not self._connections and not self._session_ids:
            self._next_at = now + min(_INTERVAL_NS, timeout_ns // 8, self._open_timeout_ns // 8)
            session_ids = self._port.container.session_ids()
            self.clocks.keep(session_ids)
            self._connections.extend(precinct.connections)
            self._session_ids.extend(session_ids)
            self._walked_at = now
            count = STRIDE
        else:
            count = (now - self._walked_at) // PACE_NS
            self._walked_at += count * PACE_NS
        for connection in _taken(self._connections, count):
            self._judge(precinct, connection, now)
        session_ids = list(_taken(self._session_ids, count))
        if serves:
            self._expire(precinct, session_ids, now, timeout_ns)

    def _expire(
        self, precinct: Precinct, session_ids: Sequence[int], now: int, timeout_ns: int
    ) -> None:
        attached = self._doorkeeper.attached
        silent = self.clocks.silent(session_ids, attached, now, timeout_ns)
        for session_id in silent[:EXPIRIES]:
            precinct.append_close(session_id, CloseReason.EXPIRED)
        # Whoever could not expire now is looked at again in the next turn.
        self._session_ids.extendleft(reversed(silent[EXPIRIES:]))

    def _judge(self, precinct: Precinct, connection: ClientConnection, now: int) -> None:
        since = now - connection.state_since
        connection.forgive_flood()
        match connection.state:
            case ConnectionState.ENDED:
                if since > self._open_timeout_ns:
                    # The client takes neither the rest nor the end of the connection.
                    connection.abort()
            case ConnectionState.NEW:
                if since > self._open_timeout_ns and connection.is_reading:
                    precinct.refuse(connection, Refusal.OPEN_TIMEOUT, LinkError.OPEN_TIMEOUT)
            case ConnectionState.OPENING | ConnectionState.DETACHED:
                self._judge_waiting(precinct, connection, now)
            case ConnectionState.ATTACHED:
                pass
        if connection.is_lagging:
            self._judge_lagging(precinct, connection, now)

    @staticmethod
    def _judge_lagging(precinct: Precinct, connection: ClientConnection, now: int) -> None:
        left = connection.buffered_bytes
        if left <= connection.lagging_bytes - READ_BYTES_MIN:
            connection.lagging_since, connection.lagging_bytes = now, left
        elif now - connection.lagging_since > NOT_READ_NS:
            precinct.refusals.count(Refusal.NOT_READ)
            connection.abort()

    def _judge_waiting(self, precinct: Precinct, connection: ClientConnection, now: int) -> None:
        if not connection.is_reading:
            return
        timeout_ns = self._port.container.settings.session_timeout_ns
        if now - connection.heard_at > timeout_ns:
            precinct.refuse(connection, Refusal.SILENT, LinkError.OPEN_TIMEOUT)
        elif (
            self._port.leader_client_address is not None
            and not self._port.serving
            and now - connection.state_since > self._open_timeout_ns
        ):
            precinct.refuse(connection, Refusal.REDIRECTED, LinkError.OPEN_TIMEOUT)


def _taken(items: deque[T], count: int) -> Iterator[T]:
    """Yield what is looked at in this turn; the rest is neither copied nor touched."""
    for _ in range(min(count, len(items))):
        yield items.popleft()
