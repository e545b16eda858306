"""Reading frames in order and checking every one of them: CRC, position, chain, term, time.

``read_frames`` is the one way in which bytes on disk become frames, for the start, for the
verifier and for ``quorate log`` alike.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from quorate.archive.segment import Segment
from quorate.consensus.types import LogFrame, LogMark
from quorate.errors import ForeignData, RemoteProtocolError
from quorate.protocol.log_codec import (
    FRAME_BYTES_MAX,
    FRAME_HEADER_LENGTH,
    UnknownFormat,
    aligned,
    decode_frame,
)

CHUNK_LENGTH = 2 * 1024 * 1024
"""Bytes read at once: at least the longest frame."""

_LENGTH = struct.Struct("<I")

assert CHUNK_LENGTH >= FRAME_BYTES_MAX


def follows_mark(mark: LogMark, timestamp: int, frame: LogFrame) -> bool:
    """Tell whether a frame may stand right behind a boundary whose last frame has this time."""
    return (
        frame.position == mark.position
        and frame.previous_chain == mark.chain
        and frame.leadership_term_id >= mark.leadership_term_id
        and frame.timestamp >= timestamp
    )


def mark_behind(frame: LogFrame) -> LogMark:
    """Return the boundary at which a frame ends."""
    return LogMark(frame.end, frame.leadership_term_id, frame.chain)


def read_frames(segment: Segment, start: LogMark, timestamp: int = 0) -> Iterator[LogFrame]:
    """Yield the frames of one segment from ``start`` on, up to the first that is not good.

    Args:
        segment: Read only; may be written to meanwhile.
        start: The boundary to begin at, within the segment.
        timestamp: Log time of the frame that ends there; no good frame is earlier.

    Yields:
        Whole, checked frames, each following the one before it and lying in the segment.

    Raises:
        ForeignData: A whole frame has a version, flag or type that this release lacks.

    """
    mark = start
    chunk, chunk_start = b"", int(start.position)
    while mark.position < segment.end:
        offset = mark.position - chunk_start
        needed = _frame_length(chunk, offset)
        if offset + needed > len(chunk):
            chunk, chunk_start, offset = segment.read(mark.position, CHUNK_LENGTH), mark.position, 0
            if _frame_length(chunk, 0) > len(chunk):
                return
        try:
            frame = decode_frame(chunk, offset)
        except UnknownFormat as error:
            raise ForeignData(str(error)) from error
        except RemoteProtocolError:
            return
        if not follows_mark(mark, timestamp, frame):
            return
        yield frame
        mark, timestamp = mark_behind(frame), frame.timestamp


def _frame_length(chunk: bytes, offset: int) -> int:
    """Return how many bytes the frame at ``offset`` takes, or at least its header."""
    if offset + FRAME_HEADER_LENGTH > len(chunk):
        return FRAME_HEADER_LENGTH
    (length,) = _LENGTH.unpack_from(chunk, offset)
    return max(FRAME_HEADER_LENGTH, aligned(length))
