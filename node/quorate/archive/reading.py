"""Cutting what was read from a segment at the end of its last whole frame."""

from __future__ import annotations

import struct

from quorate.archive.segment import Segment
from quorate.consensus.types import LogPosition
from quorate.errors import CorruptRecord
from quorate.protocol.log_codec import FRAME_BYTES_MAX, FRAME_HEADER_LENGTH, aligned

_LENGTH_AND_POSITION = struct.Struct("<I4xQ")


class NoBoundary(CorruptRecord):
    """A boundary is claimed where a sound frame of ours goes on: the claim is what is wrong."""


def read_whole_frames(
    segment: Segment, position: LogPosition, end: LogPosition, bytes_max: int
) -> tuple[bool, bytes]:
    """Read frames from a boundary on, at least one, without checking their CRC.

    Args:
        segment: The segment that holds them.
        position: Where the first one begins.
        end: Where reading stops: a boundary in the same segment, behind ``position``.
        bytes_max: How much to return, unless the first frame alone is longer.

    Returns:
        Whether everything met was a frame of its position, and the whole frames before that.

    """
    limit = min(max(bytes_max, FRAME_HEADER_LENGTH), end - position)
    data = segment.read(position, limit)
    length, sound = _whole_length(data, position)
    if length or not sound:
        return sound, data[:length]
    first, _ = _LENGTH_AND_POSITION.unpack_from(data)
    data = segment.read(position, aligned(first))
    return len(data) == aligned(first), data


def _whole_length(data: bytes, position: LogPosition) -> tuple[int, bool]:
    """Return the length of the whole frames at the start, and whether no header was amiss."""
    offset, available = 0, len(data)
    while offset + FRAME_HEADER_LENGTH <= available:
        length, found = _LENGTH_AND_POSITION.unpack_from(data, offset)
        if found != position + offset or not FRAME_HEADER_LENGTH <= length <= FRAME_BYTES_MAX:
            return offset, False
        if offset + aligned(length) > available:
            return offset, True
        offset += aligned(length)
    return offset, available >= FRAME_HEADER_LENGTH
