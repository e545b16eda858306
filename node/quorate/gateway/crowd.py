"""All client connections of a member, and who of them must go when there are too many.

Nobody has proved who he is, so what one connection costs is bounded, and what all cost: their
number, from one address if that is configured, the bytes of messages that are not whole yet,
and the bytes that clients do not read. Sessions that are there come first: one that resumes
finds room that new ones do not get, and a connection without a session makes room for it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from typing import Final

from quorate.config import GatewayConfig
from quorate.gateway.connection import ClientConnection, ConnectionState
from quorate.gateway.refusals import Refusal

KIB: Final = 1024
MIB: Final = 1024 * KIB
RESUME_PARTS: Final = 16
"""One in so many of the connections is kept for sessions that resume."""
INCOMPLETE_BYTES_MAX: Final = 64 * MIB
"""Held of messages that have begun and are not whole, of all connections."""
LAGGING_BYTES: Final = MIB
"""Buffered bytes above which a connection produces no more."""
LAGGING_BYTES_MIN: Final = 64 * KIB
"""... where there are so many connections that each gets less."""
LAGGING_TOTAL_BYTES: Final = 256 * MIB
"""What connections that produce no more may have buffered, all together."""


class Crowd:
    """The connections of one gateway."""

    def __init__(self, config: GatewayConfig) -> None:
        """Hold nobody."""
        self.all: set[ClientConnection] = set()
        self.is_empty = asyncio.Event()
        self.is_empty.set()
        self._incomplete_bytes = 0
        self._connections_max = config.connections_max
        self._per_address_max = config.connections_per_address_max
        self._send_bytes_max = config.send_buffer_bytes_max
        self._unopened: OrderedDict[ClientConnection, None] = OrderedDict()
        self._lagging: OrderedDict[ClientConnection, int] = OrderedDict()
        self._lagging_bytes = 0
        self._by_address: Counter[str] = Counter()

    def add(self, connection: ClientConnection) -> tuple[ClientConnection, Refusal] | None:
        """Take a connection in; return who must go for it and why, perhaps itself."""
        self.all.add(connection)
        self.is_empty.clear()
        if self._per_address_max:
            address = connection.address = connection.peer_address()
            self._by_address[address] += 1
            if self._by_address[address] > self._per_address_max:
                return connection, Refusal.ADDRESS
        self._unopened[connection] = None
        # Also of one for which another has to go: it stays, and is to count when it lags.
        share = LAGGING_TOTAL_BYTES // len(self.all)
        limit = max(LAGGING_BYTES_MIN, min(LAGGING_BYTES, share))
        connection.limit_writing(min(limit, self._send_bytes_max))
        if len(self.all) > self._connections_max:
            return self._oldest_unopened(connection), Refusal.CONNECTIONS
        return None

    def remove(self, connection: ClientConnection) -> None:
        """Forget a connection that is lost."""
        self.all.discard(connection)
        self._unopened.pop(connection, None)
        self.on_writable(connection)
        self._incomplete_bytes -= connection.incomplete_bytes
        if connection.address:
            self._by_address[connection.address] -= 1
            if not self._by_address[connection.address]:
                del self._by_address[connection.address]
        if not self.all:
            self.is_empty.set()

    def on_open(self, connection: ClientConnection) -> None:
        """A connection has asked for a session: it does not make room for others any more."""
        self._unopened.pop(connection, None)

    @property
    def is_full_for_new_sessions(self) -> bool:
        """Whether what room is left is kept for sessions that resume."""
        return len(self.all) > self._connections_max - self._connections_max // RESUME_PARTS

    def on_incomplete(self, more_bytes: int) -> ClientConnection | None:
        """Count what is held of messages that are not whole; return who must go if it is too much.

        That is who holds most; what he holds is not counted any more.
        """
        self._incomplete_bytes += more_bytes
        if self._incomplete_bytes <= INCOMPLETE_BYTES_MAX:
            return None
        greediest = max(self.all, key=lambda connection: connection.incomplete_bytes)
        self._incomplete_bytes -= greediest.incomplete_bytes
        greediest.incomplete_bytes = 0
        return greediest

    def on_lagging(self, connection: ClientConnection) -> ClientConnection | None:
        """Note a client that does not read; return who must go if these buffer too much.

        That is who has not read for longest.
        """
        self._lagging[connection] = connection.write_limit
        self._lagging_bytes += connection.write_limit
        if self._lagging_bytes <= LAGGING_TOTAL_BYTES:
            return None
        longest, limit = self._lagging.popitem(last=False)
        self._lagging_bytes -= limit
        return longest

    def on_writable(self, connection: ClientConnection) -> None:
        """A client has read what was buffered, or is gone."""
        self._lagging_bytes -= self._lagging.pop(connection, 0)

    def _oldest_unopened(self, newcomer: ClientConnection) -> ClientConnection:
        while self._unopened:
            connection, _ = self._unopened.popitem(last=False)
            if connection.state is ConnectionState.NEW:
                return connection
        return newcomer
