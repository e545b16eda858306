"""Logs made by hand, with the production codec."""

from __future__ import annotations

import hashlib

from quorate.config import ClusterConstants, ClusterSettings
from quorate.consensus.log_view import LogView
from quorate.consensus.types import (
    LOG_START,
    NO_MEMBER,
    NOT_RECOVERING,
    Chain,
    ClusterId,
    FrameType,
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
    Member,
    MemberId,
    Membership,
    NodeState,
    Recovering,
    Seat,
    TermRecord,
)
from quorate.protocol.frame_codec import LogFrameCodec

CLUSTER_ID = ClusterId(bytes(range(16)))
CODEC = LogFrameCodec(CLUSTER_ID, 0, ClusterSettings(), ClusterConstants())


def member_id(seat: int, formatting: int = 0) -> MemberId:
    """Return the id of the n-th directory formatted in this seat."""
    return MemberId(hashlib.sha256(b"%d.%d" % (seat, formatting)).digest()[:16])


def members_of(count: int) -> tuple[Member, ...]:
    """Return the members of a cluster of ``count`` seats, each with its first directory."""
    return tuple(Member(member_id(seat), Seat(seat), f"m{seat}") for seat in range(count))


def founding_frame(members: tuple[Member, ...]) -> LogFrame:
    """Return the founding frame that lists these members."""
    body = CODEC.founding_body(members, 1)  # what `Driven` draws
    return CODEC.encode(LogPosition(0), LeadershipTermId(0), 0, Chain(0), FrameType.FOUNDING, body)


class HandLog:
    """A log to which a test adds terms and frames; begins with the founding frame."""

    def __init__(self, voters: int = 3, frames: tuple[LogFrame, ...] | None = None) -> None:
        """Begin with the founding frame of that many voters, or with these frames."""
        self.voters = voters
        self.frames = [founding_frame(members_of(voters))] if frames is None else list(frames)

    def copy(self) -> HandLog:
        """Return a log that goes its own way from here."""
        return HandLog(self.voters, tuple(self.frames))

    @property
    def end(self) -> LogMark:
        """The end of the last frame."""
        return self.mark(len(self.frames))

    def mark(self, count: int) -> LogMark:
        """Return the boundary behind the first ``count`` frames."""
        if not count:
            return LOG_START
        frame = self.frames[count - 1]
        return LogMark(frame.end, frame.leadership_term_id, frame.chain)

    def add(self, term: int, frame_type: FrameType = FrameType.ENTRIES, size: int = 0) -> LogFrame:
        """Append one frame of this term with ``size`` bytes in its body."""
        position, _, chain = self.end
        timestamp = self.frames[-1].timestamp + 1 if self.frames else 0
        body = bytes([term % 256]) * size
        frame = CODEC.encode(
            position, LeadershipTermId(term), timestamp, chain, frame_type, body, 0
        )
        self.frames.append(frame)
        return frame

    def begin_term(self, term: int, leader: int = 1) -> LogFrame:
        """Append the first frame of a term."""
        position, _, chain = self.end
        body = CODEC.term_body(
            self.frames[0],
            LeadershipTermId(term),
            position,
            member_id(leader),
            0,
            Membership((members_of(self.voters),)),
            possible_loss=False,
        )
        frame = CODEC.encode(
            position, LeadershipTermId(term), 0, chain, FrameType.NEW_LEADERSHIP_TERM, body, 0
        )
        self.frames.append(frame)
        return frame

    @property
    def terms(self) -> tuple[TermRecord, ...]:
        """The term table that the frames imply."""
        rows: list[TermRecord] = []
        for index, frame in enumerate(self.frames):
            if not rows or rows[-1].leadership_term_id != frame.leadership_term_id:
                chain = self.mark(index).chain
                rows.append(TermRecord(frame.leadership_term_id, frame.position, chain))
        return tuple(rows)

    def view(self, *, in_memory: bool = True, tail_bytes_max: int = 1 << 20) -> LogView:
        """Return the log as consensus sees it: all in memory, or all on disk only."""
        founding = self.frames[0] if self.frames else None
        if not in_memory:
            return LogView(self.terms, self.end, 0, founding, tail_bytes_max)
        view = LogView((), LOG_START, 0, None, tail_bytes_max)
        for frame in self.frames:
            view.append(frame)
        view.appended(1)
        view.persisted(1)
        return view


def node_state(
    term: int = 0,
    vote: MemberId = NO_MEMBER,
    *,
    founded: bool = True,
    recovering: Recovering = NOT_RECOVERING,
) -> NodeState:
    """Return a node state, of a member of a founded cluster unless told otherwise."""
    return NodeState(LeadershipTermId(term), vote, founded, recovering)
