"""Well-formed logs for tests: frames that follow each other, padded at the ends of segments."""

from __future__ import annotations

from quorate.consensus.types import (
    LOG_START,
    FrameType,
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
)
from quorate.protocol.log_codec import FRAME_HEADER_LENGTH, aligned, encode_frame
from quorate_wire.frames import padding


class LogBuilder:
    """Makes frames as a leader would; knows where the log ends."""

    def __init__(self, segment_length: int) -> None:
        """Start at the beginning of a log."""
        self.segment_length = segment_length
        self.end = LOG_START
        self.timestamp = 0

    def frame(
        self, body: bytes, term: int = 0, frame_type: FrameType = FrameType.ENTRIES
    ) -> list[LogFrame]:
        """Return a frame with this body, behind the padding that it may need."""
        length = aligned(FRAME_HEADER_LENGTH + len(body))
        frames = []
        term_id = LeadershipTermId(max(term, self.end.leadership_term_id))
        if length > self.left:
            frames.append(
                padding(self.end.position, term_id, self.timestamp, self.end.chain, self.left)
            )
            self._go_to(frames[-1])
        self.timestamp += 1
        kind = FrameType.FOUNDING if self.end.position == 0 else frame_type
        frames.append(
            encode_frame(self.end.position, term_id, self.timestamp, self.end.chain, kind, body)
        )
        self._go_to(frames[-1])
        return frames

    @property
    def left(self) -> int:
        """Bytes left in the segment that the log ends in."""
        return self.segment_length - self.end.position % self.segment_length

    def back_to(self, end: LogMark, timestamp: int) -> None:
        """Go on from an earlier boundary, as a new leader with a shorter log would."""
        self.end, self.timestamp = end, timestamp

    def _go_to(self, frame: LogFrame) -> None:
        self.end = LogMark(LogPosition(frame.end), frame.leadership_term_id, frame.chain)
