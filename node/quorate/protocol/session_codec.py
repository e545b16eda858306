"""What clients and members say to each other, as bytes; see "Client link" in SCHEMA.md.

Every message has a header of 8 bytes: length of the whole message u32, type u8, version u8,
flags u16. Batches inside ingress and egress stay opaque here: ``batch`` cuts them, and only the
service container and the client do so.
"""

from __future__ import annotations

import struct
import sys
from typing import Final

from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol.entry_bodies import NAME_BYTES_MAX, SESSION_KEY_LENGTH
from quorate.protocol.fields import (
    FieldReader,
    decode_records,
    pack_bytes,
    pack_text,
    pack_u8,
    pack_u16,
    pack_u32,
    pack_u64,
)
from quorate.protocol.session_messages import (
    ClientLinkMessage,
    ClientMessageType,
    Close,
    Closed,
    Credit,
    Egress,
    EgressAcknowledge,
    Error,
    Ingress,
    KeepAlive,
    LinkError,
    Open,
    Opened,
    RawMessage,
    Redirect,
    Rewind,
)

CLIENT_PROTOCOL_VERSION: Final = 1
"""The version that this release speaks; an open names the range that its sender speaks."""
MESSAGE_VERSION: Final = 1
HEADER_LENGTH: Final = 8
CLUSTER_ID_LENGTH: Final = 16
ANY_CLUSTER: Final = bytes(CLUSTER_ID_LENGTH)
"""Instead of a cluster id in an open: whatever cluster answers."""

ADDRESS_BYTES_MAX: Final = 512
MEMBERS_MAX: Final = 9
SMALL_MESSAGE_BYTES_MAX: Final = 16 * 1024
"""No message but ingress and egress is longer."""
CLIENT_MESSAGE_BYTES_MAX: Final = 1024 * 1024
"""No message from a client is longer, header included."""
EGRESS_MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""No message to a client is longer, header included."""
SEQUENCE_MAX: Final = 2**63 - 1
_SMALL_PIECE: Final = 4096

_HEADER = struct.Struct("<IBBH")
_LENGTH_AND_REST = struct.Struct("<II")
_INGRESS = struct.Struct("<QQQI")
_EGRESS = struct.Struct("<QQI")
_NUMBER = struct.Struct("<Q")
_TWO_NUMBERS = struct.Struct("<QQ")
_CLOSED = struct.Struct("<QB")
_ERROR = struct.Struct("<H")

INGRESS_HEADER_LENGTH: Final = HEADER_LENGTH + _INGRESS.size
EGRESS_HEADER_LENGTH: Final = HEADER_LENGTH + _EGRESS.size

assert _HEADER.size == HEADER_LENGTH


_TYPES: Final = {
    int(message_type) | MESSAGE_VERSION << 8: message_type for message_type in ClientMessageType
}
"""By type, version and flags as one number: one look-up refuses whatever is unknown."""
_LONG_TYPES: Final = frozenset({ClientMessageType.INGRESS, ClientMessageType.EGRESS})


class TooLarge(RemoteProtocolError):
    """A message is longer than its limit."""


class MessageSplitter:
    """Cuts a stream of bytes into messages, however it was sliced on its way.

    Holds at most one incomplete message, of at most ``bytes_max``: a length beyond it is
    refused as soon as its four bytes are known. ``bytes_max`` may be changed between messages.
    """

    __slots__ = ("_pieces", "_wanted", "buffered", "bytes_max", "has_more")

    def __init__(self, bytes_max: int) -> None:
        """Take messages of up to ``bytes_max`` bytes, header included."""
        self.bytes_max = bytes_max
        self.has_more = False
        """Whether the last call stopped at its limit of messages; whole ones may be waiting."""
        self._pieces: list[bytes] = []
        self.buffered = 0
        """Bytes held of messages that are not whole, or beyond the last call's limit."""
        self._wanted = HEADER_LENGTH

    def feed(self, data: bytes, messages_max: int = sys.maxsize) -> list[RawMessage]:
        """Return the messages that ``data`` completes, in order.

        Args:
            data: What has arrived; nothing, to go on behind an earlier limit.
            messages_max: Return no more messages; the rest stays here, see ``has_more``.

        Raises:
            RemoteProtocolError: A header of unknown type or version, with flags, or with a
                length that is shorter than a header. The stream cannot be used any further.
            TooLarge: A message beyond its limit.

        """
        self.has_more = False
        if self.buffered:
            pieces = self._pieces
            # Bytes that trickle in would else take many times their room, each as an object.
            if len(data) < _SMALL_PIECE and len(pieces[-1]) < _SMALL_PIECE:
                pieces[-1] += data
            else:
                pieces.append(data)
            self.buffered += len(data)
            if self.buffered < self._wanted:
                return []
            data = b"".join(self._pieces)
            self._pieces.clear()
            self.buffered = 0
        messages: list[RawMessage] = []
        offset, available = 0, len(data)
        while available - offset >= HEADER_LENGTH:
            if len(messages) >= messages_max:
                self.has_more = True
                break
            length, message_type = self._check_header(data, offset)
            if length > available - offset:
                self._keep(data, offset, length)
                return messages
            end = offset + length
            messages.append(RawMessage(message_type, data[offset + HEADER_LENGTH : end]))
            offset = end
        if offset < available:
            self._keep(data, offset, HEADER_LENGTH)
        return messages

    def _keep(self, data: bytes, offset: int, wanted: int) -> None:
        self._pieces.append(data[offset:])
        self.buffered = len(data) - offset
        self._wanted = wanted

    def _check_header(self, data: bytes, offset: int) -> tuple[int, ClientMessageType]:
        length, rest = _LENGTH_AND_REST.unpack_from(data, offset)
        message_type = _TYPES.get(rest)
        if message_type is None:
            _, kind, version, flags = _HEADER.unpack_from(data, offset)
            raise RemoteProtocolError(
                f"client link message of type {kind}, version {version}, flags {flags} is unknown"
            )
        bytes_max = self.bytes_max if message_type in _LONG_TYPES else SMALL_MESSAGE_BYTES_MAX
        if length < HEADER_LENGTH:
            raise RemoteProtocolError(f"client link message of length {length} is no message")
        if length > bytes_max:
            raise TooLarge(f"client link message of {length} bytes exceeds {bytes_max}")
        return length, message_type


