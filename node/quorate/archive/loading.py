"""What the segment files of a directory are, and the log that they hold together.

Reads only; shared by the start, which then repairs, and by the verifier, which reports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from quorate.archive.files import FileSystem
from quorate.archive.recording_log import RecordingLog
from quorate.archive.scan import mark_behind, read_frames
from quorate.archive.segment import (
    FRAMES_OFFSET,
    NO_WATERMARK,
    Segment,
    SegmentHeader,
    Watermark,
    decode_header,
    highest_watermark,
    is_zero,
    segment_base,
)
from quorate.consensus.types import LOG_START, LogFrame, LogMark, LogPosition

_PROBE_LENGTH = 4096


class SegmentKind(Enum):
    """What a file with a segment's name is."""

    SOUND = "sound"
    """Its header is valid and names its base, and it has its full length."""
    SPARE = "spare"
    """It was taken and never used: no such header, and no frame either."""
    BROKEN = "broken"
    """It has lost what was synced before its first frame, header or length: damage."""


class SegmentFile(NamedTuple):
    """One file with a segment's name, as found."""

    name: str
    base: LogPosition
    kind: SegmentKind
    header: SegmentHeader | None
    watermark: Watermark
    """The later of its slots; they count in a sound segment only."""


@dataclass(slots=True)
class Scan:
    """The log as found: what is good from its beginning on, and what that means."""

    segment_length: int
    end: LogMark = LOG_START
    last_timestamp: int = 0
    founding: LogFrame | None = None
    recording_log: RecordingLog = field(default_factory=RecordingLog)
    watermark: Watermark = NO_WATERMARK
    watermark_base: LogPosition | None = None
    """Base of the segment that holds the durable watermark."""
    damaged: bool = False
    furthest: LogMark = LOG_START
    """The highest boundary seen at all, by (term, position)."""

    def add(self, frame: LogFrame) -> None:
        """Note a good frame that stands at the present end."""
        if frame.position == 0:
            self.founding = frame
        self.recording_log.add(frame)
        self.last_timestamp = frame.timestamp
        self.end = mark_behind(frame)


class _Head(NamedTuple):
    """What the first pages of a file show, and how long it is."""

    name: str
    base: LogPosition
    size: int
    header: SegmentHeader | None
    watermark: Watermark
    has_frame: bool
    """Something stands where the first frame begins."""


def find_segments(files: FileSystem, segment_length: int) -> list[SegmentFile]:
    """Look at every file with a segment's name.

    Args:
        files: The data directory.
        segment_length: Bytes of frames in a segment, where no header of the log tells it.

    Returns:
        Sorted by base.

    Raises:
        ForeignData: A file of another format.

    """
    heads = []
    for name in files.names():
        base = segment_base(name)
        if base is not None:
            heads.append(_read_head(files, name, base))
    told = (head.header.segment_length for head in heads if head.header is not None)
    length = next(told, segment_length)
    return [_judge(head, length) for head in heads]


def _read_head(files: FileSystem, name: str, base: LogPosition) -> _Head:
    file = files.open(name, writable=False)
    try:
        pages = file.read(0, FRAMES_OFFSET + _PROBE_LENGTH)
        size = file.size()
    finally:
        file.close()
    has_frame = not is_zero(pages[FRAMES_OFFSET:])
    return _Head(name, base, size, decode_header(pages), highest_watermark(pages), has_frame)


def _judge(head: _Head, length: int) -> SegmentFile:
    """Tell what a file is, in a log whose segments have so many bytes of frames."""
    header = head.header
    # A file becomes a segment at its full length only, so a shorter one has lost something.
    whole = head.size >= FRAMES_OFFSET + (length if header is None else header.segment_length)
    if header is not None and header.base == head.base and whole:
        return SegmentFile(head.name, head.base, SegmentKind.SOUND, header, head.watermark)
    kind = SegmentKind.SPARE if whole and not head.has_frame else SegmentKind.BROKEN
    return SegmentFile(head.name, head.base, kind, None, NO_WATERMARK)


def scan_recording(files: FileSystem, segments: Sequence[SegmentFile], segment_length: int) -> Scan:
    """Read the whole log and apply the rule of torn or damaged.

    Of what was written after the last completed sync, any subset of sectors may have survived,
    in any order: a bad frame at or above the durable watermark ends the log, whatever follows.
    Below it there is damage, and so it is where a file has lost the header that was synced
    before its first frame.

    Raises:
        ForeignData: A whole frame has a version, flag or type that this release lacks.

    """
    scan = Scan(segment_length)
    by_base = {segment.base: segment for segment in segments}
    for segment in segments:
        if segment.kind is SegmentKind.SOUND and segment.watermark > scan.watermark:
            scan.watermark, scan.watermark_base = segment.watermark, segment.base
    for frame in _good_frames(files, by_base, scan):
        scan.add(frame)
    broken = any(segment.kind is SegmentKind.BROKEN for segment in segments)
    scan.damaged = broken or scan.end.position < scan.watermark.mark.position
    scan.furthest = scan.end
    if scan.damaged:
        scan.furthest = max(
            _sight(files, by_base, segment_length, scan.end),
            _sight(files, by_base, segment_length, scan.watermark.mark),
            key=lambda mark: (mark.leadership_term_id, mark.position),
        )
    return scan


def _good_frames(
    files: FileSystem, by_base: Mapping[LogPosition, SegmentFile], scan: Scan
) -> Iterator[LogFrame]:
    """Yield the frames that are good; the caller adds each to the scan before the next."""
    while True:
        found = by_base.get(scan.end.position)
        if found is None or found.header is None:
            return
        if (found.header.first_position, found.header.first_chain) != (found.base, scan.end.chain):
            return
        segment = Segment(files.open(found.name, writable=False), found.base, scan.segment_length)
        try:
            for frame in read_frames(segment, scan.end, scan.last_timestamp):
                if _contradicts(frame, scan.watermark.mark):
                    return
                yield frame
        finally:
            segment.close()
        if scan.end.position < segment.end:
            return


def _contradicts(frame: LogFrame, watermark: LogMark) -> bool:
    """Tell whether the log cannot be the one that the watermark was written for."""
    if frame.position >= watermark.position or frame.end < watermark.position:
        return False
    return mark_behind(frame) != watermark


def _sight(
    files: FileSystem,
    by_base: Mapping[LogPosition, SegmentFile],
    segment_length: int,
    mark: LogMark,
) -> LogMark:
    """Return how far good frames reach from a boundary on, whatever the headers say.

    Nothing is taken from there; it tells how much this member may have acknowledged.
    """
    while True:
        found = by_base.get(LogPosition(mark.position - mark.position % segment_length))
        if found is None:
            return mark
        segment = Segment(files.open(found.name, writable=False), found.base, segment_length)
        try:
            for frame in read_frames(segment, mark):
                mark = mark_behind(frame)
        finally:
            segment.close()
        if mark.position < segment.end:
            return mark
