"""Batches of messages: what an ingress entry and an egress frame carry as one opaque body.

Ingress: for each message a u32 length and the bytes. Egress: for each message a header of 16
bytes (length u32, kind u8, flags u8, error code u16, ingress sequence u64) and the bytes.
Only clients and the service container look inside; the leader copies a batch unseen.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from quorate.errors import LocalProtocolError, RemoteProtocolError

INGRESS_HEADER_LENGTH = 4
EGRESS_HEADER_LENGTH = 16

_LENGTH = struct.Struct("<I")
_EGRESS = struct.Struct("<IBBHQ")
_LENGTH_MAX = 2**32 - 1
_UNIFORM_BYTES_MAX = 4096
"""Longest message for which layouts are compiled and kept."""
_CHUNK = 64
"""Messages cut by one call."""
_FEW = 4
"""Up to so many messages are cut faster one by one."""

assert _LENGTH.size == INGRESS_HEADER_LENGTH
assert _EGRESS.size == EGRESS_HEADER_LENGTH


class EgressKind(IntEnum):
    """What an egress message is. The numbers are on the wire and in snapshots."""

    MESSAGE = 0
    """What the service offered."""
    ERROR = 1
    """The service's callback failed; the payload is the log position as u64."""


class EgressError(IntEnum):
    """Error codes of ``EgressKind.ERROR``; 0 stands in messages that are none."""

    NONE = 0
    CALLBACK_FAILED = 1
    """The callback of this message, or of one that it sent to itself, has failed."""


_KINDS = {int(kind): kind for kind in EgressKind}
_ERROR_PAYLOAD = struct.Struct("<Q")


class EgressMessage(NamedTuple):
    """One message to a client as it lies in an egress batch."""

    kind: EgressKind
    error_code: int
    """An ``EgressError``, or a code of a later release; 0 unless ``kind`` is ERROR."""
    ingress_sequence: int
    """Of the client's own message in whose apply step it was produced; 0 for a timer, a
    session event or a message of another session."""
    payload: bytes


def encode_ingress_batch(messages: Iterable[bytes]) -> bytes:
    """Join messages into one ingress batch.

    Raises:
        LocalProtocolError: A message is longer than a u32 can say.

    """
    parts: list[bytes] = []
    try:
        for message in messages:
            parts.append(_LENGTH.pack(len(message)))
            parts.append(message)
    except struct.error as error:
        message_text = f"ingress message longer than {_LENGTH_MAX} bytes"
        raise LocalProtocolError(message_text) from error
    return b"".join(parts)


def decode_ingress_batch(batch: bytes, message_count: int) -> list[bytes]:
    """Cut an ingress batch into its messages.

    Args:
        batch: The body of an ingress entry or frame.
        message_count: How many messages its header promises.

    Returns:
        Exactly ``message_count`` messages, each a ``bytes`` of its own.

    Raises:
        RemoteProtocolError: The batch does not split into exactly that many messages.

    """
    end = len(batch)
    if message_count * INGRESS_HEADER_LENGTH > end:
        message = f"ingress batch of {end} bytes cannot hold {message_count} messages"
        raise RemoteProtocolError(message)
    if message_count == 0:
        if end:
            raise RemoteProtocolError(f"ingress batch of {end} bytes without messages")
        return []
    if message_count > _FEW:
        return _split_uniform(batch, message_count) or _split(batch, message_count)
    return _split(batch, message_count)


