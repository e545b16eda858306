"""Who is at the other end of a member link: the messages before the first consensus message.

::

    dialler                          acceptor
    Handshake          →
                       ←             Handshake, Confirmation
    Confirmation       →
                                     (from here on both sides may send anything)

A confirmation holds an HMAC-SHA256 with the cluster's secret over a direction label and both
handshakes, whole and as they were sent; without a secret it is empty. It also tells the acceptor
that the dialler is alive and content, so a handshake left behind in a socket by a process
that has died opens nothing. Instead of its part, either side may send a ``LinkRefusal`` with
the reason, and closes.

``HandshakeExchange`` plays one side and does no I/O.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from enum import IntEnum

from quorate.consensus.types import (
    CLUSTER_ID_LENGTH,
    MEMBER_ID_LENGTH,
    ClusterId,
    LeadershipTermId,
    MemberId,
    PeerLife,
    Role,
    Seat,
    StartNonce,
)
from quorate.errors import RemoteProtocolError
from quorate.protocol.fields import (
    FieldReader,
    decode_records,
    pack_bytes,
    pack_text,
    pack_u8,
    pack_u16,
    pack_u64,
)
from quorate.protocol.framing import WireFrame, encode_header

HANDSHAKE_TYPE = 1
CONFIRMATION_TYPE = 2
REFUSAL_TYPE = 3
KEEP_ALIVE_TYPE = 4
"""An empty message that says only that the link and the process live."""

HANDSHAKE_PAYLOAD_BYTES_MAX = 4096
"""A peer that has not proved itself gets room for no longer message."""
PROTOCOL_VERSION_MIN = 1
PROTOCOL_VERSION_MAX = 1
ADDRESS_BYTES_MAX = 512
DETAIL_BYTES_MAX = 512
CONNECTION_NONCE_LENGTH = 16

_MAGIC = b"QUORATEM"
_MAGIC_AND_VERSIONS = struct.Struct("<8sHH")
_LABEL_OF_DIALLER = b"quorate-dialler-"
_LABEL_OF_ACCEPTOR = b"quorate-acceptor"
_ROLES = {int(role): role for role in Role}
_KNOWN_OPTIONS: frozenset[int] = frozenset()


class LinkRefusal(IntEnum):
    """Why a connection between members is not wanted. The numbers are on the wire."""

    MALFORMED = 1
    """Bytes that are not the protocol."""
    VERSION = 2
    """No protocol version that both sides speak."""
    CLUSTER = 3
    """Another cluster id."""
    SEAT = 4
    """The peer's seat is not the one dialled, is this member's own, or is not configured."""
    SECRET = 5
    """The proof of knowing the cluster's secret is wrong or missing, or one side has none."""
    DUPLICATE = 6
    """Another connection between the same two lives stays."""
    HANDSHAKE_TIMEOUT = 7
    """The handshake was not finished in time."""
    CONNECTIONS = 8
    """Too many connections that have not finished their handshake."""
    SILENT = 9
    """Nothing arrived for one election timeout."""
    CONSENSUS = 10
    """The consensus module asked for it; the detail says why (``volume-lost``, a bad frame)."""
    REPLACED = 11
    """Another connection of the peer, or another life of it, took this one's place."""
    CLOSING = 12
    """The member ends."""

    @property
    def label(self) -> str:
        """The reason as messages spell it; in metrics and events it has underscores."""
        return self.name.lower().replace("_", "-")


_REFUSALS = {int(reason): reason for reason in LinkRefusal}


class LinkRefused(RemoteProtocolError):
    """This side refuses the connection: tell the peer, close, count."""

    def __init__(self, reason: LinkRefusal, detail: str) -> None:
        """Keep the reason for the refusal message and the counter."""
        super().__init__(f"{reason.label}: {detail}")
        self.reason = reason
        self.detail = detail


