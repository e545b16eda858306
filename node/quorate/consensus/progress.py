"""One other member as the leader sees it.

``match``: what it durably holds of our log, in our term; counts for the quorum. Invariants:
``match <= checked <= next_position``; frames are sent in REPLICATE only, so a wrong guess costs
one small message; a new life of the member starts from nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from quorate.consensus.log_view import LogView
from quorate.consensus.types import (
    NOT_RECOVERING,
    ROOM_UNBOUNDED,
    START_POSITION,
    LogFrame,
    LogMark,
    LogPosition,
    Recovering,
    StartNonce,
    TermRecord,
)


class Flow(Enum):
    """How frames are sent to a follower."""

    PROBE = "probe"
    """Looking for the boundary up to which the logs agree, by messages without frames."""
    REPLICATE = "replicate"
    """Agreed: frames are streamed ahead of the reports, as far as the window allows."""


@dataclass(slots=True)
class Progress:
    """What the leader knows about one other member in its present life."""

    start_nonce: StartNonce | None
    """None before its first link: nothing is sent, nothing counts."""
    probed: LogMark
    """PROBE: the boundary asked about. Its chain is ours, or what the follower claims."""
    flow: Flow = Flow.PROBE
    next_position: LogPosition = START_POSITION
    """REPLICATE: where the next frame sent begins."""
    reading: bool = False
    """Frames for this member are being read from the recording."""
    match: LogPosition = START_POSITION
    checked: LogPosition = START_POSITION
    """REPLICATE: what the member has received, durable or not; frees the window."""
    durable: LogPosition = START_POSITION
    """What it has said last to be durable there, whether that counts for the quorum or not."""
    round: int = 0
    """Highest heartbeat round of our term that it has answered."""
    sent_at_round: tuple[int, LogPosition] = (0, START_POSITION)
    """A round and the end of what had been sent when it began."""
    commit_sent: LogPosition = START_POSITION
    """The commit position that the last message to it carried."""
    heard_at: int = 0
    """Loop time of its last answer."""
    heard: bool = False
    service_position: LogPosition = START_POSITION
    recovering: Recovering = field(default=NOT_RECOVERING)
    cure_round: int | None = None
    """The round that must be confirmed before this recovering member gets a target."""
    cure_position: LogPosition | None = None
    room_end: LogPosition = ROOM_UNBOUNDED
    """How far its log can grow, where its disk has no space for another segment."""
    room_heard_at: int = 0
    """Loop time at which it said so."""
    room_tried: LogPosition = START_POSITION
    """REPLICATE: with the room ending here the next frame did not fit."""
    unmatchable: bool = False
    """Its log contradicts ours where both claim the same term: someone must look."""

    def probe(self, boundary: LogMark) -> None:
        """Go back to looking for agreement, at this boundary."""
        self.flow = Flow.PROBE
        self.reading = False
        self.probed = boundary

    def replicate(self, position: LogPosition) -> None:
        """Stream from here on: the member has all before, and it is ours."""
        self.flow = Flow.REPLICATE
        self.reading = False
        self.next_position = position
        self.checked = position
        self.room_tried = START_POSITION
        self.sent_at_round = (0, START_POSITION)

    def fitting(self, frames: tuple[LogFrame, ...]) -> tuple[LogFrame, ...]:
        """Return those of the frames that come next which the member has room for."""
        if frames and frames[-1].end > self.room_end:
            frames = tuple(frame for frame in frames if frame.end <= self.room_end)
            if not frames:
                self.room_tried = self.room_end
        return frames


def agreed_boundary(log: LogView, end: LogMark, terms: tuple[TermRecord, ...]) -> LogMark:
    """Return the furthest boundary that our log and a follower's can have in common.

    Within one term a single leader wrote, append-only, so two logs that have a term at the
    same base agree up to where the shorter one's frames of it end (Raft, log matching). The
    newest common term decides; without any, what lies before the oldest row shown is asked
    for next.

    Args:
        log: The leader's.
        end: End of the follower's log.
        terms: The newest rows of its term table, or older ones after an earlier answer.

    Returns:
        A boundary of the leader's log to probe; its chain as far as either side knows it.

    """
    limit = end.position
    limit_chain = end.chain
    for row in reversed(terms):
        own = log.term_row(row.leadership_term_id)
        if own is not None and own.base == row.base:
            own_end = log.term_end(row.leadership_term_id)
            if limit <= own_end:
                known = log.chain_before(limit)
                chain = limit_chain if known is None else known
                return LogMark(limit, row.leadership_term_id, chain)
            chain_at_end = log.chain_before(own_end)
            assert chain_at_end is not None, (own_end, log.end)
            return LogMark(own_end, row.leadership_term_id, chain_at_end)
        limit, limit_chain = row.base, row.chain
    return base_at_or_before(log, limit)


def contradicts(mark: LogMark, end: LogMark, terms: tuple[TermRecord, ...]) -> bool:
    """Tell whether a follower's frames of the boundary's term end there with another chain.

    Args:
        mark: A boundary of the leader's log.
        end: End of the follower's log, or of what ``terms`` cover of it.
        terms: Rows of its term table, the newest last.

    """
    ends = [*((row.base, row.chain) for row in terms[1:]), (end.position, end.chain)]
    return any(
        row.leadership_term_id == mark.leadership_term_id
        and position == mark.position
        and chain != mark.chain
        for row, (position, chain) in zip(terms, ends, strict=False)
    )


def base_at_or_before(log: LogView, position: LogPosition) -> LogMark:
    """Return the boundary at the newest term base of ``log`` that is not beyond ``position``.

    There is one: the founding frame lies at position 0, and a leader holds it.
    """
    row = next(row for row in reversed(log.terms) if row.base <= position)
    return LogMark(row.base, log.term_before(row.base), row.chain)
