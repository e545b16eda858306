"""The recording log: which leadership term begins where.

Derived from the frames at a start and kept in memory; never stored, so it cannot disagree.
"""

from __future__ import annotations

from quorate.consensus.types import LeadershipTermId, LogFrame, LogPosition, TermRecord

NO_TERM = LeadershipTermId(0)


class RecordingLog:
    """The term table of one recording, in order of position and of term alike."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        """Start with an empty log."""
        self._records: list[TermRecord] = []

    @property
    def records(self) -> tuple[TermRecord, ...]:
        """Every term with a frame in the log, the oldest first."""
        return tuple(self._records)

    def add(self, frame: LogFrame) -> None:
        """Note a frame that was appended; the caller has checked that it follows."""
        records = self._records
        if not records or frame.leadership_term_id != records[-1].leadership_term_id:
            records.append(
                TermRecord(frame.leadership_term_id, frame.position, frame.previous_chain)
            )

    def truncate(self, end: LogPosition) -> None:
        """Forget terms that begin at or behind ``end``."""
        while self._records and self._records[-1].base >= end:
            self._records.pop()

    def term_before(self, end: LogPosition) -> LeadershipTermId:
        """Return the term of the frame that ends at ``end``; 0 at the start of the log."""
        for record in reversed(self._records):
            if record.base < end:
                return record.leadership_term_id
        return NO_TERM
