"""The recording: the ordered segments as one log that grows at its end and is cut back there.

One writer appends and truncates. Another thread may read below the last completed write, and
in durability ``replicated`` a third one may run ``sync_written``.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from quorate.archive.files import FileSystem
from quorate.archive.inspect import iterate_frames
from quorate.archive.loading import Scan
from quorate.archive.reading import NoBoundary, read_whole_frames
from quorate.archive.repair import Repaired, last_base
from quorate.archive.scan import mark_behind
from quorate.archive.segment import Segment, SegmentHeader, Watermark, segment_name
from quorate.archive.spares import SparePool
from quorate.config import Durability
from quorate.consensus.effects import AppendToLog, StoreNodeState, TruncateLog
from quorate.consensus.types import (
    LOG_START,
    Chain,
    ClusterId,
    LogFrame,
    LogMark,
    LogPosition,
    MemberId,
)
from quorate.errors import CorruptRecord, InvariantBroken


class Recording:
    """The log of one member as files; every position handed in is a frame boundary."""

    def __init__(
        self,
        files: FileSystem,
        identity: tuple[ClusterId, int, MemberId],
        spares: SparePool,
        durability: Durability,
        scan: Scan,
        repaired: Repaired,
    ) -> None:
        """Take over what a start has found and repaired."""
        self._files = files
        self._identity = identity
        self._spares = spares
        self._durability = durability
        self.segment_length = scan.segment_length
        self.recording_log = scan.recording_log
        self.end = scan.end
        """The end of the last frame written."""
        self.synced = scan.end
        """The end of what a completed sync covers."""
        self.watermark = repaired.watermark
        self.current: Segment | None = repaired.current
        """The last segment: the next frame goes into it, unless it is full."""
        self.segments_end = LogPosition(
            scan.end.position if repaired.current is None else repaired.current.end
        )
        """The end of the last segment, as far as the log can grow without another one."""
        self._unsynced: list[Segment] = []
        self._sync_mutex = threading.RLock()
        self._truncations = 0

    # ------------------------------------------------------------------------------ append

    def append(self, frames: Sequence[LogFrame]) -> None:
        """Write frames behind the end of the log; synced on return unless ``replicated``.

        Each segment concerned gets one write and, with ``fsync``, one data sync that covers
        the watermark too, which holds the end of what was synced before.

        Raises:
            InvariantBroken: A frame does not follow the one before it or crosses a segment.
            OSError: A write or sync failed.

        """
        part: list[LogFrame] = []
        position, chain = self.end.position, self.end.chain
        segment_end = self._segment_end(position)
        for frame in frames:
            end = position + len(frame.data)
            if frame.position != position or frame.previous_chain != chain or end > segment_end:
                raise _misfit(frame, position, chain, segment_end)
            self.recording_log.add(frame)
            part.append(frame)
            position, chain = LogPosition(end), frame.chain
            if position == segment_end:
                self._append_part(part)
                part, segment_end = [], self._segment_end(position)
        if part:
            self._append_part(part)

    def write_at_once(self, frames: Sequence[LogFrame]) -> bool:
        """Write frames behind the end of the log if that is one write and nothing else.

        Without a sync: the caller sees to it, and notes its end in ``synced``.

        Returns:
            False where more is needed, a segment or the founding frame's sync; nothing was done.

        Raises:
            InvariantBroken: A frame does not follow the one before it.
            OSError: The write failed.

        """
        position, chain = self.end.position, self.end.chain
        segment = self.current
        if segment is None or position == 0 or frames[-1].end > segment.end:
            return False
        for frame in frames:
            if frame.position != position or frame.previous_chain != chain:
                raise _misfit(frame, position, chain, segment.end)
            self.recording_log.add(frame)
            position, chain = frame.end, frame.chain
        self._write_in(segment, frames)
        return True

    def begin_sync(self) -> LogMark:
        """Prepare a sync of the current segment; return the end of the log that it will cover.

        The watermark goes into a slot here and not with each write: the slot not used last may
        be overwritten only when the other one is durable, and so the sync before has ended.
        """
        assert self.current is not None, "a log that was written to has a segment"
        self._write_watermark(self.current)
        return self.end

    def _write_in(self, segment: Segment, frames: Sequence[LogFrame]) -> None:
        segment.write(self.end.position, [frame.data for frame in frames])
        if self._durability is Durability.REPLICATED:
            if segment not in self._unsynced:
                self._unsynced.append(segment)
            self._write_watermark(segment)
        self.end = mark_behind(frames[-1])

    def _append_part(self, frames: Sequence[LogFrame]) -> None:
        """Write frames that lie in one segment."""
        position = self.end.position
        segment = self._segment_for_append(position)
        self._write_in(segment, frames)
        if self._durability is Durability.FSYNC or position == 0:
            # The founding frame is synced always: a member with the founded mark and an empty
            # log counts as damaged.
            self._write_watermark(segment)
            segment.sync()
            self.synced = self.end

    def _write_watermark(self, segment: Segment) -> None:
        """Write the synced end as watermark where that has moved; the caller syncs."""
        if self.watermark.mark != self.synced:
            self._next_watermark(segment)

    def _next_watermark(self, segment: Segment) -> None:
        watermark = Watermark(self.watermark.generation + 1, self.synced)
        segment.write_watermark(watermark)
        self.watermark = watermark

    def missing_segments(
        self, effects: Sequence[StoreNodeState | AppendToLog | TruncateLog]
    ) -> int:
        """Return how many spares the effects take, carried out in order.

        Counted from the last segment's end and not from that of the log: a crash or a
        truncation can leave a whole segment without a frame, and frames go there first.
        """
        end, segments_end, missing = self.end.position, self.segments_end, 0
        for effect in effects:
            if isinstance(effect, AppendToLog):
                end = effect.frames[-1].end
                over = max(0, end - segments_end)
                count = (over + self.segment_length - 1) // self.segment_length
                missing += count
                segments_end = LogPosition(segments_end + count * self.segment_length)
            elif isinstance(effect, TruncateLog) and effect.end.position < end:
                end = effect.end.position
                base = last_base(end, self.segment_length)
                segments_end = LogPosition(base + self.segment_length)
        return missing

    def _segment_end(self, position: LogPosition) -> int:
        return position - position % self.segment_length + self.segment_length

    def _segment_for_append(self, position: LogPosition) -> Segment:
        current = self.current
        if current is not None and position < current.end:
            return current
        if current is not None and current not in self._unsynced:
            current.close()
        # From here on ``sync_written`` closes the one before, once it has synced all of it.
        self.current = None
        self.current = self._take_segment(position)
        return self.current

    def _take_segment(self, base: LogPosition) -> Segment:
        """Make a spare the segment at ``base``: durable with its header before a frame goes in."""
        name = segment_name(base)
        # Before there is one spare less: whoever adds the two up never sees a segment missing.
        self.segments_end = LogPosition(base + self.segment_length)
        spare = self._spares.take()
        if name in self._files.names():
            raise InvariantBroken(f"segment {name} exists already at the end of the log")
        self._files.rename(spare, name)
        segment = self._open(base)
        segment.write_header(self._header(base, self.end.chain))
        segment.sync()
        self._files.sync_directory()
        return segment

    # ---------------------------------------------------------------------------- truncate

    def truncate(self, end: LogMark) -> None:
        """Drop everything from ``end.position`` on, durably.

        The order: a watermark with the lower position, synced; then zeros over what is dropped,
        synced; then later segments removed, the last one first; then the directory synced. A
        cut anywhere in between leaves a log that ends at or behind ``end``, and no damage.

        Raises:
            CorruptRecord: No frame with this chain and term ends there.
            InvariantBroken: The position lies beyond the end of the log.
            OSError: A write or sync failed.

        """
        with self._sync_mutex:
            self.sync_written()
            self._verify_boundary(end)
            if end.position < self.end.position:
                self._truncate(end)

    def discard(self) -> None:
        """Drop the whole log, as ``truncate`` to its start."""
        self.truncate(LOG_START)

    def _truncate(self, end: LogMark) -> None:
        assert self.current is not None, "a log that is not empty has a segment"
        last, old_end = self.current.base, self.end
        self.end = self.synced = end
        # After the end: a reader looks at the count first, so it never knows of this truncation
        # and goes by the old end.
        self._truncations += 1
        target = self._become_current(last_base(end.position, self.segment_length))
        self.segments_end = target.end
        # Also where it stands there already: its slot may lie in a segment that goes.
        self._next_watermark(target)
        target.sync()
        if end.position < target.end:
            target.zero(end.position, LogPosition(min(old_end.position, target.end)))
            target.sync()
        for base in range(last, target.base, -self.segment_length):
            self._files.remove(segment_name(base))
        self._files.sync_directory()
        self.recording_log.truncate(end.position)

    def _verify_boundary(self, end: LogMark) -> None:
        """Check that the log has a boundary at ``end``, by the frame that stands behind it."""
        if end.position > self.end.position:
            raise InvariantBroken(
                f"truncation to {end.position} beyond the end {self.end.position}"
            )
        if end.position == self.end.position:
            found = self.end
        else:
            whole, frames = self._read_checked(end.position, 0)
            if not whole:
                raise CorruptRecord(f"truncation to {end}, but no log frame begins there")
            previous = int.from_bytes(frames[32:36], "little")
            term = self.recording_log.term_before(end.position)
            found = LogMark(end.position, term, Chain(previous))
        if found != end:
            raise CorruptRecord(f"truncation to {end}, but the recording has {found} there")

    def _become_current(self, base: LogPosition) -> Segment:
        if self.current is not None:
            if self.current.base == base:
                return self.current
            self._unsynced.clear()
            self.current.close()
        self.current = self._open(base)
        return self.current

    # -------------------------------------------------------------------------------- sync

    def sync_written(self) -> None:
        """Sync what was written without one.

        In ``fsync`` that is at most what was written at once, in the last segment.

        Blocking:
            On a data sync of every segment that was written to since the last call.

        """
        with self._sync_mutex:
            end = self.end
            if end == self.synced:
                return
            if self._durability is Durability.FSYNC and self.current is not None:
                self.current.sync()
            for segment in tuple(self._unsynced):
                segment.sync()
                if segment is not self.current and segment.end <= end.position:
                    self._unsynced.remove(segment)
                    segment.close()
            self.synced = end

    @property
    def unsynced_length(self) -> int:
        """Bytes written that no completed sync covers."""
        return self.end.position - self.synced.position

    @property
    def watermark_due(self) -> bool:
        """Whether the watermark on disk lies behind the synced end."""
        return self.watermark.mark != self.synced

    def settle(self) -> None:
        """Write the synced end as watermark and sync it alone, where that is due."""
        if self.watermark_due and self.current is not None:
            self._write_watermark(self.current)
            self.current.sync()

    # -------------------------------------------------------------------------------- read

    def read(self, position: LogPosition, bytes_max: int) -> bytes:
        """Return whole frames from a boundary on; safe beside the writer.

        Args:
            position: A frame boundary.
            bytes_max: How much to return; a longer first frame is returned all the same.

        Returns:
            Frames as they lie on disk, within one segment; empty at or beyond the end, or where
            a truncation is taking them away.

        Raises:
            NoBoundary: A sound frame goes on at ``position``.
            CorruptRecord: What lies there is no frame of this position.

        """
        truncations = self._truncations
        try:
            whole, frames = self._read_checked(position, bytes_max)
        except FileNotFoundError:
            whole, frames = False, b""
        if whole:
            return frames
        over = self._frame_over(position)
        if truncations != self._truncations:
            return frames
        if over is not None:
            raise NoBoundary(f"{position} lies within the log frame at {over}")
        raise CorruptRecord(f"no log frame at {position + len(frames)}, below the end of the log")

    def _frame_over(self, position: LogPosition) -> LogPosition | None:
        """Return where the sound frame begins that goes on at ``position``; reads its segment."""
        frame = next(iterate_frames(self._files, position), None)
        return None if frame is None or frame.position >= position else frame.position

    def _read_checked(self, position: LogPosition, bytes_max: int) -> tuple[bool, bytes]:
        end = min(self._segment_end(position), self.end.position)
        if position >= end:
            return True, b""
        segment = self._open(LogPosition(position - position % self.segment_length), writable=False)
        try:
            return read_whole_frames(segment, position, LogPosition(end), bytes_max)
        finally:
            segment.close()

    # ------------------------------------------------------------------------------ common

    def close(self) -> None:
        """Let go of the files; syncs nothing."""
        for segment in self._unsynced:
            segment.close()
        if self.current is not None:
            self.current.close()

    def _open(self, base: LogPosition, *, writable: bool = True) -> Segment:
        file = self._files.open(segment_name(base), writable=writable)
        return Segment(file, base, self.segment_length)

    def _header(self, base: LogPosition, chain: Chain) -> SegmentHeader:
        cluster_id, epoch, member_id = self._identity
        return SegmentHeader(cluster_id, epoch, member_id, base, base, chain, self.segment_length)


def _misfit(
    frame: LogFrame, position: LogPosition, chain: Chain, segment_end: int
) -> InvariantBroken:
    return InvariantBroken(
        f"frame at {frame.position} of {len(frame.data)} bytes, previous chain "
        f"{frame.previous_chain}, cannot stand at {position} behind chain {chain} in a segment "
        f"that ends at {segment_end}"
    )
