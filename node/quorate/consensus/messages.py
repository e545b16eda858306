"""What members say to each other, one frozen value each.

The two of every frame, AppendFrames and AppendReport, are frozen by convention only: a frozen
dataclass takes three times as long to make.

Every message stands for itself: it may be lost, doubled or overtaken without harm to safety.
The sender's seat, member id and start nonce come with the link (``PeerLife``), so a report
of an earlier life is known as such. Log frames travel as they lie on disk.

The conversation::

    Hello                 both ways, first on every link, and again when what it says changes
    FoundRequest          any member → lowest seat           FoundingFrame  → all
    FoundingStored        → lowest seat                      Founded        → all
    FoundingDiscard       lowest seat → all
    Canvass   → voters    CanvassAnswer   ←                  (nobody's term is raised)
    RequestVote → voters  Vote            ←
    AppendFrames → all    AppendReport    ←                  (also the heartbeat and its answer)
    CureTarget → a recovering member
    StandNow   → the target of a leadership transfer
    DigestReport → leader
    DigestVerdict → a member whose service has diverged
    RoomReport → leader, with every heartbeat while the disk is nearly full
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from quorate.consensus.types import (
    FoundingState,
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
    Recovering,
    Role,
    TermRecord,
)


class Refusal(IntEnum):
    """Why a member wants nothing to do with another; sent, counted and reported."""

    NONE = 0
    VOLUME_LOST = 1
    """A blank directory under a seat whose member id the log does not know."""
    NOT_A_MEMBER = 2
    """The log knows this seat under another member id."""
    CONFIGURATION = 3
    """The cluster-wide configuration differs."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a member is, as its disk and its role tell."""

    founding: FoundingState
    configuration_hash: bytes
    """16 bytes over cluster id, list of seats, settings and constants."""
    founding_frame: LogFrame | None
    """The founding frame held, while founding; None once founded or while blank."""
    founding_chain: int
    """Chain of the founding frame held, 0 when blank."""
    role: Role
    leadership_term_id: LeadershipTermId
    end: LogMark
    recovering: Recovering
    refusal: Refusal
    """Said to the receiver: why this side will not deal with it."""


@dataclass(frozen=True, slots=True)
class FoundRequest:
    """Please found the cluster; forwarded to the lowest seat."""

    discard: bool


@dataclass(frozen=True, slots=True)
class FoundingFrame:
    """The first frame of the log; store it, unless another is held."""

    frame: LogFrame


@dataclass(frozen=True, slots=True)
class FoundingStored:
    """The founding frame with this chain is durable here."""

    chain: int


@dataclass(frozen=True, slots=True)
class Founded:
    """Every seat holds the founding frame with this chain: store the founded mark."""

    chain: int


@dataclass(frozen=True, slots=True)
class FoundingDiscard:
    """Forget a founding frame that never became a cluster."""

    chain: int
    """Of the frame; 0 for a member that holds none, and may be broken all the same. Whoever holds
    another one has it from a later founding, and keeps it."""


@dataclass(frozen=True, slots=True)
class Canvass:
    """Would you vote for me? Nobody's term is raised by asking."""

    leadership_term_id: LeadershipTermId
    """The canvasser's present term."""
    end: LogMark
    unanimous: bool
    """Asks for a ballot that needs the vote of every voter (all may have lost something)."""
    round: int
    """Pairs answers with the canvass that asked."""


@dataclass(frozen=True, slots=True)
class CanvassAnswer:
    """Whether the sender would vote, and what it knows."""

    leadership_term_id: LeadershipTermId
    round: int
    granted: bool
    end: LogMark
    recovering: Recovering
    wall: int
    """The sender's Unix time in nanoseconds."""


@dataclass(frozen=True, slots=True)
class TransferToken:
    """Permission to stand at once, made by the leader of ``leadership_term_id``."""

    leadership_term_id: LeadershipTermId
    position: LogPosition


@dataclass(frozen=True, slots=True)
class RequestVote:
    """The candidate stands for ``candidate_term_id``, which is durable on its disk."""

    candidate_term_id: LeadershipTermId
    end: LogMark
    unanimous: bool
    token: TransferToken | None


@dataclass(frozen=True, slots=True)
class Vote:
    """The answer: a granted vote is durable on the voter's disk."""

    candidate_term_id: LeadershipTermId
    """The voter's term when granted that of the candidate, else its own present term."""
    granted: bool
    unanimous: bool
    """The vote may count in a unanimous ballot only (the voter is recovering)."""
    end: LogMark
    wall: int


@dataclass(slots=True, unsafe_hash=True)
class AppendFrames:
    """Frames behind a boundary that the follower must hold; without frames a heartbeat."""

    leadership_term_id: LeadershipTermId
    previous: LogMark
    """The boundary that the frames stand behind."""
    frames: tuple[LogFrame, ...]
    commit_position: LogPosition
    round: int
    """The leader's latest heartbeat round; never reused within a term."""
    end_position: LogPosition
    """The leader's written position, so that lag is known on both sides."""


@dataclass(slots=True, unsafe_hash=True)
class AppendReport:
    """Where a follower stands; answers AppendFrames and follows every completed sync."""

    leadership_term_id: LeadershipTermId
    """The sender's present term: higher than the leader's makes the leader step down."""
    matched: bool
    """False: ``previous`` was not in the log; ``end`` and ``terms`` say what is."""
    durable: LogPosition
    """End of what is durable here and received from, or checked against, this leader."""
    checked: LogPosition
    """End of what was received from, or checked against, this leader, durable or not."""
    end: LogMark
    """End of the follower's own log, whatever it holds."""
    terms: tuple[TermRecord, ...]
    """When not matched: the last rows of the term table, oldest first."""
    round: int
    """The highest heartbeat round heard in this term."""
    service_position: LogPosition
    recovering: Recovering
    wall: int


@dataclass(frozen=True, slots=True)
class CureTarget:
    """You are cured when you durably hold my log up to ``position``."""

    leadership_term_id: LeadershipTermId
    position: LogPosition


@dataclass(frozen=True, slots=True)
class StandNow:
    """Take over: stand for the next term at once, showing this token."""

    token: TransferToken


@dataclass(frozen=True, slots=True)
class DigestReport:
    """The sender's rolling digest of its service at a position that all compare."""

    position: LogPosition
    digest: bytes


@dataclass(frozen=True, slots=True)
class DigestVerdict:
    """A strict majority of all voters has this digest at this position."""

    position: LogPosition
    digest: bytes


@dataclass(frozen=True, slots=True)
class RoomReport:
    """The sender's disk has no space for another segment: so far its log can grow.

    Said again with every heartbeat as long as it is so; a leader that does not hear it for an
    election timeout takes it that there is space.
    """

    leadership_term_id: LeadershipTermId
    room_end: LogPosition
    """``ROOM_UNBOUNDED``: there is space again."""


Message = (
    Hello
    | FoundRequest
    | FoundingFrame
    | FoundingStored
    | Founded
    | FoundingDiscard
    | Canvass
    | CanvassAnswer
    | RequestVote
    | Vote
    | AppendFrames
    | AppendReport
    | CureTarget
    | StandNow
    | DigestReport
    | DigestVerdict
    | RoomReport
)