def encode_open(message: Open) -> bytes:
    """Return an open; every field is checked against its limit (``LocalProtocolError``)."""
    return _encode(
        ClientMessageType.OPEN,
        pack_u8(message.version_min),
        pack_u8(message.version_max),
        pack_bytes(message.cluster_id, CLUSTER_ID_LENGTH),
        pack_bytes(message.session_key, SESSION_KEY_LENGTH),
        pack_u64(message.cluster_session_id),
        pack_u64(message.egress_received),
        pack_u32(message.message_bytes_max),
        pack_text(message.name, NAME_BYTES_MAX),
    )


def encode_opened(message: Opened) -> bytes:
    """Return the answer to an open (``LocalProtocolError`` beyond a limit)."""
    if len(message.members) > MEMBERS_MAX:
        raise LocalProtocolError(f"{len(message.members)} members exceed {MEMBERS_MAX}")
    return _encode(
        ClientMessageType.OPENED,
        pack_u8(message.version),
        pack_u8(message.durability),
        pack_u64(message.cluster_session_id),
        pack_u64(message.ingress_applied),
        pack_u64(message.credit),
        pack_u64(message.session_timeout_ns),
        pack_u32(message.message_bytes_max),
        pack_u32(message.batch_bytes_max),
        pack_u8(len(message.members)),
        *(pack_text(address, ADDRESS_BYTES_MAX) for address in message.members),
    )


def ingress_header(
    cluster_session_id: int,
    first_sequence: int,
    egress_acknowledged: int,
    message_count: int,
    batch_length: int,
) -> bytes:
    """Return what stands before a batch of ``batch_length`` bytes, so that it is not copied."""
    length = INGRESS_HEADER_LENGTH + batch_length
    return _HEADER.pack(length, ClientMessageType.INGRESS, MESSAGE_VERSION, 0) + _INGRESS.pack(
        cluster_session_id, first_sequence, egress_acknowledged, message_count
    )


def egress_header(
    ingress_applied: int, first_sequence: int, message_count: int, batch_length: int
) -> bytes:
    """Return what stands before a batch of ``batch_length`` bytes, so that it is not copied."""
    length = EGRESS_HEADER_LENGTH + batch_length
    return _HEADER.pack(length, ClientMessageType.EGRESS, MESSAGE_VERSION, 0) + _EGRESS.pack(
        ingress_applied, first_sequence, message_count
    )


def encode_redirect(address: str) -> bytes:
    """Return a redirect; the empty address says that no leader is known yet."""
    return _encode(ClientMessageType.REDIRECT, pack_text(address, ADDRESS_BYTES_MAX))


