"""Log frames and entries as bytes: the layout of the log on disk and on member links.

A frame is a header of 64 bytes, a body and zero filler up to the next multiple of 64. The
CRC covers everything behind itself, the previous frame's CRC included, so equal chains mean
equal logs. Entries lie in the body of an ENTRIES frame, each with a header of 40 bytes and
aligned to 8. This module knows layouts only; what an entry means is the container's business.

The written reference is ``SCHEMA.md`` beside this file; golden bytes are under
``tests/compatibility``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import google_crc32c

from quorate.consensus.types import Chain, FrameType, LeadershipTermId, LogFrame, LogPosition
from quorate.errors import LocalProtocolError, RemoteProtocolError

FRAME_ALIGNMENT = 64
FRAME_HEADER_LENGTH = 64
FRAME_HEADER_VERSION = 1
FRAME_BYTES_MAX = 1024 * 1024
"""No frame, header and body included, is longer; constant for the life of a cluster."""

ENTRY_ALIGNMENT = 8
ENTRY_HEADER_LENGTH = 40
ENTRY_VERSION = 1
ENTRY_BEGINS_MESSAGE = 1
ENTRY_ENDS_MESSAGE = 2
ENTRY_WHOLE = ENTRY_BEGINS_MESSAGE | ENTRY_ENDS_MESSAGE

_LENGTH_AND_CRC = struct.Struct("<II")
_BEHIND_CRC = struct.Struct("<QQqIIBBH20s")
_HEADER = struct.Struct("<IIQQqIIBBH20s")
_ENTRY = struct.Struct("<IBBHQQIIQ")
_RESERVED = bytes(20)
_FILLER = tuple(bytes(n) for n in range(FRAME_ALIGNMENT))
_FRAME_TYPES = {int(frame_type): frame_type for frame_type in FrameType}

assert _HEADER.size == FRAME_HEADER_LENGTH
assert _ENTRY.size == ENTRY_HEADER_LENGTH


class EntryType(IntEnum):
    """What an entry in an ENTRIES frame is. The numbers are on disk and never change."""

    SESSION_OPEN = 1
    SESSION_INGRESS = 2
    SESSION_CLOSE = 3
    EGRESS_ACKNOWLEDGEMENT = 4
    SETTINGS = 5
    MEMBERSHIP = 6
    ACTION = 7


_ENTRY_TYPES = {int(entry_type): entry_type for entry_type in EntryType}


class LogEntry(NamedTuple):
    """One entry as it lies in a frame."""

    position: LogPosition
    """Of the entry's first byte: the frame's position plus the offset in the frame."""
    entry_type: EntryType
    cluster_session_id: int
    first_sequence: int
    message_count: int
    service_id: int
    egress_acknowledged: int
    body: bytes


class UnknownFormat(RemoteProtocolError):
    """A frame or entry of a later version: halt with this message, never skip."""


def aligned(length: int, alignment: int = FRAME_ALIGNMENT) -> int:
    """Return ``length`` in bytes, rounded up to a multiple of ``alignment``."""
    return (length + alignment - 1) // alignment * alignment


def encode_frame(  # noqa: PLR0913, PLR0917 (the fields of the header)
    position: LogPosition,
    leadership_term_id: LeadershipTermId,
    timestamp: int,
    previous_chain: Chain,
    frame_type: FrameType,
    body: bytes = b"",
    entry_count: int = 0,
) -> LogFrame:
    """Build one frame; one copy of the body, then the CRC over it.

    Args:
        position: Where it will lie; a multiple of 64.
        leadership_term_id: The term of the leader that makes it.
        timestamp: Log time in nanoseconds.
        previous_chain: Chain of the frame that ends at ``position``; 0 for the first.
        frame_type: What the body is.
        body: Whole entries for ENTRIES; nothing for EMPTY; see SCHEMA.md for the others.
        entry_count: How many entries the body holds.

    Raises:
        LocalProtocolError: The frame would exceed ``FRAME_BYTES_MAX``.

    """
    length = FRAME_HEADER_LENGTH + len(body)
    if length > FRAME_BYTES_MAX:
        message = f"log frame at {position} of {length} bytes exceeds {FRAME_BYTES_MAX}"
        raise LocalProtocolError(message)
    fields = _BEHIND_CRC.pack(
        position,
        leadership_term_id,
        timestamp,
        previous_chain,
        entry_count,
        frame_type,
        FRAME_HEADER_VERSION,
        0,
        _RESERVED,
    )
    covered = fields + body
    crc = google_crc32c.value(covered)
    data = b"".join((_LENGTH_AND_CRC.pack(length, crc), covered, _FILLER[-length % 64]))
    return LogFrame(
        position,
        leadership_term_id,
        timestamp,
        previous_chain,
        Chain(crc),
        frame_type,
        entry_count,
        data,
    )


def decode_frame(buffer: bytes, offset: int = 0) -> LogFrame:
    """Check one frame at ``offset`` of ``buffer`` and return it.

    Checks length, CRC, version, flags, reserved bytes, type and filler. It does not check
    position, chain and term against a neighbour: the caller knows what it expects.

    Raises:
        RemoteProtocolError: The bytes are not a whole, valid frame.
        UnknownFormat: A valid CRC, but a version, flag or type that this release lacks.

    """
    available = len(buffer) - offset
    if available < FRAME_HEADER_LENGTH:
        message = f"log frame header cut short: {available} of {FRAME_HEADER_LENGTH} bytes"
        raise RemoteProtocolError(message)
    (length, crc, position, term, timestamp, previous, count, kind, version, flags, reserved) = (
        _HEADER.unpack_from(buffer, offset)
    )
    if not FRAME_HEADER_LENGTH <= length <= FRAME_BYTES_MAX or aligned(length) > available:
        message = f"log frame length {length} outside 64..{min(available, FRAME_BYTES_MAX)}"
        raise RemoteProtocolError(message)
    end = offset + aligned(length)
    data = buffer[offset:end]
    if google_crc32c.value(data[8:length]) != crc:
        message = f"log frame at {position} fails its CRC"
        raise RemoteProtocolError(message)
    if data[length:] != _FILLER[-length % 64]:
        message = f"log frame at {position} has filler that is not zero"
        raise RemoteProtocolError(message)
    frame_type = _FRAME_TYPES.get(kind)
    if version != FRAME_HEADER_VERSION or flags or reserved != _RESERVED or frame_type is None:
        message = (
            f"log frame at {position} has type {kind}, header version {version}, flags {flags}: "
            "written by a later release; upgrade this member"
        )
        raise UnknownFormat(message)
    return LogFrame(position, term, timestamp, previous, crc, frame_type, count, data)


def decode_frames(buffer: bytes, offset: int = 0, bytes_max: int | None = None) -> list[LogFrame]:
    """Check and return the frames that fill ``buffer`` from ``offset`` to its last byte.

    Args:
        buffer: Frames as they lie on disk.
        offset: Where the first one begins.
        bytes_max: Stop behind the frame that reaches so many bytes; None for all.

    Raises:
        RemoteProtocolError: A frame is bad, or is not at the end of the one before it, or
            does not carry its chain, or its term falls.

    """
    frames: list[LogFrame] = []
    stop = len(buffer) if bytes_max is None else min(len(buffer), offset + bytes_max)
    while offset < stop:
        frame = decode_frame(buffer, offset)
        if frames and not follows(frames[-1], frame):
            message = f"log frame at {frame.position} does not follow {frames[-1].position}"
            raise RemoteProtocolError(message)
        frames.append(frame)
        offset += len(frame.data)
    return frames


def frame_body(frame: LogFrame) -> bytes:
    """Return the body of a frame, without header and filler."""
    (length,) = struct.unpack_from("<I", frame.data)
    return frame.data[FRAME_HEADER_LENGTH:length]


def follows(before: LogFrame, frame: LogFrame) -> bool:
    """Tell whether ``frame`` may stand right behind ``before``: position, chain, term, time."""
    return (
        frame.position == before.end
        and frame.previous_chain == before.chain
        and frame.leadership_term_id >= before.leadership_term_id
        and frame.timestamp >= before.timestamp
    )


def encode_entry(
    entry_type: EntryType,
    cluster_session_id: int,
    body: bytes,
    *,
    first_sequence: int = 0,
    message_count: int = 0,
    egress_acknowledged: int = 0,
) -> bytes:
    """Build one entry, filled up to a multiple of 8, ready to be joined into a frame's body."""
    length = ENTRY_HEADER_LENGTH + len(body)
    header = _ENTRY.pack(
        length,
        entry_type,
        ENTRY_VERSION,
        ENTRY_WHOLE,
        cluster_session_id,
        first_sequence,
        message_count,
        0,
        egress_acknowledged,
    )
    return b"".join((header, body, _FILLER[-length % ENTRY_ALIGNMENT]))


