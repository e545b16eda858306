"""One client's TCP connection: cuts the bytes into messages, hands them on, writes answers.

It knows the state of the connection and enforces what needs nothing else; what a message means
for sessions is for its `Desk` to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum
from typing import Final, Protocol, cast

from quorate.errors import RemoteProtocolError
from quorate.gateway.credit import CreditAccount
from quorate.gateway.refusals import Refusal
from quorate.gateway.turn_budget import TurnBudget
from quorate.protocol.session_codec import (
    CLIENT_MESSAGE_BYTES_MAX,
    SMALL_MESSAGE_BYTES_MAX,
    MessageSplitter,
    TooLarge,
    encode_error,
)
from quorate.protocol.session_messages import LinkError, Open, RawMessage

ASIDES_PER_S: Final = 256
"""Messages other than ingress that a connection may bring in a second. A client keeps alive, asks
for a sign of life or acknowledges egress a few times in a second, and nothing else bounds these."""
_ASIDES_NS: Final = 1_000_000_000


class ConnectionState(Enum):
    """How far a connection has come."""

    NEW = "new"
    """No open received yet."""
    OPENING = "opening"
    """Its open is not answered: waits for a leader or for the log."""
    ATTACHED = "attached"
    """A session sends and receives here."""
    DETACHED = "detached"
    """Had a session until this member lost leadership; it may resume here with another open."""
    ENDED = "ended"
    """Closed by this side; only what is buffered still goes out."""


class Desk(Protocol):
    """Who takes what connections receive."""

    @property
    def now(self) -> int:
        """Loop time in nanoseconds."""

    @property
    def budget(self) -> TurnBudget:
        """What one connection may bring in a turn; the rest waits."""

    def on_connected(self, connection: ClientConnection) -> None:
        """A client has connected."""

    def on_messages(self, connection: ClientConnection, messages: Sequence[RawMessage]) -> None:
        """Whole messages; raises ``RemoteProtocolError`` at the first that does not belong here.

        Those behind the one that ends the connection are not looked at.
        """

    def on_incomplete(self, more_bytes: int) -> None:
        """A connection holds so many bytes more, or fewer, of messages that are not whole."""

    def on_lagging(self, connection: ClientConnection) -> None:
        """Too much is buffered: the connection has stopped producing."""

    def on_writable(self, connection: ClientConnection) -> None:
        """What was buffered has been sent; the connection had stopped producing."""

    def on_lost(self, connection: ClientConnection) -> None:
        """The connection is gone."""

    def refuse(self, connection: ClientConnection, reason: Refusal, code: LinkError) -> None:
        """Count, say why, and end the connection."""


class ClientConnection(asyncio.Protocol):
    """A connection from its accept to its loss."""

    __slots__ = (
        "_asides",
        "_asides_since",
        "_desk",
        "_read_pauses",
        "_splitter",
        "_taken",
        "_taken_bytes",
        "_taken_in",
        "_transport",
        "acknowledgement_logged",
        "active_in",
        "address",
        "credit",
        "egress_sent",
        "heard_at",
        "incomplete_bytes",
        "ingress_said",
        "is_lagging",
        "key_hash",
        "lagging_bytes",
        "lagging_since",
        "open",
        "rewound_to",
        "session_id",
        "state",
        "state_since",
        "write_limit",
    )

    def __init__(self, desk: Desk) -> None:
        """Begin before the transport is there."""
        self._desk = desk
        self._transport: asyncio.Transport | None = None
        self._splitter = MessageSplitter(SMALL_MESSAGE_BYTES_MAX)
        self._taken_in = -1
        self._taken = 0
        self._taken_bytes = 0
        self._asides_since = desk.now
        self._asides = 0
        self._read_pauses: set[str] = set()
        self.state = ConnectionState.NEW
        self.state_since = desk.now
        self.heard_at = desk.now
        self.is_lagging = False
        """Too much is buffered: produce no more, what is kept is sent later."""
        self.lagging_since = 0
        self.lagging_bytes = 0
        """What was buffered then."""
        self.write_limit = 0
        """Bytes buffered above which it is lagging."""
        self.address = ""
        """Of the client, where connections of an address are counted."""
        self.incomplete_bytes = 0
        """Held of messages that are not whole, or wait for a later turn."""
        self.open: Open | None = None
        self.key_hash = b""
        self.session_id = 0
        self.credit = CreditAccount(0)
        self.active_in = -1
        """The last round of the credit pool in which ingress came."""
        self.egress_sent = 0
        """Highest egress sequence written here (or received by the client before)."""
        self.ingress_said = 0
        """Highest ingress sequence acknowledged here."""
        self.acknowledgement_logged = 0
        """Highest egress acknowledgement of a listening client that went into the log."""
        self.rewound_to = 0
        """The sequence that the client was told to go back to, until it has; 0 without."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        # asyncio gives a stream protocol nothing else; uvloop's own class is not a subclass.
        self._transport = cast("asyncio.Transport", transport)
        self._desk.on_connected(self)

    def data_received(self, data: bytes) -> None:
        """Cut and hand on; whatever is not the protocol ends the connection."""
        if self.is_ended:
            return
        self.heard_at = self._desk.now
        if self._read_pauses and self._transport is not None:
            # uvloop reads from a connection that was paused while it was made: it would forget
            # a pause that begins before its reading does.
            self._transport.pause_reading()
        self._take(data)

    def go_on(self) -> None:
        """Take what was held back in an earlier turn, unless something else forbids it."""
        if self._read_pauses == {"turn"} and not self.is_ended:
            self.resume_reading("turn")
            self._take(b"")

    def _take(self, data: bytes) -> None:
        desk, splitter = self._desk, self._splitter
        budget = desk.budget
        if self._taken_in != budget.turn:
            self._taken_in, self._taken, self._taken_bytes = budget.turn, 0, 0
        self._taken_bytes += len(data)
        room = 0 if self._read_pauses else min(budget.left, budget.each - self._taken)
        try:
            messages = splitter.feed(data, room)
            if messages:
                self._taken += len(messages)
                budget.left -= len(messages)
                desk.on_messages(self, messages)
        except TooLarge:
            desk.refuse(self, Refusal.TOO_LARGE, LinkError.TOO_LARGE)
        except RemoteProtocolError:
            desk.refuse(self, Refusal.MALFORMED, LinkError.MALFORMED)
        if splitter.has_more or self._taken_bytes > budget.bytes_each:
            self.pause_reading("turn")
            budget.hold(self)
        if splitter.buffered != self.incomplete_bytes:
            more = splitter.buffered - self.incomplete_bytes
            self.incomplete_bytes += more
            desk.on_incomplete(more)

    def count_aside(self) -> bool:
        """Count a message other than ingress; tell whether it is one too many in a second."""
        now = self._desk.now
        if now - self._asides_since >= _ASIDES_NS:
            self._asides_since, self._asides = now, 0
        self._asides += 1
        if self._asides <= ASIDES_PER_S:
            return False
        self.pause_reading("flood")
        return self._asides == ASIDES_PER_S + 1

    def forgive_flood(self) -> None:
        """Read again from a client that said too much, if its second is over."""
        if self._desk.now - self._asides_since >= _ASIDES_NS:
            self.resume_reading("flood")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own
        """Tell the desk."""
        self.state = ConnectionState.ENDED
        self._transport = None
        self._desk.on_lost(self)

    def pause_writing(self) -> None:
        """Stop producing: the client reads more slowly than the service answers."""
        self.is_lagging = True
        self.lagging_since = self._desk.now
        self.lagging_bytes = self.buffered_bytes
        self._desk.on_lagging(self)

    def resume_writing(self) -> None:
        """Produce again."""
        self.is_lagging = False
        self._desk.on_writable(self)

    def change_state(self, state: ConnectionState) -> None:
        """Note the state and since when it holds; ``ENDED`` is the last one."""
        if self.state is ConnectionState.ENDED:
            return
        if state is ConnectionState.ATTACHED:
            # Nobody else has a reason to send more than an open takes.
            self._splitter.bytes_max = CLIENT_MESSAGE_BYTES_MAX
        self.state = state
        self.state_since = self._desk.now

    def limit_writing(self, high_bytes: int) -> None:
        """Call this connection lagging above so many buffered bytes."""
        self.write_limit = high_bytes
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=high_bytes, low=high_bytes // 4)

    def peer_address(self) -> str:
        """Return the client's address without its port."""
        peer = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(peer[0]) if peer else ""

    @property
    def is_ended(self) -> bool:
        """Whether this side has closed it, or it is lost."""
        return self.state is ConnectionState.ENDED

    @property
    def buffered_bytes(self) -> int:
        """Bytes written and not taken by the socket yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def write(self, data: bytes) -> None:
        """Send one message."""
        if self._transport is not None and self.state is not ConnectionState.ENDED:
            self._transport.write(data)

    def write_pieces(self, pieces: Sequence[bytes]) -> None:
        """Send pieces in order with one call to the system where it takes them."""
        if self._transport is not None and self.state is not ConnectionState.ENDED:
            self._transport.writelines(pieces)

    def pause_reading(self, reason: str) -> None:
        """Leave the client's bytes waiting until every reason is gone."""
        if not self._read_pauses and self._transport is not None:
            self._transport.pause_reading()
        self._read_pauses.add(reason)

    def resume_reading(self, reason: str) -> None:
        """Take one reason away."""
        if reason not in self._read_pauses:
            return
        self._read_pauses.discard(reason)
        if self._read_pauses == {"turn"}:
            self._desk.budget.hold(self)
        if self._read_pauses or self._transport is None:
            return
        if self.state is not ConnectionState.ENDED:
            self._transport.resume_reading()

    @property
    def is_reading(self) -> bool:
        """Whether silence is the client's own."""
        return not self._read_pauses

    def end(self, last_words: bytes = b"") -> None:
        """Send the last message and close behind it."""
        if self._transport is None or self.state is ConnectionState.ENDED:
            return
        if last_words:
            self._transport.write(last_words)
        self.change_state(ConnectionState.ENDED)
        self._transport.close()

    def end_with(self, code: LinkError) -> None:
        """Say why and close."""
        self.end(encode_error(code))

    def abort(self) -> None:
        """Close at once, whatever is buffered."""
        if self._transport is not None:
            self.change_state(ConnectionState.ENDED)
            self._transport.abort()