def encode_credit(bytes_max: int) -> bytes:
    """Return a credit, in batch bytes since the connection was opened."""
    return _encode(ClientMessageType.CREDIT, pack_u64(bytes_max))


def encode_rewind(sequence: int) -> bytes:
    """Return a rewind to this ingress sequence."""
    return _encode(ClientMessageType.REWIND, pack_u64(sequence))


def encode_closed(cluster_session_id: int, reason: int) -> bytes:
    """Return the end of a session."""
    return _encode(ClientMessageType.CLOSED, pack_u64(cluster_session_id), pack_u8(reason))


def encode_error(code: LinkError) -> bytes:
    """Return the last message of a connection that has no session any more."""
    return _encode(ClientMessageType.ERROR, pack_u16(code))


def encode_egress_acknowledge(cluster_session_id: int, egress_sequence: int) -> bytes:
    """Return the acknowledgement of a client that has nothing else to send."""
    return _encode(
        ClientMessageType.EGRESS_ACKNOWLEDGE,
        pack_u64(cluster_session_id),
        pack_u64(egress_sequence),
    )


def encode_keep_alive() -> bytes:
    """Return a keep-alive."""
    return _encode(ClientMessageType.KEEP_ALIVE)


def encode_close(cluster_session_id: int) -> bytes:
    """Return the wish to close a session."""
    return _encode(ClientMessageType.CLOSE, pack_u64(cluster_session_id))


def encode_message(message: ClientLinkMessage) -> bytes:  # noqa: PLR0911 - one line per type
    """Return any message as bytes; the senders on the hot path build the parts themselves.

    Raises:
        LocalProtocolError: A value does not fit the layout.

    """
    match message:
        case Open():
            return encode_open(message)
        case Opened():
            return encode_opened(message)
        case Ingress() | Egress():
            return _encode_batch(message)
        case Redirect(address):
            return encode_redirect(address)
        case Credit(bytes_max):
            return encode_credit(bytes_max)
        case Rewind(sequence):
            return encode_rewind(sequence)
        case _:
            return _encode_rare(message)


def _encode_batch(message: Ingress | Egress) -> bytes:
    batch = message.batch
    try:
        match message:
            case Ingress(session, first, acknowledged, count, _):
                return ingress_header(session, first, acknowledged, count, len(batch)) + batch
            case Egress(applied, first, count, _):
                return egress_header(applied, first, count, len(batch)) + batch
    except struct.error as error:
        fields = f"{type(message).__name__.lower()} with the numbers {message[:-1]}"
        raise LocalProtocolError(
            f"{fields} and a batch of {len(batch)} bytes does not fit its layout: {error}"
        ) from error


def _encode_rare(message: Closed | Error | EgressAcknowledge | KeepAlive | Close) -> bytes:
    match message:
        case Closed(session, reason):
            return encode_closed(session, reason)
        case Error(code):
            return _encode(ClientMessageType.ERROR, pack_u16(code))
        case EgressAcknowledge(session, sequence):
            return encode_egress_acknowledge(session, sequence)
        case KeepAlive():
            return encode_keep_alive()
        case Close(session):
            return encode_close(session)


def decode_ingress(body: bytes) -> Ingress:
    """Return an ingress message; its batch is copied once and not looked into.

    Raises:
        RemoteProtocolError: Cut short, without messages, sequences out of range, or a batch too
            short to hold its messages.

    """
    if len(body) < _INGRESS.size:
        raise RemoteProtocolError(f"ingress of {len(body)} bytes is cut short")
    session, first, acknowledged, count = _INGRESS.unpack_from(body)
    batch = body[_INGRESS.size :]
    # Each message takes four bytes for its length at least.
    if not count or 4 * count > len(batch):
        raise RemoteProtocolError(f"{count} messages in a batch of {len(batch)} bytes")
    if not 0 < first <= SEQUENCE_MAX - count:
        raise RemoteProtocolError(f"ingress sequence {first} is out of range")
    return Ingress(session, first, acknowledged, count, batch)


def decode_egress(body: bytes) -> Egress:
    """Return an egress message; the batch is not looked into.

    Raises:
        RemoteProtocolError: Cut short, sequences out of range, or a batch that cannot hold its
            messages.

    """
    if len(body) < _EGRESS.size:
        raise RemoteProtocolError(f"egress of {len(body)} bytes is cut short")
    applied, first, count = _EGRESS.unpack_from(body)
    batch = body[_EGRESS.size :]
    # Each message takes a header of 16 bytes at least.
    if 16 * count > len(batch) or (batch and not count):
        raise RemoteProtocolError(f"{count} messages in a batch of {len(batch)} bytes")
    if applied > SEQUENCE_MAX or first > SEQUENCE_MAX - count or (count and not first):
        raise RemoteProtocolError(f"sequences {applied} and {first} are out of range")
    return Egress(applied, first, count, batch)


