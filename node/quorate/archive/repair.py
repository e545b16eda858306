"""Bringing the files in line with what a start has read: cutting, zeroing, writing again.

A page cache shows what a failed sync, or a kill, kept from the disk. So nothing that was only
read may be announced: what is not known to be durable is written once more and synced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.archive.files import FileSystem
from quorate.archive.loading import Scan, SegmentFile, SegmentKind
from quorate.archive.segment import (
    PIECE_LENGTH,
    Segment,
    Watermark,
    is_zero,
    segment_name,
)
from quorate.consensus.types import LogPosition


class Repaired(NamedTuple):
    """What the recording goes on with; everything up to the end of the scan is synced."""

    current: Segment | None
    """The last segment that stays, open; None where none does."""
    watermark: Watermark
    """The highest one on disk: it stands at the end of the log, unless no segment is left."""


def last_base(end: LogPosition, segment_length: int) -> LogPosition:
    """Return the base of the segment that holds the last frame before ``end``."""
    last = max(end - 1, 0)
    return LogPosition(last - last % segment_length)


def repair(files: FileSystem, segments: Sequence[SegmentFile], scan: Scan) -> Repaired:
    """Cut everything behind the end of the scan, and make durable what lies before it.

    Whatever the cut says about this member must be in the node state, synced, before this.

    Args:
        files: The data directory.
        segments: As found.
        scan: What of them is good.

    Raises:
        OSError: A write or sync failed.

    """
    return _Repair(files, segments, scan).run()


class _Repair:
    """One repair: the steps in the order in which a cut anywhere between them does no harm."""

    def __init__(self, files: FileSystem, segments: Sequence[SegmentFile], scan: Scan) -> None:
        self.files = files
        self.segments = segments
        self.sound = {found.base for found in segments if found.kind is SegmentKind.SOUND}
        self.scan = scan
        self.end = scan.end.position
        self.watermark = scan.watermark
        self.watermark_base = scan.watermark_base

    def run(self) -> Repaired:
        kept = self._kept_base()
        current = None if kept is None else self._open(kept)
        if current is not None:
            self._move_watermark(current)
            self._zero_behind(current)
        self._drop_behind(kept)
        if current is not None:
            self._write_again(current)
            self._raise_watermark(current)
        return Repaired(current, self.watermark)

    def _kept_base(self) -> LogPosition | None:
        """Return the base of the last segment that stays."""
        holding = last_base(self.end, self.scan.segment_length)
        lowered = self.watermark.mark.position > self.end
        if not lowered and self._is_unused_next(self.end):
            return self.end
        return holding if holding in self.sound else None

    def _is_unused_next(self, base: LogPosition) -> bool:
        """Tell whether the segment that begins at the end of the log may stay as it is."""
        for found in self.segments:
            if found.base == base and found.header is not None:
                return found.header.first_chain == self.scan.end.chain
        return False

    def _move_watermark(self, current: Segment) -> None:
        """Say where the log ends now, before anything below the old watermark is dropped.

        The same where the watermark's own slot lies in a segment that goes.
        """
        is_lowered = self.watermark.mark.position > self.end
        base = self.watermark_base
        if is_lowered or (base is not None and base > current.base):
            mark = self.scan.end if is_lowered else self.watermark.mark
            self.watermark = Watermark(self.watermark.generation + 1, mark)
            self.watermark_base = current.base
            current.write_watermark(self.watermark)
            current.sync()

    def _zero_behind(self, current: Segment) -> None:
        """Zero what lies behind the end in the last segment, missing bytes included."""
        touched = False
        for start in range(self.end, current.end, PIECE_LENGTH):
            position, length = LogPosition(start), min(PIECE_LENGTH, current.end - start)
            data = current.read(position, length)
            if len(data) < length or not is_zero(data):
                current.zero(position, LogPosition(start + length))
                touched = True
        if touched:
            current.sync()

    def _drop_behind(self, kept: LogPosition | None) -> None:
        """Remove every file behind the last segment that stays, the last one first."""
        for found in reversed(self.segments):
            if kept is None or found.base > kept or found.base not in self.sound:
                self.files.remove(found.name)
        self.files.sync_directory()

    def _write_again(self, current: Segment) -> None:
        """Write everything from the watermark to the end once more, and sync it."""
        start = min(self.watermark.mark.position, self.end)
        first = start - start % self.scan.segment_length
        if self.watermark_base is not None:
            first = min(first, self.watermark_base)
        headers = {found.base: found.header for found in self.segments}
        for base in range(first, current.end, self.scan.segment_length):
            segment = current if base == current.base else self._open(LogPosition(base))
            header = headers[segment.base]
            assert header is not None, f"segment {base} holds good frames, so it has a header"
            segment.write_header(header)
            _write_frames_again(segment, start, self.end)
            if base == self.watermark_base:
                segment.write_watermark(self.watermark)
            segment.sync()
            if segment is not current:
                segment.close()

    def _raise_watermark(self, current: Segment) -> None:
        """Say that everything is durable, now that it is; with a sync of its own."""
        if self.watermark.mark != self.scan.end:
            self.watermark = Watermark(self.watermark.generation + 1, self.scan.end)
            current.write_watermark(self.watermark)
            current.sync()

    def _open(self, base: LogPosition) -> Segment:
        file = self.files.open(segment_name(base))
        return Segment(file, base, self.scan.segment_length)


def _write_frames_again(segment: Segment, start: int, end: int) -> None:
    for position in range(max(start, segment.base), min(end, segment.end), PIECE_LENGTH):
        data = segment.read(LogPosition(position), min(PIECE_LENGTH, end - position))
        segment.write(LogPosition(position), [data])
