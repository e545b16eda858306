"""Bodies of the entries that open and close sessions.

The leader writes them, every member's container reads them. They decide results, so their
layouts are as fixed as the log's: little-endian, no optional parts; a change takes another
entry version. The body of a SETTINGS entry is ``term_codec.encode_settings``; an egress
acknowledgement has none, its number stands in the entry's header.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum

from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol.log_codec import UnknownFormat

KEY_HASH_LENGTH = 16
SESSION_KEY_LENGTH = 16
PRINCIPAL_BYTES_MAX = 4096
NAME_BYTES_MAX = 256

_OPEN = struct.Struct("<16sIHH")
_CLOSE = struct.Struct("<B")


class CloseReason(IntEnum):
    """Why a session has ended. The numbers are in the log, on the wire and in snapshots."""

    CLIENT = 1
    """The client asked for it."""
    EXPIRED = 2
    """The leader has not heard the client for the session timeout, or a session was named
    that is not open (any more)."""
    SERVICE = 3
    """The service called ``session.close()``."""
    BAD_BATCH = 4
    """An ingress batch did not split into exactly its message count."""
    MESSAGE_BYTES = 5
    """An ingress message was longer than the session allows."""
    KEPT_EGRESS = 6
    """The client left more egress unacknowledged than one session may keep."""
    KEPT_EGRESS_TOTAL = 7
    """All sessions together kept too much, and this one most."""
    SESSIONS = 8
    """Never opened: the cluster holds as many sessions as it may."""
    ADMINISTRATOR = 9
    """Closed by an admin action."""
    LOST = 10
    """Resumed after a term that began with a possible loss: the client may have been told what
    the log does not hold any more, and egress would go on under numbers that it has seen."""


_REASONS = {int(reason): reason for reason in CloseReason}


@dataclass(frozen=True, slots=True)
class SessionOpenBody:
    """What the log keeps of a client's open."""

    key_hash: bytes
    """16 bytes, ``session_key_hash`` of the key that only the client holds."""
    principal: bytes
    """Whom authentication found; empty where there is none. At most 4096 bytes."""
    name: str
    """What the client calls itself, for people. At most 256 bytes of UTF-8."""
    message_bytes_max: int = 0
    """The client's own limit of one ingress message; 0 leaves it to the cluster's."""


def session_key_hash(session_key: bytes) -> bytes:
    """Return the first 16 bytes of the SHA-256 of a session's 16-byte key."""
    return hashlib.sha256(session_key).digest()[:KEY_HASH_LENGTH]


def encode_session_open(body: SessionOpenBody) -> bytes:
    """Build the body of a SESSION_OPEN entry.

    Raises:
        LocalProtocolError: A field has the wrong length or exceeds its limit.

    """
    name = body.name.encode()
    if len(body.key_hash) != KEY_HASH_LENGTH:
        message = f"key hash of {len(body.key_hash)} bytes, not {KEY_HASH_LENGTH}"
        raise LocalProtocolError(message)
    if len(body.principal) > PRINCIPAL_BYTES_MAX or len(name) > NAME_BYTES_MAX:
        message = (
            f"principal of {len(body.principal)} and name of {len(name)} bytes, "
            f"at most {PRINCIPAL_BYTES_MAX} and {NAME_BYTES_MAX}"
        )
        raise LocalProtocolError(message)
    header = _OPEN.pack(body.key_hash, body.message_bytes_max, len(body.principal), len(name))
    return header + body.principal + name


def decode_session_open(data: bytes) -> SessionOpenBody:
    """Read the body of a SESSION_OPEN entry.

    Raises:
        RemoteProtocolError: The bytes are not exactly one such body.

    """
    if len(data) < _OPEN.size:
        message = f"session open body of {len(data)} bytes is cut short"
        raise RemoteProtocolError(message)
    key_hash, message_bytes_max, principal_length, name_length = _OPEN.unpack_from(data)
    name_at = _OPEN.size + principal_length
    if (
        len(data) != name_at + name_length
        or principal_length > PRINCIPAL_BYTES_MAX
        or name_length > NAME_BYTES_MAX
    ):
        message = (
            f"session open body of {len(data)} bytes with principal of {principal_length} and "
            f"name of {name_length} bytes"
        )
        raise RemoteProtocolError(message)
    try:
        name = data[name_at:].decode()
    except UnicodeDecodeError as error:
        message = "session open body with a name that is not UTF-8"
        raise RemoteProtocolError(message) from error
    return SessionOpenBody(key_hash, data[_OPEN.size : name_at], name, message_bytes_max)


def encode_session_close(reason: CloseReason) -> bytes:
    """Build the body of a SESSION_CLOSE entry."""
    return _CLOSE.pack(reason)


def decode_session_close(data: bytes) -> CloseReason:
    """Read the body of a SESSION_CLOSE entry.

    Raises:
        RemoteProtocolError: The bytes are not exactly one such body.
        UnknownFormat: A reason that this release lacks.

    """
    if len(data) != _CLOSE.size:
        message = f"session close body of {len(data)} bytes, not {_CLOSE.size}"
        raise RemoteProtocolError(message)
    reason = _REASONS.get(data[0])
    if reason is None:
        message = f"session close reason {data[0]} of a later release; upgrade this member"
        raise UnknownFormat(message)
    return reason