def _split_uniform(batch: bytes, message_count: int) -> list[bytes] | None:
    """Cut a batch whose messages are all as long as its first; else return None.

    That all lengths are the first one is seen in four slices with a stride. Measured for 1,000
    messages of 100 bytes: 25 ns a message; 58 with ``iter_unpack``, 190 one by one.
    """
    (length,) = _LENGTH.unpack_from(batch)
    stride = length + INGRESS_HEADER_LENGTH
    if length > _UNIFORM_BYTES_MAX or len(batch) != message_count * stride:
        return None
    for index in range(INGRESS_HEADER_LENGTH):
        if batch[index::stride].count(batch[index]) < message_count:
            return None
    messages: list[bytes] = []
    offset = 0
    if message_count >= _CHUNK:
        chunk = _chunk_of(length)
        for _ in range(message_count // _CHUNK):
            messages += chunk.unpack_from(batch, offset)
            offset += chunk.size
    begins = range(offset + INGRESS_HEADER_LENGTH, len(batch) + 1, stride)
    messages += [batch[begin : begin + length] for begin in begins]
    return messages


@lru_cache(maxsize=64)
def _chunk_of(length: int) -> struct.Struct:
    return struct.Struct("<" + f"{INGRESS_HEADER_LENGTH}x{length}s" * _CHUNK)


def _split(batch: bytes, message_count: int) -> list[bytes]:
    end = len(batch)
    messages: list[bytes] = []
    append = messages.append
    unpack = _LENGTH.unpack_from
    offset = 0
    try:
        for _ in range(message_count):
            (length,) = unpack(batch, offset)
            begin = offset + 4
            offset = begin + length
            append(batch[begin:offset])
    except struct.error as error:
        message = f"ingress batch of {end} bytes ends inside message {len(messages)}"
        raise RemoteProtocolError(message) from error
    if offset != end:
        message = f"ingress batch of {end} bytes, but {message_count} messages take {offset}"
        raise RemoteProtocolError(message)
    return messages


def encode_egress_batch(messages: Iterable[EgressMessage]) -> bytes:
    """Join messages to a client into one egress batch."""
    parts: list[bytes] = []
    for kind, error_code, ingress_sequence, payload in messages:
        parts.append(_EGRESS.pack(len(payload), kind, 0, error_code, ingress_sequence))
        parts.append(payload)
    return b"".join(parts)


def decode_egress_batch(batch: bytes, message_count: int) -> list[EgressMessage]:
    """Cut an egress batch into its messages.

    Raises:
        RemoteProtocolError: The batch does not split into exactly that many messages, or a
            message has a kind or a flag that this release lacks.

    """
    end = len(batch)
    if message_count * EGRESS_HEADER_LENGTH > end:
        message = f"egress batch of {end} bytes cannot hold {message_count} messages"
        raise RemoteProtocolError(message)
    messages: list[EgressMessage] = []
    offset = 0
    for _ in range(message_count):
        if offset + EGRESS_HEADER_LENGTH > end:
            message = f"egress batch of {end} bytes ends inside message {len(messages)}"
            raise RemoteProtocolError(message)
        length, number, flags, error_code, sequence = _EGRESS.unpack_from(batch, offset)
        kind = _KINDS.get(number)
        if kind is None or flags:
            message = f"egress message of kind {number} with flags {flags}: of a later release"
            raise RemoteProtocolError(message)
        begin = offset + EGRESS_HEADER_LENGTH
        offset = begin + length
        messages.append(EgressMessage(kind, error_code, sequence, batch[begin:offset]))
    if offset != end:
        message = f"egress batch of {end} bytes, but {message_count} messages take {offset}"
        raise RemoteProtocolError(message)
    return messages


def encode_error_payload(log_position: int) -> bytes:
    """Build the payload of an ``EgressKind.ERROR`` message: where in the log it happened."""
    return _ERROR_PAYLOAD.pack(log_position)


def decode_error_payload(payload: bytes) -> int:
    """Return the log position that an ``EgressKind.ERROR`` message carries.

    Raises:
        RemoteProtocolError: The payload is not one u64.

    """
    if len(payload) != _ERROR_PAYLOAD.size:
        message = f"error payload of {len(payload)} bytes, not {_ERROR_PAYLOAD.size}"
        raise RemoteProtocolError(message)
    (log_position,) = _ERROR_PAYLOAD.unpack(payload)
    return int(log_position)
