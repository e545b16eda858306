"""The log as consensus knows it without touching a disk.

The term table tells the term at any position; a tail of recent frames is kept in memory for
sending and applying. What is older is read from the recording by the outside. Frames that are
not durable yet never leave the tail, so what is not in memory can be read from files.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

from quorate.consensus.types import (
    Chain,
    FrameType,
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
    TermRecord,
)


class LogView:
    """Term table, end, durable position and the recent frames of one member's log."""

    def __init__(
        self,
        terms: Iterable[TermRecord],
        end: LogMark,
        last_timestamp: int,
        founding: LogFrame | None,
        tail_bytes_max: int,
    ) -> None:
        """Start from what the disk holds, all of which is durable."""
        self.terms = list(terms)
        self.end = end
        self.durable = end.position
        self.last_timestamp = last_timestamp
        self.founding = founding
        self._tail: dict[LogPosition, LogFrame] = {}
        self._tail_order: deque[LogPosition] = deque()
        self._tail_bytes = 0
        self._tail_bytes_max = tail_bytes_max
        self._unsynced: deque[tuple[int, LogPosition]] = deque()

    @property
    def tail_start(self) -> LogPosition:
        """Position of the oldest frame in memory; the end when none is."""
        return self._tail_order[0] if self._tail_order else self.end.position

    def term_before(self, position: LogPosition) -> LeadershipTermId:
        """Return the term of the frame that ends at ``position``; 0 at the start of the log."""
        row = bisect_right(self.terms, position - 1, key=_base) - 1
        return self.terms[row].leadership_term_id if row >= 0 else LeadershipTermId(0)

    def term_row(self, leadership_term_id: LeadershipTermId) -> TermRecord | None:
        """Return the row of this term, or None where the log has no frame of it."""
        row = bisect_right(self.terms, leadership_term_id, key=_term) - 1
        if row >= 0 and self.terms[row].leadership_term_id == leadership_term_id:
            return self.terms[row]
        return None

    def term_end(self, leadership_term_id: LeadershipTermId) -> LogPosition:
        """Return where the frames of this term end: the next term's base or the log's end."""
        row = bisect_right(self.terms, leadership_term_id, key=_term)
        return self.terms[row].base if row < len(self.terms) else self.end.position

    def chain_before(self, position: LogPosition) -> Chain | None:
        """Return the chain of the frame that ends at ``position``, where memory knows it.

        None means not known here: inside an old part of a term, or not a frame boundary.
        """
        if position == self.end.position:
            return self.end.chain
        frame = self._tail.get(position)
        if frame is not None:
            return frame.previous_chain
        row = bisect_right(self.terms, position, key=_base) - 1
        if row >= 0 and self.terms[row].base == position:
            return self.terms[row].chain
        return None

    def frame_at(self, position: LogPosition) -> LogFrame | None:
        """Return the frame that begins at ``position``, if it is in memory."""
        return self._tail.get(position)

    def frames_from(
        self, position: LogPosition, bytes_max: int, frames_max: int = 512
    ) -> tuple[LogFrame, ...] | None:
        """Return frames from ``position`` on, at least one and about ``bytes_max`` at most.

        Returns:
            An empty tuple at the end of the log; None when ``position`` is not in memory.

        """
        if position == self.end.position:
            return ()
        frames: list[LogFrame] = []
        size = 0
        frame = self._tail.get(position)
        if frame is None:
            return None
        while frame is not None and len(frames) < frames_max:
            size += len(frame.data)
            if frames and size > bytes_max:
                break
            frames.append(frame)
            frame = self._tail.get(frame.end)
        return tuple(frames)

    def append(self, frame: LogFrame) -> None:
        """Add a frame at the end; it must carry the end's position and chain."""
        end = self.end
        assert frame.position == end.position, (frame.position, end)
        assert frame.previous_chain == end.chain, (frame.position, frame.previous_chain, end)
        assert frame.leadership_term_id >= end.leadership_term_id, (frame.position, end)
        if not self.terms or frame.leadership_term_id > end.leadership_term_id:
            self.terms.append(TermRecord(frame.leadership_term_id, frame.position, end.chain))
        if frame.frame_type is FrameType.FOUNDING:
            self.founding = frame
        self._tail[frame.position] = frame
        self._tail_order.append(frame.position)
        self._tail_bytes += len(frame.data)
        self.end = LogMark(frame.end, frame.leadership_term_id, frame.chain)
        self.last_timestamp = max(self.last_timestamp, frame.timestamp)

    def appended(self, sequence: int) -> None:
        """Note that persist ``sequence`` makes the log durable up to its present end."""
        self._unsynced.append((sequence, self.end.position))

    def truncate(self, end: LogMark) -> None:
        """Drop what lies at or behind ``end.position``, in memory."""
        while self._tail_order and self._tail_order[-1] >= end.position:
            self._tail_bytes -= len(self._tail.pop(self._tail_order.pop()).data)
        while self.terms and self.terms[-1].base >= end.position:
            self.terms.pop()
        self.end = end
        self.durable = min(self.durable, end.position)
        # Completions of earlier appends now reach only up to the cut.
        self._unsynced = deque((s, min(p, end.position)) for s, p in self._unsynced)
        if end.position == 0:
            self.founding = None

    def persisted(self, sequence: int) -> bool:
        """Take in that everything up to ``sequence`` is durable; tell whether durable moved."""
        before = self.durable
        while self._unsynced and self._unsynced[0][0] <= sequence:
            self.durable = max(self.durable, self._unsynced.popleft()[1])
        self._evict()
        return self.durable != before

    def _evict(self) -> None:
        """Forget the oldest frames above the memory limit, durable ones only."""
        while self._tail_bytes > self._tail_bytes_max:
            frame = self._tail[self._tail_order[0]]
            if frame.end > self.durable:
                return
            self._tail_order.popleft()
            del self._tail[frame.position]
            self._tail_bytes -= len(frame.data)


def _base(row: TermRecord) -> LogPosition:
    return row.base


def _term(row: TermRecord) -> LeadershipTermId:
    return row.leadership_term_id