def decode_message(raw: RawMessage) -> ClientLinkMessage:
    """Understand one message of either direction.

    Raises:
        RemoteProtocolError: The body is not what its type says.
        UnknownFormat: An open or its answer has a mandatory option of a later release.

    """
    message_type, body = raw
    match message_type:
        case ClientMessageType.INGRESS:
            return decode_ingress(body)
        case ClientMessageType.EGRESS:
            return decode_egress(body)
        case ClientMessageType.OPEN:
            return _decode_open(FieldReader(body, "open"))
        case ClientMessageType.OPENED:
            return _decode_opened(FieldReader(body, "opened"))
        case ClientMessageType.REDIRECT:
            return _decode_redirect(FieldReader(body, "redirect"))
        case _:
            return _decode_numbers(message_type, body)


def _decode_numbers(  # noqa: PLR0911 - one line per type
    message_type: ClientMessageType, body: bytes
) -> ClientLinkMessage:
    layout = _NUMBER_LAYOUTS[message_type]
    if len(body) != layout.size:
        name = message_type.name.lower()
        raise RemoteProtocolError(f"{name} of {len(body)} bytes, not {layout.size}")
    numbers = layout.unpack(body)
    match message_type:
        case ClientMessageType.CREDIT:
            return Credit(*numbers)
        case ClientMessageType.REWIND:
            return Rewind(*numbers)
        case ClientMessageType.CLOSED:
            return Closed(*numbers)
        case ClientMessageType.ERROR:
            return Error(*numbers)
        case ClientMessageType.EGRESS_ACKNOWLEDGE:
            return EgressAcknowledge(*numbers)
        case ClientMessageType.CLOSE:
            return Close(*numbers)
        case _:
            return KeepAlive()


_NUMBER_LAYOUTS: Final = {
    ClientMessageType.CREDIT: _NUMBER,
    ClientMessageType.REWIND: _NUMBER,
    ClientMessageType.CLOSED: _CLOSED,
    ClientMessageType.ERROR: _ERROR,
    ClientMessageType.EGRESS_ACKNOWLEDGE: _TWO_NUMBERS,
    ClientMessageType.KEEP_ALIVE: struct.Struct(""),
    ClientMessageType.CLOSE: _NUMBER,
}


def _decode_open(reader: FieldReader) -> Open:
    message = Open(
        version_min=reader.u8(),
        version_max=reader.u8(),
        cluster_id=reader.take(CLUSTER_ID_LENGTH),
        session_key=reader.take(SESSION_KEY_LENGTH),
        cluster_session_id=reader.u64(),
        egress_received=reader.u64(),
        message_bytes_max=reader.u32(),
        name=reader.text(NAME_BYTES_MAX),
    )
    decode_records(reader.rest(), _NO_OPTIONS, "options of an open")
    return message


def _decode_opened(reader: FieldReader) -> Opened:
    version, durability = reader.u8(), reader.u8()
    session, applied, credit, timeout = reader.u64(), reader.u64(), reader.u64(), reader.u64()
    message_bytes_max, batch_bytes_max = reader.u32(), reader.u32()
    count = reader.u8()
    if count > MEMBERS_MAX:
        raise RemoteProtocolError(f"{count} members exceed {MEMBERS_MAX}")
    members = tuple(reader.text(ADDRESS_BYTES_MAX) for _ in range(count))
    decode_records(reader.rest(), _NO_OPTIONS, "options of an answer to an open")
    return Opened(
        version=version,
        durability=durability,
        cluster_session_id=session,
        ingress_applied=applied,
        credit=credit,
        session_timeout_ns=timeout,
        message_bytes_max=message_bytes_max,
        batch_bytes_max=batch_bytes_max,
        members=members,
    )


def _decode_redirect(reader: FieldReader) -> Redirect:
    redirect = Redirect(reader.text(ADDRESS_BYTES_MAX))
    reader.end()
    return redirect


_NO_OPTIONS: Final[frozenset[int]] = frozenset()
"""Ids of the options that this release knows; the layout has room for those of later ones."""


def _encode(message_type: ClientMessageType, *fields: bytes) -> bytes:
    body = b"".join(fields)
    length = HEADER_LENGTH + len(body)
    return _HEADER.pack(length, message_type, MESSAGE_VERSION, 0) + body
