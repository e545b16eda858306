"""The words of consensus: positions, terms, members, log frames.

Pure values without behaviour beyond arithmetic on themselves. Every other package speaks in
these types; this module knows none of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, NewType

LogPosition = NewType("LogPosition", int)
"""Byte offset from the birth of the cluster; the only coordinate that orders anything."""

START_POSITION = LogPosition(0)

ROOM_UNBOUNDED = LogPosition(2**63 - 1)
"""The end of a log's room where the disk has space for more of it."""

LeadershipTermId = NewType("LeadershipTermId", int)
"""One leader's reign. Term 0 holds the founding frame only; no member leads in it."""

Seat = NewType("Seat", int)
"""Small integer from 0: the place in the configured list of members."""

ClusterId = NewType("ClusterId", bytes)
"""16 random bytes, equal on all members of a cluster for its whole life."""

MemberId = NewType("MemberId", bytes)
"""16 bytes: one formatting of one data directory. A wiped directory gets another."""

StartNonce = NewType("StartNonce", int)
"""64 random bits: one life of a member's process."""

Chain = NewType("Chain", int)
"""CRC32C of a log frame, which covers the chain before it: equal chains, equal logs."""

CLUSTER_ID_LENGTH = 16
MEMBER_ID_LENGTH = 16
NO_MEMBER = MemberId(bytes(MEMBER_ID_LENGTH))
"""Stands for "nobody" where a member id is optional on disk, such as a vote not given."""

SEATS_MAX = 9


class FrameType(IntEnum):
    """What a log frame carries. The numbers are on disk and never change."""

    FOUNDING = 1
    NEW_LEADERSHIP_TERM = 2
    ENTRIES = 3
    EMPTY = 4
    PADDING = 5


class LogFrame(NamedTuple):
    """One frame of the log: the unit of writing, replicating, syncing, committing, recovering.

    ``data`` holds the frame exactly as it lies on disk: header, body and the zero filler up
    to the next multiple of the alignment. The other fields repeat what the header says.
    """

    position: LogPosition
    """Of the first byte of the header."""
    leadership_term_id: LeadershipTermId
    timestamp: int
    """Log time in nanoseconds since the Unix epoch; never decreases along the log."""
    previous_chain: Chain
    chain: Chain
    """The frame's own CRC."""
    frame_type: FrameType
    entry_count: int
    data: bytes

    @property
    def end(self) -> LogPosition:
        """Position of the first byte behind the frame, where the next one begins."""
        return self.position + len(self.data)  # type: ignore[return-value] # without a call


class LogMark(NamedTuple):
    """A frame boundary with what proves the log before it: its last term and its chain."""

    position: LogPosition
    leadership_term_id: LeadershipTermId
    """Term of the frame that ends here; 0 at position 0."""
    chain: Chain
    """Chain of the frame that ends here; 0 at position 0."""


LOG_START = LogMark(START_POSITION, LeadershipTermId(0), Chain(0))


class TermRecord(NamedTuple):
    """One row of the term table: where a leadership term begins and what lies before it."""

    leadership_term_id: LeadershipTermId
    base: LogPosition
    """Position of the term's first frame."""
    chain: Chain
    """Chain of the frame before the base; 0 for the founding frame."""


class Role(IntEnum):
    """What a member is doing in the present term."""

    FOLLOWER = 0
    CANDIDATE = 1
    LEADER = 2


class FoundingState(IntEnum):
    """How far the birth of the cluster has come, as one member's disk tells it."""

    BLANK = 0
    FOUNDING = 1
    FOUNDED = 2
    BROKEN = 3


class RecoveringReason(IntEnum):
    """Why a member may have lost what it once acknowledged. The numbers are on disk."""

    NONE = 0
    DAMAGED = 1
    """A frame below the durable watermark is bad, or the log is missing."""
    UNSYNCED = 2
    """Ran with durability ``replicated`` and its machine stopped without the clean mark."""
    LOSS_ACCEPTED = 3
    """A human said ``quorate recover --accept-loss``: counts as sound, its next term says so."""


class Recovering(NamedTuple):
    """What is known of a loss: its reason and the furthest this member may have acknowledged."""

    reason: RecoveringReason
    leadership_term_id: LeadershipTermId
    position: LogPosition


NOT_RECOVERING = Recovering(RecoveringReason.NONE, LeadershipTermId(0), LogPosition(0))


class NodeState(NamedTuple):
    """What a member must never forget: its term, its vote, and whether it may take part."""

    candidate_term_id: LeadershipTermId
    """Highest term adopted; durable before a vote or a frame of that term."""
    vote: MemberId
    """For whom in that term; ``NO_MEMBER`` when for nobody."""
    founded: bool
    """The founded mark: without it a member takes no part in elections or quorums."""
    recovering: Recovering


BLANK_NODE_STATE = NodeState(LeadershipTermId(0), NO_MEMBER, False, NOT_RECOVERING)


@dataclass(frozen=True, slots=True)
class Member:
    """One row of the membership: who sits where."""

    member_id: MemberId
    seat: Seat
    name: str
    """Address under which the others dial it, as in the configured list."""


@dataclass(frozen=True, slots=True)
class Membership:
    """Who counts, as the log says.

    ``voter_sets`` is a list, so that a joint configuration fits in; a decision needs a
    majority of every set. Today there is exactly one set.
    """

    voter_sets: tuple[tuple[Member, ...], ...]
    learners: tuple[Member, ...] = ()
    voters: tuple[Member, ...] = field(init=False, compare=False, repr=False)
    """Every voter once, by seat; made once, since every message asks for it."""
    members: tuple[Member, ...] = field(init=False, compare=False, repr=False)
    """Voters and learners, by seat."""

    def __post_init__(self) -> None:
        """Lay out the sets by seat."""
        by_seat = {member.seat: member for voters in self.voter_sets for member in voters}
        voters = tuple(by_seat[seat] for seat in sorted(by_seat))
        members = tuple(sorted((*voters, *self.learners), key=lambda member: member.seat))
        object.__setattr__(self, "voters", voters)
        object.__setattr__(self, "members", members)

    def by_id(self, member_id: MemberId) -> Member | None:
        """Return the member with this id, or None where the log knows no such member."""
        return next((m for m in self.members if m.member_id == member_id), None)


NO_MEMBERSHIP = Membership(voter_sets=())


class Instant(NamedTuple):
    """The clocks as read once at the start of a loop turn, in nanoseconds."""

    loop: int
    """Loop time: grows by at most the stall bound a turn; judges every time-out."""
    boottime: int
    """Real time that counts suspend (CLOCK_BOOTTIME); drives log time within a term."""
    wall: int
    """Unix time as this machine believes it; only reported and slewed towards."""


class PeerLife(NamedTuple):
    """Who is at the other end of a link: a seat, the directory in it, and one life of it."""

    seat: Seat
    member_id: MemberId
    start_nonce: StartNonce
