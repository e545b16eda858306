"""One connection between two members, from its first byte to its close.

Plays the handshake, cuts what arrives into messages and gathers what is sent during one turn
of the loop into one write. Which connection may become the link to a seat is its owner's
decision.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from quorate.consensus.messages import Message
from quorate.consensus.types import PeerLife, Seat
from quorate.errors import RemoteProtocolError
from quorate.protocol.consensus_codec import decode_message
from quorate.protocol.framing import PAYLOAD_BYTES_MAX, FrameDecoder, WireFrame
from quorate.protocol.handshake import (
    HANDSHAKE_PAYLOAD_BYTES_MAX,
    KEEP_ALIVE,
    KEEP_ALIVE_TYPE,
    REFUSAL_TYPE,
    Handshake,
    HandshakeExchange,
    LinkRefusal,
    LinkRefused,
    RefusedByPeer,
    decode_refusal,
    encode_refusal,
)
from quorate.transport.interfaces import LinkSettings

_BACKLOG_BYTES_MAX = 64 * 1024
"""A closing connection with more than this unsent is cut off instead of being waited for."""


class ConnectionOwner(Protocol):
    """What a connection asks and tells whoever keeps the table of links."""

    def on_connected(self, connection: MemberConnection) -> None:
        """Note a connection whose handshake begins."""

    def check_admission(self, connection: MemberConnection) -> None:
        """Raise ``LinkRefused`` when this connection could not become the link to its peer."""

    def on_established(self, connection: MemberConnection) -> None:
        """Make this connection the link to its peer, or refuse it."""

    def on_message(self, connection: MemberConnection, message: Message) -> None:
        """Take one message from an established connection."""

    def on_closed(
        self, connection: MemberConnection, reason: LinkRefusal | None, *, by_peer: bool
    ) -> None:
        """Note that nothing will come or go any more; the reason is None when it just broke."""

    def on_released(self, connection: MemberConnection) -> None:
        """Note that the socket is gone."""


class MemberConnection(asyncio.Protocol):
    """One TCP connection; ``asyncio`` calls the methods of ``asyncio.Protocol``."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        exchange: HandshakeExchange,
        owner: ConnectionOwner,
        settings: LinkSettings,
        *,
        dialled: Seat | None,
    ) -> None:
        """Wait to be connected.

        Args:
            loop: Runs this connection.
            exchange: This side of the handshake, not begun yet.
            owner: Is told what happens.
            settings: Limits.
            dialled: The seat that this member dialled, None when the peer dialled.

        """
        self.dialled = dialled
        self.is_established = False
        self.life: PeerLife | None = None
        """Whose life the other end is, once established: made once, not for each message."""
        self.is_closed = False
        self.settled = asyncio.Event()
        """Set when the handshake has an outcome: established or closed."""
        self.released = asyncio.Event()
        """Set when the socket is gone."""
        self.silence_s = 0.0
        """Time since anything arrived, counted up by the owner."""
        self.has_sent = False
        """Anything was written since the owner last cleared this."""
        self.dropped_count = 0
        """Messages that found the send buffer full."""
        self._loop = loop
        self._exchange = exchange
        self._owner = owner
        self._settings = settings
        self._decoder = FrameDecoder(payload_bytes_max=HANDSHAKE_PAYLOAD_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0

    @property
    def has_queued(self) -> bool:
        """Whether something waits for ``flush``."""
        return bool(self._outbox)

    @property
    def peer(self) -> Handshake | None:
        """What the peer said of itself; proved only once the connection is established."""
        return self._exchange.peer

    @property
    def seat(self) -> Seat | None:
        """The seat at the other end, as far as it is known."""
        peer = self._exchange.peer
        return peer.seat if peer is not None else self.dialled

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        timeout = self._settings.handshake_timeout_s
        self._timer = self._loop.call_later(timeout, self._on_handshake_timeout)
        self._owner.on_connected(self)
        if not self.is_closed:
            self._transport.write(self._exchange.opening())

    def data_received(self, data: bytes) -> None:
        """Cut what arrived into messages and deliver each one."""
        self.silence_s = 0.0
        decoder, owner = self._decoder, self._owner
        decoder.add(data)
        while not self.is_closed:
            try:
                frame = decoder.next_frame()
                if frame is None:
                    return
                message = self._message_in(frame) if self.is_established else None
            except RemoteProtocolError as error:
                self._fail(error)
                return
            if message is not None:
                owner.on_message(self, message)
            elif not self.is_established:
                self._shake_hands(frame)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Let go; whoever closed first has told the owner already."""
        try:
            self._finish(None, by_peer=False)
        finally:
            self._cancel_timer()
            self._release()

    def send(self, buffers: list[bytes]) -> bool:
        """Queue one message; all that is queued leaves in one write, with ``flush``.

        Returns:
            False when the send buffer is full or the connection closed: the message is dropped.

        """
        transport = self._transport
        if self.is_closed or transport is None:
            return False
        length = sum(map(len, buffers))
        waiting = self._outbox_bytes + transport.get_write_buffer_size()
        if waiting + length > self._settings.send_buffer_bytes_max:
            self.dropped_count += 1
            return False
        self._outbox += buffers
        self._outbox_bytes += length
        return True

    def keep_alive(self) -> None:
        """Show the peer that this member lives, and find out whether the connection does."""
        self.send([KEEP_ALIVE])
        self.flush()

    def refuse(self, reason: LinkRefusal, detail: str) -> None:
        """Tell the peer why, then close."""
        if not self.is_closed and self._transport is not None:
            self._transport.write(encode_refusal(reason, detail))
        self._finish(reason, by_peer=False)

    def close(self) -> None:
        """Close without a word, as a connection that is not needed any more."""
        self._finish(None, by_peer=False)

    def abandon(self) -> None:
        """Close and let go at once: the loop may never call ``connection_lost``."""
        self._finish(None, by_peer=False)
        self._cancel_timer()
        if self._transport is not None:
            self._transport.abort()
        self._release()

    def _release(self) -> None:
        if not self.released.is_set():
            self.released.set()
            self._owner.on_released(self)

    def _shake_hands(self, frame: WireFrame) -> None:
        exchange = self._exchange
        was_known = exchange.peer is not None
        try:
            answer = exchange.receive(frame)
            if not was_known:
                self._owner.check_admission(self)
        except RemoteProtocolError as error:
            self._fail(error)
            return
        if answer and self._transport is not None:
            self._transport.write(answer)
        if exchange.is_complete:
            assert exchange.peer is not None, "a complete handshake has a peer"
            self.life = exchange.peer.life
            self.is_established = True
            self._decoder.payload_bytes_max = PAYLOAD_BYTES_MAX
            self._cancel_timer()
            self.settled.set()
            self._owner.on_established(self)

    @staticmethod
    def _message_in(frame: WireFrame) -> Message | None:
        """Return what an established peer says to the owner; None for a keep-alive."""
        if frame.message_type == KEEP_ALIVE_TYPE:
            return None
        if frame.message_type == REFUSAL_TYPE:
            raise decode_refusal(frame)
        return decode_message(frame)

    def _fail(self, error: RemoteProtocolError) -> None:
        match error:
            case RefusedByPeer():
                self._finish(error.reason, by_peer=True)
            case LinkRefused():
                self.refuse(error.reason, error.detail)
            case _:
                self.refuse(LinkRefusal.MALFORMED, str(error))

    def flush(self) -> None:
        """Write what is queued."""
        if self._outbox and self._transport is not None:
            self._transport.writelines(self._outbox)
            self.has_sent = True
            self._outbox = []
            self._outbox_bytes = 0

    def _on_handshake_timeout(self) -> None:
        timeout = self._settings.handshake_timeout_s
        self.refuse(LinkRefusal.HANDSHAKE_TIMEOUT, f"no handshake within {timeout} s")

    def _finish(self, reason: LinkRefusal | None, *, by_peer: bool) -> None:
        """Close once: no message comes or goes after this."""
        if self.is_closed:
            return
        self.is_closed = True
        self._outbox = []
        self._cancel_timer()
        transport = self._transport
        if transport is not None:
            if transport.get_write_buffer_size() > _BACKLOG_BYTES_MAX:
                transport.abort()
            else:
                transport.close()
                # A peer that does not read must not hold the socket for ever.
                timeout = self._settings.close_timeout_s
                self._timer = self._loop.call_later(timeout, transport.abort)
        self.settled.set()
        self._owner.on_closed(self, reason, by_peer=by_peer)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
