"""One file of the recording: a header page, two watermark slots and the frames of a range.

Layout in bytes::

    0       header: what the file is; CRC behind it
    4096    watermark slot 0: generation u64, position u64, term u64, chain u32, CRC u32
    8192    watermark slot 1
    12288   frames of the positions [base, base + segment length)

A segment is written full of zeros before it is used and never changes its length, so a data
sync of an append needs no journal commit. The slot of a generation is its lowest bit:
generations grow by one, so a torn write never hits the watermark that counts.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

import google_crc32c

from quorate.archive.files import DataFile
from quorate.consensus.types import (
    LOG_START,
    Chain,
    ClusterId,
    LeadershipTermId,
    LogMark,
    LogPosition,
    MemberId,
)
from quorate.errors import ForeignData
from quorate.protocol.log_codec import FRAME_ALIGNMENT

PAGE_LENGTH = 4096
SLOT_OFFSETS = (PAGE_LENGTH, 2 * PAGE_LENGTH)
FRAMES_OFFSET = 3 * PAGE_LENGTH
PIECE_LENGTH = 256 * 1024
"""Zeros are written in pieces of at most this many bytes: a longer write stalls other syncs."""

FORMAT_VERSION = 1
_MAGIC = b"QUORLOG\n"
_HEADER = struct.Struct("<8sII16sQ16sQQQI")
_SLOT = struct.Struct("<QQQI")
_CRC = struct.Struct("<I")
_NAME = re.compile(r"log-(\d{20})\.seg")
_ZEROS = bytes(PIECE_LENGTH)

HEADER_LENGTH = _HEADER.size + _CRC.size
SLOT_LENGTH = _SLOT.size + _CRC.size


class SegmentHeader(NamedTuple):
    """What a segment file says of itself; synced before the first frame goes in."""

    cluster_id: ClusterId
    epoch: int
    member_id: MemberId
    base: LogPosition
    """First position of the range; a multiple of the segment length."""
    first_position: LogPosition
    """First position held; differs from the base only after a snapshot install."""
    first_chain: Chain
    """Chain of the frame that ends at the first position held."""
    segment_length: int
    """Bytes of frames, without the three pages before them."""


class Watermark(NamedTuple):
    """Everything before ``mark`` is known to be durable: a bad frame below it is damage."""

    generation: int
    """Grows with every watermark over all segments; the highest one counts."""
    mark: LogMark


NO_WATERMARK = Watermark(0, LOG_START)


def segment_name(base: int) -> str:
    """Return the name of the segment whose first position is ``base``."""
    return f"log-{base:020d}.seg"


def segment_base(name: str) -> LogPosition | None:
    """Return the base that a file's name tells, or None where it is no segment's name."""
    match = _NAME.fullmatch(name)
    return LogPosition(int(match.group(1))) if match else None


def encode_header(header: SegmentHeader) -> bytes:
    """Return the bytes at the start of a segment file."""
    fields = _HEADER.pack(
        _MAGIC,
        FORMAT_VERSION,
        FRAME_ALIGNMENT,
        header.cluster_id,
        header.epoch,
        header.member_id,
        header.base,
        header.first_position,
        header.segment_length,
        header.first_chain,
    )
    return fields + _CRC.pack(google_crc32c.value(fields))


def decode_header(data: bytes) -> SegmentHeader | None:
    """Return what a header says, or None where the bytes are not a valid one.

    Raises:
        ForeignData: It is whole and written by a release with another format.

    """
    if len(data) < HEADER_LENGTH or not data.startswith(_MAGIC):
        return None
    if _CRC.pack(google_crc32c.value(data[: _HEADER.size])) != data[_HEADER.size : HEADER_LENGTH]:
        return None
    (_, version, alignment, cluster, epoch, member, base, first, length, chain) = (
        _HEADER.unpack_from(data)
    )
    if version != FORMAT_VERSION or alignment != FRAME_ALIGNMENT:
        raise ForeignData(
            f"segment {base} has format version {version}, alignment {alignment}; this release "
            f"reads version {FORMAT_VERSION}, alignment {FRAME_ALIGNMENT}"
        )
    return SegmentHeader(cluster, epoch, member, base, first, chain, length)


def encode_slot(watermark: Watermark) -> bytes:
    """Return the bytes of a watermark slot."""
    fields = _SLOT.pack(watermark.generation, *watermark.mark)
    return fields + _CRC.pack(google_crc32c.value(fields))


def decode_slot(data: bytes) -> Watermark | None:
    """Return the watermark in a slot's bytes, or None where they hold no valid one."""
    fields = data[: _SLOT.size]
    if data[_SLOT.size : SLOT_LENGTH] != _CRC.pack(google_crc32c.value(fields)):
        return None
    generation, position, term, chain = _SLOT.unpack(fields)
    mark = LogMark(LogPosition(position), LeadershipTermId(term), Chain(chain))
    return Watermark(generation, mark) if generation else None


def highest_watermark(pages: bytes) -> Watermark:
    """Return the later of the two watermarks in a file's first three pages."""
    slots = (decode_slot(pages[at : at + SLOT_LENGTH]) for at in SLOT_OFFSETS)
    return max((slot for slot in slots if slot is not None), default=NO_WATERMARK)


def zero_pieces(length: int) -> list[bytes]:
    """Return buffers of zeros, ``length`` bytes together, none longer than a piece."""
    pieces = [_ZEROS] * (length // PIECE_LENGTH)
    if length % PIECE_LENGTH:
        pieces.append(_ZEROS[: length % PIECE_LENGTH])
    return pieces


def is_zero(data: bytes) -> bool:
    """Tell whether the bytes are all zero."""
    return data == bytes(len(data))


class Segment:
    """An open segment: reads and writes by log position; who may write is the caller's care."""

    __slots__ = ("base", "end", "file")

    def __init__(self, file: DataFile, base: LogPosition, segment_length: int) -> None:
        """Own the open file, which holds the positions ``[base, base + segment_length)``."""
        self.file = file
        self.base = base
        self.end = LogPosition(base + segment_length)

    def write_header(self, header: SegmentHeader) -> None:
        """Write what the file is; the caller syncs."""
        self.file.write(0, [encode_header(header)])

    def write_watermark(self, watermark: Watermark) -> None:
        """Write the slot that this generation belongs into; the caller syncs."""
        self.file.write(SLOT_OFFSETS[watermark.generation & 1], [encode_slot(watermark)])

    def write(self, position: LogPosition, buffers: Sequence[bytes]) -> None:
        """Write frames from ``position`` on; the caller knows that they fit, and syncs."""
        self.file.write(FRAMES_OFFSET + position - self.base, buffers)

    def zero(self, start: LogPosition, end: LogPosition) -> None:
        """Overwrite the positions ``[start, end)`` with zeros; the caller syncs."""
        self.write(start, zero_pieces(end - start))

    def read(self, position: LogPosition, length: int) -> bytes:
        """Return up to ``length`` bytes from ``position`` on, never beyond the segment's end."""
        length = min(length, self.end - position)
        return self.file.read(FRAMES_OFFSET + position - self.base, length)

    def sync(self) -> None:
        """Make everything written to this file durable."""
        self.file.sync()

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()
