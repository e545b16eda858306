"""Looking at a recording from outside, while its member runs or after it has crashed.

Reads only, takes no lock, stops at the first frame that is not good: the end of the log, or
one that is being written just now.
"""

from __future__ import annotations

from collections.abc import Iterator

from quorate.archive.files import FileSystem, storage_error
from quorate.archive.loading import SegmentKind, find_segments
from quorate.archive.scan import mark_behind, read_frames
from quorate.archive.segment import Segment, SegmentHeader, segment_name
from quorate.consensus.types import LeadershipTermId, LogFrame, LogMark, LogPosition


def iterate_frames(files: FileSystem, start: LogPosition | None = None) -> Iterator[LogFrame]:
    """Yield the frames of the log, whole and checked.

    Args:
        files: The data directory.
        start: Yield those that end behind this position, which need not be a boundary; None
            for all. Segments that lie wholly before it are not read.

    Yields:
        Frames in order, up to where the good ones end. Frames that a truncation takes away
        meanwhile may be among them.

    Raises:
        ForeignData: Written by a release with another format.
        StorageError: A read failed.

    """
    try:
        header = _first_header(files, start or LogPosition(0))
        timestamp, mark = 0, None
        while header is not None:
            mark = mark or LogMark(header.base, LeadershipTermId(0), header.first_chain)
            for frame in _frames_of(files, header, mark, timestamp):
                timestamp, mark = frame.timestamp, mark_behind(frame)
                if start is None or frame.end > start:
                    yield frame
            # The next segment may have been taken while this one was read: look only now.
            whole = mark.position == header.base + header.segment_length
            header = _header_at(files, mark.position) if whole else None
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error(error, "reading the recording") from error


def log_end(files: FileSystem) -> LogPosition:
    """Return where the good frames of the last segment end, 0 of an empty log.

    Raises:
        As ``iterate_frames``.

    """
    try:
        headers = _headers(files)
    except OSError as error:
        raise storage_error(error, "reading the recording") from error
    end = headers[-1].base if headers else LogPosition(0)
    for frame in iterate_frames(files, end):
        end = frame.end
    return end


def _frames_of(
    files: FileSystem, header: SegmentHeader, mark: LogMark, timestamp: int
) -> Iterator[LogFrame]:
    file = files.open(segment_name(header.base), writable=False)
    segment = Segment(file, header.base, header.segment_length)
    try:
        yield from read_frames(segment, mark, timestamp)
    finally:
        segment.close()


def _first_header(files: FileSystem, start: LogPosition) -> SegmentHeader | None:
    """Return the header of the segment that holds ``start``, or of the last one before it."""
    headers = _headers(files)
    before = [header for header in headers if header.base <= start]
    return before[-1] if before else None


def _header_at(files: FileSystem, base: LogPosition) -> SegmentHeader | None:
    return next((header for header in _headers(files) if header.base == base), None)


def _headers(files: FileSystem) -> list[SegmentHeader]:
    """Return the headers of all sound segments, by base."""
    return [
        found.header
        for found in find_segments(files, 0)
        if found.kind is SegmentKind.SOUND and found.header is not None
    ]