class RefusedByPeer(RemoteProtocolError):
    """The peer refused this side; it closes the connection."""

    def __init__(self, reason: LinkRefusal | None, detail: str) -> None:
        """Keep the peer's reason, None for one of a later release."""
        super().__init__(f"{reason.label if reason else 'unknown reason'}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a member says of itself when a connection begins."""

    cluster_id: ClusterId
    epoch: int
    member_id: MemberId
    seat: Seat
    start_nonce: StartNonce
    role: Role
    leadership_term_id: LeadershipTermId
    client_address: str
    """Where clients reach this member, as ``host:port``; may be empty."""
    control_address: str
    connection_nonce: bytes
    """16 random bytes, fresh for every connection and side: no proof can be played again."""
    version_min: int = PROTOCOL_VERSION_MIN
    version_max: int = PROTOCOL_VERSION_MAX

    @property
    def life(self) -> PeerLife:
        """Who that is, as the consensus module knows it."""
        return PeerLife(self.seat, self.member_id, self.start_nonce)


def encode_handshake(handshake: Handshake) -> bytes:
    """Return the whole message, header included.

    Raises:
        LocalProtocolError: A value does not fit its field.

    """
    versions = (handshake.version_min, handshake.version_max)
    payload = b"".join(
        (
            _MAGIC_AND_VERSIONS.pack(_MAGIC, *versions),
            pack_bytes(handshake.cluster_id, CLUSTER_ID_LENGTH),
            pack_u64(handshake.epoch),
            pack_bytes(handshake.member_id, MEMBER_ID_LENGTH),
            pack_u16(handshake.seat),
            pack_u64(handshake.start_nonce),
            pack_u8(handshake.role),
            pack_text(handshake.client_address, ADDRESS_BYTES_MAX),
            pack_text(handshake.control_address, ADDRESS_BYTES_MAX),
            pack_bytes(handshake.connection_nonce, CONNECTION_NONCE_LENGTH),
        )
    )
    header = encode_header(HANDSHAKE_TYPE, len(payload), term=handshake.leadership_term_id)
    return header + payload


def decode_handshake(frame: WireFrame) -> Handshake:
    """Return what the peer says of itself.

    Raises:
        LinkRefused: VERSION, when no version is spoken by both sides.
        RemoteProtocolError: Not a handshake.
        UnknownFormat: A mandatory option of a later release.

    """
    reader = FieldReader(frame.payload, "handshake")
    if frame.message_type != HANDSHAKE_TYPE or reader.take(len(_MAGIC)) != _MAGIC:
        raise RemoteProtocolError(f"message type {frame.message_type} is no handshake")
    version_min, version_max = reader.u16(), reader.u16()
    # What follows is laid out as a common version says, so nothing is read before this.
    if version_max < PROTOCOL_VERSION_MIN or version_min > PROTOCOL_VERSION_MAX:
        raise LinkRefused(
            LinkRefusal.VERSION,
            f"this side speaks {PROTOCOL_VERSION_MIN}..{PROTOCOL_VERSION_MAX}, "
            f"the peer {version_min}..{version_max}",
        )
    handshake = Handshake(
        version_min=version_min,
        version_max=version_max,
        leadership_term_id=LeadershipTermId(frame.term),
        cluster_id=ClusterId(reader.take(CLUSTER_ID_LENGTH)),
        epoch=reader.u64(),
        member_id=MemberId(reader.take(MEMBER_ID_LENGTH)),
        seat=Seat(reader.u16()),
        start_nonce=StartNonce(reader.u64()),
        role=_read_role(reader),
        client_address=reader.text(ADDRESS_BYTES_MAX),
        control_address=reader.text(ADDRESS_BYTES_MAX),
        connection_nonce=reader.take(CONNECTION_NONCE_LENGTH),
    )
    decode_records(reader.rest(), _KNOWN_OPTIONS, "handshake options")
    return handshake


def encode_refusal(reason: LinkRefusal, detail: str) -> bytes:
    """Return the whole message that precedes a close; a long detail is cut."""
    text = detail.encode(errors="replace")[:DETAIL_BYTES_MAX].decode(errors="ignore")
    payload = pack_u8(reason) + pack_text(text, DETAIL_BYTES_MAX)
    return encode_header(REFUSAL_TYPE, len(payload)) + payload


def decode_refusal(frame: WireFrame) -> RefusedByPeer:
    """Return the peer's refusal as an exception to raise.

    Raises:
        RemoteProtocolError: Not a refusal.

    """
    reader = FieldReader(frame.payload, "refusal")
    reason, detail = _REFUSALS.get(reader.u8()), reader.text(DETAIL_BYTES_MAX)
    reader.end()
    return RefusedByPeer(reason, detail)


KEEP_ALIVE = encode_header(KEEP_ALIVE_TYPE, 0)


class HandshakeExchange:
    """One side of a handshake: messages in, bytes to send out.

    Use: send ``opening()``; give each message to ``receive`` and send what it returns, until
    ``is_complete``. Once ``peer`` is set and before sending the answer, the caller may have
    reasons of its own to refuse.
    """

    __slots__ = (
        "_dialled",
        "_expected",
        "_own",
        "_own_bytes",
        "_peer_bytes",
        "_secret",
        "is_complete",
        "peer",
    )

    def __init__(
        self,
        own: Handshake,
        *,
        dialled: Seat | None,
        expected_seats: frozenset[Seat],
        secret: bytes | None,
    ) -> None:
        """Begin.

        Args:
            own: What this side says of itself.
            dialled: The seat that this side dialled, None on the accepting side.
            expected_seats: The seats of the configured list, without the own one.
            secret: The cluster's secret, equal on all members; None for none.

        """
        self._own = own
        self._own_bytes = encode_handshake(own)
        self._dialled = dialled
        self._expected = expected_seats
        self._secret = secret
        self._peer_bytes = b""
        self.peer: Handshake | None = None
        self.is_complete = False

    def opening(self) -> bytes:
        """Return what this side sends first: the dialler's handshake, nothing otherwise."""
        return self._own_bytes if self._dialled is not None else b""

    def receive(self, frame: WireFrame) -> bytes:
        """Take the peer's next message and return what to answer.

        Raises:
            LinkRefused: The peer is not wanted, for the reason named.
            RefusedByPeer: The peer does not want this side.
            RemoteProtocolError: Bytes that are not the protocol.

        """
        if frame.message_type == REFUSAL_TYPE:
            raise decode_refusal(frame)
        if self.peer is None:
            return self._take_handshake(frame)
        return self._take_confirmation(frame)

    def _take_handshake(self, frame: WireFrame) -> bytes:
        peer = decode_handshake(frame)
        self._check_peer(peer)
        header = encode_header(frame.message_type, len(frame.payload), term=frame.term)
        self._peer_bytes = header + frame.payload
        self.peer = peer
        if self._dialled is not None:
            return b""
        return self._own_bytes + self._confirmation()

    def _take_confirmation(self, frame: WireFrame) -> bytes:
        if frame.message_type != CONFIRMATION_TYPE:
            raise RemoteProtocolError(f"message type {frame.message_type} is no confirmation")
        if not hmac.compare_digest(frame.payload, self._proof(from_dialler=not self._is_dialler)):
            raise LinkRefused(
                LinkRefusal.SECRET,
                "the proof of the cluster's secret is missing or wrong; "
                "every member needs the same secret, or none",
            )
        self.is_complete = True
        return self._confirmation() if self._is_dialler else b""

    def _check_peer(self, peer: Handshake) -> None:
        if peer.cluster_id != self._own.cluster_id:
            raise LinkRefused(
                LinkRefusal.CLUSTER,
                f"this member belongs to cluster {self._own.cluster_id.hex()}, "
                f"the peer to {peer.cluster_id.hex()}",
            )
        wanted = self._expected if self._dialled is None else {self._dialled}
        if peer.seat not in wanted:
            raise LinkRefused(
                LinkRefusal.SEAT,
                f"the peer sits in seat {peer.seat}, expected was one of {sorted(wanted)}",
            )

    @property
    def _is_dialler(self) -> bool:
        return self._dialled is not None

    def _confirmation(self) -> bytes:
        proof = self._proof(from_dialler=self._is_dialler)
        return encode_header(CONFIRMATION_TYPE, len(proof)) + proof

    def _proof(self, *, from_dialler: bool) -> bytes:
        if self._secret is None:
            return b""
        label = _LABEL_OF_DIALLER if from_dialler else _LABEL_OF_ACCEPTOR
        handshakes = (self._own_bytes, self._peer_bytes)
        first, second = handshakes if self._is_dialler else reversed(handshakes)
        return hmac.digest(self._secret, label + first + second, "sha256")


def _read_role(reader: FieldReader) -> Role:
    number = reader.u8()
    if number not in _ROLES:
        raise RemoteProtocolError(f"{number} is no role")
    return _ROLES[number]