def decode_entries(frame: LogFrame) -> Iterator[LogEntry]:
    """Cut an ENTRIES frame into its entries.

    Raises:
        RemoteProtocolError: The body does not hold exactly ``entry_count`` whole entries.
        UnknownFormat: An entry type, version or flag that this release lacks.

    """
    data = frame.data
    (length,) = struct.unpack_from("<I", data)
    offset = FRAME_HEADER_LENGTH
    for _ in range(frame.entry_count):
        if offset + ENTRY_HEADER_LENGTH > length:
            message = f"entry at {frame.position + offset} is cut short"
            raise RemoteProtocolError(message)
        (size, kind, version, flags, session, first, count, service, acknowledged) = (
            _ENTRY.unpack_from(data, offset)
        )
        if size < ENTRY_HEADER_LENGTH or offset + size > length:
            message = f"entry at {frame.position + offset} has length {size}"
            raise RemoteProtocolError(message)
        entry_type = _ENTRY_TYPES.get(kind)
        if entry_type is None or version != ENTRY_VERSION or flags != ENTRY_WHOLE or service:
            message = (
                f"entry at {frame.position + offset} has type {kind}, version {version}, flags "
                f"{flags}, service {service}: written by a later release; upgrade this member"
            )
            raise UnknownFormat(message)
        body = data[offset + ENTRY_HEADER_LENGTH : offset + size]
        position = LogPosition(frame.position + offset)
        yield LogEntry(position, entry_type, session, first, count, service, acknowledged, body)
        offset += aligned(size, ENTRY_ALIGNMENT)
    if offset != aligned(length, ENTRY_ALIGNMENT):
        message = f"log frame at {frame.position} holds more than {frame.entry_count} entries"
        raise RemoteProtocolError(message)


def entries_length_max(segment_length: int, frame_bytes_max: int = FRAME_BYTES_MAX) -> int:
    """Return how many bytes of entries fit into one frame of a log with these constants."""
    return min(FRAME_BYTES_MAX, frame_bytes_max, segment_length // 4) - FRAME_HEADER_LENGTH
