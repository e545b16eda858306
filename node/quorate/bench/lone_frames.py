"""A client that sends every message alone in a network frame of its own.

The client of the library puts what is offered in one turn of the loop into one ingress frame;
this one never does, so it shows what a message costs the members that comes without others. It
keeps credit, numbers and acknowledges as the protocol asks, but it neither reconnects nor sends
again: a connection that ends is a failed measurement. Several frames may leave in one write.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from typing import cast

from quorate.bench.job import PAYLOAD_BYTES
from quorate.config import split_address
from quorate.errors import NotConnected, RemoteProtocolError
from quorate.protocol.entry_bodies import SESSION_KEY_LENGTH
from quorate.protocol.session_codec import (
    ANY_CLUSTER,
    CLIENT_PROTOCOL_VERSION,
    EGRESS_MESSAGE_BYTES_MAX,
    INGRESS_HEADER_LENGTH,
    MESSAGE_VERSION,
    MessageSplitter,
    decode_egress,
    decode_message,
    encode_close,
    encode_open,
)
from quorate.protocol.session_messages import (
    ClientMessageType,
    Closed,
    Credit,
    Open,
    Opened,
    Redirect,
)

WINDOW_BYTES = 8 * 1024 * 1024
"""As the client of the library: what may be sent and not acknowledged."""
RETRY_S = 0.1
_LENGTH_FIELD = 4
_BATCH_LENGTH = _LENGTH_FIELD + PAYLOAD_BYTES
_FRAME_LENGTH = INGRESS_HEADER_LENGTH + _BATCH_LENGTH
_FRAME = struct.Struct(f"<IBBHQQQII{PAYLOAD_BYTES}s")
"""Ingress header, then a batch of one message; see ``session_codec.ingress_header``."""

assert _FRAME.size == _FRAME_LENGTH


class LoneFrameClient(asyncio.Protocol):
    """One session on one connection."""

    def __init__(self) -> None:
        """Use ``connect``."""
        self.sent = 0
        self.acknowledged = 0
        self.egress = 0
        self._credit_bytes = 0
        self._session_id = 0
        self._payload = b"x" * PAYLOAD_BYTES
        self._splitter = MessageSplitter(EGRESS_MESSAGE_BYTES_MAX)
        self._transport: asyncio.WriteTransport
        self._is_writable = True
        self._is_closed = False
        self._loop = asyncio.get_running_loop()
        self._changed: asyncio.Future[None] | None = None
        self._answer: asyncio.Future[Opened | Redirect] = self._loop.create_future()
        self._failure: Exception | None = None

    @classmethod
    async def connect(cls, addresses: tuple[str, ...], timeout_s: float = 30) -> LoneFrameClient:
        """Open a session at the leader.

        Raises:
            NotConnected: Not within the time.

        """
        asked, turn = addresses[0], 0
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    client, answer = await cls._ask(asked)
                    if isinstance(answer, Opened):
                        return client
                    turn += 1
                    asked = answer or addresses[turn % len(addresses)]
                    await asyncio.sleep(RETRY_S)
        except TimeoutError:
            raise NotConnected(f"no leader opened a session within {timeout_s:g} s") from None

    @classmethod
    async def _ask(cls, address: str) -> tuple[LoneFrameClient, Opened | str]:
        """Return the client and what a member says: an open session, or whom to ask instead."""
        host, port = split_address(address)
        loop = asyncio.get_running_loop()
        try:
            transport, client = await loop.create_connection(cls, host, port)
            answer = await client._answer  # noqa: SLF001 - its own
        except (OSError, NotConnected):
            return cls(), ""
        if isinstance(answer, Redirect):
            transport.abort()
            return client, answer.address
        return client, answer

    def send(self, count_max: int) -> int:
        """Write so many frames, fewer when credit or window are short; return how many."""
        if self._failure is not None:
            raise self._failure
        pending = (self.sent - self.acknowledged) * _BATCH_LENGTH
        room = min(self._credit_bytes - self.sent * _BATCH_LENGTH, WINDOW_BYTES - pending)
        count = min(count_max, room // _BATCH_LENGTH) if self._is_writable else 0
        if count <= 0:
            return 0
        kind, session, egress, payload = (
            int(ClientMessageType.INGRESS),
            self._session_id,
            self.egress,
            self._payload,
        )
        pack, first = _FRAME.pack, self.sent + 1
        frames = [
            pack(
                _FRAME_LENGTH,
                kind,
                MESSAGE_VERSION,
                0,
                session,
                sequence,
                egress,
                1,
                PAYLOAD_BYTES,
                payload,
            )
            for sequence in range(first, first + count)
        ]
        self.sent += count
        self._transport.write(b"".join(frames))
        return count

    async def changed(self) -> None:
        """Wait until something has arrived, or the socket takes more."""
        if self._failure is not None:
            raise self._failure
        self._changed = self._loop.create_future()
        await self._changed

    async def flush(self) -> None:
        """Wait until everything sent is acknowledged."""
        while self.acknowledged < self.sent:
            await self.changed()

    async def close(self) -> None:
        """End the session and wait for the members' word on it."""
        self._transport.write(encode_close(self._session_id))
        while not self._is_closed:
            await self.changed()
        self._transport.abort()

    # What arrives

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a session."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(
            encode_open(
                Open(
                    version_min=CLIENT_PROTOCOL_VERSION,
                    version_max=CLIENT_PROTOCOL_VERSION,
                    cluster_id=ANY_CLUSTER,
                    session_key=secrets.token_bytes(SESSION_KEY_LENGTH),
                    cluster_session_id=0,
                    egress_received=0,
                    message_bytes_max=0,
                    name="bench",
                )
            )
        )

    def data_received(self, data: bytes) -> None:
        """Take in answers."""
        try:
            for raw in self._splitter.feed(data):
                if raw.message_type is ClientMessageType.EGRESS:
                    egress = decode_egress(raw.body)
                    self.acknowledged = max(self.acknowledged, egress.ingress_applied)
                    self.egress += egress.message_count
                else:
                    self._take(decode_message(raw))
        except RemoteProtocolError as error:
            self._fail(error)
        self._wake()

    def _take(self, message: object) -> None:
        match message:
            case Credit(bytes_max):
                self._credit_bytes = max(self._credit_bytes, bytes_max)
            case Opened() if not self._answer.done():
                self._session_id = message.cluster_session_id
                self._credit_bytes = message.credit
                self._answer.set_result(message)
            case Redirect() if not self._answer.done():
                self._answer.set_result(message)
            case Closed():
                self._is_closed = True
            case _:
                raise RemoteProtocolError(f"{message} amid a measurement")

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail: what was measured would not be what it says."""
        self._fail(NotConnected(f"the connection ended: {exc or 'closed by the member'}"))
        self._wake()

    def pause_writing(self) -> None:
        """Send nothing more for now."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """Go on."""
        self._is_writable = True
        self._wake()

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        if not self._answer.done():
            self._answer.set_exception(self._failure)

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is None or changed.done():
            return
        if self._failure is not None:
            changed.set_exception(self._failure)
        else:
            changed.set_result(None)
